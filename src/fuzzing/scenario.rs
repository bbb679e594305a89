//! Whole histories: any bytes as a scenario of the simulator, run with all its rules, up to rest.

use crate::fuzzing::feed::Feed;
use crate::sim::{self, Link, Op, Origin, Scenario};

/// Most steps of one scenario, so that each is short.
const MAX_OPS: usize = 40;
/// All pauses of one scenario together, in milliseconds.
const MAX_MS: u64 = 60_000;

/// Any bytes as a scenario.
pub fn scenario(bytes: &[u8]) {
    let scenario = decode(&mut Feed::new(bytes));
    if let Err(violation) = sim::run(&scenario) {
        panic!("{violation}\n{scenario:?}");
    }
}

fn decode(feed: &mut Feed<'_>) -> Scenario {
    let seed = u64::from(feed.u8());
    let nodes = 2 + feed.below(4);
    let pairs = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
    let links = pairs.filter(|(from, to)| from != to).map(|(from, to)| (from, to, calm_link(feed))).collect();
    let mut ops = Vec::new();
    let mut left_ms = MAX_MS;
    for node in 0..nodes {
        ops.extend([Op::Start(node), pause(feed.u8().into(), &mut left_ms)]);
    }
    while !feed.is_empty() && ops.len() < MAX_OPS {
        ops.push(op(feed, &mut left_ms));
    }
    Scenario { seed, nodes, links, ops }
}

fn op(feed: &mut Feed<'_>, left_ms: &mut u64) -> Op {
    match feed.below(22) {
        0 => Op::Start(feed.u8().into()),
        1 => Op::Crash(feed.u8().into()),
        2 => Op::Restart(feed.u8().into()),
        3 => Op::Leave(feed.u8().into()),
        4 | 5 => Op::SetLink { from: feed.u8().into(), to: feed.u8().into(), link: faulty_link(feed) },
        6 | 7 => Op::Cut { from: feed.u8().into(), to: feed.u8().into() },
        8 => Op::Mend { from: feed.u8().into(), to: feed.u8().into() },
        9 => {
            let groups = feed.u8();
            Op::Partition((0..8).map(|node| usize::from(groups >> node & 1)).collect())
        }
        10 => Op::Heal,
        11 | 12 => Op::SendFrame { from: feed.u8().into(), to: feed.u8().into(), len: feed.below(1600) },
        13 => Op::Broadcast { from: feed.u8().into(), len: feed.below(1600) },
        14 => Op::SendUnknown { from: feed.u8().into(), len: feed.below(1600) },
        15 => Op::MoveHost { host: feed.u8().into(), to: feed.u8().into() },
        16 => inject(feed),
        17 => Op::Replay { to: feed.u8().into(), count: 1 + feed.below(20) },
        18 | 19 => pause(u64::from(feed.u8()) * 10, left_ms),
        20 => {
            let (host, at) = (feed.u8().into(), feed.u8().into());
            if feed.below(3) == 0 { Op::WithdrawHost { host, at } } else { Op::AnnounceHost { host, at } }
        }
        _ => pause(u64::from(feed.u8()) * 200, left_ms),
    }
}

fn inject(feed: &mut Feed<'_>) -> Op {
    let to = feed.u8().into();
    let from = match feed.u8() {
        node @ 0..=127 => Origin::Node(node.into()),
        port => Origin::Stranger(port.into()),
    };
    Op::Inject { to, from, bytes: feed.bytes().to_vec() }
}

fn pause(ms: u64, left_ms: &mut u64) -> Op {
    let ms = ms.min(*left_ms);
    *left_ms -= ms;
    Op::Run { ms }
}

/// 0.1 to 100 ms without faults.
fn calm_link(feed: &mut Feed<'_>) -> Link {
    Link { delay_ns: 100_000 + u64::from(feed.u8()) * 390_000, ..Link::rtt_ms(0.0) }
}

fn faulty_link(feed: &mut Feed<'_>) -> Link {
    let link = calm_link(feed);
    let faults = feed.u8();
    let mut share = |bit: u8, most: f64| if faults >> bit & 1 != 0 { feed.share() * most } else { 0.0 };
    let (loss, duplication, reorder) = (share(0, 0.5), share(1, 0.5), share(2, 0.5));
    let corruption = share(3, 0.3);
    let jitter_ns = (share(4, 1.0) * 20e6) as u64;
    let mtu = 1500 - (share(5, 1.0) * 220.0) as u16;
    Link { jitter_ns, loss, duplication, reorder, corruption, mtu, ..link }
}
