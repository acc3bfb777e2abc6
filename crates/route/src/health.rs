//! When a worker counts as alive: a state machine over probe results, free of clocks and sockets.
//!
//! `pending` becomes `ready` with the first success (registration has already spoken with it) and
//! `failed` after ten times the failure threshold; `ready` becomes `unhealthy` after the threshold of
//! failures in a row and comes back after the threshold of successes; an `unhealthy` worker that fails
//! three more thresholds is `failed`. An `unreached` worker, one that calls rather than probes found
//! missing, is `unhealthy` with the first failure and comes back like an `unhealthy` one. `draining` and
//! `failed` are left only by registering anew.

use trunkline_core::Health;

/// How many results in a row decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Failures until a ready worker is unhealthy; at least 1.
    pub failure: u32,
    /// Successes until an unhealthy worker is ready; at least 1.
    pub success: u32,
}

/// The state of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthMachine {
    health: Health,
    /// Results of the same kind in a row.
    failures: u32,
    successes: u32,
}

impl HealthMachine {
    /// Starts in `health`.
    #[must_use]
    pub const fn new(health: Health) -> Self {
        Self { health, failures: 0, successes: 0 }
    }

    /// Where the worker is.
    #[must_use]
    pub const fn health(&self) -> Health {
        self.health
    }

    /// Takes a probe's result; where the worker is now.
    pub fn observe(&mut self, alive: bool, thresholds: Thresholds) -> Health {
        if alive {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
        } else {
            self.successes = 0;
            self.failures = self.failures.saturating_add(1);
        }
        let failure = thresholds.failure.max(1);
        let next = match self.health {
            Health::Pending if alive => Health::Ready,
            Health::Pending if self.failures >= failure.saturating_mul(10) => Health::Failed,
            Health::Ready if self.failures >= failure => Health::Unhealthy,
            Health::Unhealthy | Health::Unreached if self.successes >= thresholds.success.max(1) => {
                Health::Ready
            }
            Health::Unreached if !alive => Health::Unhealthy,
            Health::Unhealthy if self.failures >= failure.saturating_mul(4) => Health::Failed,
            same @ (Health::Pending
            | Health::Ready
            | Health::Unhealthy
            | Health::Unreached
            | Health::Draining
            | Health::Failed) => same,
        };
        self.health = next;
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transitions() {
        let thresholds = Thresholds { failure: 3, success: 2 };
        for (what, start, results, want) in [
            ("first answer", Health::Pending, "+", Health::Ready),
            ("never answers", Health::Pending, &"-".repeat(30)[..], Health::Failed),
            ("not yet given up", Health::Pending, &"-".repeat(29)[..], Health::Pending),
            ("two failures are none", Health::Ready, "--+--+--", Health::Ready),
            ("three in a row", Health::Ready, "---", Health::Unhealthy),
            ("one success is not enough", Health::Ready, "---+-", Health::Unhealthy),
            ("back", Health::Ready, "---++", Health::Ready),
            ("gone for good", Health::Ready, &"-".repeat(12)[..], Health::Failed),
            ("not reached, and indeed dead", Health::Unreached, "-", Health::Unhealthy),
            ("not reached, once alive", Health::Unreached, "+", Health::Unreached),
            ("not reached, but alive", Health::Unreached, "++", Health::Ready),
            ("failed stays", Health::Failed, "+++", Health::Failed),
            ("draining stays", Health::Draining, "---", Health::Draining),
        ] {
            let mut machine = HealthMachine::new(start);
            for result in results.chars() {
                machine.observe(result == '+', thresholds);
            }
            assert_eq!(machine.health(), want, "{what}");
        }
    }
}
