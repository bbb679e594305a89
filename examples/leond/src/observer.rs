//! What `leond run` says about the mesh, in sentences for people who did not write leon, and when a node that
//! is refused gives up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use leon::driver::{Handle, clock};
use leon::{Engine, Event, Host, NodeId, RejectReason, Time};

use crate::config::SecurityMode;
use crate::seeds::Resolver;
use crate::status::describe_path;

/// A node that is refused for this long gives up: longer than its own former life, which may be what is in
/// the way, needs to fail.
const REFUSED_LIMIT: Duration = Duration::from_secs(10);

/// How the mesh takes to this node.
enum Standing {
    /// Nobody has said anything.
    Unknown,
    /// Refused, since then.
    Refused(Time),
    /// A member.
    Member,
    /// Refused for too long, for this reason.
    GivenUp(String),
}

/// Tells people what happens in the mesh, by name, and stops a node that the mesh does not want.
pub(crate) struct Observer {
    engine: Arc<Engine>,
    mode: SecurityMode,
    handle: Handle,
    resolver: Resolver,
    standing: Standing,
}

impl Observer {
    /// Watches `engine`, which runs with `mode`; `handle` is that of its driver, and `resolver` looks its seeds up.
    pub(crate) fn new(engine: Arc<Engine>, mode: SecurityMode, handle: Handle, resolver: Resolver) -> Self {
        Observer { engine, mode, handle, resolver, standing: Standing::Unknown }
    }

    /// Takes note of one event.
    pub(crate) fn notice(&mut self, event: &Event) {
        if matches!(event, Event::SeedsSilent { .. } | Event::MemberFailed { .. }) {
            self.resolver.hurry();
        }
        match event {
            Event::ListFetched { from } => log::info!("joining through {from}"),
            Event::Joined { by } => {
                log::info!("{} has taken this node into the mesh", self.name(by));
                self.standing = Standing::Member;
            }
            Event::MemberJoined { name, locator, .. } => log::info!("{name} is a member, at {locator}"),
            Event::MemberLeft { name, .. } => log::info!("{name} has left"),
            Event::MemberFailed { name, .. } => log::warn!("{name} has failed: no member reaches it"),
            Event::MemberRemoved { name, .. } => {
                log::info!("{name} is removed: its key is not on the allow list any more");
            }
            Event::SeedsSilent { seeds } => log::warn!("{}", self.explain_silence(seeds)),
            Event::SecurityMismatch { from, is_theirs_none } => {
                log::warn!("{}", explain_mismatch(*from, *is_theirs_none));
            }
            Event::LinkUp { id } => log::info!("the link to {} is up", self.name(id)),
            Event::LinkDown { id } => log::warn!("the link to {} is down", self.name(id)),
            Event::PathChanged { to, path, cause } => {
                let names: Vec<_> = path.iter().map(|id| self.name(id)).collect();
                log::info!("path to {}: {} ({cause:?})", self.name(to), describe_path(&names));
            }
            Event::JoinRejected { by, reason } => self.refuse(*by, *reason),
            Event::HostMoved { host, from, to } => {
                log::info!("{} has moved from {} to {}", of_host(host), self.place(*from), self.place(*to));
            }
            Event::HostFlapping { host, from, to } => {
                log::warn!(
                    "{} moves again and again, now from {} to {}: either two hosts have this address, or the \
                     sites are joined by another link, too, and frames go round",
                    of_host(host),
                    self.place(*from),
                    self.place(*to)
                );
            }
            Event::FloodLimited { member } => log::warn!(
                "{} sends more broadcasts, multicasts and frames to unknown hosts than is allowed; the excess is \
                 dropped",
                self.name(member)
            ),
            Event::HostLimit { member } => log::warn!(
                "there is no room for another host of {}: frames for it go to all sites",
                self.place(*member)
            ),
            other => log::info!("{other:?}"),
        }
    }

    /// A node that no member takes gives up after a while, so that whoever started it sees why. One that is
    /// in the mesh goes on: a single member's refusal takes it from nobody else.
    fn refuse(&mut self, by: SocketAddr, reason: RejectReason) {
        let advice = match reason {
            RejectReason::IdTaken if self.mode == SecurityMode::Sealed => {
                "give each node a key of its own, or stop the other node"
            }
            // Without keys the identity follows from the name.
            RejectReason::NameTaken | RejectReason::IdTaken => "choose another name, or stop the other node",
            RejectReason::LocatorTaken => "check the address to advertise, or stop the other node",
            _ => "see the log of that member",
        };
        let message = format!("{by} does not let this node join: {reason}; {advice}");
        log::error!("{message}");
        match self.standing {
            Standing::Unknown => self.standing = Standing::Refused(clock::now()),
            Standing::Refused(since) if clock::now().since(since) >= REFUSED_LIMIT => {
                self.standing = Standing::GivenUp(message);
                self.handle.stop();
            }
            Standing::Refused(_) | Standing::Member | Standing::GivenUp(_) => {}
        }
    }

    /// What it can mean that no seed answers, for people who see but one side of it.
    fn explain_silence(&self, seeds: &[SocketAddr]) -> String {
        let seeds = seeds.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ");
        match self.mode {
            SecurityMode::Sealed => {
                let key = self.engine.status(clock::now()).id.to_base64();
                format!(
                    "no seed answers ({seeds}): either no node runs there, or UDP does not get through, or its network \
                     key is another, or its allow list lacks this node's public key {key}, or its security is none"
                )
            }
            SecurityMode::None => format!(
                "no seed answers ({seeds}): either no node runs there, or UDP does not get through, or it is sealed \
                 while security is none here"
            ),
        }
    }

    /// Why the node gave up, if it did.
    pub(crate) fn into_failure(self) -> Option<String> {
        match self.standing {
            Standing::GivenUp(reason) => Some(reason),
            Standing::Unknown | Standing::Refused(_) | Standing::Member => None,
        }
    }

    /// The site where a host is.
    fn place(&self, member: Option<NodeId>) -> String {
        member.map_or_else(|| "this site".to_owned(), |id| self.name(&id))
    }

    fn name(&self, id: &NodeId) -> String {
        let members = self.engine.status(clock::now()).members;
        let member = members.into_iter().find(|member| member.id == *id);
        member.map_or_else(|| id.to_string(), |member| member.name)
    }
}

/// A host as people know it.
fn of_host(host: &Host) -> String {
    let vlan = if host.vlan == 0 { String::new() } else { format!(", VLAN {}", host.vlan) };
    format!("the host {} (segment {}{vlan})", host.mac, host.segment)
}

fn explain_mismatch(from: SocketAddr, is_theirs_none: bool) -> String {
    let (theirs, ours) = if is_theirs_none { ("none", "sealed") } else { ("sealed", "none") };
    format!(
        "{from} cannot talk to this node: its security is {theirs}, here it is {ours}; all sites need the same"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use leon::{MacAddr, Segment};

    #[test]
    fn a_host_is_named_with_its_segment_and_its_vlan_if_it_has_one() {
        let host = Host { segment: Segment::DEFAULT, vlan: 0, mac: MacAddr([2, 0, 0, 0, 0, 1]) };
        assert_eq!(of_host(&host), "the host 02:00:00:00:00:01 (segment 0)");
        assert_eq!(of_host(&Host { vlan: 7, ..host }), "the host 02:00:00:00:00:01 (segment 0, VLAN 7)");
    }
}
