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
        if now < self.wake_at {
            return;
        }
        self.greetings.retain(|_, greeting| greeting.until > now);
        let due: Vec<NodePrefix> =
            self.nodes.iter().filter(|(_, node)| node.deadline() <= now).map(|(prefix, _)| *prefix).collect();
        for prefix in due {
            self.expire(prefix, now);
            self.renew(prefix, now);
            self.retry(prefix, now);
            self.forget_if_idle(prefix);
        }
        let greetings = self.greetings.values().map(|greeting| greeting.until);
        let nodes = self.nodes.values().map(|node| node.deadline());
        self.wake_at = greetings.chain(nodes).fold(Time::NEVER, Time::min);
    }

    fn expire(&mut self, prefix: NodePrefix, now: Time) {
        let Some(node) = self.nodes.get_mut(&prefix) else { return };
        let had_keys = node.current.is_some();
        if node.expire(now) {
            self.outputs.push(Output::Changed);
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
        let inner = Initiation { cookie: attempt.cookie, message: &attempt.message }.to_bytes();
        self.outputs.push(Output::Send { route, kind: TYPE_INITIATION, inner });
    }

    pub(super) fn forget_if_idle(&mut self, prefix: NodePrefix) {
        if self.nodes.get(&prefix).is_some_and(|node| node.is_idle() && !node.is_member) {
            self.nodes.remove(&prefix);
        }
    }
}
