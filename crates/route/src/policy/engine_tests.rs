//! Policies for engines: by prompts, by keys and by what engines say of themselves.

use super::tests::{draw, fleet, weighted};
use super::*;
use crate::{Assign, BucketRules, Keeping};
use std::sync::Arc;
use std::time::Duration;
use trunkline_core::{LoadGuard, Sample};

fn text(text: &str) -> Prompt<'_> {
    Prompt { tokens: text.len() as u64 / 4, ..Prompt::default() }
}

fn ready(workers: usize) -> Vec<Candidate> {
    weighted(&vec![1; workers])
}

fn slot(policy: &Policy, fleet: &[Candidate], prompt: &Prompt<'_>, n: u64) -> usize {
    policy.pick(prompt, fleet, &[], draw(n)).unwrap().candidate.slot
}

/// Who gets prompts with that text.
fn of_text(policy: &Policy, fleet: &[Candidate], said: &str, n: u64) -> usize {
    let chunks = [said.as_bytes()];
    slot(policy, fleet, &Prompt { chunks: &chunks, ..text(said) }, n)
}

#[test]
fn prompts_that_begin_alike_stay_together_until_it_gets_too_much() {
    let policy = Policy::PrefixHash(PrefixHash { bytes: 16, load_factor: 1.25 });
    let fleet = ready(8);
    let beginnings: Vec<String> = (0..200).map(|n| format!("{n:016}")).collect();
    let homes: Vec<usize> = beginnings.iter().map(|text| of_text(&policy, &fleet, text, 0)).collect();
    for (at, (text, home)) in beginnings.iter().zip(&homes).enumerate() {
        assert_eq!(of_text(&policy, &fleet, &format!("{text} and so on"), at as u64), *home, "{text}");
    }
    let used: std::collections::HashSet<_> = homes.iter().collect();
    assert_eq!(used.len(), 8, "beginnings are spread over all");
    // In pieces it is the same text.
    let (left, right) = beginnings[0].split_at(5);
    let chunks = [left.as_bytes(), right.as_bytes(), b"more"];
    assert_eq!(slot(&policy, &fleet, &Prompt { chunks: &chunks, ..Prompt::default() }, 3), homes[0]);
    // 16 calls with one beginning: nobody gets more than 1.25 times the mean, rounded up.
    let mut calls = Vec::new();
    for n in 0..64 {
        let at = of_text(&policy, &fleet, &beginnings[0], n);
        calls.push(LoadGuard::new(&fleet[at].load));
        let most = fleet.iter().map(|c| c.load.in_flight()).max().unwrap();
        assert!(
            most as f64 <= (1.25 * calls.len() as f64 / 8.0).max(1.0).ceil(),
            "{most} of {}",
            calls.len()
        );
    }
    assert_eq!(calls.len(), 64);
    // One that has less than its share is not asked in order of hashes but of load, where nothing is known.
    let idle = ready(2);
    let _busy = LoadGuard::new(&idle[0].load);
    assert_eq!(slot(&policy, &idle, &Prompt::default(), 0), 1);
}

#[test]
fn a_key_is_always_with_the_same_worker() {
    let (policy, fleet) = (Policy::ConsistentHashing, ready(5));
    for key in 0..100 {
        let prompt = Prompt { key: Some(key), ..Prompt::default() };
        let home = slot(&policy, &fleet, &prompt, 0);
        assert!((0..20).all(|n| slot(&policy, &fleet, &prompt, n) == home));
        fleet[home].load.set_health(Health::Unhealthy);
        assert_ne!(slot(&policy, &fleet, &prompt, 0), home);
        fleet[home].load.set_health(Health::Ready);
        assert_eq!(slot(&policy, &fleet, &prompt, 9), home, "it comes back");
    }
    let picks: std::collections::HashSet<_> =
        (0..100).map(|n| slot(&policy, &fleet, &Prompt::default(), n)).collect();
    assert_eq!(picks.len(), 5, "without a key by chance");
}

