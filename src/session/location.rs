//! Where a node is: an address is believed once the node has shown that it knows what was sent there alone, a message of
//! a handshake or a challenge, as in QUIC (RFC 9000 §8). So nobody, whoever forges the address that datagrams come from,
//! has them answered or relayed elsewhere.
//!
//! Challenges travel inside the session; how, is unknown here.

use core::net::SocketAddr;
use core::time::Duration;

use crate::session::Route;
use crate::time::Time;

/// A challenge is repeated when the node is heard at the address again, but not before this: less than the second
/// in which each member is heard once.
const REPEAT_INTERVAL: Duration = Duration::from_millis(400);
/// No other address is asked before this, which is longer than round trips are.
const GIVE_UP: Duration = Duration::from_secs(3);

/// An address that is asked whether the node is there.
#[derive(Clone, Copy, Debug)]
struct Challenge {
    address: SocketAddr,
    token: u64,
    since: Time,
    sent_at: Time,
}

/// Where a message of a handshake was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SentTo {
    /// Nowhere yet.
    #[default]
    Nobody,
    /// Straight to this address, whenever it was.
    One(SocketAddr),
    /// To more than one address, or through relays: who knows it may be anywhere.
    Several,
}

impl SentTo {
    /// It is sent by this way, too.
    pub(super) fn add(&mut self, route: &Route) {
        *self = match (*self, route) {
            (SentTo::Nobody, Route::Address(address)) => SentTo::One(*address),
            (SentTo::One(only), Route::Address(address)) if only == *address => SentTo::One(only),
            _ => SentTo::Several,
        };
    }

    /// The address where whoever knows the message must be.
    pub(super) fn only(self) -> Option<SocketAddr> {
        match self {
            SentTo::One(address) => Some(address),
            SentTo::Nobody | SentTo::Several => None,
        }
    }
}

/// Where a node is, and where it seems to have gone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Location {
    proven: Option<SocketAddr>,
    challenge: Option<Challenge>,
}

impl Location {
    /// The address that the node has proven.
    pub(super) fn proven(&self) -> Option<SocketAddr> {
        self.proven
    }

    /// The node was heard at `address`, without a relay. Gives the token of a challenge to be sent there, if one is;
    /// `fresh` is for a new one.
    pub(super) fn heard(&mut self, address: SocketAddr, fresh: u64, now: Time) -> Option<u64> {
        if self.proven == Some(address) {
            self.challenge = None;
            return None;
        }
        match &mut self.challenge {
            Some(challenge) if challenge.address == address => {
                if now.since(challenge.sent_at) < REPEAT_INTERVAL {
                    return None;
                }
                challenge.sent_at = now;
                Some(challenge.token)
            }
            Some(challenge) if now.since(challenge.since) < GIVE_UP => None,
            _ => {
                self.challenge = Some(Challenge { address, token: fresh, since: now, sent_at: now });
                Some(fresh)
            }
        }
    }

    /// The node knows a message of a handshake that was sent to this address alone. True if it was not known to be there.
    pub(super) fn show(&mut self, address: SocketAddr) -> bool {
        self.challenge = None;
        self.proven.replace(address) != Some(address)
    }

    /// The node answers a challenge; false if it was not asked, or is there already.
    pub(super) fn prove(&mut self, token: u64) -> bool {
        let answered = self.challenge.take_if(|challenge| challenge.token == token);
        if let Some(challenge) = answered {
            self.proven = Some(challenge.address);
        }
        answered.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 4789))
    }

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn an_address_is_believed_when_the_challenge_sent_to_it_is_answered() {
        let mut location = Location::default();
        assert_eq!(location.heard(address(1), 77, at(0)), Some(77));
        assert_eq!(location.proven(), None);
        assert!(!location.prove(78));
        assert!(location.prove(77) && !location.prove(77));
        assert_eq!(location.proven(), Some(address(1)));
        assert_eq!(location.heard(address(1), 78, at(1)), None);
    }

    #[test]
    fn an_address_is_believed_when_the_node_knows_what_was_sent_there_alone() {
        let sent_to = |routes: &[Route]| {
            let mut sent_to = SentTo::default();
            routes.iter().for_each(|route| sent_to.add(route));
            sent_to.only()
        };
        let [one, other] = [1, 2].map(|n| Route::Address(address(n)));
        let relayed = Route::Relays([address(3), address(1)].into_iter().collect());
        assert_eq!(sent_to(&[]), None);
        assert_eq!(sent_to(&[one.clone(), one.clone()]), Some(address(1)));
        assert_eq!(sent_to(&[one.clone(), other.clone(), one.clone()]), None);
        assert_eq!(sent_to(&[one, relayed.clone()]), None);
        assert_eq!(sent_to(&[relayed, other]), None);

        let mut location = Location::default();
        assert_eq!(location.heard(address(2), 77, at(0)), Some(77));
        assert!(location.show(address(1)) && !location.show(address(1)));
        assert_eq!(location.proven(), Some(address(1)));
        assert!(!location.prove(77), "it has not gone");
    }

    #[test]
    fn a_node_that_is_heard_where_it_was_has_not_gone() {
        let mut location = Location::default();
        location.heard(address(1), 77, at(0));
        location.prove(77);
        assert_eq!(location.heard(address(2), 78, at(0)), Some(78));
        location.heard(address(1), 79, at(0));
        assert!(!location.prove(78));
        assert_eq!(location.proven(), Some(address(1)));
    }

    #[test]
    fn one_address_at_a_time_is_asked_and_not_often() {
        let mut location = Location::default();
        assert_eq!(location.heard(address(1), 77, at(0)), Some(77));
        assert_eq!(location.heard(address(1), 78, at(399)), None);
        assert_eq!(location.heard(address(1), 78, at(400)), Some(77), "the same challenge once more");
        assert_eq!(location.heard(address(2), 78, at(2999)), None);
        assert_eq!(location.heard(address(2), 79, at(3000)), Some(79));
        assert!(!location.prove(77));
    }
}
