use super::*;
use crate::tier::{Filter, another, seed, spread};
use crate::{Assign, BucketRules, Keeping};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use trunkline_core::{
    Allotted, Allowance, Attempt, BreakerRules, CooldownRules, Finding, Load, LoadGuard, Metric, Price,
    Ranking, Rules, Times,
};

pub(super) fn fleet(spec: &[(u8, Health)]) -> Vec<Candidate> {
    let candidate = |(n, (priority, health)): (usize, &(u8, Health))| {
        let load = Arc::new(Load::default());
        load.set_health(*health);
        Candidate {
            id: WorkerId::new(n.to_string()),
            slot: n,
            priority: *priority,
            cost: 1.0,
            weight: 1,
            price: None,
            allowance: Allowance::default(),
            seed: seed(&n.to_string()),
            load,
        }
    };
    spec.iter().enumerate().map(candidate).collect()
}

/// Ready workers of one tier with these weights.
pub(super) fn weighted(weights: &[u32]) -> Vec<Candidate> {
    let mut fleet = fleet(&vec![(50, Health::Ready); weights.len()]);
    for (candidate, weight) in fleet.iter_mut().zip(weights) {
        candidate.weight = *weight;
    }
    fleet
}

/// The `n`th of a series of draws, all at one time.
pub(super) fn draw(n: u64) -> Draw {
    static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);
    Draw { now: *NOW, chance: another(n) }
}

fn p90() -> Latency {
    Latency { ranking: Ranking::new(Metric::Ttft, 0.9, Duration::from_secs(10)), explore: 0.05 }
}

/// One of each kind, at its start.
fn all() -> [Policy; 18] {
    let keeping = Keeping { idle: Duration::from_secs(60), most: 1000 };
    [
        Policy::round_robin(),
        Policy::weighted(),
        Policy::Random,
        Policy::PowerOfTwo,
        Policy::LeastConnections,
        Policy::Latency(p90()),
        Policy::Cost,
        Policy::Usage,
        Policy::Ab,
        Policy::Sticky,
        Policy::Priority,
        Policy::PrefixHash(PrefixHash { bytes: 1024, load_factor: 1.25 }),
        Policy::ConsistentHashing,
        Policy::LeastLoad(LeastLoad::default()),
        Policy::Bucket(Box::new(Bucket::new(BucketRules {
            interval: Duration::from_secs(5),
            apart: 4096,
            times: 1.5,
        }))),
        Policy::Manual(Manual::new(Assign::FewestKeys, keeping)),
        Policy::Manual(Manual::over(Policy::round_robin(), keeping)),
        Policy::Passthrough,
    ]
}

/// How many of `picks` each of `fleet` got.
fn counts(fleet: &[Candidate], picks: &[&str]) -> Vec<u64> {
    let count = |c: &Candidate| picks.iter().filter(|pick| **pick == c.id.as_str()).count() as u64;
    fleet.iter().map(count).collect()
}

fn names<'f>(policy: &Policy, fleet: &'f [Candidate], tried: &[WorkerId], times: u64) -> Vec<&'f str> {
    (0..times)
        .filter_map(|n| Some(policy.pick(&Prompt::default(), fleet, tried, draw(n))?.candidate))
        .map(|c| c.id.as_str())
        .collect()
}

#[test]
fn round_robin_takes_turns_in_the_highest_ready_tier() {
    use Health::{Draining, Failed, Pending, Ready, Unhealthy, Unreached};
    for (what, spec, tried, want) in [
        ("all ready", &[(50, Ready), (50, Ready), (50, Ready)][..], &[][..], "012012"),
        ("one unhealthy", &[(50, Ready), (50, Unhealthy), (50, Ready)], &[], "020202"),
        ("upper tier only", &[(90, Ready), (50, Ready)], &[], "000000"),
        ("upper tier down", &[(90, Failed), (90, Pending), (50, Ready)], &[], "222222"),
        ("draining", &[(50, Draining), (50, Ready)], &[], "111111"),
        ("tried", &[(90, Ready), (50, Ready)], &["0"], "111111"),
        ("not reached", &[(50, Unreached), (50, Ready), (50, Unreached)], &[], "111111"),
        ("for want of a better", &[(90, Unhealthy), (50, Unreached), (50, Unreached)], &[], "121212"),
        ("the other of two not reached", &[(50, Unreached), (50, Unreached)], &["0"], "111111"),
        ("a ready one is better, though tried", &[(50, Ready), (50, Unreached)], &["0"], ""),
        ("none", &[(50, Failed)], &[], ""),
        ("empty", &[], &[], ""),
    ] {
        let tried: Vec<_> = tried.iter().map(|t| WorkerId::new(*t)).collect();
        assert_eq!(names(&Policy::round_robin(), &fleet(spec), &tried, 6).concat(), want, "{what}");
    }
}

