//! What has passed through this node as a relay, so that a datagram caught on its way cannot be sent through it
//! again and again at the cost of its source.
//!
//! The destination drops every repetition for certain; here it is enough to be right nearly always, within a
//! fixed space: flows that share a place make each other forgotten.

use core::sync::atomic::{AtomicU64, Ordering};

/// Places: with the words, a quarter of a megabyte. Among a dozen members few flows pass through one of them.
const FLOWS: usize = 256;
/// Words of the window of a flow, each for [`BITS`] counters: 4096 of them.
const WORDS: usize = 128;
const BITS: u64 = 32;

/// The window of one flow: who it is, and in each word the number of a block of counters and which were seen.
#[derive(Debug)]
struct Flow {
    name: AtomicU64,
    words: [AtomicU64; WORDS],
}

/// The flows that pass through this node.
#[derive(Debug)]
pub(crate) struct Passage(Vec<Flow>);

impl Passage {
    pub(crate) fn new() -> Self {
        let flow = || Flow { name: AtomicU64::new(0), words: core::array::from_fn(|_| AtomicU64::new(0)) };
        Passage((0..FLOWS).map(|_| flow()).collect())
    }

    /// Notes that the datagram with this counter of the flow called `name`, a well-mixed number that changes with
    /// the keys, passes; false if it has passed before, or one some thousands later has.
    pub(crate) fn pass(&self, name: u64, counter: u32) -> bool {
        let counter = u64::from(counter);
        let flow = &self.0[name as usize % FLOWS];
        if flow.name.load(Ordering::Relaxed) != name {
            flow.name.store(name, Ordering::Relaxed);
            flow.words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
        // One more than the number of the block, so that an empty word is older than any.
        let block = counter / BITS + 1;
        let (word, bit) = (&flow.words[block as usize % WORDS], 1 << (counter % BITS));
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let next = match (seen >> BITS).cmp(&block) {
                core::cmp::Ordering::Greater => return false,
                core::cmp::Ordering::Equal if seen & bit != 0 => return false,
                core::cmp::Ordering::Equal => seen | bit,
                core::cmp::Ordering::Less => block << BITS | bit,
            };
            match word.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(newer) => seen = newer,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_datagram_of_a_flow_passes_once_in_any_order() {
        let passage = Passage::new();
        let shuffled: Vec<u32> = (0..512).map(|n| 1 + n * 311 % 512).collect();
        assert!(shuffled.iter().all(|counter| passage.pass(7, *counter)));
        assert!(!shuffled.iter().any(|counter| passage.pass(7, *counter)));
        assert!(passage.pass(7, 1 << 27) && !passage.pass(7, 1 << 27) && !passage.pass(7, 31));
    }

    #[test]
    fn flows_do_not_disturb_each_other() {
        let passage = Passage::new();
        for counter in 1..100 {
            assert!((0..100).all(|flow| passage.pass(flow, counter)));
        }
    }

    #[test]
    fn a_flow_that_takes_the_place_of_another_starts_afresh() {
        let passage = Passage::new();
        let other = 7 + FLOWS as u64;
        assert!(passage.pass(7, 1000) && passage.pass(other, 1) && passage.pass(7, 1));
    }
}
