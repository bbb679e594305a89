//! Scenarios as plain data: what property tests generate and shrink, and what a failure prints.
//!
//! Knows how to act a scenario out; what must hold meanwhile and at its end stands in `check` and `rest`.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use crate::sim::check::Violation;
use crate::sim::host::To;
use crate::sim::link::Link;
use crate::sim::world::World;
use crate::{MacAddr, Time};

/// How long the engines of a healed world may take to agree: until the loss that they remember, for which 100 s count,
/// is a tenth of what it was.
const REST_LIMIT: Duration = Duration::from_secs(240);

/// One step of a scenario. Nodes and hosts are meant modulo their number, so that any numbers will do.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The node starts and joins, if it is down.
    Start(usize),
    /// The node is gone, without a word.
    Crash(usize),
    /// The node crashes and starts.
    Restart(usize),
    /// The node leaves.
    Leave(usize),
    /// The node's host stops calling it.
    Sleep(usize),
    /// The node's host calls it again.
    Wake(usize),
    /// The underlay from one node to another changes.
    SetLink {
        /// From this node
        from: usize,
        /// to this one.
        to: usize,
        /// What it is now.
        link: Link,
    },
    /// Nothing passes from one node to another.
    Cut {
        /// From this node
        from: usize,
        /// to this one.
        to: usize,
    },
    /// Ends a cut.
    Mend {
        /// From this node
        from: usize,
        /// to this one.
        to: usize,
    },
    /// Nothing passes between nodes of different groups; each node's group, in order.
    Partition(Vec<usize>),
    /// Ends the partition and all cuts.
    Heal,
    /// A host sends a frame to another.
    SendFrame {
        /// This host
        from: usize,
        /// to this one.
        to: usize,
        /// Bytes of the frame.
        len: usize,
    },
    /// A host sends a frame to everyone.
    Broadcast {
        /// This host.
        from: usize,
        /// Bytes of the frame.
        len: usize,
    },
    /// A host sends a frame to an address that nobody has.
    SendUnknown {
        /// This host.
        from: usize,
        /// Bytes of the frame.
        len: usize,
    },
    /// A host moves to a node.
    MoveHost {
        /// This host
        host: usize,
        /// to this node.
        to: usize,
    },
    /// A node is told that a host is there, wherever it is.
    AnnounceHost {
        /// This host
        host: usize,
        /// at this node.
        at: usize,
    },
    /// A node is told that a host is not there any more.
    WithdrawHost {
        /// This host
        host: usize,
        /// at this node.
        at: usize,
    },
    /// A datagram that no engine made reaches a node.
    Inject {
        /// The node.
        to: usize,
        /// Who claims to have sent it.
        from: Origin,
        /// What it says.
        bytes: Vec<u8>,
    },
    /// Some of the latest datagrams for a node reach it once more.
    Replay {
        /// The node.
        to: usize,
        /// How many.
        count: usize,
    },
    /// Time passes.
    Run {
        /// So many milliseconds.
        ms: u64,
    },
}

/// The address an injected datagram comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The address of a node.
    Node(usize),
    /// Nobody's address, with this port.
    Stranger(u16),
}

impl Origin {
    fn address(self, world: &World) -> SocketAddr {
        match self {
            Origin::Node(node) => world.address(node % world.sites()),
            Origin::Stranger(port) => SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 66)), port.max(1)),
        }
    }
}

/// A world and what happens in it. Every node has one host of the same number and all nodes as its seeds.
///
/// Its `Debug` text is Rust: with `Link`, `Origin`, `Scenario` and the variants of `Op` in scope it can be
/// pasted into a test.
#[derive(Clone, PartialEq)]
pub struct Scenario {
    /// Of all dice in the world.
    pub seed: u64,
    /// How many nodes there are, at least one. None is started.
    pub nodes: usize,
    /// The underlay at the start.
    pub links: Vec<(usize, usize, Link)>,
    /// What happens, in order.
    pub ops: Vec<Op>,
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("links: {:?}, ops: {:?}", self.links, self.ops).replace('[', "vec![");
        write!(f, "Scenario {{ seed: {}, nodes: {}, {text} }}", self.seed, self.nodes)
    }
}

