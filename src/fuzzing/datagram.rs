//! Datagrams at the members of a live mesh: genuine ones that were cut, spliced and changed, on their way or
//! after it, and bytes that nobody ever sent.
//!
//! Engines keep the rules of the simulator, count each datagram once, and calm down. In a sealed mesh nothing of
//! it has any effect that stays; in one that is not, lies of members are believed and still do no harm of that
//! kind.

use core::net::SocketAddr;
use core::time::Duration;

use crate::fuzzing::feed::Feed;
use crate::fuzzing::mesh::{self, Protection, SITES};
use crate::fuzzing::message::message;
use crate::sim::{SiteState, To, Violation, World};
use crate::{Counter, Counters, Segment};

/// Most steps of one run, so that each is short.
const MAX_STEPS: usize = 24;
/// Longest datagram that is made of genuine ones: more than the underlay carries.
const MAX_LEN: usize = 2048;
/// How long a step waits for a datagram to be on its way.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the mesh may take to come to terms with what it was told.
const CALMING: Duration = Duration::from_secs(3);
/// How long a sealed mesh may take to be at rest: to renew a session that only one side still has, for one.
const REST_LIMIT: Duration = Duration::from_secs(120);
/// Most datagrams that a site sends in a second in which nobody disturbs it. A member of a quiet mesh of six
/// sends fewer than 50: probes, rows, and joins to and questions of those that do not answer.
const MAX_CALM_RATE: u64 = 200;

/// Any bytes as a sequence of datagrams, frames and commands that reach the sites of a mesh.
pub fn datagram(bytes: &[u8]) {
    if let Err(violation) = disturb(&mut Feed::new(bytes)) {
        panic!("{violation}");
    }
}

fn disturb(feed: &mut Feed<'_>) -> Result<(), Violation> {
    let protection = if feed.u8().is_multiple_of(2) { Protection::Sealed } else { Protection::None };
    let mut world = mesh::formed(protection)?;
    for _ in 0..MAX_STEPS {
        if feed.is_empty() {
            break;
        }
        step(&mut world, feed)?;
    }
    world.run_for(CALMING)?;
    world.check_tables()?;
    let sent = |world: &World, site| value(world, site, Counter::DatagramsOut);
    let before: Vec<u64> = (0..SITES).map(|site| sent(&world, site)).collect();
    world.run_for(Duration::from_secs(1))?;
    for (site, before) in before.into_iter().enumerate() {
        let rate = sent(&world, site) - before;
        assert!(rate <= MAX_CALM_RATE, "site {site} sends {rate} datagrams in a calm second");
    }
    if protection == Protection::Sealed {
        world.settle(REST_LIMIT)?;
        world.check_at_rest()?;
    }
    world.check_tables()
}

fn step(world: &mut World, feed: &mut Feed<'_>) -> Result<(), Violation> {
    let choice = feed.below(12);
    let site = feed.below(SITES);
    match choice {
        0 => {
            let from = address(world, feed);
            return hand(world, site, from, feed.bytes().to_vec());
        }
        1..=5 => return alter(world, site, feed),
        6 => {
            let segment = Segment::new(u32::from(feed.u8() >> 6)).unwrap_or_default();
            world.send_bytes(site, segment, feed.bytes());
        }
        7 => {
            let to = feed.below(SITES + 1);
            let to = if to == SITES { To::Everyone } else { To::Host(to) };
            let len = feed.below(1600);
            world.send(site, to, len);
        }
        8 => world.replay(site, 1 + feed.below(8)),
        9 => return world.run_for(Duration::from_millis(u64::from(feed.u8()) * 10)),
        10 => world.leave(site),
        _ => world.restart(site),
    }
    Ok(())
}

/// Lets something like a genuine datagram for a site reach it: one that has arrived, or one that has not yet and
/// comes too late then.
fn alter(world: &mut World, site: usize, feed: &mut Feed<'_>) -> Result<(), Violation> {
    let kind = feed.u8();
    let overheard = world.overheard(site);
    let mut genuine = overheard.clone();
    if kind & 1 != 0 {
        world.run_until(PATIENCE, |world| !world.on_the_way(site).is_empty())?;
        genuine = world.on_the_way(site);
    }
    if genuine.is_empty() {
        return Ok(());
    }
    let (sender, mut bytes) = genuine.swap_remove(feed.below(genuine.len()));
    if kind & 2 != 0 {
        let lie = message(world, sender, &mesh::tokens(&overheard), feed);
        mesh::say(&mut bytes, &lie);
    } else {
        change(&mut bytes, &overheard, feed);
    }
    // Mostly as if it came from where it came from.
    let from = if kind >> 2 == 0 { address(world, feed) } else { sender };
    hand(world, site, from, bytes)
}

/// Changes a genuine datagram, with the help of others.
fn change(bytes: &mut Vec<u8>, others: &[(SocketAddr, Vec<u8>)], feed: &mut Feed<'_>) {
    for _ in 0..feed.below(6) {
        let at = feed.below(bytes.len().max(1));
        let end = bytes.len();
        match feed.below(9) {
            0 if at < end => bytes[at] ^= 1 << feed.below(8),
            1 if at < end => bytes[at] = feed.u8(),
            2 => bytes.truncate(at),
            3 if !others.is_empty() => {
                let (_, other) = &others[feed.below(others.len())];
                let from = feed.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            4 => drop(bytes.splice(at..at, feed.bytes().iter().copied())),
            5 => drop(bytes.drain(at..(at + feed.below(64)).min(end))),
            6 => {
                let word = feed.u64().to_be_bytes();
                let len = word.len().min(end - at);
                bytes[at..at + len].copy_from_slice(&word[..len]);
            }
            7 => mesh::renumber(bytes, feed.u8().into()),
            _ => mesh::replace_content(bytes, feed.bytes()),
        }
        bytes.truncate(MAX_LEN);
    }
}

fn address(world: &World, feed: &mut Feed<'_>) -> SocketAddr {
    match feed.below(SITES + 1) {
        SITES => mesh::stranger(feed.u8()),
        site => world.address(site),
    }
}

/// Lets a datagram reach a site, and looks whether it is counted.
fn hand(world: &mut World, site: usize, from: SocketAddr, bytes: Vec<u8>) -> Result<(), Violation> {
    let is_up = world.state(site) != SiteState::Down;
    let before = world.status(site).map(|status| status.counters);
    world.inject(site, from, bytes);
    world.run_for(Duration::ZERO)?;
    let after = world.status(site).map(|status| status.counters);
    if let Some((before, after)) = before.zip(after).filter(|_| is_up) {
        let more = |counter| after.value(counter) - before.value(counter);
        let received = more(Counter::DatagramsIn);
        assert!(received >= 1, "the datagram is not counted");
        let ends = more(Counter::Relayed) + more(Counter::FramesOut) + dropped(&after) - dropped(&before);
        assert!(ends <= received, "{received} datagrams came to {ends} ends: {before:?}, then {after:?}");
    }
    Ok(())
}

/// How many datagrams were dropped whole, whatever for.
fn dropped(counters: &Counters) -> u64 {
    const WHOLE: [&str; 7] = [
        "drop_datagram_",
        "drop_path_",
        "drop_source_",
        "drop_handshake_",
        "drop_replayed",
        "drop_tag",
        "drop_control_malformed",
    ];
    let whole =
        counters.iter().filter(|(counter, _)| WHOLE.iter().any(|name| counter.name().starts_with(name)));
    whole.map(|(_, value)| value).sum()
}

fn value(world: &World, site: usize, counter: Counter) -> u64 {
    world.status(site).map_or(0, |status| status.counters.value(counter))
}
