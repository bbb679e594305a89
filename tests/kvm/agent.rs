//! Agents as child processes, on addresses of the loopback interface or in network namespaces, and their commands.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::build::c_program;
use crate::namespace::{Namespace, eventually};
use crate::nic::Nic;
use crate::{AT_ONCE, FOUND};

/// Secret keys as `leond keygen` writes them.
const NETWORK_KEY: &str = "TkVUV09SS05FVFdPUktORVRXT1JLTkVUV09SS05FVFc=";

/// A directory for the sockets and keys of some agents, and addresses that no other mesh of this machine has.
pub(crate) struct Mesh {
    directory: TempDir,
    network: [u8; 3],
}

/// A running agent, killed when dropped.
pub(crate) struct Agent {
    name: String,
    child: Child,
    directory: PathBuf,
}

impl Mesh {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [.., high, low] = std::process::id().to_be_bytes();
        let directory = tempfile::Builder::new().prefix("leon-").tempdir().expect("a temporary directory");
        write_key(&directory.path().join("network.key"), NETWORK_KEY);
        // 127.0.x.y is what others use.
        let network = [127, high | 0x80, low ^ NEXT.fetch_add(1, Ordering::Relaxed).rotate_left(4)];
        Self { directory, network }
    }

    /// Starts an agent on the loopback interface; the first is the seed of the others.
    pub(crate) fn agent(&self, name: &str, arguments: &[&str]) -> Agent {
        let [a, b, c] = self.network;
        let at = |host| Ipv4Addr::new(a, b, c, host).into();
        self.start(name, at(if name == "one" { 1 } else { 2 }), at(1), arguments, Command::spawn)
    }

    /// Starts an agent in a namespace.
    pub(crate) fn agent_in(&self, host: &Namespace, own: IpAddr, seed: IpAddr) -> Agent {
        self.start(host.name(), own, seed, &[], |command| host.inside(|| command.spawn()))
    }

    fn start(
        &self,
        name: &str,
        own: IpAddr,
        seed: IpAddr,
        arguments: &[&str],
        spawn: impl FnOnce(&mut Command) -> std::io::Result<Child>,
    ) -> Agent {
        let directory = self.directory.path().join(name);
        fs::create_dir_all(&directory).expect("a writable temporary directory");
        write_key(&directory.join("key"), &secret(own));
        let mut command = Command::new(binary());
        command.args(["--name", name]).args(arguments);
        command.args(["--listen", &format!("{own}:4789"), "--seed", &format!("{seed}:4789")]);
        command.arg("--key").arg(directory.join("key"));
        command.arg("--network-key").arg(self.directory.path().join("network.key"));
        command.arg("--control").arg(directory.join("control.sock"));
        let log = File::create(directory.join("log")).expect("a writable temporary directory");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = spawn(&mut command).expect("the agent starts");
        let agent = Agent { name: name.to_owned(), child, directory };
        eventually(&format!("{name} runs"), AT_ONCE, || agent.says("the largest MTU"));
        agent
    }
}

impl Agent {
    /// Waits until this agent knows that another is a member.
    pub(crate) fn finds(&self, other: &str) {
        let found = || {
            let log = self.log()?;
            let is = |line: &str| line.contains(&format!(": {other} (")) && line.contains("is a member");
            if log.lines().any(is) { Ok(()) } else { Err(log) }
        };
        eventually(&format!("{} finds {other}", self.name), FOUND, found);
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Adds a VM.
    pub(crate) fn add(&self, description: &str) {
        assert_eq!(self.command(&format!("add {description}")), "ok\n");
    }

    /// Adds a VM that a hypervisor connects to, and connects as one.
    pub(crate) fn add_stream(&self, name: &str, rest: &str) -> Nic {
        let path = self.path(&format!("{name}.sock"));
        self.add(&format!("stream={},{rest}", path.display()));
        self.connect(name)
    }

    /// Connects as a hypervisor to a VM that was added; returns when the agent has taken it.
    pub(crate) fn connect(&self, name: &str) -> Nic {
        let path = self.path(&format!("{name}.sock"));
        let nic = Nic::stream(&path);
        eventually("it is connected", AT_ONCE, || {
            self.lists_quietly(&path.display().to_string(), " connected")
        });
        nic
    }

    /// Adds a VM that exchanges datagrams.
    pub(crate) fn add_datagram(&self, name: &str, rest: &str) -> Nic {
        let (path, peer) = (self.path(&format!("{name}.sock")), self.path(&format!("{name}.peer")));
        let nic = Nic::datagram(&path, &peer);
        self.add(&format!("dgram={},peer={},{rest}", path.display(), peer.display()));
        nic
    }

    pub(crate) fn remove(&self, name: &str) {
        let path = self.path(&format!("{name}.sock"));
        assert_eq!(self.command(&format!("remove {}", path.display())), "ok\n");
    }

    /// Gives a command; the answer.
    pub(crate) fn command(&self, command: &str) -> String {
        let own = self.path("me.sock");
        let _ = fs::remove_file(&own);
        let socket = UnixDatagram::bind(&own).expect("a path in a temporary directory");
        socket.set_read_timeout(Some(AT_ONCE)).expect("a valid timeout");
        socket.send_to(format!("{command}\n").as_bytes(), self.path("control.sock")).expect("the agent runs");
        let mut answer = vec![0; 1 << 16];
        let len = socket.recv(&mut answer).unwrap_or_else(|error| panic!("{command}: {error}"));
        String::from_utf8_lossy(&answer[..len]).into_owned()
    }

    /// What `list` says, if these words are in it.
    pub(crate) fn lists(&self, words: &str) -> Result<String, String> {
        let list = self.command("list");
        if list.contains(words) { Ok(list) } else { Err(list) }
    }

    fn lists_quietly(&self, path: &str, words: &str) -> Result<(), String> {
        let list = self.command("list");
        let is = |line: &str| line.contains(path) && line.contains(words);
        if list.lines().any(is) { Ok(()) } else { Err(list) }
    }

    /// A counter of the VM whose line of the list has `words`.
    pub(crate) fn counter(list: &str, words: &str, counter: &str) -> u64 {
        let line = list.lines().find(|line| line.contains(words)).expect("it is listed");
        let mut items = line.split(' ').skip_while(|item| *item != counter);
        items.nth(1).map_or(0, |value| value.parse().expect("counters are numbers"))
    }

    /// Fails while its log lacks these words.
    pub(crate) fn says(&self, words: &str) -> Result<(), String> {
        let log = self.log()?;
        if log.contains(words) { Ok(()) } else { Err(log) }
    }

    fn log(&self) -> Result<String, String> {
        fs::read_to_string(self.path("log")).map_err(|error| error.to_string())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Asks it to leave (SIGTERM) and waits for its end, at which the sanitizers speak.
    pub(crate) fn leave(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it is not reaped yet");
        let exited = || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        };
        let (status, _) = eventually(&format!("{} exits", self.name), AT_ONCE, exited);
        assert!(status.success(), "{status}");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}", self.name, self.log().unwrap_or_default());
        }
    }
}

/// A key that depends on the address, which no two agents of a mesh share.
fn secret(own: IpAddr) -> String {
    let IpAddr::V4(own) = own else { unreachable!("the tests use IPv4") };
    let digit = char::from(b'A' + own.octets()[3]);
    format!("{}=", digit.to_string().repeat(42) + "A")
}

fn write_key(path: &Path, key: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.as_mut().map(|file| file.write_all(format!("{key}\n").as_bytes()));
    written.expect("a writable temporary directory").expect("room for a key");
}

/// The path of the agent.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| c_program("kvm-agent"))
}