/// What stands against a worker of the next test.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Against {
    Nothing,
    Busy,
    Broken,
}

fn found(load: &Arc<Load>, finding: Finding) {
    let breaker = BreakerRules {
        failures: 1,
        share: 1.0,
        calls: 1,
        window: Duration::from_secs(60),
        open: Duration::from_secs(60),
        longest: Duration::from_secs(60),
        trials: 1,
        successes: 1,
    };
    let minute = Duration::from_secs(60);
    let cooldown = CooldownRules { busy: minute, account: minute, longest: minute };
    let rules = Rules { breaker: Some(breaker), cooldown };
    let now = draw(0).now;
    LoadGuard::new(load).report(finding, now, &rules, now, 0.0);
}

/// Whatever the policy: others go before who is busy, who stays the last resort, and nobody goes to who is broken.
#[test]
fn what_stands_against_a_worker_goes_before_the_policy() {
    use Against::{Broken, Busy, Nothing};
    use Health::{Ready, Unreached};
    for (what, spec, tried, want, verdicts) in [
        ("all sound", &[(50, Ready, Nothing), (50, Ready, Nothing)][..], &[][..], "01", "ee"),
        ("one busy", &[(50, Ready, Busy), (50, Ready, Nothing)], &[], "1", "ae"),
        ("the first tier busy", &[(90, Ready, Busy), (50, Ready, Nothing)], &[], "1", "ae"),
        ("all busy", &[(90, Ready, Busy), (50, Ready, Busy)], &[], "0", "el"),
        ("the sound one failed", &[(50, Ready, Busy), (50, Ready, Nothing)], &["1"], "0", "et"),
        ("one broken", &[(50, Ready, Broken), (50, Ready, Nothing)], &[], "1", "be"),
        ("busy is better than broken", &[(90, Ready, Broken), (50, Ready, Busy)], &[], "1", "be"),
        ("all broken", &[(50, Ready, Broken), (50, Ready, Broken)], &[], "", "bb"),
        (
            "not reached is better than broken",
            &[(90, Ready, Broken), (50, Unreached, Nothing)],
            &[],
            "1",
            "be",
        ),
        ("busy is better than not reached", &[(90, Unreached, Nothing), (50, Ready, Busy)], &[], "1", "ne"),
        ("not reached, whatever was before", &[(50, Unreached, Broken)], &[], "0", "e"),
    ] {
        let tried: Vec<_> = tried.iter().map(|t| WorkerId::new(*t)).collect();
        let of_policy = spec.iter().map(|(priority, health, _)| (*priority, *health)).collect::<Vec<_>>();
        let fleet = fleet(&of_policy);
        for (candidate, (_, _, against)) in fleet.iter().zip(spec) {
            match against {
                Nothing => {}
                Busy => found(&candidate.load, Finding::Busy(None)),
                Broken => found(&candidate.load, Finding::Failed),
            }
        }
        for policy in all() {
            let mut picks = names(&policy, &fleet, &tried, 32);
            picks.sort_unstable();
            picks.dedup();
            let picks = picks.concat();
            let is_whole = picks == want || (want.len() > 1 && want.contains(&picks) && !picks.is_empty());
            assert!(is_whole, "{what} by {}: {picks}", policy.name());
            let (said, choice) = policy.explain(&Prompt::default(), &fleet, &tried, draw(0));
            let said: String = said.iter().map(letter).collect();
            assert_eq!(said, verdicts, "{what} by {}", policy.name());
            assert_eq!(choice.is_some(), !want.is_empty(), "{what} by {}", policy.name());
        }
    }
}

fn letter(verdict: &Verdict) -> char {
    match verdict {
        Verdict::NotReady(_) => 'n',
        Verdict::Barred(_) => 'b',
        Verdict::NoWeight => 'w',
        Verdict::AlreadyTried => 't',
        Verdict::OverLimit(_) => 'o',
        Verdict::CoolingDown(_) => 'a',
        Verdict::LowerTier => 'l',
        Verdict::Eligible(_) => 'e',
    }
}

