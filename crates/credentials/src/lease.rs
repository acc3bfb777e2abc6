//! What a chain lent, kept until shortly before it expires.
//!
//! One task per lease asks the chain; calls only read what it left. The first call of all waits for it, those after it
//! find it, also while it is being renewed. What nobody has used since it was lent is not renewed, so that an idle
//! gateway asks nobody. A renewal that fails leaves what there is until it expires, and is tried again meanwhile.

use crate::{Cause, ChainError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use trunkline_core::Secret;
use trunkline_upstream::Signer;

/// Longest time before its end at which something is renewed.
const AHEAD: Duration = Duration::from_secs(300);
/// How long a chain may take in all.
const LONGEST: Duration = Duration::from_secs(30);
/// How long a failure holds before the chain is asked again: from the first to the latter, by how often in a row.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// What is younger than this is not given up for a refusal: asking again would bring the same.
const TOO_YOUNG: Duration = Duration::from_secs(30);

/// What a cloud lends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lent {
    /// Shown as it is.
    Bearer {
        /// The token.
        token: Secret,
        /// The project that calls are charged to, where that is another than the token's own.
        quota_project: Option<Box<str>>,
    },
    /// Signs.
    Keys(Signer),
}

impl Lent {
    /// All that may not be shown to anybody.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let (token, signer) = match self {
            Self::Bearer { token, .. } => (Some(token), None),
            Self::Keys(signer) => (None, Some(signer)),
        };
        token.into_iter().chain(signer.into_iter().flat_map(Signer::secrets))
    }
}

/// What a chain gave.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The credential.
    pub lent: Lent,
    /// For how long; `None` for what does not expire.
    pub lifetime: Option<Duration>,
}

impl Grant {
    /// A token for `seconds`.
    pub(crate) fn bearer(token: Secret, seconds: u64, quota_project: Option<Box<str>>) -> Self {
        let lifetime = Some(Duration::from_secs(seconds));
        Self { lent: Lent::Bearer { token, quota_project }, lifetime }
    }

    /// Keys until `end`; what has ended already is lent for no time.
    pub(crate) fn keys(signer: Signer, end: Option<SystemTime>) -> Self {
        let left = |end: SystemTime| end.duration_since(SystemTime::now()).unwrap_or_default();
        Self { lent: Lent::Keys(signer), lifetime: end.map(left) }
    }
}

/// Keeps what was lent. See the module.
#[derive(Debug)]
pub struct Lease {
    /// Whose chain it is of, for messages.
    chain: &'static str,
    state: watch::Sender<State>,
    /// Somebody needs something new.
    wanted: Notify,
    /// Whether what is kept has been used since it was lent.
    used: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    failed: Option<Failed>,
}

#[derive(Debug)]
struct Held {
    lent: Arc<Lent>,
    since: Instant,
    /// When to renew it and when it ends.
    until: Option<[Instant; 2]>,
}

#[derive(Debug)]
struct Failed {
    why: Arc<ChainError>,
    /// In a row.
    times: u32,
    /// Until when the chain is not asked again.
    until: Instant,
}

/// When the chain is asked next.
enum Next {
    Now,
    /// Then, or before that when something was given up.
    At(Instant),
    WhenWanted,
}

impl Held {
    fn new(grant: Grant, now: Instant) -> Self {
        let until = grant.lifetime.map(|lifetime| {
            let ahead = AHEAD.min(lifetime / 5);
            // Many gateways may have started at the same moment.
            let ahead = ahead.mul_f64(1.0 + 0.1 * fastrand::f64());
            [now + lifetime.saturating_sub(ahead), now + lifetime]
        });
        Self { lent: Arc::new(grant.lent), since: now, until }
    }

    fn is_valid(&self, now: Instant) -> bool {
        self.until.is_none_or(|[_, end]| now < end)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.until.is_some_and(|[due, _]| now >= due)
    }
}

impl State {
    /// What a call at `now` gets without waiting.
    fn answer(&self, now: Instant) -> Option<Result<&Held, &Arc<ChainError>>> {
        if let Some(held) = self.held.as_ref().filter(|held| held.is_valid(now)) {
            return Some(Ok(held));
        }
        let failed = self.failed.as_ref().filter(|failed| now < failed.until);
        failed.map(|failed| Err(&failed.why))
    }

    /// When to ask next, where somebody just wanted something new or nobody did.
    fn next(&self, now: Instant, wanted: bool) -> Next {
        let Some(held) = self.held.as_ref().filter(|held| held.is_valid(now)) else {
            let is_settled = self.failed.as_ref().is_some_and(|failed| now < failed.until);
            return if wanted && !is_settled { Next::Now } else { Next::WhenWanted };
        };
        match (&self.failed, held.until) {
            (Some(failed), _) if now < failed.until => Next::At(failed.until),
            (None, Some([due, _])) if now < due => Next::At(due),
            (None, None) => Next::WhenWanted,
            (Some(_), _) | (None, Some(_)) => Next::Now,
        }
    }
}

