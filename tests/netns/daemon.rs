//! `leond` as a child process: built once, started in a site's namespace, asked for its status, ended.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::build::cargo_build;
use crate::namespace::{Namespace, eventually, succeed};

/// A running daemon, killed when dropped. Its log is printed if the test fails.
pub(crate) struct Daemon {
    name: String,
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

/// The part of `leond status --json` that the tests look at.
#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) members: Vec<Member>,
    pub(crate) fdb: Vec<FdbEntry>,
    pub(crate) counters: BTreeMap<String, u64>,
}

/// Another node as a daemon sees it.
#[derive(Debug, Deserialize)]
pub(crate) struct Member {
    pub(crate) name: String,
    state: String,
    /// Names of the relays, then of the member itself.
    pub(crate) path: Vec<String>,
    pub(crate) path_ms: Option<f64>,
    pub(crate) direct_ms: Option<f64>,
}

/// A host that a daemon knows.
#[derive(Debug, Deserialize)]
pub(crate) struct FdbEntry {
    pub(crate) mac: String,
    /// The name of the member that the host sits behind; none for the daemon's own site.
    pub(crate) member: Option<String>,
}

impl Status {
    /// The member of that name if it is alive.
    pub(crate) fn alive(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name && member.state == "alive")
    }
}

impl Daemon {
    /// Starts `leond run` with these arguments; its socket and log go to `directory`.
    pub(crate) fn start(site: &Namespace, name: &str, directory: &Path, arguments: &[String]) -> Self {
        let socket = directory.join(format!("{name}.sock"));
        let log = directory.join(format!("{name}.log"));
        let stderr =
            File::options().create(true).append(true).open(&log).expect("a log in a fresh directory");
        let mut command = Command::new(binary());
        command.args(["run", "--name", name]).args(arguments).arg("--socket").arg(&socket);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let child = site.inside(|| command.spawn()).expect("leond starts");
        Self { name: name.to_owned(), child, socket, log }
    }

    /// Fails while the daemon does not answer, with the reason.
    pub(crate) fn status(&self) -> Result<Status, String> {
        let mut command = Command::new(binary());
        command.args(["status", "--json", "--socket"]).arg(&self.socket);
        let output = command.output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("{}: {}", self.name, String::from_utf8_lossy(&output.stderr)));
        }
        let status = serde_json::from_slice(&output.stdout);
        // Not an answer to wait for: the daemon does not keep to its format.
        Ok(status.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stdout))))
    }

    /// Fails while no line of the log has all of these words, with the log. A site that starts again goes on in
    /// the log it has.
    pub(crate) fn says(&self, words: &[&str]) -> Result<(), String> {
        let log = fs::read_to_string(&self.log).map_err(|error| error.to_string())?;
        let says = |line: &str| words.iter().all(|word| line.contains(word));
        if log.lines().any(says) { Ok(()) } else { Err(format!("no line with {words:?} in\n{log}")) }
    }

    /// Asks it to read its allow list and its policy again (SIGHUP).
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Why it sends to each other node along the path that it takes, as far as it still answers.
    fn reasons(&self) -> String {
        let explain = |member: &Member| {
            let mut command = Command::new(binary());
            command.args(["explain", &member.name, "--socket"]).arg(&self.socket);
            command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let members = self.status().map(|status| status.members).unwrap_or_default();
        members.iter().flat_map(explain).collect()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is not reaped yet");
    }

    /// Asks it to leave (SIGTERM) and waits for its end.
    pub(crate) fn leave(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let exited = || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        };
        eventually(&format!("{} exits", self.name), Duration::from_secs(5), exited).0
    }
}

/// SIGKILL: the others hear nothing from it.
impl Drop for Daemon {
    fn drop(&mut self) {
        let reasons = if std::thread::panicking() { self.reasons() } else { String::new() };
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("--- log of {}\n{log}\n{reasons}", self.name);
        }
    }
}

/// Runs `leond keygen` with these arguments; what it prints.
pub(crate) fn keygen(arguments: &[&Path]) -> String {
    succeed(Command::new(binary()).arg("keygen").args(arguments)).trim_end().to_owned()
}

/// The path of `leond`, built in the profile of this test on first use.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| cargo_build(&["--package", "leond"], "").join("leond"))
}