/// Calls that fail on a dead worker which is still `Ready` go elsewhere, as the walk has them do.
#[test]
fn retries_spread_over_the_live_workers() {
    for (workers, dead) in [(4, 0), (4, 1), (4, 3), (3, 0), (7, 2)] {
        let fleet = fleet(&vec![(50, Health::Ready); workers]);
        let policy = Policy::round_robin();
        let mut served = vec![0usize; workers];
        for chance in 0..1200 {
            let pick = |tried: &[WorkerId]| {
                policy.pick(&Prompt::default(), &fleet, tried, draw(chance)).unwrap().candidate
            };
            let mut chosen = pick(&[]);
            if chosen.slot == dead {
                chosen = pick(std::slice::from_ref(&chosen.id));
            }
            served[chosen.slot] += 1;
        }
        let even = 1200 / (workers - 1);
        for (slot, count) in served.iter().enumerate().filter(|(slot, _)| *slot != dead) {
            assert!(
                count.abs_diff(even) <= 2,
                "{dead} of {workers} dead: {slot} served {count} of {served:?}"
            );
        }
    }
}

#[test]
fn power_of_two_prefers_the_idle_and_the_cheap() {
    let mut two = fleet(&[(50, Health::Ready), (50, Health::Ready)]);
    let guard = LoadGuard::new(&two[0].load);
    assert!(names(&Policy::PowerOfTwo, &two, &[], 50).iter().all(|n| *n == "1"));
    drop(guard);
    two[1].cost = 3.0;
    assert!(names(&Policy::PowerOfTwo, &two, &[], 50).iter().all(|n| *n == "0"));
}

#[test]
fn random_reaches_everyone_about_evenly() {
    let fleet = fleet(&[(50, Health::Ready); 4]);
    let picks = names(&Policy::Random, &fleet, &[], 4000);
    for n in ["0", "1", "2", "3"] {
        let share = picks.iter().filter(|p| **p == n).count();
        assert!((800..1200).contains(&share), "{n}: {share}");
    }
}

#[test]
fn turns_by_weight_are_spread_over_the_round() {
    for (weights, want) in [
        (&[5, 1, 1][..], "0010200"),
        (&[1, 1, 5], "0221222"),
        (&[1, 5, 1], "0111211"),
        (&[3, 2, 1], "012001"),
        (&[2, 1, 1], "0201"),
        (&[4, 2], "001001"),
        (&[2, 2], "0101"),
        (&[1, 1, 1, 1], "0123"),
        (&[2, 6, 1], "011101112"),
        (&[7], "0000000"),
        (&[0, 2, 1], "112112"),
        (&[0, 0], ""),
    ] {
        let (fleet, policy) = (weighted(weights), Policy::weighted());
        for round in ["first", "second"] {
            assert_eq!(names(&policy, &fleet, &[], want.len() as u64).concat(), want, "{weights:?}, {round}");
        }
    }
    let huge = weighted(&[u32::MAX; 3]);
    assert_eq!(names(&Policy::weighted(), &huge, &[], 6).concat(), "012012");
}

#[test]
fn turns_by_weight_are_right_however_many_take_them_at_once() {
    let (fleet, policy) = (weighted(&[5, 3, 2]), Policy::weighted());
    let served = [const { AtomicU64::new(0) }; 3];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..2500 {
                    let pick = policy.pick(&Prompt::default(), &fleet, &[], draw(n)).unwrap().candidate;
                    served[pick.slot].fetch_add(1, Relaxed);
                }
            });
        }
    });
    assert_eq!(served.map(AtomicU64::into_inner), [5000, 3000, 2000]);
}

/// Of two turns in a row one is somebody's, but another thread may take that one.
#[test]
fn turns_that_are_nobodys_are_passed_over() {
    let fleet = weighted(&[5, 3, 2]);
    let prompt = Prompt::default();
    let tier = Tier::of(&fleet, Filter { tried: &[], prompt: &prompt, now: draw(0).now }).unwrap();
    let (somebodys, nobodys): (Vec<u64>, Vec<u64>) = (0..16).partition(|turn| spread(*turn, 10) < 10);
    assert_eq!((somebodys.len(), nobodys.len()), (10, 6));
    for turn in somebodys {
        let own = tier.in_turn(|| turn).unwrap();
        let mut turns = nobodys.iter().copied().chain([turn]);
        let passed = tier.in_turn(|| turns.next().unwrap()).unwrap();
        assert_eq!((own.slot, turns.next()), (passed.slot, None));
    }
}

