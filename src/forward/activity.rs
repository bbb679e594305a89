//! What goes to one member and whether it still answers: when frames went to it, or over the link to it, and when one
//! came from it, shared by all threads that forward.
//!
//! Time is counted in ticks, so that threads write here some hundred times a second at most, however many frames
//! there are. Knows no paths.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use crate::time::Time;

/// A tick has 2^22 ns, about 4 ms: short beside the patience of any path.
const TICK_BITS: u32 = 22;
/// That frames go out or are relayed is noted this often.
const SENT_INTERVAL: u64 = ticks(Duration::from_secs(1));
/// A path is in doubt only if the member was heard within this: then traffic goes both ways.
const RECENT: u64 = ticks(Duration::from_secs(3));
/// A path is in doubt no more often than this: doubt costs a few control messages.
const DOUBT_INTERVAL: u64 = ticks(Duration::from_millis(500));
/// Frames may go unanswered for half as long again as is usual, and so much more: one that is lost is no doubt where
/// one comes each few milliseconds.
const MARGIN: u64 = ticks(Duration::from_millis(10));
/// An answer counts for one in so many against one that took longer.
const FORGET: u64 = 8;
/// What takes longer than this is no answer. Nor is more patience learned than that.
const LONGEST: u64 = ticks(Duration::from_millis(400));
/// How long frames may go unanswered on a path that nothing is known of.
const PATIENCE_UNKNOWN: Duration = Duration::from_secs(1);

/// Ticks since the clock began; 0 stands for never.
#[derive(Debug)]
pub(crate) struct Activity {
    /// When frames last went out, to [`SENT_INTERVAL`].
    sent_at: AtomicU64,
    /// When something was last relayed to it, to [`SENT_INTERVAL`].
    relayed_at: AtomicU64,
    /// When a frame last came.
    heard_at: AtomicU64,
    /// When the first frame went out that none has come after; of no meaning unless it is later than `heard_at`.
    waiting_since: AtomicU64,
    /// When the path was last in doubt.
    doubted_at: AtomicU64,
    /// How long frames have lately gone unanswered, at worst; 0 if that is not known.
    usual: AtomicU64,
    /// For so long frames may go unanswered.
    patience: AtomicU64,
}

impl Activity {
    pub(crate) fn new() -> Self {
        let activity = Activity {
            sent_at: AtomicU64::new(0),
            relayed_at: AtomicU64::new(0),
            heard_at: AtomicU64::new(0),
            waiting_since: AtomicU64::new(0),
            doubted_at: AtomicU64::new(0),
            usual: AtomicU64::new(0),
            patience: AtomicU64::new(0),
        };
        activity.set_patience(None);
        activity
    }

    /// For how long frames may go unanswered on the path that they take; `None` if it was never measured.
    pub(crate) fn set_patience(&self, patience: Option<Duration>) {
        set(&self.patience, ticks(patience.unwrap_or(PATIENCE_UNKNOWN)));
    }

    /// A frame goes to the member. True if those before it have gone unanswered for too long, although traffic went
    /// both ways: the path is in doubt.
    #[inline]
    pub(crate) fn sent(&self, now: Time) -> bool {
        let now = tick(now);
        note(&self.sent_at, now);
        let waiting_since = self.waiting_since.load(Ordering::Relaxed);
        if waiting_since <= self.heard_at.load(Ordering::Relaxed) {
            set(&self.waiting_since, now);
            return false;
        }
        self.is_overdue(now.saturating_sub(waiting_since)) && self.is_doubtful(now)
    }

    /// A datagram of another member is relayed to the member.
    #[inline]
    pub(crate) fn relayed(&self, now: Time) {
        note(&self.relayed_at, tick(now));
    }

    /// An authentic frame came from the member.
    #[inline]
    pub(crate) fn heard(&self, now: Time) {
        let now = tick(now);
        let heard_at = self.heard_at.load(Ordering::Relaxed);
        if heard_at < now {
            self.learn(now, heard_at);
            self.heard_at.store(now, Ordering::Relaxed);
        }
    }

    /// Takes up a doubt that [`sent`](Self::sent) raised: true for one thread, and again only after the member was
    /// heard once more.
    pub(crate) fn take_doubt(&self, now: Time) -> bool {
        let now = tick(now);
        let is_first = self.is_doubtful(now);
        if is_first {
            self.doubted_at.store(now, Ordering::Relaxed);
        }
        is_first
    }

    /// True if frames went to the member within so long, to a second.
    pub(crate) fn is_sending(&self, age: Duration, now: Time) -> bool {
        is_within(&self.sent_at, age, now)
    }

    /// True if something was relayed to the member within so long, to a second.
    pub(crate) fn is_relaying(&self, age: Duration, now: Time) -> bool {
        is_within(&self.relayed_at, age, now)
    }

