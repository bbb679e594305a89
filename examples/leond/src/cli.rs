//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
    /// the long names of the flags with underscores; `seeds` and `allow` are lists. SIGINT and SIGTERM make
    /// the node leave the mesh and exit. SIGHUP makes it read the allow list again, from the file for --config
    /// and that for --allow-file: the sessions with members that are not on it any more end at once. All else
    /// that changes in the file counts from the next start.
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
