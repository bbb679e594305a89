//! Attacks: by strangers, by those who listen and repeat, by those in the middle, by members. Each says what is
//! lost, which is nothing unless it says so, and what is counted.

mod flood;
mod hosts;
mod insider;
mod keys;
mod life;
mod member;
mod middle;
mod outsider;
mod relay;
mod replay;

use std::collections::BTreeMap;

use leon::sim::{Matrix, To, Violation, World};
use leon::{Counter, Status};

use crate::support::{formed, ms};

/// The paper's triangle, where 1 relays between 0 and 2, with a host at each site that all know.
pub(crate) fn triangle(seed: u64) -> Result<(World, [usize; 3]), Violation> {
    let links = Matrix::fujisawa_inagi_seoul().links();
    let mut world = formed(World::with_links(seed, 3, &links))?;
    let hosts = [0, 1, 2].map(|site| world.add_host(site));
    for host in hosts {
        world.send(host, To::Everyone, 60);
        world.run_for(ms(100))?;
    }
    Ok((world, hosts))
}

/// How often a site has dropped something since `before`, by reason; reasons that did not occur are left out.
pub(crate) fn drops_since(before: &Status, after: &Status) -> BTreeMap<Counter, u64> {
    let is_drop = |counter: &Counter| counter.name().starts_with("drop_");
    let all = Counter::ALL.iter().filter(|counter| is_drop(counter));
    all.map(|&counter| (counter, after.counters.value(counter) - before.counters.value(counter)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// The status of a site that runs.
pub(crate) fn status(world: &World, site: usize) -> Status {
    world.status(site).expect("the site runs")
}

/// What a status says of the mesh, without the counters: what no attack from outside may change.
pub(crate) fn knowledge(status: &Status) -> String {
    let Status { list_digest, members, latency, fdb, .. } = status;
    let mut fdb: Vec<String> = fdb.iter().map(|host| format!("{host:?}")).collect();
    fdb.sort();
    format!("{list_digest:x} {members:?} {latency:?} {fdb:?}")
}

/// The type of a datagram.
pub(crate) fn kind_of(datagram: &[u8]) -> u8 {
    datagram[0] & 0xf
}

pub(crate) const TRANSPORT: u8 = 1;
pub(crate) const HELLO: u8 = 2;
pub(crate) const CHALLENGE: u8 = 3;
pub(crate) const INITIATION: u8 = 4;
pub(crate) const RESPONSE: u8 = 5;
/// Bytes of the common header and of an IPv4 entry.
pub(crate) const COMMON: usize = 20;
pub(crate) const ENTRY: usize = 14;
