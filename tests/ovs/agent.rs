//! `ovs-agent` as a child process: built once, with the sanitizers, started in a site's namespace, ended.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::build::c_program;
use crate::namespace::{Namespace, eventually};

/// A running agent, killed when dropped. What it wrote is printed if the test fails.
pub(crate) struct Agent {
    child: Child,
    /// Standard error.
    log: PathBuf,
    /// Standard output.
    reports: PathBuf,
}

impl Agent {
    /// Starts it; what it writes goes to files in `directory`.
    pub(crate) fn start(ns: &Namespace, directory: &Path, arguments: &[String]) -> Self {
        let [log, reports] = ["agent.log", "agent.reports"].map(|name| directory.join(name));
        let [stderr, stdout] = [&log, &reports].map(|path| File::create(path).expect("a writable directory"));
        let mut command = Command::new(binary());
        command.args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let child = ns.inside(|| command.spawn()).expect("it is built");
        Self { child, log, reports }
    }

    /// Runs one that is to end by itself.
    pub(crate) fn run(ns: &Namespace, arguments: &[String]) -> Output {
        ns.inside(|| Command::new(binary()).args(arguments).output()).expect("it is built")
    }

    /// Fails while no line of the log has all of these words, with the log.
    pub(crate) fn says(&self, words: &[&str]) -> Result<(), String> {
        let log = fs::read_to_string(&self.log).map_err(|error| error.to_string())?;
        let says = |line: &str| words.iter().all(|word| line.contains(word));
        if log.lines().any(says) { Ok(()) } else { Err(format!("no line with {words:?} in\n{log}")) }
    }

    /// Asks for a report (SIGUSR1) and fails while none has this line, with all reports.
    pub(crate) fn reports(&self, line: &str) -> Result<(), String> {
        self.signal(Signal::USR1);
        let reports = fs::read_to_string(&self.reports).map_err(|error| error.to_string())?;
        if reports.lines().any(|other| other == line) { Ok(()) } else { Err(reports) }
    }

    /// Asks it to leave (SIGTERM).
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits for its end; its exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        let exited = || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status.code()),
            other => Err(format!("{other:?}")),
        };
        eventually("the agent exits", Duration::from_secs(5), exited).0
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is not reaped yet");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            for path in [&self.log, &self.reports] {
                eprintln!("--- {}\n{}", path.display(), fs::read_to_string(path).unwrap_or_default());
            }
        }
    }
}

/// The path of the agent, built on first use.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| c_program("ovs-agent"))
}
