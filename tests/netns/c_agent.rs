//! The site agents in C (examples-c/tap-agent.c and uv-agent.c) in one mesh with the daemon: all speak the same
//! protocol, on top of the same engine, with sockets, devices and event loops of their own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::SETTLED;
use crate::build::c_program;
use crate::namespace::{Namespace, eventually};
use crate::site::{FUJISAWA, INAGI, SEOUL, World};
use crate::wan::v4;

/// How long it may take until all have found each other.
const FOUND: Duration = Duration::from_secs(15);
/// What takes no time of the protocol's, on a machine that may be small.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A running agent, killed when dropped. What it said is printed if the test fails.
pub(crate) struct CAgent {
    name: String,
    child: Child,
    report: PathBuf,
    log: PathBuf,
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn a_site_with_the_agent_in_c_is_a_site_like_any_other() {
    let mut world = World::new(v4);
    world.join(&[(FUJISAWA, &[]), (INAGI, &[FUJISAWA])]);
    let agent = world.start_c_agent(SEOUL, &[FUJISAWA]);
    let [fujisawa, inagi, seoul] = &world.sites;
    let found = || fujisawa.member("seoul").and_then(|_| inagi.member("seoul"));
    eventually("both daemons know the agent", FOUND, found);
    seoul.plug_in(&seoul.host);

    let relayed = || {
        fujisawa.takes(&["inagi", "seoul"])?;
        agent.reports("fujisawa alive 10.99.0.1:4789 via inagi, ")
    };
    eventually("both ends relay via inagi", SETTLED, relayed);
    let direct = || agent.reports("inagi alive 10.99.0.2:4789 direct, ");
    eventually("the short way stays direct", AT_ONCE, direct);
    for (from, to) in [(seoul, fujisawa), (fujisawa, seoul), (seoul, inagi), (inagi, seoul)] {
        let ping = from.host.ping(&to.host, 5);
        assert_eq!(ping.received, ping.sent, "{} to {}: {ping:?}", from.name, to.name);
    }
    let ping = seoul.host.ping(&fujisawa.host, 20);
    assert!((21.0..26.0).contains(&ping.min_ms), "4 and 17 ms via Inagi: {ping:?}");
    crate::transfer::tcp(&seoul.host, &fujisawa.host, 5_000_000);
    crate::transfer::tcp(&fujisawa.host, &seoul.host, 5_000_000);
    eventually("what is not zero is shown", AT_ONCE, || agent.reports("frames_in "));
    agent.reports("drop_tag ").expect_err("what is zero is not");

    assert_eq!(agent.leave().code(), Some(0));
    eventually("the leaver is dropped", AT_ONCE, || {
        fujisawa.lacks("seoul").and_then(|()| inagi.lacks("seoul"))
    });
    for site in [fujisawa, inagi] {
        site.says(&["seoul has left"]).expect("it said so before it went");
    }
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn a_site_with_the_agent_on_libuv_is_a_site_like_any_other() {
    let mut world = World::new(v4);
    world.join(&[(FUJISAWA, &[])]);
    let agent = world.start_uv_agent(INAGI, &[FUJISAWA]);
    let [fujisawa, inagi, _] = &world.sites;
    eventually("the daemon knows the agent", FOUND, || fujisawa.member("inagi"));
    inagi.plug_in(&inagi.host);
    for (from, to) in [(fujisawa, inagi), (inagi, fujisawa)] {
        let ping = from.host.ping(&to.host, 5);
        assert_eq!(ping.received, ping.sent, "{} to {}: {ping:?}", from.name, to.name);
        assert!((4.0..6.0).contains(&ping.min_ms), "{} to {}: {ping:?}", from.name, to.name);
        crate::transfer::tcp(&from.host, &to.host, 5_000_000);
    }

    assert_eq!(agent.leave().code(), Some(0));
    eventually("the leaver is dropped", AT_ONCE, || fujisawa.lacks("inagi"));
    fujisawa.says(&["inagi has left"]).expect("it said so before it went");
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn the_agent_in_c_says_what_is_wrong_and_what_to_do() {
    let world = World::new(v4);
    let refused = |change: &dyn Fn(&mut Vec<String>), code, words: &str| {
        let mut arguments = world.arguments(SEOUL, &[]);
        change(&mut arguments);
        let mut command = Command::new(binary("tap-agent"));
        command.args(["--name", "seoul"]).args(&arguments);
        let output = world.sites[SEOUL].inside(|| command.output()).expect("the agent starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{said}");
        assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    };
    let with = |from: &'static str, to: &'static str| {
        move |arguments: &mut Vec<String>| {
            for argument in arguments.iter_mut().filter(|argument| argument.as_str() == from) {
                to.clone_into(argument);
            }
        }
    };
    refused(&with("10.99.0.3:4789", "10.99.0.77:4789"), 1, "listen on one that is configured");
    refused(&with("10.99.0.3:4789", "nowhere"), 2, "--listen nowhere is no address and port");
    refused(&with("10.99.0.3:4789", "0.0.0.0:4789"), 2, "say with --advertise");
    refused(&with("leon0", "br0"), 1, "exists but is not a TAP device");
    refused(&with("leon0", "a name that is long"), 1, "cannot name a TAP device");
    refused(&|arguments| arguments.push("--mtu=67".to_owned()), 2, "from 68 to 65521");
    refused(&|arguments| arguments.push("--key=/dev/null".to_owned()), 2, "is not a regular file");
    refused(
        &|arguments| arguments.push("--key=absent".to_owned()),
        2,
        "there is no key file absent: make one",
    );

    let agent = world.start_c_agent(SEOUL, &[]);
    eventually("it runs", AT_ONCE, || agent.says("TAP device leon0 is up"));
    refused(&|_| (), 1, "another process listens on UDP 10.99.0.3:4789");
    refused(&with("10.99.0.3:4789", "10.99.0.3:4790"), 1, "TAP device leon0 is in use by another process");

    world.sites[SEOUL].delete_tap();
    let says = || agent.says("TAP device leon0 has been deleted");
    eventually("it says why it ends", AT_ONCE, says);
    assert_eq!(agent.ends().code(), Some(1));
}

impl CAgent {
    /// Starts a program of examples-c with these arguments, as the agent of the site with this name; its log and its
    /// reports go to `directory`.
    pub(crate) fn start(
        site: &Namespace,
        program: &str,
        name: &str,
        directory: &Path,
        arguments: &[String],
    ) -> Self {
        let file = |extension| directory.join(format!("{name}.{extension}"));
        let (report, log) = (file("report"), file("log"));
        let create = |path| File::create(path).expect("a writable temporary directory");
        let mut command = Command::new(binary(program));
        command.args(arguments);
        command.stdin(Stdio::null()).stdout(create(&report)).stderr(create(&log));
        let child = site.inside(|| command.spawn()).expect("the agent starts");
        Self { name: name.to_owned(), child, report, log }
    }

    /// Asks for a report (SIGUSR1), and fails unless a line of one so far begins with these words.
    fn reports(&self, words: &str) -> Result<(), String> {
        self.signal(Signal::USR1);
        let report = fs::read_to_string(&self.report).map_err(|error| error.to_string())?;
        if report.lines().any(|line| line.starts_with(words)) { Ok(()) } else { Err(report) }
    }

    /// Fails while its log lacks these words.
    fn says(&self, words: &str) -> Result<(), String> {
        let log = fs::read_to_string(&self.log).map_err(|error| error.to_string())?;
        if log.contains(words) { Ok(()) } else { Err(log) }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is not reaped yet");
    }

    /// Asks it to leave (SIGTERM) and waits for its end.
    fn leave(self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ends()
    }

    fn ends(mut self) -> ExitStatus {
        let exited = || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        };
        eventually(&format!("{} exits", self.name), Duration::from_secs(5), exited).0
    }
}

impl Drop for CAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}", self.name, fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// The path of an agent. They are made one after another, as their objects are the same.
fn binary(program: &str) -> PathBuf {
    static MAKE: Mutex<()> = Mutex::new(());
    let _turn = MAKE.lock().unwrap_or_else(PoisonError::into_inner);
    c_program(program)
}
