//! Network namespaces: created under a unique name, entered by threads, deleted when dropped (a panic unwinds
//! through here too).

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace; the name is gone when this is dropped.
pub(crate) struct Namespace {
    name: String,
    handle: Handle,
}

/// A namespace held by file descriptor, which keeps it usable after its name is gone.
#[derive(Clone)]
pub(crate) struct Handle(Arc<File>);

/// Between two pings of a series.
pub(crate) const PING_INTERVAL: Duration = Duration::from_millis(50);

/// What `ping` reported.
#[derive(Debug)]
pub(crate) struct Ping {
    pub(crate) sent: u32,
    pub(crate) received: u32,
    /// Infinite when nothing came back.
    pub(crate) min_ms: f64,
    pub(crate) avg_ms: f64,
}

impl Namespace {
    /// Creates a namespace with its loopback up. Devices made in it later speak no IPv6 unless told to:
    /// nothing but the test's own frames should be on the wire.
    pub(crate) fn new(label: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("leon-{}-{n}-{label}", std::process::id());
        succeed(Command::new("ip").args(["netns", "add", &name]));
        let file = File::open(format!("/run/netns/{name}")).expect("the namespace just added");
        let namespace = Self { name, handle: Handle(Arc::new(file)) };
        namespace.ip("link set lo up");
        namespace.handle.sysctl("net/ipv6/conf/default/disable_ipv6", "1");
        namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// See [`Handle::inside`].
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.handle.inside(work)
    }

    /// Runs `ip` with these words as arguments and returns its standard output.
    pub(crate) fn ip(&self, words: &str) -> String {
        self.handle.ip(words)
    }

    /// Pings `count` times; each echo may take up to one second.
    pub(crate) fn ping(&self, to: impl Into<IpAddr>, count: u32) -> Ping {
        let to = to.into().to_string();
        let mut ping = Command::new("ping");
        let interval = PING_INTERVAL.as_secs_f64().to_string();
        ping.args(["-n", "-i", &interval, "-W", "1", "-c", &count.to_string()]);
        if count > 1 {
            // For the last echoes of a series ping waits two round trips at most, unless it has a deadline.
            let deadline = (PING_INTERVAL * count).as_secs_f64().ceil() + 1.0;
            ping.args(["-w", &deadline.to_string()]);
        }
        let output = self.inside(|| ping.arg(&to).output()).expect("ping, from iputils, is installed");
        Ping::parse(count, &String::from_utf8_lossy(&output.stdout))
            .unwrap_or_else(|| panic!("ping {to} in {}: {output:?}", self.name))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = Command::new("ip").args(["netns", "del", &self.name]).status() {
            eprintln!("{} stays: {error}", self.name);
        }
    }
}

impl Handle {
    /// Runs `work` on a thread of its own inside the namespace. Sockets, devices and child processes that it
    /// makes belong to the namespace wherever they are used afterwards.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("root may setns");
            work()
        };
        let result = std::thread::scope(|scope| scope.spawn(enter).join());
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    pub(crate) fn ip(&self, words: &str) -> String {
        self.inside(|| succeed(Command::new("ip").args(words.split_whitespace())))
    }

    /// Writes a value below /proc/sys, which shows the namespace of the thread that opens it.
    pub(crate) fn sysctl(&self, key: &str, value: &str) {
        let written = self.inside(|| std::fs::write(format!("/proc/sys/{key}"), value));
        written.unwrap_or_else(|error| panic!("{key} = {value}: {error}"));
    }
}

impl Ping {
    /// Reads what iputils says of each echo: `64 bytes from 10.99.0.2: icmp_seq=1 ttl=64 time=4.12 ms`. With a
    /// deadline it goes on after `sent` until as many have come back: those do not count.
    fn parse(sent: u32, report: &str) -> Option<Self> {
        report.lines().find(|line| line.contains("packets transmitted"))?;
        let number = |line: &str, name: &str| {
            line.split(' ').find_map(|word| word.strip_prefix(name))?.parse::<f64>().ok()
        };
        let is_one = |line: &&str| {
            number(line, "icmp_seq=").is_some_and(|sequence| sequence <= f64::from(sent))
                && !line.ends_with("(DUP!)")
        };
        let times: Vec<f64> =
            report.lines().filter(is_one).filter_map(|line| number(line, "time=")).collect();
        let received = u32::try_from(times.len()).ok()?;
        let min_ms = times.iter().copied().fold(f64::INFINITY, f64::min);
        Some(Self { sent, received, min_ms, avg_ms: times.iter().sum::<f64>() / f64::from(received) })
    }
}

/// Polls until `probe` yields a value; tells also how long that took. Panics with the last answer when there
/// is none by the deadline.
pub(crate) fn eventually<T>(
    what: &str,
    within: Duration,
    mut probe: impl FnMut() -> Result<T, String>,
) -> (T, Duration) {
    let start = Instant::now();
    loop {
        match probe() {
            Ok(value) => {
                eprintln!("{what}: after {:.2} s", start.elapsed().as_secs_f64());
                return (value, start.elapsed());
            }
            Err(answer) if start.elapsed() > within => panic!("{what}: not within {within:?}: {answer}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Runs a command that has to succeed and returns its standard output.
pub(crate) fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).into_owned()
}
