//! The mesh whose members the fuzzer's datagrams reach, and what its datagrams look like. The only file of the
//! fuzz targets that knows configurations and the format of a datagram.

use core::net::SocketAddr;
use core::time::Duration;

use crate::config::{Cipher, Config, Keys, MAX_HOPS, Security};
use crate::key::{NetworkKey, SecretKey};
use crate::node::{NodeId, NodePrefix};
use crate::sim::{Matrix, To, Violation, World};
use crate::wire::control::Message;
use crate::wire::header::{self, Fields, Header};
use crate::wire::{
    KIND_CONTROL, SEALED_PREFIX_LEN, TAG_LEN, TYPE_CHALLENGE, TYPE_HELLO, TYPE_INITIATION, TYPE_RESPONSE,
    TYPE_TRANSPORT,
};

/// How many sites the mesh has, each with one host of the same number.
pub(super) const SITES: usize = 3;

/// How the members of a mesh protect what they send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// By keys: what was not sent by a member has no effect.
    Sealed,
    /// Not at all: who can change a datagram on its way is believed.
    None,
}

/// Three sites as members of each other for some time. Frames from 0 to 2 go through 1, the last site has an
/// IPv6 locator, datagrams are on their way for long enough to be seen there, and tables are small enough to be
/// filled.
pub(super) fn formed(protection: Protection) -> Result<World, Violation> {
    let rtts = [vec![0.0, 40.0, 320.0], vec![40.0, 0.0, 170.0], vec![320.0, 170.0, 0.0]];
    let links = Matrix::from_ms(&rtts).map(|matrix| matrix.links()).unwrap_or_default();
    let mut world = World::with_links(1, SITES, &links);
    world.readdress(SITES - 1, SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 3], 4747)));
    let seeds: Vec<SocketAddr> = (0..SITES).map(|site| world.address(site)).collect();
    for site in 0..SITES {
        let config = world.config_mut(site);
        config.seeds.clone_from(&seeds);
        config.fdb_capacity = 64;
        config.max_members = 6;
        if protection == Protection::None {
            config.security = Security::None { id: NodeId([site as u8 + 1; 32]) };
        }
        world.add_host(site);
    }
    world.start_all()?;
    world.run_for(Duration::from_secs(4))?;
    for host in 0..SITES {
        world.send(host, To::Everyone, 60);
    }
    world.run_for(Duration::from_millis(500))?;
    world.send(0, To::Host(SITES - 1), 200);
    world.run_for(Duration::from_millis(500))?;
    if protection == Protection::None {
        world.expect_forgeries();
    }
    Ok(world)
}

/// A configuration with the identity of the node of this number, at a locator that follows from `place`.
pub(super) fn config(node: usize, place: usize, protection: Protection) -> Config {
    let number = node as u8 + 1;
    let security = match protection {
        Protection::Sealed => {
            let network = NetworkKey::from_bytes([0x6b; 32]);
            Security::Sealed(Keys::new(SecretKey::from_bytes([number; 32]), network))
        }
        Protection::None => Security::None { id: NodeId([number; 32]) },
    };
    let locator = SocketAddr::from(([198, 51, 100, place as u8 + 1], 4747));
    let mut config = Config::new(format!("site{node}"), locator, security, [place as u8; 32]);
    // Not what this machine does fast: an input means the same everywhere.
    config.cipher = Cipher::ChaCha20Poly1305;
    config.incarnation = 1 << 32;
    config.max_members = 4;
    config
}

/// The identity of a site.
pub(super) fn id(world: &World, site: usize) -> NodeId {
    world.config(site).id()
}

/// An address that is no site's.
pub(super) fn stranger(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number % 4], 4747))
}

