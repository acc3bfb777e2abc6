use super::*;
use crate::policy::{Draw, Policy, Verdict};
use crate::prefix::Owner;
use std::time::Instant;
use trunkline_core::{Allowance, Health, Load, LoadGuard, WorkerId};

struct Fleet {
    policy: Policy,
    candidates: Vec<Candidate>,
    owners: Vec<Owner>,
    chance: fastrand::Rng,
}

impl Fleet {
    fn of(workers: usize) -> Self {
        let index = Arc::new(PrefixIndex::new(1 << 20));
        let owners: Vec<Owner> = std::iter::from_fn(|| index.enlist()).take(workers).collect();
        let candidate = |(slot, owner): (usize, &Owner)| {
            let load = Load::default();
            load.set_health(Health::Ready);
            load.set_owner(Some(owner.number()));
            Candidate {
                id: WorkerId::new(slot.to_string()),
                slot,
                priority: 0,
                cost: 1.0,
                weight: 1,
                price: None,
                allowance: Allowance::default(),
                seed: 0,
                load: Arc::new(load),
            }
        };
        let candidates = owners.iter().enumerate().map(candidate).collect();
        let policy = Policy::CacheAware(CacheAware::new(index, 0, Weights::default()));
        Self { policy, candidates, owners, chance: fastrand::Rng::with_seed(1) }
    }

    fn draw(&mut self) -> Draw {
        Draw { now: Instant::now(), chance: self.chance.u64(..) }
    }

    /// Who serves a prompt of `text`, four bytes of which are a token, and how many tokens it has to read.
    fn pick(&mut self, text: &str) -> (usize, u64) {
        let (chunks, draw) = ([text.as_bytes()], self.draw());
        let prompt = Prompt { chunks: &chunks, tokens: text.len() as u64 / 4, ..Prompt::default() };
        let choice = self.policy.pick(&prompt, &self.candidates, &[], draw).unwrap();
        (choice.candidate.slot, choice.unread)
    }

    fn load(&self, slot: usize) -> &Arc<Load> {
        &self.candidates[slot].load
    }

    /// A call under way that has `unread` tokens before its answer.
    fn call(&self, slot: usize, unread: u64) -> LoadGuard {
        let mut call = LoadGuard::new(self.load(slot));
        call.reads(unread);
        call
    }
}

fn text(n: u64, length: usize) -> String {
    let mut rng = fastrand::Rng::with_seed(n);
    std::iter::repeat_with(|| rng.alphanumeric()).take(length).collect()
}

#[test]
fn a_conversation_stays_where_it_began() {
    let mut fleet = Fleet::of(8);
    for n in 0..20 {
        let mut talk = text(n, 4_096);
        let (first, unread) = fleet.pick(&talk);
        assert_eq!(unread, 1_024, "nobody knows it");
        for turn in 0..5 {
            talk += &text(100 * n + turn, 512);
            let (next, unread) = fleet.pick(&talk);
            assert_eq!(next, first);
            assert!((128..=128 + 32).contains(&unread), "all but what is new, to the page: {unread}");
        }
    }
}

#[test]
fn nobody_waits_longer_than_reading_it_again_takes() {
    let mut fleet = Fleet::of(2);
    let talk = text(1, 4_096);
    let (first, _) = fleet.pick(&talk);
    let other = 1 - first;
    let short = fleet.call(first, 2_400);
    assert_eq!(fleet.pick(&talk).0, first, "1024 tokens, at two and a half, are more");
    let long = fleet.call(first, 200);
    assert_eq!(fleet.pick(&talk).0, other);
    drop((short, long));
    let answers = [(); 4].map(|()| fleet.call(first, 0));
    assert_eq!(fleet.pick(&talk).0, other, "both hold it now, and the first has answers to write");
    drop(answers);
}

/// As many as a beginning that all ask for needs get it, and none is given all of it.
#[test]
fn a_beginning_that_all_ask_for_spreads_with_its_load() {
    let mut fleet = Fleet::of(4);
    let shared = text(1, 8_192);
    let mut guards = Vec::new();
    let mut counts = [0; 4];
    for n in 0..200 {
        let (slot, unread) = fleet.pick(&(shared.clone() + &text(n, 400)));
        counts[slot] += 1;
        guards.push(fleet.call(slot, unread));
    }
    assert!(counts.iter().all(|count| (40..=60).contains(count)), "{counts:?}");
}

/// One that answers at once, and wrongly, has nothing to do and still gets no more than what nobody else holds.
#[test]
fn a_worker_without_load_is_given_no_prompt_that_others_hold() {
    let mut fleet = Fleet::of(3);
    let talks: Vec<String> = (0..30).map(|n| text(n, 4_096)).collect();
    let homes: Vec<usize> = talks.iter().map(|talk| fleet.pick(talk).0).collect();
    let busy = [0, 1].map(|slot| fleet.call(slot, 0));
    for (talk, home) in talks.iter().zip(&homes) {
        let (slot, unread) = fleet.pick(&(talk.clone() + "more"));
        assert_eq!((slot, unread), (*home, 1));
    }
    drop(busy);
}

#[test]
fn who_asks_changes_nothing() {
    let mut fleet = Fleet::of(4);
    let talk = text(1, 4_096);
    let chunks = [talk.as_bytes()];
    let prompt = Prompt { chunks: &chunks, tokens: 1_024, ..Prompt::default() };
    let asked = |fleet: &mut Fleet| {
        let draw = fleet.draw();
        let (verdicts, choice) = fleet.policy.explain(&prompt, &fleet.candidates, &[], draw);
        (verdicts, choice.unwrap().slot)
    };
    for _ in 0..3 {
        assert_eq!(asked(&mut fleet).0, [Verdict::Eligible(Some(1_024.0 * 2.5)); 4]);
    }
    let (first, _) = fleet.pick(&talk);
    let (verdicts, chosen) = asked(&mut fleet);
    assert_eq!((verdicts[first], chosen), (Verdict::Eligible(Some(0.0)), first));
}

#[test]
fn who_starts_again_holds_nothing() {
    let mut fleet = Fleet::of(2);
    let talk = text(1, 4_096);
    let (first, _) = fleet.pick(&talk);
    assert_eq!(fleet.pick(&talk), (first, 0));
    fleet.load(first).set_owner(Some(fleet.owners[first].renew()));
    assert_eq!(fleet.pick(&talk).1, 1_024);
}

#[test]
fn who_is_known_for_nothing_serves_as_well() {
    let mut fleet = Fleet::of(1);
    fleet.load(0).set_owner(None);
    let talk = text(1, 4_096);
    assert_eq!([fleet.pick(&talk), fleet.pick(&talk)], [(0, 1_024); 2]);
}
