//! One path in doubt: what is sent along it and along its backup, and what follows from the answers.

use core::time::Duration;

use crate::monitor::{OfWays, Way};
use crate::time::Time;
use crate::wire::path_probe::PathProbe;

/// The chosen path is probed a second time so soon after: of two probes on a path with a loss of a hundredth, one in
/// ten thousand pairs is lost.
const REPEAT_AFTER: Duration = Duration::from_millis(20);
/// Where the member doubts its own path, too, and says so along the backup, the chosen path has failed unless the same
/// comes along it within this: it is sent there as well, first, and once more after [`REPEAT_AFTER`].
const BOTH_DOUBT: Duration = Duration::from_millis(25);
/// So often both are tried before they are believed to be dead both; then there is nothing to change to.
const TRIES: u8 = 2;

/// What a doubt wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Wait,
    Probe(Way, PathProbe),
    /// The chosen path does not carry, and its backup does.
    Fail,
}

/// What is due next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    ProbeChosen,
    ProbeBackup,
    RepeatChosen,
    /// The answer along the chosen path is awaited.
    Await,
    /// It is overdue. That along the backup is awaited.
    AwaitBackup,
    Over,
}

#[derive(Debug)]
pub(super) struct Doubt {
    began_at: Time,
    tokens: OfWays<u64>,
    timeouts: OfWays<Duration>,
    is_own: bool,
    stage: Stage,
    tries: u8,
    /// When the present try began.
    tried_at: Time,
    has_backup_answered: bool,
    /// Something came along the chosen path: it carries in one direction at least.
    has_heard: bool,
    /// When the chosen path has failed because the member hears nothing either.
    fails_at: Time,
}

impl Doubt {
    pub(super) fn new(tokens: OfWays<u64>, timeouts: OfWays<Duration>, is_own: bool, now: Time) -> Self {
        Doubt {
            began_at: now,
            tokens,
            timeouts,
            is_own,
            stage: Stage::ProbeChosen,
            tries: 1,
            tried_at: now,
            has_backup_answered: false,
            has_heard: false,
            fails_at: Time::NEVER,
        }
    }