/// What a scenario that broke no rule came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Hash of everything that happened.
    pub digest: u64,
    /// The virtual time at its end.
    pub ended_at: Time,
    /// How long the engines took to agree after everything was healed.
    pub settled_after: Duration,
    /// Frames sent, those of the check at rest included.
    pub sent: usize,
    /// Deliveries of frames at sites.
    pub delivered: usize,
}

/// Acts the scenario out; then wakes all nodes, heals and calms the underlay, waits for rest, and checks what holds there.
///
/// # Errors
///
/// The first rule that was broken.
pub fn run(scenario: &Scenario) -> Result<Report, Violation> {
    let mut world = World::with_links(scenario.seed, scenario.nodes, &scenario.links);
    let seeds: Vec<SocketAddr> = (0..scenario.nodes).map(|node| world.address(node)).collect();
    for node in 0..scenario.nodes {
        world.config_mut(node).seeds.clone_from(&seeds);
        world.add_host(node);
    }
    for op in &scenario.ops {
        act(&mut world, scenario.nodes, op)?;
    }
    (0..scenario.nodes).for_each(|node| world.wake(node));
    world.heal();
    world.calm();
    let settled_after = world.settle(REST_LIMIT)?;
    world.check_at_rest()?;
    Ok(Report {
        digest: world.digest(),
        ended_at: world.now(),
        settled_after,
        sent: world.frames().len(),
        delivered: world.frames().iter().map(|frame| frame.deliveries.len()).sum(),
    })
}

fn act(world: &mut World, nodes: usize, op: &Op) -> Result<(), Violation> {
    match *op {
        Op::Start(node) => world.start(node % nodes),
        Op::Crash(node) => world.crash(node % nodes),
        Op::Restart(node) => world.restart(node % nodes),
        Op::Leave(node) => world.leave(node % nodes),
        Op::Sleep(node) => world.sleep(node % nodes),
        Op::Wake(node) => world.wake(node % nodes),
        Op::SetLink { from, to, link } => world.set_link(from % nodes, to % nodes, link),
        Op::Cut { from, to } => world.cut(from % nodes, to % nodes),
        Op::Mend { from, to } => world.mend(from % nodes, to % nodes),
        Op::Partition(ref groups) => world.partition(groups),
        Op::Heal => world.heal(),
        Op::SendFrame { from, to, len } => {
            world.send(from % nodes, To::Host(to % nodes), len);
        }
        Op::Broadcast { from, len } => {
            world.send(from % nodes, To::Everyone, len);
        }
        Op::SendUnknown { from, len } => {
            world.send(from % nodes, To::Mac(MacAddr([0x02, 0xde, 0xad, 0, 0, 1])), len);
        }
        Op::MoveHost { host, to } => world.move_host(host % nodes, to % nodes),
        Op::AnnounceHost { host, at } => {
            let name = world.host(host % nodes).name();
            // Every node serves the default segment, and there are few hosts.
            let _ = world.announce_at(at % nodes, name);
        }
        Op::WithdrawHost { host, at } => {
            let name = world.host(host % nodes).name();
            world.withdraw_at(at % nodes, name);
        }
        Op::Inject { to, from, ref bytes } => {
            world.inject(to % nodes, from.address(world), bytes.clone());
        }
        Op::Replay { to, count } => world.replay(to % nodes, count),
        Op::Run { ms } => return world.run_for(Duration::from_millis(ms)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Op::{Cut, Partition, Run, Start};
    use super::*;

    #[test]
    fn the_text_of_a_scenario_is_rust() {
        let scenario = Scenario {
            seed: 7,
            nodes: 2,
            links: vec![],
            ops: vec![Start(0), Partition(vec![0, 1]), Cut { from: 0, to: 1 }, Run { ms: 20 }],
        };
        assert_eq!(
            format!("{scenario:?}"),
            "Scenario { seed: 7, nodes: 2, links: vec![], \
             ops: vec![Start(0), Partition(vec![0, 1]), Cut { from: 0, to: 1 }, Run { ms: 20 }] }"
        );
    }
}
