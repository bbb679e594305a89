//! When sessions act of themselves: handshakes repeated, keys renewed and dropped.

use core::time::Duration;

use crate::node::NodePrefix;
use crate::session::{NO_COOKIE, Output, Route, Sessions};
use crate::time::Time;
use crate::wire::TYPE_INITIATION;
use crate::wire::handshake::Initiation;

/// An initiation is repeated twice after this, and then after twice as long each time; the response to any of
/// them counts, so that a round-trip time may be as long as all of them together.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// How often it is sent; the attempt ends 6 s after it began. With one datagram in twenty lost, one attempt in
/// a million fails.
const INITIATIONS: u8 = 6;
/// Longest time between two.
const RETRY_INTERVAL_MAX: Duration = Duration::from_secs(2);
/// If keys could not be renewed, the next attempt begins after this.
const REKEY_RETRY: Duration = Duration::from_secs(2);

impl Sessions {
    /// Does what is due.
    pub(crate) fn timer(&mut self, now: Time) {
        self.greetings.retain(|_, greeting| greeting.until > now);
        while let Some(prefix) = self.deadlines.pop(now) {
            self.expire(prefix, now);
            self.renew(prefix, now);
            self.retry(prefix, now);
            self.forget_if_idle(prefix);
            self.reschedule(prefix);
        }
    }

    fn expire(&mut self, prefix: NodePrefix, now: Time) {
        let Some(node) = self.nodes.get_mut(&prefix) else { return };
        let had_keys = node.current.is_some();
        if node.expire(now) {
            self.outputs.push(Output::Changed(prefix));
        }
        if had_keys && node.current.is_none() {
            self.outputs.push(Output::Closed(prefix));
        }
    }

    /// Begins a handshake for new keys if it is time.
    fn renew(&mut self, prefix: NodePrefix, now: Time) {
        let Some(node) = self.nodes.get_mut(&prefix) else { return };
        if node.is_member && node.attempt.is_none() && node.current.is_some() && now >= node.rekey_at {
            node.rekey_at = now + REKEY_RETRY;
            let locator = node.locator;
            self.begin(prefix, locator, None, NO_COOKIE, now);
        }
    }

    /// Sends the initiation of an attempt once more, or gives it up.
    pub(super) fn retry(&mut self, prefix: NodePrefix, now: Time) {
        let Some(node) = self.nodes.get_mut(&prefix) else { return };
        let (address, is_member) = (node.address(), node.is_member);
        let Some(attempt) = node.attempt.as_mut().filter(|attempt| attempt.next_at <= now) else { return };
        if let Some((address, cookie)) = attempt.greeted_at {
            return self.begin(prefix, address, None, cookie, now);
        }
        if attempt.sent == INITIATIONS {
            node.attempt = None;
            node.rekey_at = now + REKEY_RETRY;
            return;
        }
        let straight = Route::Address(address.unwrap_or(attempt.locator));
        // Every second time by another way, if there is one: the direct link may be down for good.
        let route = match attempt.sent % 2 {
            0 => straight,
            _ if is_member => Route::Path(prefix),
            _ => Route::Through { relay: attempt.via, to: prefix, locator: attempt.locator },
        };
        self.initiate(prefix, route, now);
    }

    /// Sends the initiation of an attempt, unless it was sent often enough.
    pub(super) fn initiate(&mut self, prefix: NodePrefix, route: Route, now: Time) {
        let attempt = self.nodes.get_mut(&prefix).and_then(|node| node.attempt.as_mut());
        let Some(attempt) = attempt.filter(|attempt| attempt.sent < INITIATIONS) else { return };
        let doubled = RETRY_INTERVAL * (1 << attempt.sent.saturating_sub(1));
        attempt.next_at = now + doubled.min(RETRY_INTERVAL_MAX);
        attempt.sent += 1;
        attempt.sent_to.add(&route);
        let inner = Initiation { cookie: attempt.cookie, message: &attempt.message }.to_bytes();
        self.outputs.push(Output::Send { route, kind: TYPE_INITIATION, inner });
    }

