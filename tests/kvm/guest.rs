//! Real guests: QEMU without KVM, a kernel of the distribution, and tests/kvm/init, which pings and tells what comes
//! of it on the serial console.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::agent::{Agent, Mesh};
use crate::namespace::{Namespace, eventually};

/// How long a guest may take to boot where each instruction is translated, on a machine that may be small and busy.
const BOOTED: Duration = Duration::from_secs(120);
/// How long it may take until a guest that pings every second is answered.
const ANSWERED: Duration = Duration::from_secs(10);

/// A running guest, killed when dropped.
struct Guest {
    name: String,
    child: Child,
    console: PathBuf,
}

#[test]
#[ignore = "needs root, QEMU and a kernel: run .ci/qemu"]
fn guests_of_two_hosts_ping_each_other_and_one_is_reached_where_it_moves() {
    let hosts = ["host1", "host2", "host3"].map(Namespace::new);
    let wire = Namespace::new("wire");
    let address = |host: usize| format!("10.99.0.{}", host + 1).parse().expect("an address");
    wire.ip("link add br0 up type bridge stp_state 0");
    for (n, host) in hosts.iter().enumerate() {
        wire.ip(&format!("link add to-{n} up master br0 type veth peer eth0 netns {}", host.name()));
        host.ip(&format!("address add {}/24 dev eth0", address(n)));
        host.ip("link set eth0 up");
    }
    let mesh = Mesh::new();
    let agents: [Agent; 3] = std::array::from_fn(|n| mesh.agent_in(&hosts[n], address(n), address(0)));
    for agent in &agents[1..] {
        agents[0].finds(agent.name());
    }

    let first = Guest::on_stream(&agents[0], 1, 2);
    let second = Guest::on_datagrams(&agents[1], 2, 1);
    for (guest, peer) in [(&first, 2), (&second, 1)] {
        eventually(&format!("{} is answered", guest.name), BOOTED, || guest.says(peer, "answers", 0));
    }

    drop(second);
    agents[1].remove("guest2");
    let gone = first.heard();
    eventually("the guest is not reached while it moves", ANSWERED, || first.says(2, "is silent", gone));
    let moved = first.heard();
    let second = Guest::on_stream(&agents[2], 2, 1);
    eventually("the guest is answered where it is now", BOOTED, || second.says(1, "answers", 0));
    eventually("and is reached there", ANSWERED, || first.says(2, "answers", moved));
    drop((first, second));
    agents.into_iter().for_each(Agent::leave);
}

impl Guest {
    /// A guest on a NIC that QEMU connects to the agent as a stream.
    fn on_stream(agent: &Agent, own: u8, peer: u8) -> Self {
        let path = agent.path(&format!("guest{own}.sock"));
        agent.add(&format!("stream={},mac={}", path.display(), mac(own)));
        let netdev = format!("stream,id=n0,server=off,addr.type=unix,addr.path={}", path.display());
        Self::start(agent, &netdev, own, peer)
    }

    /// A guest on a NIC whose frames are datagrams.
    fn on_datagrams(agent: &Agent, own: u8, peer: u8) -> Self {
        let [path, qemu] = ["sock", "qemu"].map(|end| agent.path(&format!("guest{own}.{end}")));
        agent.add(&format!("dgram={},peer={},mac={}", path.display(), qemu.display(), mac(own)));
        let netdev = format!(
            "dgram,id=n0,local.type=unix,local.path={},remote.type=unix,remote.path={}",
            qemu.display(),
            path.display()
        );
        Self::start(agent, &netdev, own, peer)
    }

    /// Starts 192.168.77.`own`, which pings 192.168.77.`peer`.
    fn start(agent: &Agent, netdev: &str, own: u8, peer: u8) -> Self {
        let console = agent.path(&format!("guest{own}.console"));
        let file = File::create(&console).expect("a writable temporary directory");
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-M", "pc", "-accel", "tcg", "-m", "128", "-nodefaults", "-no-user-config", "-nographic"]);
        qemu.arg("-kernel").arg(built("vmlinuz")).arg("-initrd").arg(built("initrd"));
        qemu.args(["-append", &format!("console=ttyS0 quiet panic=-1 leon.own={own} leon.peer={peer}")]);
        qemu.args(["-no-reboot", "-serial", "stdio", "-netdev", netdev]);
        qemu.args(["-device", &format!("virtio-net-pci,netdev=n0,mac={},romfile=,host_mtu=1358", mac(own))]);
        qemu.stdin(Stdio::null()).stderr(file.try_clone().expect("a descriptor")).stdout(file);
        let child = qemu.spawn().expect("QEMU is installed: run .ci/qemu");
        Guest { name: format!("guest {own} of {}", agent.name()), child, console }
    }

    /// Fails unless it has said this of a peer, after the first `since` bytes.
    fn says(&self, peer: u8, what: &str, since: usize) -> Result<(), String> {
        let console = self.console();
        let line = format!("guest: 192.168.77.{peer} {what}");
        if console[since..].contains(&line) { Ok(()) } else { Err(console) }
    }

    /// How many bytes it has said so far.
    fn heard(&self) -> usize {
        self.console().len()
    }

    fn console(&self) -> String {
        let text = fs::read(&self.console).expect("the file is there");
        text.into_iter().filter(u8::is_ascii).map(char::from).collect()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn mac(guest: u8) -> String {
    format!("52:54:00:00:00:{guest:02x}")
}

/// What .ci/qemu has put into the directory of the test's target.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    // This test is <target>/<profile>/deps/kvm-<hash>.
    let path = test.ancestors().nth(3).unwrap_or(Path::new("/")).join("guest").join(name);
    assert!(path.exists(), "there is no {}: run .ci/qemu, which gets it and runs this test", path.display());
    path
}
