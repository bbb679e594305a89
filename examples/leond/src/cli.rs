//! The command line.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::config::{DEFAULT_SOCKET, Settings};

/// Extends one Layer 2 network over many sites and forwards every Ethernet frame along the path with the
/// lowest latency, relayed by another site where that is faster. All that goes between sites is sealed.
#[derive(Parser)]
#[command(name = "leond", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Join a mesh and bridge a TAP device into it
    ///
    /// Takes its settings from a TOML file, from flags, or from both; a flag wins. The keys of the file are
    /// the long names of the flags with underscores; `seeds` and `allow` are lists. A table `policy` in it, with
    /// the `pins`, `avoid` and `prices_us` of docs/config.md, says what paths are to be whatever the latencies.
    /// SIGINT and SIGTERM make the node leave the mesh and exit. SIGHUP makes it read the allow list and the
    /// policy again, from the file for --config and that for --allow-file: the sessions with members that are
    /// not on the list any more end at once, and paths follow the policy at once. All else that changes in the
    /// file counts from the next start.
    Run(Box<RunArgs>),
    /// Make a key in a new file and print its public key
    ///
    /// The file holds one line of base64, as a WireGuard key, and can be read by its owner only. A file that
    /// exists is never overwritten. The public key names this site to the others, which may list it as
    /// allowed; it is no secret.
    Keygen(KeygenArgs),
    /// Print the public key of a secret key
    Pubkey(PubkeyArgs),
    /// Show the members, paths, hosts and counters of a running daemon
    Status(StatusArgs),
    /// Show why frames for a member of a running daemon's mesh take the path they take
    ///
    /// Lists the path they take, the direct one and the best ones through another site, each with its cost and
    /// the reason why it was chosen or was not, and the links of all of them.
    Explain(ExplainArgs),
    /// Show a relayed path beat the direct one, here, without privileges
    ///
    /// Runs three sites as threads of this process: Fujisawa, Inagi and Seoul of the LEON paper. They talk
    /// over UDP sockets on the loopback interface, through a model of the Internet that delays each datagram
    /// by the latency between its two sites. The demo takes less than half a minute.
    Demo(DemoArgs),
    /// Say what leon would save among your sites, from the round-trip times between them
    ///
    /// Runs the engine of each site in virtual time, over an underlay with these delays, and compares the paths
    /// it chooses with the direct ones and with the best there are. Needs no privileges, opens no socket, and with
    /// one --seed always prints the same (but wall_s). docs/simulate.md says what the figures mean.
    Simulate(SimulateArgs),
}

#[derive(Args, Clone)]
pub(crate) struct RunArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Args)]
pub(crate) struct KeygenArgs {
    /// Make the key that all sites of a mesh share instead: made once, then copied to every site over a safe
    /// way. Prints nothing
    #[arg(long)]
    pub(crate) network: bool,
    /// Where to write the key
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Args)]
pub(crate) struct PubkeyArgs {
    /// File with the secret key; `-` for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Args)]
pub(crate) struct StatusArgs {
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// Control socket of the daemon
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub(crate) socket: PathBuf,
}

#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// Name of the member, or the beginning of its public key or of its id
    #[arg(value_name = "MEMBER")]
    pub(crate) member: String,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// Control socket of the daemon
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub(crate) socket: PathBuf,
}

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Print one JSON object on standard output; progress goes to standard error either way
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Clone)]
#[command(group(ArgGroup::new("underlay").required(true).args(["matrix", "trace"])))]
pub(crate) struct SimulateArgs {
    /// Square matrix of round-trip times (CSV): a header row and a header column with the same names, and the RTT
    /// measured from the row's site to the column's in milliseconds. Half of it is the delay in that direction.
    /// Where a cell is blank nothing passes from the row's site to the column's
    #[arg(long, value_name = "FILE")]
    pub(crate) matrix: Option<PathBuf>,
    /// Round-trip times that change (CSV): a line `i,j,t1,...,tn` for each pair of sites with its RTT in
    /// milliseconds in n frames of time, blank while nothing passes. A line `j,i,...` makes the directions differ,
    /// as in a matrix
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// How long each frame of the trace lasts, in seconds
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = positive, conflicts_with = "matrix")]
    pub(crate) frame_seconds: f64,
    /// Only so many of the sites, drawn at random [default: all]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(2..))]
    pub(crate) nodes: Option<u16>,
    /// What the drawn sites follow from
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub(crate) draw_seed: u64,
    /// Repeats it all so often, each time with the next draw seed and the next seed, and prints medians
    #[arg(long, value_name = "D", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) draws: u16,
    /// How long paths are measured once they have converged, in virtual seconds [default: 120, or to the end of
    /// the trace]
    #[arg(long, value_name = "S", value_parser = positive)]
    pub(crate) seconds: Option<f64>,
    /// Share of the datagrams that each link loses, 0 to 0.5
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub(crate) loss: f64,
    /// Each datagram takes up to so many milliseconds longer in each direction, evenly spread
    #[arg(long, value_name = "MS", default_value_t = 0.0, value_parser = jitter)]
    pub(crate) jitter_ms: f64,
    /// Break something every 15 to 25 seconds, for 10 seconds
    #[arg(long, value_name = "KIND")]
    pub(crate) fault: Option<FaultKind>,
    /// Hosts exchange a frame every 10 ms, both ways, over what is about to fail; measures how long frames stop
    #[arg(long, requires = "fault")]
    pub(crate) traffic: bool,
    /// What all randomness but the draw follows from
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw the sites, who relays for whom, and the distribution of what is saved, in the first draw
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
}

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FaultKind {
    /// Both directions of a link that a chosen path takes
    Link,
    /// One direction of such a link
    OneWay,
    /// A site that relays, which starts again afterwards
    Crash,
    /// All links between two random halves of the sites
    Partition,
}

fn positive(text: &str) -> Result<f64, String> {
    within(text, f64::MIN_POSITIVE, 1e7).ok_or_else(|| "not a number of seconds above 0".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    within(text, 0.0, 0.5).ok_or_else(|| "not a share from 0 to 0.5".to_owned())
}

fn jitter(text: &str) -> Result<f64, String> {
    within(text, 0.0, 1000.0).ok_or_else(|| "not a number of milliseconds from 0 to 1000".to_owned())
}

fn within(text: &str, least: f64, most: f64) -> Option<f64> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}