#[test]
fn fewest_connections_for_the_weight() {
    let fleet = weighted(&[4, 2, 1]);
    let mut guards = Vec::new();
    for n in 0..70 {
        let pick = Policy::LeastConnections.pick(&Prompt::default(), &fleet, &[], draw(n)).unwrap().candidate;
        guards.push(LoadGuard::new(&pick.load));
    }
    assert_eq!(fleet.iter().map(|c| c.load.in_flight()).collect::<Vec<_>>(), [40, 20, 10]);
    drop(guards);
    let idle = weighted(&[1, 1, 1]);
    let picks = names(&Policy::LeastConnections, &idle, &[], 3000);
    assert!(
        counts(&idle, &picks).iter().all(|count| (900..1100).contains(count)),
        "chance settles what is equal"
    );
}

#[test]
fn the_cheapest_for_this_prompt() {
    // A long prompt is cheap on the first, a long answer on the second.
    let prices = [Some((1, 9)), Some((5, 2)), None, Some((5, 2))];
    let mut fleet = weighted(&[1, 1, 1, 3]);
    for (candidate, price) in fleet.iter_mut().zip(prices) {
        candidate.price = price.map(|(input, output)| Price { input, output });
    }
    let picks = |fleet: &[Candidate], tried: &[&str], tokens, answer| {
        let tried: Vec<_> = tried.iter().map(|t| WorkerId::new(*t)).collect();
        let prompt = Prompt { tokens, answer, ..Prompt::default() };
        let pick = |n| Policy::Cost.pick(&prompt, fleet, &tried, draw(n)).unwrap().candidate.id.to_string();
        let picks: Vec<_> = (0..400).map(pick).collect();
        counts(fleet, &picks.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert_eq!(picks(&fleet, &[], 1000, 10), [400, 0, 0, 0]);
    let of_equals = picks(&fleet, &[], 10, 1000);
    assert!(
        (70..130).contains(&of_equals[1]) && of_equals[1] + of_equals[3] == 400,
        "by weight: {of_equals:?}"
    );
    assert_eq!(picks(&fleet, &["0", "3"], 1000, 10), [0, 400, 0, 0], "what is not known is not cheap");
    assert_eq!(picks(&fleet, &["0", "1", "3"], 1000, 10), [0, 0, 400, 0], "nor is it out");
    let prompt = Prompt { tokens: 1000, answer: 10, ..Prompt::default() };
    let (verdicts, choice) = Policy::Cost.explain(&prompt, &fleet, &[], draw(0));
    let eligible = |dollars| Verdict::Eligible(dollars);
    let want = [eligible(Some(1.09e-9)), eligible(Some(5.02e-9)), eligible(None), eligible(Some(5.02e-9))];
    assert_eq!((verdicts, choice.map(|c| c.slot)), (want.to_vec(), Some(0)));
}

#[test]
fn the_first_in_order() {
    let fleet = weighted(&[0, 1, 9]);
    assert_eq!(names(&Policy::Priority, &fleet, &[], 3).concat(), "111");
    assert_eq!(names(&Policy::Priority, &fleet, &[WorkerId::new("1")], 3).concat(), "222");
    let (verdicts, _) = Policy::Priority.explain(&Prompt::default(), &fleet, &[], draw(0));
    assert_eq!(verdicts[0], Verdict::NoWeight);
}

/// Which worker each of these keys belongs to.
fn owners(policy: &Policy, fleet: &[Candidate], keys: std::ops::Range<u64>) -> Vec<usize> {
    let owner = |n: u64| {
        let prompt = Prompt { key: Some(another(n)), ..Prompt::default() };
        policy.pick(&prompt, fleet, &[], draw(n)).unwrap().candidate.slot
    };
    keys.map(owner).collect()
}

#[test]
fn callers_that_are_not_known_are_drawn() {
    let fleet = weighted(&[3, 1]);
    let drawn = |policy| counts(&fleet, &names(policy, &fleet, &[], 4000))[0];
    assert!((2850..3150).contains(&drawn(&Policy::Ab)), "by weight");
    assert!((1850..2150).contains(&drawn(&Policy::Sticky)), "evenly");
}

#[test]
fn the_one_that_used_least_of_its_limits() {
    let mut fleet = weighted(&[1, 1, 1]);
    let limits = [(Some(10), None), (Some(40), None), (Some(5), Some(1000))];
    for (candidate, (requests, tokens)) in fleet.iter_mut().zip(limits) {
        candidate.allowance = Allowance { requests, tokens };
    }
    let prompt = Prompt { tokens: 60, answer: 40, ..Prompt::default() };
    let mut guards = Vec::new();
    while let Some(Choice { candidate: pick, .. }) =
        Policy::Usage.pick(&prompt, &fleet, &[], draw(guards.len() as u64))
    {
        guards.push((LoadGuard::new(&pick.load), Allotted::new(pick, &prompt, draw(0).now).unwrap()));
        let served: Vec<f64> = fleet.iter().map(|c| c.load.served() as f64).collect();
        let shares = [served[0] / 10.0, served[1] / 40.0, served[2] / 5.0];
        let spread =
            shares.iter().fold(0.0, |a: f64, b| a.max(*b)) - shares.iter().fold(1.0, |a: f64, b| a.min(*b));
        assert!(spread <= 0.2 + 1e-9, "no share runs ahead: {shares:?}");
    }
    assert_eq!(fleet.iter().map(|c| c.load.served()).collect::<Vec<_>>(), [10, 40, 5], "until all are full");
    assert!(Allotted::new(&fleet[0], &prompt, draw(0).now).is_none());
    let (verdicts, choice) = Policy::Random.explain(&prompt, &fleet, &[], draw(0));
    assert_eq!((verdicts[1], choice.is_none()), (Verdict::OverLimit(Duration::from_secs(65)), true));
    let later = Draw { now: draw(0).now + Duration::from_secs(65), ..draw(0) };
    assert!(Policy::Random.pick(&prompt, &fleet, &[], later).is_some());
}

/// Calls one after the other, a tenth of a second apart, each answered as `answer` says at that second; which worker
/// got each.
fn served(fleet: &[Candidate], seconds: u64, answer: impl Fn(&str, u64) -> Attempt) -> Vec<usize> {
    let (policy, began) = (Policy::Latency(p90()), draw(0).now);
    let mut picks = Vec::new();
    for n in 0..seconds * 10 {
        let at = |tenths| began + Duration::from_millis(tenths * 100);
        let draw = Draw { now: at(n), ..draw(n) };
        let pick = policy.pick(&Prompt::default(), fleet, &[], draw).unwrap().candidate;
        pick.load.recent.report(answer(pick.id.as_str(), n / 10), at(n + 1));
        picks.push(pick.slot);
    }
    picks
}

fn took(ms: u64) -> Attempt {
    let time = Duration::from_millis(ms);
    Attempt::Answered(Times { ttft: time, per_token: time, total: time })
}

fn share_of(slot: usize, picks: &[usize]) -> f64 {
    picks.iter().filter(|pick| **pick == slot).count() as f64 / picks.len() as f64
}

#[test]
fn calls_go_to_the_faster_and_follow_a_change() {
    let fleet = weighted(&[1, 1]);
    // After a minute the second becomes the faster one.
    let answer = |worker: &str, second| took(if (worker == "0") == (second < 60) { 100 } else { 400 });
    let picks = served(&fleet, 120, answer);
    assert!(share_of(0, &picks[..600]) > 0.9, "{:?}", &picks[..600]);
    // Its window is ten seconds long.
    assert!(share_of(1, &picks[700..]) > 0.9, "{:?}", &picks[600..]);
}

#[test]
fn one_that_fails_at_once_is_not_fast() {
    let fleet = weighted(&[1, 1, 1]);
    // The first always fails; the second fails one in four, and is the faster one otherwise.
    let calls = AtomicU64::new(0);
    let picks = served(&fleet, 60, |worker, _| match worker {
        "0" => Attempt::Failed(Duration::from_millis(1)),
        "1" if calls.fetch_add(1, Relaxed).is_multiple_of(4) => Attempt::Failed(Duration::from_millis(1)),
        "1" => took(10),
        _ => took(500),
    });
    assert!(share_of(0, &picks) < 0.06 && share_of(2, &picks[100..]) > 0.6, "{picks:?}");
}

#[test]
fn one_that_is_not_known_gets_one_call_at_a_time() {
    let fleet = weighted(&[1, 1]);
    let policy = Policy::Latency(Latency { explore: 0.0, ..p90() });
    let pick = |n| policy.pick(&Prompt::default(), &fleet, &[], draw(n)).unwrap().candidate;
    fleet[0].load.recent.report(took(100), draw(0).now);
    assert!((0..20).all(|n| pick(n).slot == 1), "what is not known is found out");
    let guard = LoadGuard::new(&fleet[1].load);
    assert!((0..20).all(|n| pick(n).slot == 0), "by one call");
    fleet[1].load.recent.report(Attempt::Untold, draw(0).now);
    drop(guard);
    assert!((0..20).all(|n| pick(n).slot == 0), "which said nothing, and so would the next");
    let (verdicts, _) = policy.explain(&Prompt::default(), &fleet, &[], draw(0));
    assert_eq!(verdicts, [Verdict::Eligible(Some(0.1_f32.into())), Verdict::Eligible(None)]);
}

#[test]
fn many_calls_at_once_do_not_all_go_to_one_that_is_not_known() {
    let fleet = weighted(&[1, 1, 2]);
    let policy = Policy::Latency(Latency { explore: 0.0, ..p90() });
    let mut guards = Vec::new();
    for n in 0..400 {
        let pick = policy.pick(&Prompt::default(), &fleet, &[], draw(n)).unwrap().candidate;
        guards.push(LoadGuard::new(&pick.load));
    }
    let load: Vec<_> = fleet.iter().map(|c| c.load.in_flight()).collect();
    assert!(load.iter().zip([100, 100, 200]).all(|(is, even)| is.abs_diff(even) <= 20), "{load:?}");
}

#[test]
fn workers_about_as_fast_share_by_weight() {
    let fleet = weighted(&[3, 1]);
    fleet[0].load.recent.report(took(100), draw(0).now);
    fleet[1].load.recent.report(took(105), draw(0).now);
    let picks = names(&Policy::Latency(p90()), &fleet, &[], 4000);
    assert!((2800..3200).contains(&counts(&fleet, &picks)[0]));
}

#[test]
fn policies_that_would_pick_alike() {
    let slower = Policy::Latency(Latency { explore: 0.5, ..p90() });
    for (at, policy) in all().iter().enumerate() {
        for (other_at, other) in all().iter().enumerate() {
            assert_eq!(policy.is_like(other), at == other_at, "{} {}", policy.name(), other.name());
        }
        assert!(!policy.is_like(&slower));
    }
}

proptest! {
    #[test]
    fn a_pick_is_ready_untried_and_of_the_top_tier(
        spec in proptest::collection::vec((0u8..4, 0u8..6, 0u32..3), 0..12),
        tried in proptest::collection::vec(0usize..12, 0..4),
        chance in any::<u64>(),
    ) {
        use Health::{Draining, Failed, Pending, Ready, Unhealthy, Unreached};
        let health = [Pending, Ready, Unhealthy, Draining, Failed, Unreached];
        let mut spec: Vec<_> = spec.into_iter().map(|(p, h, w)| (p, health[h as usize], w)).collect();
        spec.sort_by_key(|(p, ..)| std::cmp::Reverse(*p));
        let mut fleet = fleet(&spec.iter().map(|(p, h, _)| (*p, *h)).collect::<Vec<_>>());
        for (candidate, (.., weight)) in fleet.iter_mut().zip(&spec) {
            candidate.weight = *weight;
        }
        let tried: Vec<_> = tried.iter().map(|t| WorkerId::new(t.to_string())).collect();
        let standing = if fleet.iter().any(|c| c.weight > 0 && c.load.health() == Ready) { Ready } else { Unreached };
        let eligible = |c: &&Candidate| {
            c.weight > 0 && c.load.health() == standing && !tried.contains(&c.id)
        };
        let top = fleet.iter().filter(eligible).map(|c| c.priority).max();
        for policy in all() {
            let (verdicts, foreseen) = policy.explain(&Prompt::default(), &fleet, &tried, draw(chance));
            let foreseen = foreseen.map(|c| c.id.clone());
            let pick = policy.pick(&Prompt::default(), &fleet, &tried, draw(chance)).map(|choice| choice.candidate);
            prop_assert_eq!(pick.map(|c| c.priority), top, "{}", policy.name());
            prop_assert!(pick.iter().all(eligible));
            prop_assert_eq!(pick.map(|c| c.id.clone()), foreseen);
            let considered = verdicts.iter().filter(|v| matches!(v, Verdict::Eligible(_))).count();
            let want = fleet.iter().filter(eligible).filter(|c| Some(c.priority) == top).count();
            prop_assert_eq!(considered, want);
        }
    }

    /// Of every round each gets as many turns as its weight, whoever else drops out, and at no moment of it is it
    /// far from its share.
    #[test]
    fn every_round_by_weight_is_whole_and_even(
        weights in proptest::collection::vec(0u32..12, 1..7),
        out in proptest::collection::vec(any::<bool>(), 7),
        start in any::<u16>(),
    ) {
        let (fleet, policy) = (weighted(&weights), Policy::weighted());
        names(&policy, &fleet, &[], u64::from(start % 50));
        let mut weights = weights;
        for ((candidate, weight), out) in fleet.iter().zip(&mut weights).zip(out) {
            if out {
                candidate.load.set_health(Health::Unhealthy);
                *weight = 0;
            }
        }
        let round = u64::from(weights.iter().sum::<u32>());
        let picks = names(&policy, &fleet, &[], 2 * round);
        prop_assert_eq!(picks.len() as u64, 2 * round);
        for (from, to) in [(0, round), (round / 3, round / 3 + round), (round, 2 * round)] {
            let counts = counts(&fleet, &picks[from as usize..to as usize]);
            prop_assert_eq!(counts, weights.iter().map(|w| u64::from(*w)).collect::<Vec<_>>());
        }
        // From the start of a round on.
        let policy = Policy::weighted();
        let picks = names(&policy, &fleet, &[], round);
        for turns in 0..picks.len() {
            let counts = counts(&fleet, &picks[..turns]);
            for (count, weight) in counts.iter().zip(&weights) {
                let share = turns as f64 * f64::from(*weight) / round as f64;
                prop_assert!((*count as f64 - share).abs() < 2.5, "{weights:?} after {turns}: {counts:?}");
            }
        }
    }

    /// Each has its share of the callers, whoever comes always comes to the same one, and a change of one weight, or
    /// the loss of one, moves nobody but those who come to it or leave it.
    #[test]
    fn callers_stay_where_they_are(
        weights in proptest::collection::vec(0u32..9, 2..6),
        changed in any::<prop::sample::Index>(),
        to in 0u32..9,
        salt in 0u64..1 << 40,
    ) {
        prop_assume!(weights.iter().sum::<u32>() > 0);
        let keys = salt..salt + 2000;
        let mut fleet = weighted(&weights);
        let before = owners(&Policy::Ab, &fleet, keys.clone());
        prop_assert_eq!(&before, &owners(&Policy::Ab, &fleet, keys.clone()));
        let sum: u32 = weights.iter().sum();
        for (slot, weight) in weights.iter().enumerate() {
            let share = f64::from(*weight) / f64::from(sum);
            prop_assert!((share_of(slot, &before) - share).abs() < 0.06, "{weights:?}: {slot}");
        }
        let at = changed.index(weights.len());
        prop_assume!(to > 0 || sum > weights[at]);
        fleet[at].weight = to;
        let after = owners(&Policy::Ab, &fleet, keys.clone());
        for (was, is) in before.iter().zip(&after) {
            let mover = if to > weights[at] { is } else { was };
            prop_assert!(was == is || *mover == at, "{} to {}", was, is);
        }
        let even = owners(&Policy::Sticky, &fleet, keys.clone());
        fleet[even[0]].load.set_health(Health::Unhealthy);
        if fleet.iter().any(|c| c.weight > 0 && c.load.health() == Health::Ready) {
            let without = owners(&Policy::Sticky, &fleet, keys);
            prop_assert!(even.iter().zip(&without).all(|(was, is)| was == is || *was == even[0]));
        }
    }

    #[test]
    fn chance_by_weight_is_about_even(weights in proptest::collection::vec(0u32..5, 1..5)) {
        let fleet = weighted(&weights);
        let sum: u32 = weights.iter().sum();
        let picks = names(&Policy::Random, &fleet, &[], 4000);
        for (count, weight) in counts(&fleet, &picks).iter().zip(&weights) {
            let share = 4000.0 * f64::from(*weight) / f64::from(sum.max(1));
            prop_assert!((*count as f64 - share).abs() < 150.0, "{weights:?}: {count}");
        }
    }
}
