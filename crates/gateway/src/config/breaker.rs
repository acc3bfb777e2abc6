//! When a worker that fails, is busy or refuses the operator's key gets no calls for a while, or only those that nobody
//! else can take.

use super::problem::Problem;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use trunkline_core::{BreakerRules, CooldownRules, Rules};

/// How long a breaker stays open at most, where nothing is said.
const LONGEST_OPEN: Duration = Duration::from_secs(300);

/// When a worker that fails gets no calls.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerSettings {
    /// Keep calls away from workers that fail. What counts as a failure is listed under "Failover" (`docs/failover.md`).
    pub enabled: bool,
    /// Failures in a row, within `window`, that open a worker's breaker.
    pub failure_threshold: u32,
    /// Share of a worker's calls within `window`, above 0, that opens it as well when they fail.
    pub error_share: f64,
    /// Fewest calls within `window` that have shares.
    pub minimum_calls: u32,
    /// How far back calls count.
    #[serde(with = "super::units::duration")]
    pub window: Duration,
    /// How long it stays open: the worker gets no calls. Up to a fifth is taken off by chance.
    #[serde(with = "super::units::duration")]
    pub open: Duration,
    /// How long it stays open at most: `open` is doubled each time that trials fail. 5m when absent, or `open` where that
    /// is longer.
    #[serde(with = "super::units::maybe_duration", skip_serializing_if = "Option::is_none")]
    pub max_open: Option<Duration>,
    /// Calls at once that try the worker when that time is over. They are clients' own, and go on elsewhere when they
    /// fail.
    pub trials: u32,
    /// Trials in a row that close it when they succeed. One that fails opens it again.
    pub success_threshold: u32,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            failure_threshold: 10,
            error_share: 0.5,
            minimum_calls: 20,
            window: Duration::from_secs(120),
            open: Duration::from_secs(60),
            max_open: None,
            trials: 3,
            success_threshold: 3,
        }
    }
}

/// For how long workers that are busy, or refuse the operator's key, come after all others. They are still asked when
/// nobody else is left, and take their turn again with the first answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cooldown {
    /// After 429, 503 or 529 without `Retry-After`, doubled each time in a row; 0 never, whatever `Retry-After` says.
    #[serde(with = "super::units::duration")]
    pub busy: Duration,
    /// After 401, 402, 403, or 429 for want of quota, of a key of the operator's, doubled each time in a row; 0 never.
    #[serde(with = "super::units::duration")]
    pub credentials: Duration,
    /// At most, whatever `Retry-After` says.
    #[serde(with = "super::units::duration")]
    pub max: Duration,
}

impl Default for Cooldown {
    fn default() -> Self {
        Self {
            busy: Duration::from_secs(5),
            credentials: Duration::from_secs(60),
            max: Duration::from_secs(300),
        }
    }
}

/// Overrides of `breaker` and `cooldown` for one worker.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerBreaker {
    /// See `breaker.enabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// See `breaker.failure_threshold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<u32>,
    /// See `breaker.error_share`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_share: Option<f64>,
    /// See `breaker.minimum_calls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_calls: Option<u32>,
    /// See `breaker.window`.
    #[serde(with = "super::units::maybe_duration", skip_serializing_if = "Option::is_none")]
    pub window: Option<Duration>,
    /// See `breaker.open`.
    #[serde(with = "super::units::maybe_duration", skip_serializing_if = "Option::is_none")]
    pub open: Option<Duration>,
    /// See `breaker.max_open`.
    #[serde(with = "super::units::maybe_duration", skip_serializing_if = "Option::is_none")]
    pub max_open: Option<Duration>,
    /// See `breaker.trials`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trials: Option<u32>,
    /// See `breaker.success_threshold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_threshold: Option<u32>,
    /// See `cooldown.busy`.
    #[serde(with = "super::units::maybe_duration", skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<Duration>,
}

impl WorkerBreaker {
    /// What holds for the worker, where this holds for all.
    #[must_use]
    pub fn rules(&self, all: &BreakerSettings, cooldown: &Cooldown) -> Rules {
        let open = self.open.unwrap_or(all.open);
        let breaker = BreakerRules {
            failures: self.failure_threshold.unwrap_or(all.failure_threshold),
            share: self.error_share.unwrap_or(all.error_share),
            calls: self.minimum_calls.unwrap_or(all.minimum_calls),
            window: self.window.unwrap_or(all.window),
            open,
            longest: self.max_open.or(all.max_open).unwrap_or(LONGEST_OPEN).max(open),
            trials: self.trials.unwrap_or(all.trials),
            successes: self.success_threshold.unwrap_or(all.success_threshold),
        };
        let Cooldown { busy, credentials, max } = *cooldown;
        Rules {
            breaker: self.enabled.unwrap_or(all.enabled).then_some(breaker),
            cooldown: CooldownRules {
                busy: self.cooldown.unwrap_or(busy),
                account: credentials,
                longest: max,
            },
        }
    }

    /// What does not fit what holds for all, its path relative to it.
    pub(super) fn misfit(&self, all: &BreakerSettings) -> Option<Problem> {
        match (self.open, self.max_open) {
            (Some(open), None) if all.max_open.is_some_and(|most| most < open) => {
                Some(Problem::new("open", "is longer than `breaker.max_open`; set `max_open` beside it"))
            }
            (None, Some(most)) if most < all.open => Some(short()),
            (None | Some(_), _) => None,
        }
    }

