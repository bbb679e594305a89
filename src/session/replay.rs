//! The replay window: which counters have been seen (after RFC 6479), shared by threads without a lock.
//!
//! It knows neither whose counters these are nor what they number.

use core::cmp::Ordering::{Equal, Greater, Less};
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

/// How far a counter may lie behind the highest one seen and still be accepted for sure.
pub(crate) const WINDOW: u32 = 8192;

/// Counters of one block.
const BLOCK: u32 = 32;
/// One block more than the window, since the newest one is seldom full.
const BLOCKS: u32 = WINDOW / BLOCK + 1;

/// The latest counters of one sender.
pub(crate) struct ReplayWindow {
    /// Block *b* has word *b* modulo [`BLOCKS`], until a newer one takes it: in the upper half the number of
    /// the block, in the lower half a bit for each of its counters that was seen. As both change in one
    /// step, no thread can take the bits of one block for those of another.
    words: [AtomicU64; BLOCKS as usize],
}

impl ReplayWindow {
    /// A window that has seen counter 0, which numbers nothing.
    pub(crate) fn new() -> Self {
        ReplayWindow { words: core::array::from_fn(|word| AtomicU64::new(u64::from(word == 0))) }
    }

    /// Marks `counter` as seen; false if it was seen before, lies behind the window, or is 0.
    pub(crate) fn accept(&self, counter: u32) -> bool {
        let block = u64::from(counter / BLOCK);
        let bit = 1 << (counter % BLOCK);
        let word = &self.words[(counter / BLOCK % BLOCKS) as usize];
        let mut held = word.load(Ordering::Relaxed);
        loop {
            let new = match (held >> 32).cmp(&block) {
                Less => block << 32 | bit,
                Equal if held & bit == 0 => held | bit,
                Equal | Greater => return false,
            };
            match word.compare_exchange_weak(held, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(changed) => held = changed,
            }
        }
    }
}

impl fmt::Debug for ReplayWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplayWindow(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::collections::BTreeSet;
    use std::thread;

    #[test]
    fn each_counter_is_accepted_once_wherever_it_lies_in_the_window() {
        let window = ReplayWindow::new();
        let cases = [
            (0, false),
            (1, true),
            (1, false),
            (9, true),
            (8, true),
            (7, true),
            (7, false),
            (WINDOW, true),
            (WINDOW - 1, true),
            (WINDOW - 1, false),
            (WINDOW + BLOCK, true),
            (8, false),
            (9, false),
            (BLOCK, true),
            (WINDOW * 3, true),
            (WINDOW * 2 - BLOCK, false),
            (WINDOW * 2, true),
            (WINDOW * 2, false),
            (u32::MAX, true),
            (u32::MAX, false),
            (u32::MAX - WINDOW, true),
            (5, false),
        ];
        for (counter, accepted) in cases {
            assert_eq!(window.accept(counter), accepted, "{counter}");
        }
    }

    #[test]
    fn a_shuffled_stream_is_accepted_whole_and_only_once() {
        let window = ReplayWindow::new();
        let shuffled: Vec<u32> = (0..WINDOW / 2).map(|i| i * 2741 % (WINDOW / 2) + 1).collect();
        assert!(shuffled.iter().all(|&counter| window.accept(counter)));
        assert!(!shuffled.iter().any(|&counter| window.accept(counter)));
    }

    #[test]
    fn nothing_is_accepted_twice_and_nothing_in_the_window_is_refused_however_counters_jump() {
        let mut rng = Rng::new([1; 32]);
        let window = ReplayWindow::new();
        let mut accepted = BTreeSet::new();
        let mut highest = 0;
        for _ in 0..200_000 {
            let mut below = |bound: u32| (rng.u64() % u64::from(bound)) as u32;
            let jump = if below(1000) == 0 { 3 * WINDOW } else { 8 };
            let counter = (highest + 1 + below(jump)).saturating_sub(below(WINDOW + 400)).max(1);
            let is_new = !accepted.contains(&counter);
            let is_accepted = window.accept(counter);
            assert!(is_new || !is_accepted, "{counter} is accepted twice");
            assert!(is_accepted || !is_new || highest > counter + WINDOW, "{counter} is lost at {highest}");
            if is_accepted {
                accepted.insert(counter);
                highest = highest.max(counter);
            }
        }
    }

    #[test]
    fn threads_that_see_the_same_counters_accept_each_exactly_once_between_them() {
        let window = ReplayWindow::new();
        // Within one window, so that none may be refused by all.
        let accept_all = || (1..=WINDOW).filter(|&counter| window.accept(counter)).count() as u32;
        let total: u32 = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(accept_all)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(total, WINDOW);
    }

    #[test]
    fn threads_that_run_ahead_of_each_other_never_accept_a_counter_twice() {
        let window = ReplayWindow::new();
        let accepted = |_| (1..40 * WINDOW).filter(|&counter| window.accept(counter)).collect::<Vec<_>>();
        let all: Vec<u32> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|n| scope.spawn(move || accepted(n))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }
}
