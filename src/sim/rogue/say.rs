//! What a rogue says to sites, and what it makes of what they say.

use core::net::SocketAddr;
use core::time::Duration;

use crate::error::RejectReason;
use crate::latency::life;
use crate::sim::rogue::Rogue;
use crate::sim::world::World;
use crate::wire::control::{Listed, Message};
use crate::wire::header::Header;
use crate::wire::hosts::{Announcement, HostEntry, HostState, Hosts};
use crate::wire::latency::{Echo, LinkLatency, Probe, Row, RowEntry, Stamps, Transit};
use crate::wire::path_probe::PathAnswer;
use crate::wire::record::{Record, RecordVersion};
use crate::wire::{KIND_CONTROL, KIND_FRAME};
use crate::{Host, NodeId, Segment, Time};

/// How long a site is to hold a probe that the rogue has sent back.
const PATIENCE: Duration = Duration::from_secs(1);

/// Something that a rogue says in a session.
#[derive(Clone, Debug)]
pub enum Say {
    /// That it has the keys.
    Confirm,
    /// That it joins.
    Join,
    /// That another node joins: identity, name, locator, incarnation.
    JoinOf(NodeId, String, SocketAddr, u64),
    /// That it refuses the site, whose incarnation this is.
    JoinReject(u64),
    /// That it leaves.
    Leave,
    /// A question for the site's list.
    ListRequest,
    /// These nodes, in answer to the site's latest question: identity, incarnation, locator.
    List(Vec<(NodeId, u64, SocketAddr)>),
    /// A probe that wants to be answered at once, with this digest of its list.
    Probe(u32),
    /// What it measures to these nodes: identity, incarnation, round-trip time or `None` if the link is down.
    Row(Vec<(NodeId, u64, Option<Duration>)>),
    /// That its row has this version, and nothing of it.
    RowVersion(u64),
    /// A question for all of the site's row.
    RowRequest,
    /// That these hosts are behind it, with these sequence numbers.
    Hosts(Vec<(Host, u32)>),
    /// That its announcements have this version, and nothing of them.
    HostsVersion(u64),
    /// A question for all of the site's announcements.
    HostsRequest,
    /// These bytes.
    Raw(Vec<u8>),
}

impl Rogue {
    /// The bytes of what it says to a site.
    pub(super) fn put(&mut self, site: usize, say: &Say) -> Vec<u8> {
        let message = match say.clone() {
            Say::Confirm => Message::Confirm,
            Say::Join => Message::Join { record: self.record.clone(), known: RecordVersion::default() },
            Say::JoinOf(id, name, locator, incarnation) => {
                let version = RecordVersion { incarnation, version: 0 };
                let record = Record { id, version, locator, name, segments: vec![Segment::DEFAULT] };
                Message::Join { record, known: RecordVersion::default() }
            }
            Say::JoinReject(incarnation) => Message::JoinReject {
                version: RecordVersion { incarnation, version: 0 },
                reason: RejectReason::NameTaken,
            },
            Say::Leave => {
                self.record.version.version += 1;
                Message::Leave { version: self.record.version }
            }
            Say::ListRequest => Message::ListRequest { token: self.rng.u64() },
            Say::List(nodes) => Message::List {
                token: self.questions.get(&site).copied().unwrap_or(0),
                entries: nodes.into_iter().map(listed).collect(),
            },
            Say::Probe(list_digest) => Message::Probe(self.probe(Duration::ZERO, None, list_digest)),
            Say::Row(entries) => {
                let from = self.row_version;
                self.row_version += 1;
                let entries = entries.into_iter().map(row_entry).collect();
                let transit = Some(Transit::default());
                let row = Row { from, to: self.row_version, transit, entries };
                Message::Row { list_digest: 0, hosts_version: self.hosts_version, row }
            }
            Say::RowVersion(version) => {
                let transit = Some(Transit::default());
                let row = Row { from: version, to: version, transit, entries: Vec::new() };
                Message::Row { list_digest: 0, hosts_version: self.hosts_version, row }
            }
            Say::RowRequest => Message::RowRequest { from: 0 },
            Say::Hosts(hosts) => {
                self.hosts_version += 1;
                let entries = hosts.into_iter().map(host_entry).collect();
                Message::Hosts(Hosts { forgotten: 0, from: 0, to: self.hosts_version, entries })
            }
            Say::HostsVersion(version) => {
                Message::Hosts(Hosts { forgotten: 0, from: version, to: version, entries: Vec::new() })
            }
            Say::HostsRequest => Message::HostsRequest { from: 0 },
            Say::Raw(bytes) => return bytes,
        };
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        bytes
    }

    /// A probe by a clock that nobody can follow.
    fn probe(&mut self, hold: Duration, echo: Option<Echo>, list_digest: u32) -> Probe {
        let stamps = Stamps::new(hold, Time::from_nanos(self.rng.u64()), echo);
        Probe { stamps, list_digest, row_version: self.row_version, hosts_version: self.hosts_version }
    }

    /// Opens what a site has sent in a session, and answers.
    pub(super) fn open(&mut self, world: &mut World, site: usize, header: &Header, bytes: &mut [u8]) {
        let Some(keys) = self.lines.get(&site) else { return };
        let Ok(opened) = keys.open.open(bytes, header.len) else { return };
        if opened.kind == KIND_FRAME {
            let frame = opened.content.to_vec();
            self.frames.push(frame);
            return;
        }
        let message = (opened.kind == KIND_CONTROL).then(|| Message::read(opened.content).ok()).flatten();
        let Some(message) = message else { return };
        let answer = match message {
            Message::Probe(probe) => {
                let echo = Echo { sent_us: probe.stamps.sent_us as u32, held_us: 0 };
                // It agrees with whatever list the site has.
                Message::Probe(self.probe(PATIENCE, Some(echo), probe.list_digest))
            }
            Message::Join { record, .. } => {
                Message::JoinAck { known: record.version, record: self.record.clone() }
            }
            Message::JoinAck { .. } => {
                *self.acknowledged.entry(site).or_default() += 1;
                return;
            }
            Message::JoinReject { .. } => {
                self.refusals += 1;
                return;
            }
            Message::AddressChallenge { token } => Message::AddressResponse { token },
            Message::PathProbe(probe) => {
                Message::PathAnswer(PathAnswer { token: probe.token, received_at: 0 })
            }
            Message::ListRequest { token } => {
                self.questions.insert(site, token);
                return;
            }
            _ => return,
        };
        let mut content = Vec::new();
        answer.write(&mut content);
        self.say(world, site, &Say::Raw(content));
    }

    /// True if a site has asked for its list and it has not answered.
    pub fn is_asked(&self, site: usize) -> bool {
        self.questions.contains_key(&site)
    }
}

fn listed((id, incarnation, locator): (NodeId, u64, SocketAddr)) -> Listed {
    Listed { id, version: RecordVersion { incarnation, version: 0 }, locator }
}

fn host_entry((host, sequence): (Host, u32)) -> HostEntry {
    HostEntry { host, announcement: Announcement { sequence, state: HostState::Present } }
}

fn row_entry((id, incarnation, rtt): (NodeId, u64, Option<Duration>)) -> RowEntry {
    let micros = |rtt: Duration| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
    let link = |rtt| LinkLatency { fast_us: micros(rtt), slow_us: micros(rtt), ..LinkLatency::default() };
    RowEntry { target: id.prefix(), life: life(incarnation), link: rtt.map(link), offset_us: None }
}