    /// All problems, their paths relative to it.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let counts = [
            ("failure_threshold", self.failure_threshold),
            ("success_threshold", self.success_threshold),
            ("trials", self.trials),
        ];
        let times = [("window", self.window), ("open", self.open)];
        let is_short = self.open.zip(self.max_open).is_some_and(|(open, most)| most < open);
        problems(counts, times, self.error_share).into_iter().chain(is_short.then(short)).collect()
    }
}

impl BreakerSettings {
    /// All problems, their paths relative to it.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let counts = [
            ("failure_threshold", Some(self.failure_threshold)),
            ("success_threshold", Some(self.success_threshold)),
            ("trials", Some(self.trials)),
        ];
        let times = [("window", Some(self.window)), ("open", Some(self.open))];
        let is_short = self.max_open.is_some_and(|most| most < self.open);
        problems(counts, times, Some(self.error_share)).into_iter().chain(is_short.then(short)).collect()
    }
}

fn short() -> Problem {
    Problem::new("max_open", "is shorter than `open`; make it at least as long, or leave it out")
}

fn problems(
    counts: [(&str, Option<u32>); 3],
    times: [(&str, Option<Duration>); 2],
    share: Option<f64>,
) -> Vec<Problem> {
    let none = counts.into_iter().filter(|(_, count)| *count == Some(0));
    let mut problems: Vec<_> = none.map(|(key, _)| Problem::new(key, "is 0; use 1 or more")).collect();
    let short =
        times.into_iter().filter(|(_, time)| time.is_some_and(|time| time < Duration::from_millis(100)));
    problems
        .extend(short.map(|(key, _)| Problem::new(key, "is under 100ms; use a longer time, such as 30s")));
    if let Some(share) = share.filter(|share| !(*share > 0.0 && *share <= 1.0)) {
        let message = format!("{share} is no share above 0; use 1 for failures alone, or 0.5 for half");
        problems.push(Problem::new("error_share", message));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workers_own_rules_go_before_those_for_all() {
        let (all, cooldown) = (BreakerSettings::default(), Cooldown::default());
        let seconds = Duration::from_secs;
        let own = WorkerBreaker {
            failure_threshold: Some(2),
            open: Some(seconds(600)),
            cooldown: Some(seconds(1)),
            ..WorkerBreaker::default()
        };
        let rules = own.rules(&all, &cooldown);
        let breaker = rules.breaker.unwrap();
        assert_eq!((breaker.failures, breaker.successes, breaker.trials), (2, 3, 3));
        assert_eq!(
            (breaker.open, breaker.longest),
            (seconds(600), seconds(600)),
            "never shorter than the first"
        );
        assert_eq!((rules.cooldown.busy, rules.cooldown.account), (seconds(1), seconds(60)));
        let off = WorkerBreaker { enabled: Some(false), ..own };
        assert_eq!(off.rules(&all, &cooldown).breaker, None);
        let on = WorkerBreaker { enabled: Some(true), ..WorkerBreaker::default() };
        assert!(on.rules(&BreakerSettings { enabled: false, ..all }, &cooldown).breaker.is_some());
    }

    #[test]
    fn what_could_never_work_is_a_problem() {
        let wrong = BreakerSettings {
            failure_threshold: 0,
            success_threshold: 0,
            trials: 0,
            window: Duration::ZERO,
            open: Duration::from_millis(1),
            error_share: 0.0,
            ..BreakerSettings::default()
        };
        let keys: Vec<_> = wrong.problems().into_iter().map(|problem| problem.path).collect();
        assert_eq!(
            keys,
            ["failure_threshold", "success_threshold", "trials", "window", "open", "error_share"]
        );
        assert!(
            BreakerSettings::default().problems().is_empty()
                && WorkerBreaker::default().problems().is_empty()
        );
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let all =
            |open, max_open| BreakerSettings { open: minutes(open), max_open, ..BreakerSettings::default() };
        assert_eq!(all(10, Some(minutes(1))).problems(), [short()]);
        assert_eq!(all(10, Some(LONGEST_OPEN)).problems(), [short()], "though it is what holds when absent");
        let long = BreakerSettings { open: minutes(10), ..BreakerSettings::default() };
        assert_eq!(long.problems(), [], "nothing was said of the longest");
        let own =
            WorkerBreaker { open: Some(minutes(10)), max_open: Some(minutes(1)), ..WorkerBreaker::default() };
        assert_eq!(own.problems(), [short()]);
        let own = |open, max_open| WorkerBreaker { open, max_open, ..WorkerBreaker::default() };
        let path = |own: WorkerBreaker, all| own.misfit(&all).map(|problem| problem.path);
        assert_eq!(path(own(Some(minutes(10)), None), all(1, Some(minutes(5)))).as_deref(), Some("open"));
        assert_eq!(path(own(Some(minutes(10)), None), all(1, None)), None);
        assert_eq!(path(own(Some(minutes(10)), Some(minutes(10))), all(1, Some(minutes(5)))), None);
        assert_eq!(path(own(None, Some(minutes(2))), all(3, None)).as_deref(), Some("max_open"));
        let own = WorkerBreaker { error_share: Some(f64::NAN), ..WorkerBreaker::default() };
        assert_eq!(own.problems().len(), 1);
    }
}