#[test]
fn short_prompts_do_not_wait_behind_long_ones() {
    let rules = BucketRules { interval: Duration::from_secs(5), apart: 10_000, times: 1.5 };
    let (policy, fleet) = (Policy::Bucket(Box::new(Bucket::new(rules))), ready(4));
    let of = |tokens: u64, n: u64| slot(&policy, &fleet, &Prompt { tokens, ..Prompt::default() }, n);
    assert_eq!([of(10, 0), of(400, 1), of(600, 2), of(5000, 3)], [0, 1, 2, 3], "even at first");
    // One that has much more to read than others is passed over.
    let mut call = LoadGuard::new(&fleet[3].load);
    call.reads(9000);
    assert_eq!(of(5000, 4), 3, "not that much");
    call.reads(9000);
    assert_ne!(of(5000, 5), 3);
    call.has_read();
    assert_eq!(of(5000, 6), 3);
    // Where its worker is away, the others share all lengths.
    fleet[3].load.set_health(Health::Unhealthy);
    assert_eq!([of(10, 7), of(5000, 8)], [0, 2]);
}

#[test]
fn a_key_keeps_the_worker_it_was_given() {
    let keeping = Keeping { idle: Duration::from_secs(60), most: 6400 };
    let policy = Policy::Manual(Manual::new(Assign::FewestKeys, keeping));
    let fleet = ready(4);
    let of = |key: u64, n: u64| {
        let prompt = Prompt { key: Some(key), ..Prompt::default() };
        let foreseen = policy.explain(&prompt, &fleet, &[], draw(n)).1.unwrap().slot;
        let got = slot(&policy, &fleet, &prompt, n);
        assert_eq!(foreseen, got);
        got
    };
    let homes: Vec<usize> = (0..40).map(|key| of(key, key)).collect();
    for worker in 0..4 {
        assert_eq!(homes.iter().filter(|home| **home == worker).count(), 10, "as many keys each");
    }
    let again: Vec<usize> = (0..40).map(|key| of(key, key + 100)).collect();
    assert_eq!(again, homes);
    // While its worker is away a key gets a second one, and both stay its own.
    fleet[homes[0]].load.set_health(Health::Unhealthy);
    let second = of(0, 1);
    assert_ne!(second, homes[0]);
    assert_eq!(of(0, 2), second);
    fleet[homes[0]].load.set_health(Health::Ready);
    assert_eq!(of(0, 3), homes[0]);
    fleet[homes[0]].load.set_health(Health::Unhealthy);
    assert_eq!(of(0, 4), second);
    // A third takes the place of the first.
    fleet[second].load.set_health(Health::Unhealthy);
    let third = of(0, 5);
    for candidate in &fleet {
        candidate.load.set_health(Health::Ready);
    }
    assert_eq!(of(0, 6), second);
    assert!(third != second && third != homes[0]);
    // Nothing is kept of who names no key.
    let before = format!("{policy:?}").len();
    for n in 0..50 {
        slot(&policy, &fleet, &Prompt::default(), n);
    }
    assert_eq!(format!("{policy:?}").len(), before);
}

#[test]
fn keys_go_when_nobody_uses_them_or_there_are_too_many() {
    let keeping = Keeping { idle: Duration::from_secs(64), most: 640 };
    let manual = Manual::new(Assign::FewestKeys, keeping);
    let policy = Policy::Manual(manual);
    let fleet = ready(2);
    let at = |key: u64, seconds: u64| {
        let draw = Draw { now: draw(0).now + Duration::from_secs(seconds), ..draw(key) };
        let prompt = Prompt { key: Some(key), ..Prompt::default() };
        policy.pick(&prompt, &fleet, &[], draw).unwrap().candidate.slot
    };
    let Policy::Manual(manual) = &policy else { unreachable!("it was made as one") };
    let held = || -> f64 { fleet.iter().map(|candidate| manual.keys_of(candidate)).sum() };
    for key in 0..10_000 {
        at(key, 0);
    }
    assert!(held() <= 640.0, "{}", held());
    // One key of every part is asked for much later.
    for key in 20_000..20_064 {
        at(key, 1000);
    }
    assert!((held() - 64.0).abs() < 0.1, "{}", held());
}

