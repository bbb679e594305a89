//! What is to happen next, at each site: datagrams that arrive, and the deadline of its engine.
//!
//! Knows when, and nothing of what comes of it.

use core::cmp::Ordering;
use core::net::SocketAddr;
use std::collections::BinaryHeap;

use crate::Time;

/// A datagram that is about to arrive at a site's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Incoming {
    pub(super) at: Time,
    /// Of two that arrive at one moment the one that was sent first comes first.
    sequence: u64,
    pub(super) from: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

impl Ord for Incoming {
    /// The earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl PartialOrd for Incoming {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What is to happen at all sites.
#[derive(Default)]
pub(super) struct Agenda {
    arrivals: Vec<BinaryHeap<Incoming>>,
    deadlines: Vec<Time>,
    /// When something happens at each site, and what comes first of what happens at one moment. Side by side, as all are
    /// looked at each time.
    next: Vec<(Time, u64)>,
    sequence: u64,
}

impl Agenda {
    /// There is one more site, at which nothing happens.
    pub(super) fn add_site(&mut self) {
        self.arrivals.push(BinaryHeap::new());
        self.deadlines.push(Time::NEVER);
        self.next.push((Time::NEVER, u64::MAX));
    }

    /// A datagram will arrive at a site.
    pub(super) fn add(&mut self, site: usize, at: Time, from: SocketAddr, bytes: Vec<u8>) {
        self.sequence += 1;
        self.arrivals[site].push(Incoming { at, sequence: self.sequence, from, bytes });
        self.look_ahead(site);
    }

    /// The engine of a site wants to be called at this moment, [`Time::NEVER`] for not at all.
    pub(super) fn set_deadline(&mut self, site: usize, at: Time) {
        self.deadlines[site] = at;
        self.look_ahead(site);
    }

    fn look_ahead(&mut self, site: usize) {
        let arrival = self.arrivals[site].peek().map(|next| (next.at, next.sequence));
        let deadline = (self.deadlines[site], u64::MAX);
        self.next[site] = arrival.map_or(deadline, |arrival| arrival.min(deadline));
    }

    /// When something happens next, and at which site.
    pub(super) fn next(&self) -> Option<(Time, usize)> {
        let next = self.next.iter().enumerate().min_by_key(|(_, next)| **next)?;
        Some((next.1.0, next.0)).filter(|(at, _)| *at != Time::NEVER)
    }

    /// When something happens next at a site.
    pub(super) fn next_at(&self, site: usize) -> Time {
        self.next[site].0
    }

    /// What arrives at a site until `until`, that moment included, in order.
    pub(super) fn take(&mut self, site: usize, until: Time) -> Vec<Incoming> {
        let arrivals = &mut self.arrivals[site];
        let mut taken = Vec::new();
        while let Some(next) = arrivals.peek()
            && next.at <= until
        {
            taken.extend(arrivals.pop());
        }
        taken
    }

    /// The first thing that arrives at a site, if that is what happens next there.
    pub(super) fn take_next(&mut self, site: usize) -> Option<Incoming> {
        let arrivals = &mut self.arrivals[site];
        let is_next = arrivals.peek().is_some_and(|next| (next.at, next.sequence) == self.next[site]);
        if is_next { arrivals.pop() } else { None }
    }

    /// All that will arrive at a site, in order.
    pub(super) fn arrivals(&self, site: usize) -> Vec<Incoming> {
        self.arrivals[site].clone().into_sorted_vec().into_iter().rev().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }

    fn agenda() -> Agenda {
        let mut agenda = Agenda::default();
        (0..3).for_each(|_| agenda.add_site());
        agenda
    }

    fn add(agenda: &mut Agenda, site: usize, nanos: u64, byte: u8) {
        agenda.add(site, at(nanos), SocketAddr::from(([192, 0, 2, 1], 1)), vec![byte]);
    }

    fn bytes(incoming: Vec<Incoming>) -> Vec<u8> {
        incoming.into_iter().flat_map(|incoming| incoming.bytes).collect()
    }

    #[test]
    fn the_earliest_comes_first_and_of_two_at_one_moment_the_one_that_was_sent_first() {
        let mut agenda = agenda();
        assert_eq!(agenda.next(), None);
        for (site, nanos, byte) in [(2, 30, 1), (1, 20, 2), (2, 20, 3), (1, 20, 4)] {
            add(&mut agenda, site, nanos, byte);
        }
        assert_eq!(agenda.next(), Some((at(20), 1)));
        assert_eq!(bytes(agenda.arrivals(1)), [2, 4]);
        assert_eq!(bytes(agenda.take(1, at(20))), [2, 4]);
        agenda.set_deadline(1, Time::NEVER);
        assert_eq!(agenda.next(), Some((at(20), 2)));
        assert_eq!(bytes(agenda.take(2, at(29))), [3]);
    }

    #[test]
    fn a_deadline_is_looked_at_after_what_arrives_at_the_same_moment() {
        let mut agenda = agenda();
        agenda.set_deadline(0, at(10));
        assert_eq!((agenda.next(), agenda.next_at(0)), (Some((at(10), 0)), at(10)));
        assert_eq!(agenda.take_next(0), None);
        add(&mut agenda, 0, 10, 1);
        assert_eq!(agenda.take_next(0).map(|incoming| incoming.bytes), Some(vec![1]));
        agenda.set_deadline(0, Time::NEVER);
        assert_eq!(agenda.next(), None);
    }
}