    pub(super) fn began_at(&self) -> Time {
        self.began_at
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    pub(super) fn end(&mut self) {
        (self.stage, self.fails_at) = (Stage::Over, Time::NEVER);
    }

    /// The path whose probe had this token, even if its answer is late.
    pub(super) fn way(&self, token: u64) -> Option<Way> {
        let OfWays { chosen, backup } = self.tokens;
        [(chosen, Way::Chosen), (backup, Way::Backup)]
            .into_iter()
            .find(|(own, _)| *own == token)
            .map(|(_, way)| way)
    }

    pub(super) fn deadline(&self) -> Time {
        let OfWays { chosen, backup } = self.timeouts;
        let stage_ends_at = match self.stage {
            Stage::ProbeChosen | Stage::ProbeBackup => self.tried_at,
            Stage::RepeatChosen => self.tried_at + REPEAT_AFTER.min(chosen),
            Stage::Await => self.tried_at + chosen,
            Stage::AwaitBackup => self.tried_at + backup.max(chosen),
            Stage::Over => Time::NEVER,
        };
        stage_ends_at.min(self.fails_at)
    }

    /// Does the next thing that is due.
    pub(super) fn step(&mut self, now: Time) -> Step {
        if now < self.deadline() {
            return Step::Wait;
        }
        if now >= self.fails_at {
            self.end();
            return Step::Fail;
        }
        let (stage, step) = match self.stage {
            Stage::ProbeChosen => (Stage::ProbeBackup, self.probe(Way::Chosen)),
            Stage::ProbeBackup => (Stage::RepeatChosen, self.probe(Way::Backup)),
            Stage::RepeatChosen => (Stage::Await, self.probe(Way::Chosen)),
            Stage::Await if self.has_backup_answered => (Stage::Over, Step::Fail),
            Stage::Await => (Stage::AwaitBackup, Step::Wait),
            Stage::AwaitBackup if self.tries < TRIES => {
                (self.tries, self.tried_at) = (self.tries + 1, now);
                (Stage::ProbeBackup, self.probe(Way::Chosen))
            }
            Stage::AwaitBackup | Stage::Over => (Stage::Over, Step::Wait),
        };
        self.stage = stage;
        step
    }

    /// Only a doubt of this node is told: one that was told is not told back.
    fn probe(&self, way: Way) -> Step {
        let OfWays { chosen, backup } = self.tokens;
        let token = if way == Way::Backup { backup } else { chosen };
        Step::Probe(way, PathProbe { token, is_doubt: self.is_own })
    }

    /// The member says along this path that it doubts its own: what goes to it is lost as what comes from it is, so
    /// that no answer need be awaited.
    pub(super) fn shared(&mut self, way: Way, now: Time) {
        match way {
            Way::Chosen => (self.has_heard, self.fails_at) = (true, Time::NEVER),
            _ if self.is_own && !self.has_heard && !self.is_over() => {
                self.fails_at = self.fails_at.min(now + BOTH_DOUBT);
            }
            _ => {}
        }
    }

    /// The probe along a path was answered.
    pub(super) fn answered(&mut self, way: Way) -> Step {
        match (way, self.stage) {
            (_, Stage::Over) => Step::Wait,
            (Way::Backup, Stage::AwaitBackup) => {
                self.end();
                Step::Fail
            }
            (Way::Backup, _) => {
                self.has_backup_answered = true;
                Step::Wait
            }
            _ => {
                self.end();
                Step::Wait
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: OfWays<Duration> =
        OfWays { chosen: Duration::from_millis(100), backup: Duration::from_millis(150) };

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    /// Follows a doubt for so long; `answers` says after what time the nth probe is answered. Gives the probes with
    /// their times, and when the path failed.
    fn follow(answers: impl Fn(Way, usize) -> Option<u64>) -> (Vec<(u64, Way)>, Option<u64>) {
        let tokens = OfWays { chosen: 1, backup: 2 };
        let mut doubt = Doubt::new(tokens, TIMEOUTS, true, at(0));
        let (mut probes, mut due) = (Vec::new(), Vec::new());
        for ms in 0..1000 {
            for (_, way) in due.extract_if(.., |(at, _)| *at == ms).collect::<Vec<(u64, Way)>>() {
                if doubt.answered(way) == Step::Fail {
                    return (probes, Some(ms));
                }
            }
            for _ in 0..5 {
                match doubt.step(at(ms)) {
                    Step::Wait => {}
                    Step::Fail => return (probes, Some(ms)),
                    Step::Probe(way, _) => {
                        due.extend(answers(way, probes.len()).map(|after| (ms + after, way)));
                        probes.push((ms, way));
                    }
                }
            }
        }
        assert!(doubt.is_over());
        (probes, None)
    }

    #[test]
    fn a_path_that_answers_is_left_in_peace() {
        let (probes, failed) = follow(|_, _| Some(15));
        assert_eq!(probes, [(0, Way::Chosen), (0, Way::Backup)]);
        assert_eq!(failed, None);
    }

    #[test]
    fn one_lost_probe_does_no_harm() {
        let (_, failed) = follow(|_, nth| (nth > 0).then_some(70));
        assert_eq!(failed, None);
    }

    #[test]
    fn a_silent_path_fails_when_its_backup_has_answered() {
        let (probes, failed) = follow(|way, _| (way == Way::Backup).then_some(60));
        assert_eq!(probes, [(0, Way::Chosen), (0, Way::Backup), (20, Way::Chosen)]);
        assert_eq!(failed, Some(100));
        let (_, failed) = follow(|way, _| (way == Way::Backup).then_some(130));
        assert_eq!(failed, Some(130), "a backup may take longer");
    }

    #[test]
    fn a_backup_whose_probe_was_lost_is_tried_again() {
        let (_, failed) = follow(|way, nth| (way == Way::Backup && nth > 2).then_some(60));
        assert_eq!(failed, Some(250));
    }

    /// Follows a doubt of which nothing is answered while the member says at these times, along these paths, that it
    /// doubts its own; gives when the path failed.
    fn failed_at(is_own: bool, says: &[(u64, Way)]) -> Option<u64> {
        let mut doubt = Doubt::new(OfWays { chosen: 1, backup: 2 }, TIMEOUTS, is_own, at(0));
        (0..1000).find(|ms| {
            for (_, way) in says.iter().filter(|(at, _)| at == ms) {
                doubt.shared(*way, at(*ms));
            }
            (0..5).any(|_| doubt.step(at(*ms)) == Step::Fail)
        })
    }

    #[test]
    fn a_path_that_both_ends_doubt_fails_before_an_answer_could_have_come() {
        assert_eq!(failed_at(true, &[(50, Way::Backup)]), Some(75));
        assert_eq!(
            failed_at(true, &[(50, Way::Backup), (70, Way::Backup)]),
            Some(75),
            "counted from the first"
        );
    }

    #[test]
    fn a_path_that_carries_what_the_member_says_is_not_given_up_for_it() {
        assert_eq!(failed_at(true, &[(40, Way::Chosen), (50, Way::Backup)]), None);
        assert_eq!(failed_at(true, &[(50, Way::Backup), (70, Way::Chosen)]), None);
    }

    #[test]
    fn a_doubt_that_was_told_is_not_confirmed_by_being_told_again() {
        assert_eq!(failed_at(false, &[(50, Way::Backup)]), None);
    }

    #[test]
    fn where_neither_answers_there_is_nothing_to_change_to() {
        let (probes, failed) = follow(|_, _| None);
        assert_eq!((probes.len(), failed), (6, None));
    }
}
