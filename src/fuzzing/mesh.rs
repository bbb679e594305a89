//! The mesh whose members the fuzzer's datagrams reach, and what its datagrams look like. The only file of the
//! fuzz targets that knows configurations and the format of a datagram.

use core::net::SocketAddr;
use core::time::Duration;

use crate::config::MAX_HOPS;
use crate::node::{NodeId, NodePrefix};
use crate::sim::{Matrix, To, Violation, World};
use crate::wire::header::{self, Header};
use crate::wire::{SEALED_PREFIX_LEN, TAG_LEN};

/// How many sites the mesh has, each with one host of the same number.
pub(super) const SITES: usize = 3;

/// Fujisawa, Inagi and Seoul, as members of each other for some time. Frames from 0 to 2 go through 1, the
/// last site has an IPv6 locator, and tables are small enough to be filled.
pub(super) fn formed() -> Result<World, Violation> {
    let mut world = World::with_links(1, SITES, &Matrix::fujisawa_inagi_seoul().links());
    world.readdress(SITES - 1, SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 3], 4747)));
    for site in 0..SITES {
        let config = world.config_mut(site);
        config.fdb_capacity = 64;
        config.max_members = 6;
        world.add_host(site);
    }
    world.start_all()?;
    world.run_for(Duration::from_secs(3))?;
    for host in 0..SITES {
        world.send(host, To::Everyone, 60);
    }
    world.run_for(Duration::from_millis(100))?;
    world.send(0, To::Host(SITES - 1), 200);
    world.run_for(Duration::from_millis(100))?;
    // Nothing is sealed, so what is forged well enough is believed.
    world.expect_forgeries();
    Ok(world)
}

/// Headers of every number of hops, at every index, with addresses of both families.
pub(super) fn headers() -> Vec<Vec<u8>> {
    let path: Vec<SocketAddr> = (0..MAX_HOPS as u16)
        .map(|hop| match hop % 2 {
            0 => SocketAddr::from(([192, 0, 2, 1], 4747 + hop)),
            _ => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 2], 4747 + hop)),
        })
        .collect();
    let mut headers = Vec::new();
    for hops in 1..=MAX_HOPS {
        let mut header = header::build(NodePrefix(0x0102_0304_0506_0708), 9, &path[..hops]).to_vec();
        header::set_counter(&mut header, 5);
        headers.push(header.clone());
        for _ in 1..hops {
            header::advance(&mut header);
            headers.push(header.clone());
        }
    }
    headers
}

/// True if nothing but its content tells this datagram from a genuine one: without keys, engines believe it.
pub(super) fn is_believable(datagram: &[u8]) -> bool {
    Header::parse(datagram).is_ok()
}

/// Gives the datagram a number that is higher by `by`; 0 makes it one outside any session.
pub(super) fn renumber(datagram: &mut [u8], by: u64) {
    if let Ok(header) = Header::parse(datagram) {
        let counter = if by == 0 { 0 } else { header.counter.wrapping_add(by) };
        header::set_counter(datagram, counter);
    }
}

/// The identity of a site.
pub(super) fn id(world: &World, site: usize) -> NodeId {
    world.config(site).id
}

/// An address that is no site's.
pub(super) fn stranger(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number % 4], 4747))
}

/// The first numbers of the control messages in datagrams: tokens, mostly.
pub(super) fn tokens(datagrams: &[(SocketAddr, Vec<u8>)]) -> Vec<u64> {
    let token = |datagram: &[u8]| {
        let header = Header::parse(datagram).ok()?;
        let content = datagram.get(header.len + SEALED_PREFIX_LEN..)?;
        content.get(1..)?.first_chunk().copied().map(u64::from_be_bytes)
    };
    datagrams.iter().filter_map(|(_, datagram)| token(datagram)).collect()
}

/// Puts other content between kind, segment and the tag at the end.
pub(super) fn replace_content(datagram: &mut Vec<u8>, content: &[u8]) {
    if let Ok(header) = Header::parse(datagram) {
        let start = header.len + SEALED_PREFIX_LEN;
        if let Some(end) = datagram.len().checked_sub(TAG_LEN).filter(|end| *end >= start) {
            datagram.splice(start..end, content.iter().copied());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mesh_has_formed_and_its_datagrams_can_be_taken_apart() {
        let mut world = formed().unwrap();
        assert_eq!(world.path(0, 2), [1, 2]);
        assert_eq!(world.frames().iter().map(|frame| frame.deliveries.len()).sum::<usize>(), 3 * 2 + 1);
        world.check_tables().unwrap();
        let overheard = world.overheard(1);
        assert!(overheard.len() > 20, "{}", overheard.len());
        for (_, mut datagram) in overheard {
            assert!(is_believable(&datagram));
            let before = datagram.len();
            assert_eq!(tokens(&[(stranger(1), datagram.clone())]).len(), 1);
            replace_content(&mut datagram, b"");
            assert!(datagram.len() < before);
        }
    }
}