/// Headers of every type and number of hops, at every index, with addresses of both families.
pub(super) fn headers() -> Vec<Vec<u8>> {
    let path: Vec<SocketAddr> = (0..MAX_HOPS as u16)
        .map(|hop| match hop % 2 {
            0 => SocketAddr::from(([192, 0, 2, 1], 4747 + hop)),
            _ => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 2], 4747 + hop)),
        })
        .collect();
    let mut headers = Vec::new();
    for kind in [TYPE_TRANSPORT, TYPE_HELLO, TYPE_CHALLENGE, TYPE_INITIATION, TYPE_RESPONSE] {
        let hops = usize::from(kind).min(MAX_HOPS);
        let source = NodePrefix(0x0102_0304_0506_0708);
        let fields = Fields { kind, is_unsealed: kind == TYPE_RESPONSE, source, epoch: 9 };
        let mut header = header::build(fields, &path[..hops]).to_vec();
        header::set_counter(&mut header, 5);
        headers.push(header.clone());
        for _ in 1..hops {
            header::advance(&mut header);
            headers.push(header.clone());
        }
    }
    headers
}

/// The first numbers of the control messages in datagrams that are not sealed: tokens, mostly.
pub(super) fn tokens(datagrams: &[(SocketAddr, Vec<u8>)]) -> Vec<u64> {
    let token = |datagram: &[u8]| {
        let header = Header::parse(datagram).ok().filter(|header| header.kind == TYPE_TRANSPORT)?;
        let content = datagram.get(header.len + SEALED_PREFIX_LEN..)?;
        content.get(1..)?.first_chunk().copied().map(u64::from_be_bytes)
    };
    datagrams.iter().filter_map(|(_, datagram)| token(datagram)).collect()
}

/// Gives a datagram another number.
pub(super) fn renumber(datagram: &mut [u8], counter: u64) {
    if Header::parse(datagram).is_ok() {
        header::set_counter(datagram, counter);
    }
}

/// Puts a control message in the place of what a datagram of a session carries; its header and the tag at its end
/// stay.
pub(super) fn say(datagram: &mut Vec<u8>, message: &Message) {
    let mut content = vec![KIND_CONTROL, 0, 0, 0];
    message.write(&mut content);
    replace_content(datagram, &content);
}

/// Puts other bytes in the place of kind, segment and content of a datagram of a session.
pub(super) fn replace_content(datagram: &mut Vec<u8>, content: &[u8]) {
    let header = Header::parse(datagram).ok().filter(|header| header.kind == TYPE_TRANSPORT);
    let end = datagram.len().checked_sub(TAG_LEN);
    if let Some((header, end)) = header.zip(end).filter(|(header, end)| header.len <= *end) {
        datagram.splice(header.len..end, content.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Counter;

    #[test]
    fn the_mesh_has_formed() {
        for protection in [Protection::Sealed, Protection::None] {
            let mut world = formed(protection).unwrap();
            assert_eq!(world.path(0, 2), [1, 2]);
            assert_eq!(world.frames().iter().map(|frame| frame.deliveries.len()).sum::<usize>(), 3 * 2 + 1);
            world.check_tables().unwrap();
            assert!((0..SITES).all(|site| world.overheard(site).len() > 10));
        }
    }

    /// What a site that is told a lie in the place of a true control message counts: messages that nobody
    /// expected, and wrong tags.
    fn lie(protection: Protection) -> (u64, u64) {
        let mut world = formed(protection).unwrap();
        let for_site = |world: &World| {
            // What is relayed is nothing to a relay.
            let is_last =
                |datagram: &[u8]| Header::parse(datagram).is_ok_and(|header| header.path.len() == 1);
            world.on_the_way(1).into_iter().find(|(_, datagram)| is_last(datagram))
        };
        world.run_until(Duration::from_secs(2), |world| for_site(world).is_some()).unwrap();
        let (from, mut datagram) = for_site(&world).unwrap();
        assert_eq!(tokens(&[(from, datagram.clone())]).len(), 1);
        say(&mut datagram, &Message::List { token: 7, entries: vec![] });
        let before = world.status(1).unwrap().counters;
        world.inject(1, from, datagram);
        world.run_for(Duration::ZERO).unwrap();
        let after = world.status(1).unwrap().counters;
        let more = |counter| after.value(counter) - before.value(counter);
        (more(Counter::ControlUnexpected), more(Counter::Tag))
    }

    #[test]
    fn a_lie_is_believed_where_nothing_is_sealed_and_nowhere_else() {
        assert_eq!(lie(Protection::None), (1, 0));
        assert_eq!(lie(Protection::Sealed), (0, 1));
    }
}