#[test]
fn keys_can_be_kept_on_top_of_any_policy() {
    let keeping = Keeping { idle: Duration::from_secs(60), most: 1000 };
    let policy = Policy::Manual(Manual::over(Policy::round_robin(), keeping));
    let fleet = ready(3);
    assert_eq!(policy.name(), "round_robin");
    let picks: Vec<usize> = (0..6).map(|n| slot(&policy, &fleet, &Prompt::default(), n)).collect();
    assert_eq!(picks, [0, 1, 2, 0, 1, 2]);
    let key = Prompt { key: Some(7), ..Prompt::default() };
    let home = slot(&policy, &fleet, &key, 0);
    assert!((0..6).all(|n| slot(&policy, &fleet, &key, n) == home));
}

#[test]
fn engines_say_who_has_least_to_do() {
    let policy = Policy::LeastLoad(LeastLoad::default());
    let fleet = ready(3);
    let say = |slot: usize, sample: Sample| fleet[slot].load.gauge.set(sample);
    let who = |n: u64| slot(&policy, &fleet, &Prompt::default(), n);
    let busy = LoadGuard::new(&fleet[0].load);
    let both = LoadGuard::new(&fleet[1].load);
    assert_eq!(who(0), 2, "by calls in flight while nobody says anything");
    drop((busy, both));
    let waiting = |tokens: u64, throughput: f32| Sample {
        waiting_tokens: Some(tokens),
        throughput: Some(throughput),
        ..Sample::default()
    };
    say(0, waiting(8000, 4000.0));
    say(1, waiting(3000, 1000.0));
    say(2, waiting(9000, 4000.0));
    assert_eq!(who(1), 0, "two seconds are less than three");
    // What it is given until it is asked again counts.
    let mut call = LoadGuard::new(&fleet[0].load);
    call.reads(2000);
    assert_eq!(who(2), 2, "2.25 are less than 2.5");
    drop(call);
    assert_eq!(who(3), 2, "also when it is over: nobody has asked since");
    say(0, waiting(8000, 4000.0));
    assert_eq!(who(4), 0);
    // A cache that is nearly full counts.
    say(0, Sample { kv: Some(0.99), ..waiting(0, 4000.0) });
    assert_eq!(who(5), 2);
    // One that says nothing is as busy as its calls are.
    fleet[2].load.gauge.clear();
    assert_eq!(who(6), 2, "it has none");
    let calls: Vec<_> = (0..20).map(|_| LoadGuard::new(&fleet[2].load)).collect();
    assert_eq!(who(7), 1);
    drop(calls);
}

#[test]
fn the_first_gets_everything() {
    let fleet = fleet(&[(50, Health::Unhealthy), (50, Health::Ready), (50, Health::Ready)]);
    assert!((0..10).all(|n| slot(&Policy::Passthrough, &fleet, &Prompt::default(), n) == 1));
}

#[test]
fn whoever_has_a_key_has_read_its_prompt() {
    let index = Arc::new(crate::PrefixIndex::new(1 << 20));
    let fleet = ready(2);
    for candidate in &fleet {
        candidate.load.set_owner(index.enlist().map(|owner| owner.number()));
    }
    let keeping = Keeping { idle: Duration::from_secs(60), most: 1000 };
    let inner = Policy::CacheAware(CacheAware::new(index, 0, crate::Weights::default()));
    let policy = Policy::Manual(Manual::over(inner, keeping));
    let said = "x".repeat(8000);
    let chunks = [said.as_bytes()];
    let prompt = Prompt { chunks: &chunks, key: Some(3), ..text(&said) };
    let first = policy.pick(&prompt, &fleet, &[], draw(0)).unwrap();
    let second = policy.pick(&prompt, &fleet, &[], draw(1)).unwrap();
    assert_eq!(first.candidate.slot, second.candidate.slot);
    assert!(first.unread == 2000 && second.unread < 100, "{} {}", first.unread, second.unread);
}
