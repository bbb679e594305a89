//! Control messages out of choices: well-formed, by somebody who knows the mesh and lies.

use core::net::SocketAddr;
use core::time::Duration;

use crate::error::RejectReason;
use crate::fuzzing::feed::Feed;
use crate::fuzzing::mesh::{self, SITES};
use crate::host::Host;
use crate::mac::MacAddr;
use crate::node::{NodeId, NodePrefix, Segment};
use crate::sim::World;
use crate::time::Time;
use crate::wire::control::{Listed, Message};
use crate::wire::hosts::{Announcement, HostEntry, HostState, Hosts};
use crate::wire::latency::{Echo, LinkLatency, Probe, Row, RowEntry, Stamps, Transit};
use crate::wire::path_probe::{PathAnswer, PathProbe};
use crate::wire::record::{Record, RecordVersion};

/// Most entries of a list or a row that a lie has.
const MAX_ENTRIES: usize = 4;

/// A message of the site at `sender`. `tokens` are numbers that were asked or answered with before.
pub(super) fn message(world: &World, sender: SocketAddr, tokens: &[u64], feed: &mut Feed<'_>) -> Message {
    let speaker = (0..SITES).find(|site| world.address(*site) == sender).unwrap_or(0);
    let lie = &mut Lie { world, speaker, tokens, feed };
    match lie.feed.below(17) {
        0 => Message::ListRequest { token: lie.number() },
        1 => Message::List {
            token: lie.number(),
            entries: (0..lie.feed.below(MAX_ENTRIES)).map(|_| lie.listed()).collect(),
        },
        2 => Message::Join { known: lie.version(), record: lie.record() },
        3 => Message::JoinAck { known: lie.version(), record: lie.record() },
        4 => {
            const REASONS: [RejectReason; 3] =
                [RejectReason::NameTaken, RejectReason::LocatorTaken, RejectReason::ListFull];
            Message::JoinReject { version: lie.version(), reason: REASONS[lie.feed.below(REASONS.len())] }
        }
        5 => Message::Leave { version: lie.version() },
        6 | 7 => Message::Probe(lie.probe()),
        8 => {
            let (one, other) = (lie.number(), lie.number());
            let entries = (0..lie.feed.below(MAX_ENTRIES)).map(|_| lie.row_entry()).collect();
            let transit = (lie.feed.below(4) != 0)
                .then(|| Transit { load: lie.feed.u8(), delay_us: lie.number() as u16 % u16::MAX });
            let row = Row { from: one.min(other), to: one.max(other), transit, entries };
            Message::Row { list_digest: lie.number() as u32, hosts_version: lie.number(), row }
        }
        9 => Message::Confirm,
        10 => Message::AddressChallenge { token: lie.number() },
        11 => Message::AddressResponse { token: lie.number() },
        12 => Message::RowRequest { from: lie.number() },
        13 => {
            let (one, other) = (lie.number(), lie.number());
            let entries = (0..lie.feed.below(MAX_ENTRIES)).map(|_| lie.host_entry()).collect();
            let (from, to) = (one.min(other), one.max(other));
            Message::Hosts(Hosts { forgotten: lie.number(), from, to, entries })
        }
        14 => Message::HostsRequest { from: lie.number() },
        15 => Message::PathProbe(PathProbe { token: lie.number(), is_doubt: lie.feed.below(2) == 0 }),
        _ => Message::PathAnswer(PathAnswer { token: lie.number(), received_at: lie.number() }),
    }
}

struct Lie<'a, 'b> {
    world: &'a World,
    speaker: usize,
    tokens: &'a [u64],
    feed: &'a mut Feed<'b>,
}

impl Lie<'_, '_> {
    /// Small, very high, one that was seen before, or any.
    fn number(&mut self) -> u64 {
        match self.feed.below(4) {
            0 => self.feed.u8().into(),
            1 => u64::MAX - u64::from(self.feed.u8()),
            2 if !self.tokens.is_empty() => self.tokens[self.feed.below(self.tokens.len())],
            _ => self.feed.u64(),
        }
    }