    /// Learns how long the member takes to answer: the highest time of late, which is forgotten after some answers.
    fn learn(&self, now: u64, heard_at: u64) {
        let waiting_since = self.waiting_since.load(Ordering::Relaxed);
        let waited = now.saturating_sub(waiting_since);
        if waiting_since >= heard_at && waited <= LONGEST {
            let usual = self.usual.load(Ordering::Relaxed);
            set(&self.usual, waited.max(usual - usual.saturating_sub(waited).div_ceil(FORGET)));
        }
    }

    /// Whether it is unusual that frames go unanswered for so long. Where both ends send all the time that shows before
    /// an answer could have come; where hosts think before they answer they are not disturbed each time.
    fn is_overdue(&self, waited: u64) -> bool {
        let patience = self.patience.load(Ordering::Relaxed);
        waited
            > match self.usual.load(Ordering::Relaxed) {
                0 => patience,
                usual => (usual + usual / 2 + MARGIN).min(patience.max(LONGEST)),
            }
    }

    #[cold]
    fn is_doubtful(&self, now: u64) -> bool {
        let (heard_at, doubted_at) =
            (self.heard_at.load(Ordering::Relaxed), self.doubted_at.load(Ordering::Relaxed));
        heard_at > doubted_at
            && now.saturating_sub(heard_at) <= RECENT
            && now.saturating_sub(doubted_at) >= DOUBT_INTERVAL
    }
}

/// Writes only what is new: a cache line that is read alone is shared by all threads.
#[inline]
fn set(place: &AtomicU64, value: u64) {
    if place.load(Ordering::Relaxed) != value {
        place.store(value, Ordering::Relaxed);
    }
}

/// Writes that something happens, to [`SENT_INTERVAL`].
#[inline]
fn note(place: &AtomicU64, now: u64) {
    if now.saturating_sub(place.load(Ordering::Relaxed)) >= SENT_INTERVAL {
        place.store(now, Ordering::Relaxed);
    }
}

fn is_within(place: &AtomicU64, age: Duration, now: Time) -> bool {
    let at = place.load(Ordering::Relaxed);
    at != 0 && tick(now).saturating_sub(at) <= ticks(age) + SENT_INTERVAL
}

#[inline]
fn tick(at: Time) -> u64 {
    (at.as_nanos() >> TICK_BITS) + 1
}

const fn ticks(duration: Duration) -> u64 {
    (duration.as_nanos() >> TICK_BITS) as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    fn patient_for(ms: u64) -> Activity {
        let activity = Activity::new();
        activity.set_patience(Some(Duration::from_millis(ms)));
        activity
    }

    /// Frames go out each 5 ms in this time; gives when the path was first in doubt.
    fn send(activity: &Activity, ms: core::ops::Range<u64>) -> Option<u64> {
        ms.step_by(5).find(|ms| activity.sent(at(*ms)))
    }

    #[test]
    fn frames_that_go_unanswered_for_too_long_are_a_doubt() {
        let activity = patient_for(100);
        activity.heard(at(1000));
        let doubt = send(&activity, 1000..2000).unwrap();
        assert!((1100..1130).contains(&doubt), "{doubt}");
    }

    #[test]
    fn a_burst_that_was_answered_leaves_nothing_unanswered() {
        let activity = patient_for(100);
        for ms in 1000..1020 {
            activity.sent(at(ms));
            activity.heard(at(ms));
        }
        assert!(!activity.sent(at(2500)));
    }

    #[test]
    fn traffic_in_one_direction_is_no_reason_to_doubt() {
        let activity = patient_for(100);
        assert_eq!(send(&activity, 0..5000), None);
        activity.heard(at(5000));
        assert_eq!(send(&activity, 9000..12_000), None, "it was heard too long ago");
    }

    #[test]
    fn one_thread_takes_a_doubt_up_and_the_next_needs_another_frame() {
        let activity = patient_for(100);
        activity.heard(at(1000));
        let doubt = send(&activity, 1000..2000).unwrap();
        assert!(activity.take_doubt(at(doubt)) && !activity.take_doubt(at(doubt)));
        assert_eq!(send(&activity, doubt..2000), None);
        activity.heard(at(2000));
        assert!(send(&activity, 2000..3000).is_some());
    }

    #[test]
    fn silence_is_noticed_by_what_is_usual() {
        for (usual, noticed) in [(10, 25..50), (100, 155..190), (300, 380..420)] {
            let activity = patient_for(150);
            for ms in 1000..5000 {
                activity.sent(at(ms));
                if ms % usual == 0 {
                    activity.heard(at(ms));
                }
            }
            let doubt = send(&activity, 5000..7000).unwrap() - 4999 / usual * usual;
            assert!(noticed.contains(&doubt), "{usual} ms: {doubt}");
        }
    }

    #[test]
    fn it_is_known_for_a_while_that_frames_went_out() {
        let activity = patient_for(100);
        let age = Duration::from_secs(2);
        assert!(!activity.is_sending(age, at(500)));
        send(&activity, 1000..3000);
        assert!(activity.is_sending(age, at(4000)) && !activity.is_sending(age, at(7000)));
    }
}