    pub(super) fn forget_if_idle(&mut self, prefix: NodePrefix) {
        if self.nodes.get(&prefix).is_some_and(|node| node.is_idle() && !node.is_member) {
            let forgotten = self.nodes.remove(&prefix);
            // Where handshakes crossed, former keys may expire later than those after them.
            if forgotten.is_some_and(|node| !node.open_keys().is_empty()) {
                self.outputs.push(Output::Changed(prefix));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Keys as Secrets, Security};
    use crate::key::{NetworkKey, SecretKey};
    use crate::rng::Rng;
    use crate::session::seal::{OpenKey, SealKey};
    use crate::session::suite::Suite;
    use crate::session::table::lifetime;
    use crate::session::{Arrival, Keys, seal};
    use core::net::SocketAddr;
    use std::sync::Arc;

    fn address(node: usize) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, node as u8 + 1], 4789))
    }

    fn node(node: usize) -> Sessions {
        let secrets =
            Secrets::new(SecretKey::from_bytes([node as u8 + 1; 32]), NetworkKey::from_bytes([9; 32]));
        let config = Config::new(format!("{node}"), address(node), Security::Sealed(secrets), [0; 32]);
        Sessions::new(&config, Rng::new([node as u8; 32]))
    }

    /// Carries what the two want sent until they want nothing more.
    fn exchange(nodes: &mut [Sessions; 2], now: Time) {
        for from in [0, 1, 0, 1, 0, 1] {
            let source = nodes[from].own.prefix();
            for output in nodes[from].take_outputs() {
                let other = &mut nodes[1 - from];
                match output {
                    Output::Send { kind, inner, .. } => {
                        let arrival =
                            Arrival { kind, source, from: address(from), relays: &[], inner: &inner };
                        other.handle(&arrival, now).unwrap();
                    }
                    Output::Confirm(to) | Output::Met(to) => {
                        let epoch = nodes[from].keys(to).unwrap().epoch_out;
                        nodes[1 - from].heard(source, epoch, Some(address(from)), now);
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn keys_that_have_sealed_much_are_renewed_and_the_former_still_open() {
        let (mut nodes, now) = ([node(0), node(1)], Time::from_nanos(1));
        let ids = [nodes[0].own, nodes[1].own];
        nodes[0].contact(ids[1], address(1), None, now);
        exchange(&mut nodes, now);
        (0..2).for_each(|one| nodes[one].set_member(ids[1 - one].prefix(), true));
        let first = nodes[1].keys(ids[0].prefix()).unwrap().clone();

        first.seal.skip_to(seal::REKEY_AFTER - 1);
        nodes[1].heard(ids[0].prefix(), first.epoch_in, Some(address(0)), now);
        nodes[1].timer(now);
        exchange(&mut nodes, now);
        assert_eq!(nodes[1].keys(ids[0].prefix()).unwrap().epoch_in, first.epoch_in, "not yet");

        first.seal.skip_to(seal::REKEY_AFTER);
        nodes[1].heard(ids[0].prefix(), first.epoch_in, Some(address(0)), now);
        nodes[1].timer(now);
        exchange(&mut nodes, now);
        let second = nodes[1].keys(ids[0].prefix()).unwrap().clone();
        assert_ne!(second.epoch_in, first.epoch_in);
        assert_eq!(second.seal.sealed(), 0);
        assert_eq!(nodes[0].keys(ids[1].prefix()).unwrap().epoch_out, second.epoch_in);
        let opens: Vec<u8> = nodes[1].open_keys(ids[0].prefix()).iter().map(|keys| keys.epoch_in).collect();
        assert_eq!(opens, [second.epoch_in, first.epoch_in]);
    }

    #[test]
    fn a_handshake_that_went_straight_proves_where_both_nodes_are() {
        let (mut nodes, now) = ([node(0), node(1)], Time::from_nanos(1));
        let id = nodes[1].own;
        nodes[0].contact(id, address(1), None, now);
        exchange(&mut nodes, now);
        let proven = [0, 1].map(|one| nodes[one].proven_address(nodes[1 - one].own.prefix()));
        assert_eq!(proven, [Some(address(1)), Some(address(0))]);
    }

    #[test]
    fn a_node_whose_initiation_seemed_to_come_from_two_addresses_has_proven_neither() {
        let ([mut initiator, mut responder], now) = ([node(0), node(1)], Time::from_nanos(1));
        let (id, source) = (responder.own, initiator.own.prefix());
        initiator.contact(id, address(1), None, now);
        let outputs = initiator.take_outputs();
        let [Output::Send { kind, inner, .. }] = &outputs[..] else { panic!("{outputs:?}") };
        // Somebody on the way was faster, and made an address up.
        for from in [address(7), address(0)] {
            responder.handle(&Arrival { kind: *kind, source, from, relays: &[], inner }, now).unwrap();
        }
        let outputs = responder.take_outputs();
        let response = outputs.iter().find_map(|output| match output {
            Output::Send { kind, inner, .. } => Some((*kind, inner)),
            _ => None,
        });
        let (kind, inner) = response.unwrap();
        let arrival = Arrival { kind, source: id.prefix(), from: address(1), relays: &[], inner };
        initiator.handle(&arrival, now).unwrap();
        let epoch = initiator.keys(id.prefix()).unwrap().epoch_out;
        responder.heard(source, epoch, Some(address(0)), now);
        assert!(responder.keys(source).is_some(), "the initiator has used the keys");
        assert_eq!(responder.proven_address(source), None);
        let is_challenge = |output: &Output| matches!(output, Output::Challenge { to, address: at, .. } if *to == source && *at == address(0));
        assert!(responder.take_outputs().iter().any(is_challenge), "so it is asked");
    }

    #[test]
    fn the_data_plane_is_told_when_a_node_is_forgotten_of_which_there_were_former_keys() {
        let (mut nodes, now) = ([node(0), node(1)], Time::from_nanos(1));
        let (id, prefix) = (nodes[1].own, nodes[1].own.prefix());
        nodes[0].contact(id, address(1), None, now);
        exchange(&mut nodes, now);
        let [sessions, _] = &mut nodes;
        // As when handshakes cross: the keys that were made first come into use last.
        let (seal, open) = (SealKey::new(&[1; 32], Suite::None, 0), OpenKey::new(&[2; 32], Suite::None));
        let expires_at = now + (lifetime(2) - Duration::from_secs(9));
        let keys = Keys { seal, open, epoch_in: 200, epoch_out: 200, expires_at };
        let other = sessions.nodes.get_mut(&prefix).unwrap();
        other.install(Arc::new(keys), other.incarnation, address(1), now);

        sessions.contact(id, address(1), None, now + (lifetime(2) - Duration::from_secs(10)));
        let mut is_told = false;
        while sessions.id(prefix).is_some() {
            sessions.take_outputs();
            sessions.timer(sessions.deadline());
            is_told = sessions
                .take_outputs()
                .iter()
                .any(|output| matches!(output, Output::Changed(changed) if *changed == prefix));
        }
        assert!(is_told);
    }
}