impl Lease {
    /// Of which nothing is known yet.
    #[must_use]
    pub fn new(chain: &'static str) -> Self {
        let state = watch::Sender::new(State::default());
        Self { chain, state, wanted: Notify::new(), used: AtomicBool::new(false) }
    }

    /// What is lent now. Waits only when nothing is, and nobody has just found out why.
    ///
    /// # Errors
    /// What the chain last said.
    pub async fn lend(&self) -> Result<Arc<Lent>, Arc<ChainError>> {
        let mut changes = self.state.subscribe();
        let asked = async {
            loop {
                if let Some(answer) = self.at_once(&changes.borrow_and_update()) {
                    return answer;
                }
                self.wanted.notify_one();
                // The sender is ours and lives as long.
                let _ = changes.changed().await;
            }
        };
        // Whoever keeps it has a limit of its own, which is told better.
        timeout(LONGEST * 2, asked).await.unwrap_or_else(|_| Err(Arc::new(late(self.chain))))
    }

    fn at_once(&self, state: &State) -> Option<Result<Arc<Lent>, Arc<ChainError>>> {
        let now = Instant::now();
        match state.answer(now)? {
            Ok(held) => {
                self.used.store(true, Relaxed);
                if held.is_due(now) {
                    self.wanted.notify_one();
                }
                Some(Ok(Arc::clone(&held.lent)))
            }
            Err(why) => Some(Err(Arc::clone(why))),
        }
    }

    /// Gives up `lent`, which was refused: `true` when the next call gets another. What was lent only just now stays.
    pub fn give_up(&self, lent: &Arc<Lent>) -> bool {
        self.state.send_if_modified(|state| {
            let refused =
                |held: &mut Held| Arc::ptr_eq(&held.lent, lent) && held.since.elapsed() >= TOO_YOUNG;
            state.held.take_if(refused).is_some()
        })
    }

    /// Asks by `ask` whenever something new is needed, and tells `each` what came of it. Never ends.
    pub async fn keep<A: Future<Output = Result<Grant, ChainError>>>(
        &self,
        ask: impl Fn() -> A,
        each: impl Fn(Result<(), &ChainError>),
    ) {
        loop {
            self.until_needed().await;
            let asked = timeout(LONGEST, ask()).await.unwrap_or_else(|_| Err(late(self.chain)));
            each(asked.as_ref().map(drop));
            if asked.is_ok() {
                self.used.store(false, Relaxed);
            }
            self.state.send_modify(|state| match asked {
                Ok(grant) => *state = State { held: Some(Held::new(grant, Instant::now())), failed: None },
                Err(why) => {
                    let times = state.failed.as_ref().map_or(1, |failed| failed.times.saturating_add(1));
                    let until = Instant::now() + pause(times);
                    state.failed = Some(Failed { why: Arc::new(why), times, until });
                }
            });
        }
    }

    async fn until_needed(&self) {
        let mut wanted = false;
        loop {
            let next = self.state.borrow().next(Instant::now(), wanted);
            wanted = false;
            match next {
                Next::Now if !self.is_idle() => return,
                Next::At(when) => {
                    tokio::select! {
                        () = sleep_until(when) => {}
                        () = self.wanted.notified() => wanted = true,
                    }
                }
                Next::Now | Next::WhenWanted => {
                    self.wanted.notified().await;
                    wanted = true;
                }
            }
        }
    }

    /// Whether there is something that nobody has used since it was lent.
    fn is_idle(&self) -> bool {
        let is_held = self.state.borrow().held.as_ref().is_some_and(|held| held.is_valid(Instant::now()));
        is_held && !self.used.load(Relaxed)
    }
}

fn pause(times: u32) -> Duration {
    let [first, longest] = PAUSES;
    let pause = first.saturating_mul(2_u32.saturating_pow(times.saturating_sub(1))).min(longest);
    pause.mul_f64(0.8 + 0.4 * fastrand::f64())
}