    /// That of a site, one with the same first half, or somebody else's.
    fn id(&mut self) -> NodeId {
        let choice = self.feed.below(2 * SITES + 2);
        let mut id = mesh::id(self.world, choice % SITES);
        if choice >= 2 * SITES {
            id = NodeId([self.feed.u8(); 32]);
        } else if choice >= SITES {
            id.0[31] ^= 1 + self.feed.u8() % 2;
        }
        id
    }

    /// Around what a site has said of itself.
    fn version(&mut self) -> RecordVersion {
        let incarnation = match self.feed.below(4) {
            0..=2 => {
                let own = self.world.config(self.feed.below(SITES)).incarnation;
                own.wrapping_add_signed(i64::from(self.feed.u8() as i8))
            }
            _ => self.number(),
        };
        RecordVersion { incarnation, version: self.number() as u32 }
    }

    fn record(&mut self) -> Record {
        // Nobody speaks for another, so what follows is reached by the own identity only.
        let id = if self.feed.below(4) == 0 { self.id() } else { mesh::id(self.world, self.speaker) };
        let version = self.version();
        let like = self.feed.below(SITES + 2);
        let (locator, name) = match like {
            site @ 0..SITES => {
                let config = self.world.config(site);
                (config.locator, config.name.clone())
            }
            _ => (mesh::stranger(self.feed.u8()), format!("site{}", self.feed.u8())),
        };
        let other_name = self.feed.below(4) == 0;
        let name = if other_name { format!("other{}", self.feed.u8() % 4) } else { name };
        let segments = (0..=u32::from(self.feed.u8() % 2)).filter_map(Segment::new).collect();
        Record { id, version, locator, name, segments }
    }

    fn listed(&mut self) -> Listed {
        let (id, version) = (self.id(), self.version());
        let site = self.feed.below(SITES + 1);
        let locator = if site == SITES { mesh::stranger(self.feed.u8()) } else { self.world.address(site) };
        Listed { id, version, locator }
    }

    /// Of a host of a site, or of another.
    fn host_entry(&mut self) -> HostEntry {
        let any = Host {
            segment: Segment::new(self.feed.u8().into()).unwrap_or_default(),
            vlan: self.feed.u16() % 4095,
            mac: MacAddr([2, 0, 0, 0, 0, self.feed.u8()]),
        };
        let site = self.feed.below(SITES + 1);
        let host = if site == SITES { any } else { self.world.host(site).name() };
        let state = if self.feed.below(4) == 0 { HostState::Withdrawn } else { HostState::Present };
        HostEntry { host, announcement: Announcement { sequence: self.number() as u32, state } }
    }

    fn probe(&mut self) -> Probe {
        let hold = Duration::from_millis(self.feed.u16().into());
        let sent_at = Time::from_nanos(self.number());
        let is_echo = self.feed.below(4) != 0;
        let echo = Echo { sent_us: self.number() as u32, held_us: (self.number() as u32).min(u32::MAX - 1) };
        Probe {
            stamps: Stamps::new(hold, sent_at, is_echo.then_some(echo)),
            list_digest: self.number() as u32,
            row_version: self.number(),
            hosts_version: self.number(),
        }
    }

    fn row_entry(&mut self) -> RowEntry {
        let NodePrefix(prefix) = self.id().prefix();
        let incarnation = self.version().incarnation;
        let mut us = || self.number() as u32;
        let (fast_us, slow_us, jitter_us, offset_us) = (us(), us(), us(), us());
        let link = LinkLatency { fast_us, slow_us, jitter_us, loss: self.feed.u8(), skew_us: 0 };
        let is_up = self.feed.below(3) != 0;
        let offset_us = (is_up && self.feed.below(2) == 0).then_some(offset_us);
        RowEntry {
            target: NodePrefix(prefix),
            life: crate::latency::life(incarnation),
            link: is_up.then_some(link),
            offset_us,
        }
    }
}
