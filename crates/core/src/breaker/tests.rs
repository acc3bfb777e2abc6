use super::*;
use std::collections::VecDeque;

const MS: Duration = Duration::from_millis(1);

const RULES: Rules = Rules {
    breaker: Some(BreakerRules {
        failures: 3,
        share: 0.5,
        calls: 10,
        window: Duration::from_secs(10),
        open: Duration::from_secs(4),
        longest: Duration::from_secs(10),
        trials: 2,
        successes: 2,
    }),
    cooldown: CooldownRules {
        busy: Duration::from_secs(5),
        account: Duration::from_secs(20),
        longest: Duration::from_secs(30),
    },
};

/// A breaker, and a clock that only the test moves.
struct Bench {
    breaker: Breaker,
    now: Instant,
    rules: Rules,
}

/// A call that was let in.
#[derive(Debug, Clone, Copy)]
struct Under(Instant, Entry);

impl Bench {
    fn new() -> Self {
        Self { breaker: Breaker::default(), now: Instant::now(), rules: RULES }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn begin(&self) -> Option<Under> {
        self.breaker.enter(self.now).map(|entry| Under(self.now, entry))
    }

    fn end(&self, Under(began, entry): Under, finding: Option<Finding>) -> Option<Turn> {
        let witness = Witness { began, is_trial: entry == Entry::Trial };
        let turn =
            finding.and_then(|finding| self.breaker.report(finding, witness, &self.rules, self.now, 0.0));
        if entry == Entry::Trial {
            self.breaker.leave();
        }
        turn
    }

    fn call(&self, finding: Finding) -> Option<Turn> {
        self.end(self.begin().expect("it is let in"), Some(finding))
    }

    fn phase(&self) -> Phase {
        self.breaker.figures(self.now).phase
    }

    fn opened() -> Self {
        let bench = Self::new();
        (0..3).for_each(|_| assert_ne!(bench.call(Finding::Failed), Some(Turn::Closed)));
        assert_eq!(bench.phase(), Phase::Open);
        bench
    }
}

/// `+` succeeds, `-` fails, `.` is a second, `b` is busy, `4` is a client's mistake.
#[test]
fn when_it_opens() {
    for (what, calls, want) in [
        ("three in a row", "---", Phase::Open),
        ("not in a row", "--+--+--", Phase::Closed),
        ("what clients get wrong is no end of a row", "--4-", Phase::Open),
        ("what clients get wrong is no failure", "44444444444444", Phase::Closed),
        ("nor is being busy", "bbbbbbbbbbbbbb", Phase::Closed),
        ("half of ten", "--+--+-+++-", Phase::Open),
        ("half of nine are too few calls", "--+--+-+-", Phase::Closed),
        ("less than half", "--+++-++-++--+++-+-++-+", Phase::Closed),
        ("a row that takes longer than the window", "-......-......-", Phase::Closed),
        ("a row as long as the window", "-....-...-", Phase::Open),
        ("shares are of the window", "--+--+--+...........--++++", Phase::Closed),
    ] {
        let mut bench = Bench::new();
        for call in calls.chars() {
            let Some(under) = bench.begin() else { break };
            match call {
                '+' => _ = bench.end(under, Some(Finding::Served)),
                '-' => _ = bench.end(under, Some(Finding::Failed)),
                'b' => _ = bench.end(under, Some(Finding::Busy(None))),
                '4' => _ = bench.end(under, None),
                _ => bench.pass(Duration::from_secs(1)),
            }
        }
        assert_eq!(bench.phase(), want, "{what}");
    }
}

#[test]
fn trials_close_it_or_open_it_for_longer() {
    let mut bench = Bench::opened();
    let seconds = Duration::from_secs;
    assert!(bench.begin().is_none());
    assert_eq!(bench.breaker.wait(bench.now), seconds(4));
    for pause in [8, 10, 10] {
        bench.pass(bench.breaker.wait(bench.now));
        assert_eq!(bench.phase(), Phase::HalfOpen);
        assert_eq!(bench.call(Finding::Served), None);
        assert_eq!(
            bench.call(Finding::Failed),
            Some(Turn::Opened(seconds(pause))),
            "doubled, up to the bound"
        );
        assert!(bench.begin().is_none());
    }
    bench.pass(seconds(10));
    assert_eq!(bench.call(Finding::Served), None);
    assert_eq!(bench.call(Finding::Served), Some(Turn::Closed));
    assert_eq!((bench.phase(), bench.breaker.wait(bench.now)), (Phase::Closed, Duration::ZERO));
    // What was before is forgotten: neither the row nor the pause goes on.
    assert_eq!(bench.call(Finding::Failed), None);
    assert_eq!(bench.call(Finding::Failed), None);
    assert_eq!(bench.call(Finding::Failed), Some(Turn::Opened(seconds(4))));
    let moves = bench.breaker.figures(bench.now).moves;
    assert_eq!((moves.opened, moves.tried, moves.reopened, moves.closed), (2, 4, 3, 1));
}

#[test]
fn a_trial_that_says_nothing_gives_its_place_back() {
    let mut bench = Bench::opened();
    bench.pass(Duration::from_secs(4));
    for _ in 0..5 {
        let (one, other) = (bench.begin().unwrap(), bench.begin().unwrap());
        assert!(bench.begin().is_none(), "two at once");
        assert_eq!(bench.breaker.wait(bench.now), Duration::from_secs(1), "until one of them is over");
        bench.end(one, None);
        bench.end(other, Some(Finding::Busy(None)));
    }
    assert_eq!((bench.phase(), bench.breaker.figures(bench.now).trials), (Phase::HalfOpen, 0));
}

#[test]
fn what_was_under_way_before_says_nothing() {
    let bench = Bench::new();
    let early: Vec<_> = (0..20).map(|_| bench.begin().unwrap()).collect();
    let mut bench = bench;
    bench.pass(MS);
    let turns: Vec<_> = early[..10].iter().map(|under| bench.end(*under, Some(Finding::Failed))).collect();
    assert_eq!(turns.iter().flatten().count(), 1, "it opens once");
    bench.pass(Duration::from_secs(4));
    let trial = bench.begin().unwrap();
    for under in &early[10..] {
        bench.end(*under, Some(Finding::Served));
    }
    assert_eq!(bench.phase(), Phase::HalfOpen, "they were no trials");
    let other = bench.begin().unwrap();
    bench.end(trial, Some(Finding::Failed));
    assert_eq!(bench.phase(), Phase::Open);
    bench.pass(Duration::from_secs(8));
    assert_eq!(bench.end(other, Some(Finding::Failed)), None, "a trial of the time before");
    assert_eq!(bench.phase(), Phase::HalfOpen);
}

#[test]
fn pauses_are_shorter_by_chance_and_never_longer() {
    let pause = |chance| grown(Duration::from_secs(10), 0, Duration::from_secs(60), chance);
    assert_eq!([0.0, 0.5, 1.0].map(|chance| pause(chance).as_secs()), [10, 9, 8]);
    assert_eq!(grown(MS, u32::MAX, Duration::from_secs(60), 0.0), Duration::from_secs(60));
}

#[test]
fn without_rules_it_stays_closed() {
    let mut bench = Bench::new();
    bench.rules.breaker = None;
    (0..100).for_each(|_| assert_ne!(bench.call(Finding::Failed), Some(Turn::Closed)));
    assert_eq!(bench.phase(), Phase::Closed);
}

#[test]
fn somebody_else_finds_it_alive() {
    let bench = Bench::opened();
    bench.breaker.hasten();
    assert_eq!(bench.begin().map(|Under(_, entry)| entry), Some(Entry::Trial));
    bench.breaker.forget();
    assert_eq!(bench.begin().map(|Under(_, entry)| entry), Some(Entry::Free));
}

#[test]
fn others_go_before_who_is_busy_or_refuses() {
    let mut bench = Bench::new();
    let aside = |bench: &Bench| bench.breaker.aside(bench.now).as_millis().div_ceil(1000);
    for (what, finding, want) in [
        ("as it says", Finding::Busy(Some(Duration::from_secs(7))), 7),
        ("not longer than the bound", Finding::Busy(Some(Duration::from_secs(900))), 30),
        ("it does not say", Finding::Busy(None), 5),
        ("it does not say again", Finding::Busy(None), 10),
        ("nor the third time", Finding::Busy(None), 20),
        ("nor ever", Finding::Busy(None), 30),
        ("now, it says", Finding::Busy(Some(Duration::ZERO)), 30),
        ("an answer", Finding::Served, 0),
        ("after an answer", Finding::Busy(None), 5),
        ("another answer", Finding::Served, 0),
        ("the operator's key", Finding::Account, 20),
    ] {
        bench.pass(MS);
        // Whoever is put aside is still let in.
        bench.call(finding);
        assert_eq!(aside(&bench), want, "{what}");
        if finding == Finding::Busy(Some(Duration::from_secs(900))) {
            bench.call(Finding::Served);
        }
    }
    bench.pass(Duration::from_secs(30));
    assert_eq!(aside(&bench), 0);
    assert_eq!(bench.phase(), Phase::Closed);
}

#[test]
fn many_at_once_are_put_aside_once() {
    let mut bench = Bench::new();
    let early: Vec<_> = (0..20).map(|_| bench.begin().unwrap()).collect();
    bench.pass(MS);
    for under in &early[..18] {
        bench.end(*under, Some(Finding::Busy(None)));
        bench.pass(MS);
    }
    assert!(bench.breaker.aside(bench.now) <= Duration::from_secs(5));
    bench.end(early[18], Some(Finding::Busy(Some(Duration::from_secs(20)))));
    assert_eq!(bench.breaker.aside(bench.now), Duration::from_secs(20), "as long as any of them says");
    bench.end(early[19], Some(Finding::Served));
    assert_eq!(bench.breaker.aside(bench.now), Duration::from_secs(20), "it was let in before");
    assert_eq!(bench.breaker.figures(bench.now).moves.busy, 1);
}

#[test]
fn a_full_slot_keeps_its_share() {
    let full = Slot { number: 7, calls: Slot::COUNTS, failures: Slot::COUNTS / 2 };
    let next = full.with(7, 1);
    assert_eq!((next.calls, next.failures), (Slot::COUNTS / 2 + 1, Slot::COUNTS / 4 + 1));
    assert_eq!(Slot::of(next.word()).word(), next.word());
}

/// Any history: never more trials than may be, none while it is open, every place given back in the end, and an
/// outcome of one that was under way before moves nothing.
#[test]
fn laws_hold_for_any_history() {
    for seed in 0..2_000_u64 {
        let mut bits = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut draw = |n: u64| {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            bits % n
        };
        let mut bench = Bench::new();
        let mut under = VecDeque::new();
        for _ in 0..200 {
            match draw(6) {
                0 => bench.pass(MS * u32::try_from(draw(3_000)).unwrap()),
                1 | 2 => {
                    let wait = bench.breaker.wait(bench.now);
                    let entered = bench.begin();
                    assert_eq!(
                        entered.is_some(),
                        wait.is_zero(),
                        "seed {seed}: what it says is what it does"
                    );
                    under.extend(entered);
                }
                _ => {
                    let finding = match draw(5) {
                        0 => None,
                        1 => Some(Finding::Busy(None)),
                        2 | 3 => Some(Finding::Failed),
                        _ => Some(Finding::Served),
                    };
                    let before = bench.phase();
                    let Some(ended) = under.pop_front() else { continue };
                    let turn = bench.end(ended, finding);
                    let moves = matches!(turn, Some(Turn::Opened(_) | Turn::Closed));
                    let Under(_, entry) = ended;
                    assert!(!moves || before == Phase::Closed || entry == Entry::Trial, "seed {seed}");
                }
            }
            let trials = under.iter().filter(|Under(_, entry)| *entry == Entry::Trial).count();
            assert!(trials <= 2, "seed {seed}: {trials} trials at once");
            assert_eq!(bench.breaker.figures(bench.now).trials as usize, trials, "seed {seed}");
        }
        while let Some(last) = under.pop_front() {
            bench.end(last, None);
        }
        // Whatever happened, it is well again after a while and two answers.
        bench.pass(Duration::from_secs(40));
        while bench.phase() != Phase::Closed {
            bench.call(Finding::Served);
        }
        assert_eq!(bench.breaker.figures(bench.now).trials, 0, "seed {seed}");
    }
}

#[test]
fn threads_never_exceed_the_trials() {
    let mut bench = Bench::opened();
    bench.pass(Duration::from_secs(4));
    let bench = &bench;
    let most = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    if let Some(under) = bench.begin() {
                        most.fetch_max(bench.breaker.figures(bench.now).trials, Relaxed);
                        bench.end(under, None);
                    }
                }
            });
        }
    });
    assert!((1..=2).contains(&most.load(Relaxed)));
    assert_eq!(bench.breaker.figures(bench.now).trials, 0);
}
