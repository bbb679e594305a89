//! Who has no key can do nothing: no answer, no state, no change of anything but the counters of what was dropped.

use core::net::SocketAddr;

use leon::sim::{Dice, Matrix, Rogue, To, Violation, World};
use leon::{Counter, NetworkKey};

use crate::attacks::{COMMON, ENTRY, HELLO, RESPONSE, TRANSPORT, drops_since, knowledge, status};
use crate::support::{Outcome, formed, ms, over, secs, seed};

/// The paper's triangle with hosts that have talked, so that 1 relays between 0 and 2. Two calls give two worlds
/// that go on alike as long as nobody disturbs one of them.
fn mesh() -> Result<World, Violation> {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    let hosts = [world.add_host(0), world.add_host(2)];
    world.send(hosts[1], To::Everyone, 600);
    world.send(hosts[0], To::Host(hosts[1]), 600);
    world.run_for(secs(1))?;
    Ok(world)
}

fn stranger() -> SocketAddr {
    "192.0.2.66:4747".parse().expect("an address")
}

/// Lets datagrams reach site 1 of a mesh while time passes, from a stranger's address and from members', and
/// compares with a twin that was left alone: each is counted as dropped for one of `reasons`, nobody is answered,
/// and nothing else differs.
fn changes_nothing(count: u64, mut next: impl FnMut(&World, u64) -> Vec<u8>, reasons: &[Counter]) -> Outcome {
    let (mut world, mut twin) = (mesh()?, mesh()?);
    let sources = [stranger(), world.address(0), world.address(2)];
    let before = status(&world, 1);
    for n in 0..count {
        let bytes = next(&world, n);
        world.inject(1, sources[n as usize % 3], bytes);
        if n % 1000 == 999 {
            world.run_for(ms(1))?;
            twin.run_for(ms(1))?;
        }
    }
    let (after, quiet) = (status(&world, 1), status(&twin, 1));
    let drops = drops_since(&before, &after);
    assert!(drops.keys().all(|reason| reasons.contains(reason)), "{drops:?}");
    assert_eq!(drops.values().sum::<u64>(), count, "{drops:?}");
    for &counter in Counter::ALL.iter().filter(|counter| !reasons.contains(counter)) {
        let expected = match counter {
            Counter::DatagramsIn => quiet.counters.value(counter) + count,
            _ => quiet.counters.value(counter),
        };
        assert_eq!(after.counters.value(counter), expected, "{counter:?}");
    }
    assert_eq!(knowledge(&after), knowledge(&quiet));
    assert_eq!(world.strays(stranger()), (0, 0));
    assert_eq!(world.events(1).len(), twin.events(1).len());
    world.run_for(secs(5))?;
    world.check_at_rest()
}

#[test]
fn a_million_random_datagrams_change_nothing() -> Outcome {
    let mut dice = Dice::named(seed(), "random datagrams");
    let random = |_: &World, _| {
        let mut bytes = vec![0; dice.below(120) as usize];
        dice.fill(&mut bytes);
        bytes
    };
    use Counter::{DatagramTruncated, DatagramType, DatagramVersion, HandshakeStranger};
    use Counter::{PathLength, PathNotHere, PathRepeat, SecurityMismatch, SourceStranger};
    let malformed = [DatagramTruncated, DatagramVersion, DatagramType, PathLength, PathRepeat];
    // Well-formed by chance.
    let strange = [PathNotHere, SecurityMismatch, SourceStranger, HandshakeStranger];
    changes_nothing(1_000_000, random, &[&malformed[..], &strange].concat())
}

/// A datagram of a type with a header as an engine would send it to site 1, or through it, and noise in all that
/// an engine would have computed.
fn shaped(world: &World, dice: &mut Dice, kind: u8) -> Vec<u8> {
    let (hops, index) = [(1, 0), (2, 0), (2, 1), (3, 1), (4, 3)][dice.below(5) as usize];
    let mut bytes = vec![0; COMMON + hops * ENTRY + dice.below(200) as usize];
    dice.fill(&mut bytes);
    bytes[0] = 1 << 4 | kind;
    bytes[1] = (hops << 4 | index) as u8;
    bytes[2] = 0;
    // A member, or nobody.
    if dice.chance(0.7) {
        let member = world.config(2 * dice.below(2) as usize).id();
        bytes[4..12].copy_from_slice(&member.0[..8]);
    }
    for hop in 0..hops {
        let SocketAddr::V4(locator) = world.address([1, 2, 0][(hop + 3 - index) % 3]) else { continue };
        let last = locator.ip().octets()[3] + if hop + 3 - index >= 6 { 100 } else { 0 };
        let at = COMMON + hop * ENTRY;
        bytes[at..at + 4].copy_from_slice(&[10, 0, 0, last]);
        bytes[at + 4..at + 6].copy_from_slice(&locator.port().to_be_bytes());
    }
    bytes
}

#[test]
fn random_datagrams_with_a_valid_header_of_each_type_change_nothing() -> Outcome {
    let mut dice = Dice::named(seed(), "shaped datagrams");
    for kind in TRANSPORT..=RESPONSE {
        use Counter::{DatagramTruncated, HandshakeStranger, PathRepeat, SourceEpoch, SourceStranger, Tag};
        let reasons = if kind == TRANSPORT {
            &[SourceStranger, SourceEpoch, Tag, PathRepeat, DatagramTruncated][..]
        } else {
            &[SourceStranger, HandshakeStranger, Tag, PathRepeat]
        };
        changes_nothing(100_000, |world, _| shaped(world, &mut dice, kind), reasons)?;
    }
    Ok(())
}

#[test]
fn handshakes_of_another_network_change_nothing() -> Outcome {
    let mut scratch = World::new(seed());
    let other = NetworkKey::from_bytes([9; 32]);
    let mut rogue = Rogue::of_network(&mut scratch, "neighbour", stranger(), other);
    let handshake = |world: &World, n: u64| match n % 4 {
        0 => rogue.hello_of(world, 1, rogue.id()),
        1 => rogue.initiation(world, 1),
        2 => rogue.random_initiation_of(world, 1, world.config(0).id()),
        _ => rogue.response_of(world, 1, world.config(2).id()),
    };
    changes_nothing(10_000, handshake, &[Counter::HandshakeStranger])
}

#[test]
fn whoever_knows_only_another_network_key_gets_no_session() -> Outcome {
    let mut world = mesh()?;
    let mut rogue = Rogue::of_network(&mut world, "neighbour", stranger(), NetworkKey::from_bytes([9; 32]));
    for site in 0..3 {
        assert!(!rogue.shake_hands(&mut world, site)?);
        let hello = rogue.hello_of(&world, site, rogue.id());
        assert_eq!(hello[0] & 0xf, HELLO);
        world.inject(site, rogue.address(), hello);
    }
    world.run_for(secs(1))?;
    assert_eq!(world.strays(stranger()), (0, 0));
    Ok(())
}
