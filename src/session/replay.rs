//! The replay window: which counters have been seen (RFC 6479).

/// How far a counter may lie behind the highest one seen.
pub(crate) const WINDOW: u64 = 8192;

const WORD: u64 = u64::BITS as u64;
/// One word more than the window, so that the word being cleared never holds live bits.
const WORDS: u64 = WINDOW / WORD + 1;

/// The last [`WINDOW`] counters of one sender.
#[derive(Debug)]
pub(crate) struct ReplayWindow {
    highest: u64,
    seen: [u64; WORDS as usize],
}

impl ReplayWindow {
    pub(crate) fn new() -> Self {
        ReplayWindow { highest: 0, seen: [0; WORDS as usize] }
    }

    /// Marks `counter` as seen; false if it was seen before or lies behind the window.
    pub(crate) fn accept(&mut self, counter: u64) -> bool {
        if self.highest.checked_sub(counter).is_some_and(|behind| behind >= WINDOW) {
            return false;
        }
        let word = counter / WORD;
        if counter > self.highest {
            let newest = self.highest / WORD;
            for skipped in (newest + 1..=word).take(WORDS as usize) {
                self.seen[(skipped % WORDS) as usize] = 0;
            }
            self.highest = counter;
        }
        let bit = 1 << (counter % WORD);
        let slot = &mut self.seen[(word % WORDS) as usize];
        let is_new = *slot & bit == 0;
        *slot |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_is_accepted_once_wherever_it_lies_in_the_window() {
        let mut window = ReplayWindow::new();
        let cases = [
            (1, true),
            (1, false),
            (9, true),
            (8, true),
            (7, true),
            (7, false),
            (WINDOW, true),
            (WINDOW - 1, true),
            (WINDOW - 1, false),
            (WINDOW + 8, true),
            (8, false),
            (9, false),
            (10, true),
            (WINDOW * 3, true),
            (WINDOW * 2, false),
            (WINDOW * 2 + 1, true),
            (WINDOW * 2 + 1, false),
            (u64::MAX, true),
            (u64::MAX, false),
            (u64::MAX - 1, true),
            (5, false),
        ];
        for (counter, accepted) in cases {
            assert_eq!(window.accept(counter), accepted, "{counter}");
        }
    }

    #[test]
    fn a_shuffled_stream_is_accepted_whole_and_only_once() {
        let mut window = ReplayWindow::new();
        let shuffled: Vec<u64> = (0..WINDOW / 2).map(|i| i * 2741 % (WINDOW / 2) + 1).collect();
        assert!(shuffled.iter().all(|&counter| window.accept(counter)));
        assert!(!shuffled.iter().any(|&counter| window.accept(counter)));
    }
}
