//! Whether calls reach a worker at all.
//!
//! Probes find a dead worker out minutes late, and clouds are not probed. So the walk reports here what came
//! of every attempt. It is on the request path: atomics only, written where something changes. What follows
//! from a change (log lines, probes, a second chance) is the work of the worker's own task, which is woken.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use tokio::sync::Notify;
use trunkline_core::{Health, Load};

/// What an attempt found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// Somebody who answered, whatever the answer says: judging answers is not done here.
    Answered,
    /// Nobody.
    Unreached,
}

/// What calls have lately found at one worker.
#[derive(Debug, Default)]
pub struct Reach {
    /// Attempts since the last answer that found nobody.
    missed: AtomicU32,
    /// How often it was given up since the last answer.
    lapses: AtomicU32,
    turned: Notify,
    /// Whether it was found not to have Responses.
    no_responses: AtomicBool,
}

impl Reach {
    /// Whether it was found not to have Responses, so that clients of that are translated for.
    #[must_use]
    pub fn lacks_responses(&self) -> bool {
        self.no_responses.load(Relaxed)
    }

    /// Remembers whether it has them.
    pub fn found_responses(&self, found: bool) {
        self.no_responses.store(!found, Relaxed);
    }

    /// Takes an attempt's finding; `limit` in a row that found nobody make a ready worker unreached, none
    /// do when it is 0.
    pub fn report(&self, contact: Contact, load: &Load, limit: u32) {
        match contact {
            Contact::Answered => {
                if self.missed.load(Relaxed) != 0 {
                    self.forget();
                }
                if load.health() == Health::Unreached && load.move_health(Health::Unreached, Health::Ready) {
                    load.breaker.hasten();
                    self.turned.notify_one();
                }
            }
            Contact::Unreached => {
                let missed = self.missed.fetch_add(1, Relaxed).saturating_add(1);
                if limit > 0 && missed >= limit && load.move_health(Health::Ready, Health::Unreached) {
                    self.lapses.fetch_add(1, Relaxed);
                    self.turned.notify_one();
                }
            }
        }
    }

    /// Begins to count anew: somebody else has found the worker alive.
    pub(super) fn forget(&self) {
        self.missed.store(0, Relaxed);
        self.lapses.store(0, Relaxed);
    }

    /// It was looked at once more, and nobody was there.
    pub(super) fn lapse(&self) {
        self.lapses.fetch_add(1, Relaxed);
    }

    /// How often it was given up since the last answer.
    pub(super) fn lapses(&self) -> u32 {
        self.lapses.load(Relaxed)
    }

    /// Wakes whoever waits in [`Reach::turned`]: there is something to look at.
    pub(crate) fn wake(&self) {
        self.turned.notify_one();
    }

    /// Waits until calls have made something else of the worker. One change while nobody waits is kept.
    pub(super) async fn turned(&self) {
        self.turned.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `-` finds nobody, `+` somebody, `h` is the second chance after a while.
    #[test]
    fn calls_decide() {
        use Health::{Draining, Pending, Ready, Unhealthy, Unreached};
        for (what, start, found, limit, want, lapses) in [
            ("two are not three", Ready, "--", 3, Ready, 0),
            ("three in a row", Ready, "---", 3, Unreached, 1),
            ("not in a row", Ready, "--+--+--", 3, Ready, 0),
            ("an answer brings it back", Ready, "---+", 3, Ready, 0),
            ("more of the same is one lapse", Ready, "-------", 3, Unreached, 1),
            ("on its second chance one is enough", Ready, "---h-", 3, Unreached, 2),
            ("an answer on its second chance", Ready, "---h+--", 3, Ready, 0),
            ("not asked to judge", Ready, "--------", 0, Ready, 0),
            ("not yet known", Pending, "---", 3, Pending, 0),
            ("what probes found stays", Unhealthy, "+++", 3, Unhealthy, 0),
            ("a removed one stays", Draining, "---", 3, Draining, 0),
        ] {
            let (reach, load) = (Reach::default(), Load::default());
            load.set_health(start);
            for found in found.chars() {
                match found {
                    '-' => reach.report(Contact::Unreached, &load, limit),
                    '+' => reach.report(Contact::Answered, &load, limit),
                    _ => assert!(load.move_health(Unreached, Ready), "{what}"),
                }
            }
            assert_eq!((load.health(), reach.lapses()), (want, lapses), "{what}");
        }
    }
}