/// Nobody has said anything for too long.
fn late(chain: &'static str) -> ChainError {
    let cause = Cause::Unreached { host: "the chain".to_owned(), why: "timeout" };
    ChainError { chain, tried: vec!["all of it"], cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use tokio::time::{advance, sleep};

    const HOUR: Duration = Duration::from_secs(3600);

    /// A lease whose chain lends `1`, `2` … for an hour each, or fails while told to.
    struct Rig {
        lease: Lease,
        asked: AtomicU32,
        fails: AtomicBool,
    }

    impl Default for Rig {
        fn default() -> Self {
            Self { lease: Lease::new("test"), asked: AtomicU32::default(), fails: AtomicBool::default() }
        }
    }

    impl Rig {
        async fn keep(&self) {
            let ask = || async {
                let nth = self.asked.fetch_add(1, Relaxed) + 1;
                sleep(Duration::from_secs(2)).await;
                if self.fails.load(Relaxed) {
                    return Err(late("test"));
                }
                Ok(Grant::bearer(Secret::new(nth.to_string()), 3600, None))
            };
            self.lease.keep(ask, |_| {}).await;
        }

        async fn token(&self) -> Option<String> {
            match &*self.lease.lend().await.ok()? {
                Lent::Bearer { token, .. } => Some(token.reveal().to_owned()),
                Lent::Keys(_) => None,
            }
        }

        fn asked(&self) -> u32 {
            self.asked.load(Relaxed)
        }
    }

    /// Runs `story` beside the task that keeps the lease.
    async fn play(rig: &Rig, story: impl Future<Output = ()>) {
        tokio::select! {
            () = rig.keep() => {}
            () = story => {}
        }
    }

    /// Lets the keeping task do what is to be done now.
    async fn settle() {
        sleep(Duration::from_secs(5)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_come_at_first_cause_one_question_and_later_ones_none() {
        let rig = Rig::default();
        play(&rig, async {
            let (a, b, c) = tokio::join!(rig.token(), rig.token(), rig.token());
            assert_eq!([a, b, c].map(Option::unwrap), ["1", "1", "1"]);
            let before = Instant::now();
            assert_eq!(rig.token().await.as_deref(), Some("1"));
            assert_eq!((before.elapsed(), rig.asked()), (Duration::ZERO, 1));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_used_is_renewed_ahead_and_nobody_waits_for_it() {
        let rig = Rig::default();
        play(&rig, async {
            assert_eq!(rig.token().await.as_deref(), Some("1"));
            // Not within the last five minutes and a tenth.
            advance(HOUR - AHEAD.mul_f64(1.1) - Duration::from_secs(10)).await;
            settle().await;
            assert_eq!(rig.asked(), 1);
            advance(Duration::from_secs(60)).await;
            let before = Instant::now();
            assert_eq!(rig.token().await.as_deref(), Some("1"));
            assert_eq!(before.elapsed(), Duration::ZERO, "a call waited for a renewal");
            settle().await;
            assert_eq!(rig.token().await.as_deref(), Some("2"));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_uses_is_not_renewed() {
        let rig = Rig::default();
        play(&rig, async {
            assert_eq!(rig.token().await.as_deref(), Some("1"));
            sleep(HOUR - Duration::from_secs(60)).await;
            // That one was used, by whom it was lent for first.
            assert_eq!(rig.asked(), 2);
            sleep(HOUR * 5).await;
            assert_eq!(rig.asked(), 2);
            assert_eq!(rig.token().await.as_deref(), Some("3"));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_renewal_leaves_what_there_is_until_it_expires() {
        let rig = Rig::default();
        play(&rig, async {
            assert_eq!(rig.token().await.as_deref(), Some("1"));
            rig.fails.store(true, Relaxed);
            sleep(HOUR - Duration::from_secs(60)).await;
            let asked = rig.asked();
            assert!(asked > 2, "asked {asked} times");
            assert_eq!(rig.token().await.as_deref(), Some("1"));
            sleep(Duration::from_secs(120)).await;
            assert_eq!(rig.token().await, None);
            rig.fails.store(false, Relaxed);
            sleep(Duration::from_secs(60)).await;
            assert!(rig.token().await.is_some());
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_holds_for_a_while_and_then_is_tried_again_on_demand() {
        let rig = Rig::default();
        rig.fails.store(true, Relaxed);
        play(&rig, async {
            let (a, b) = tokio::join!(rig.token(), rig.token());
            assert_eq!((a, b, rig.asked()), (None, None, 1));
            let before = Instant::now();
            assert_eq!((rig.token().await, before.elapsed(), rig.asked()), (None, Duration::ZERO, 1));
            sleep(HOUR).await;
            assert_eq!(rig.asked(), 1, "asked though nobody wanted anything");
            rig.fails.store(false, Relaxed);
            assert_eq!(rig.token().await.as_deref(), Some("2"));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_refused_is_given_up_once() {
        let rig = Rig::default();
        play(&rig, async {
            let first = rig.lease.lend().await.unwrap();
            assert!(!rig.lease.give_up(&first), "it was lent only just now");
            sleep(TOO_YOUNG).await;
            assert!(rig.lease.give_up(&first));
            assert!(!rig.lease.give_up(&first));
            assert_eq!(rig.token().await.as_deref(), Some("2"));
            assert!(!rig.lease.give_up(&first), "what came after it is not at fault");
        })
        .await;
    }
}
