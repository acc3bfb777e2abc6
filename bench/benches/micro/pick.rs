//! Picking a worker, from fleets small and large, and telling a worker how long its answer took.

use criterion::{BenchmarkId, Criterion};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trunkline_core::{
    Allowance, Attempt, Candidate, Health, Load, LoadGuard, Metric, Price, Prompt, Ranking, Recent, Sample,
    Times, WorkerId,
};
use trunkline_route::{
    Assign, Bucket, BucketRules, CacheAware, Draw, Keeping, Latency, LeastLoad, Manual, Policy, PrefixHash,
    PrefixIndex, Weights,
};

/// Engines that share prompts in the benchmark of `cache_aware`.
const ENGINES: usize = 64;
/// Prompts that fill its index before anything is measured; few where it is only seen whether this works.
const PROMPTS: u64 = if cfg!(debug_assertions) { 30 } else { 30_000 };
/// Picks of which the slowest are looked at.
const PICKS: usize = if cfg!(debug_assertions) { 200 } else { 20_000 };

pub(crate) fn benches(criterion: &mut Criterion) {
    let ranking = Ranking::new(Metric::Ttft, 0.9, Duration::from_secs(300));
    let policies = [
        Policy::round_robin(),
        Policy::weighted(),
        Policy::Random,
        Policy::PowerOfTwo,
        Policy::LeastConnections,
        Policy::Latency(Latency { ranking, explore: 0.05 }),
        Policy::Cost,
        Policy::Priority,
        Policy::PrefixHash(PrefixHash { bytes: 1024, load_factor: 1.25 }),
        Policy::ConsistentHashing,
        Policy::LeastLoad(LeastLoad::default()),
        Policy::Bucket(Box::new(Bucket::new(BucketRules {
            interval: Duration::from_secs(5),
            apart: 4096,
            times: 1.5,
        }))),
        Policy::Manual(Manual::new(
            Assign::FewestKeys,
            Keeping { idle: Duration::from_secs(60), most: 1 << 20 },
        )),
    ];
    let text = text(1, 4800);
    let chunks = [text.as_bytes()];
    let prompt = Prompt { chunks: &chunks, tokens: 1200, answer: 500, key: Some(7) };
    for policy in policies {
        let mut group = criterion.benchmark_group(format!("pick/{}", policy.name()));
        for workers in [4, 64, 1024] {
            let now = Instant::now();
            let fleet = fleet(workers, now);
            // Loads that differ, as they do under traffic.
            let guards: Vec<_> =
                fleet.iter().step_by(3).map(|candidate| LoadGuard::new(&candidate.load)).collect();
            group.bench_with_input(BenchmarkId::from_parameter(workers), &fleet, |bencher, fleet| {
                let mut chance = fastrand::Rng::with_seed(7);
                bencher.iter(|| {
                    let draw = Draw { now, chance: chance.u64(..) };
                    let chosen = policy.pick(&prompt, black_box(fleet), &[], draw);
                    chosen.map(|choice| choice.candidate.slot)
                });
            });
            drop(guards);
        }
        group.finish();
    }
    latency(criterion, ranking);
    cache_aware(criterion);
}

/// Picks by what is known of prompts, when as much is known as there is room for. Besides the mean that is measured for
/// each length, what the slowest in a hundred takes is printed.
#[expect(clippy::print_stdout, reason = "beside what criterion prints")]
fn cache_aware(criterion: &mut Criterion) {
    let now = Instant::now();
    let index = Arc::new(PrefixIndex::new(64 << 20));
    let fleet = fleet(ENGINES, now);
    for candidate in &fleet {
        candidate.load.set_owner(index.enlist().map(|owner| owner.number()));
    }
    let policy = Policy::CacheAware(CacheAware::new(index, 0, Weights::default()));
    let mut chance = fastrand::Rng::with_seed(7);
    let mut pick = |said: &str| {
        let chunks = [said.as_bytes()];
        let prompt = Prompt { chunks: &chunks, tokens: said.len() as u64 / 4, ..Prompt::default() };
        let draw = Draw { now, chance: chance.u64(..) };
        policy.pick(&prompt, black_box(&fleet), &[], draw).map(|choice| choice.candidate.slot)
    };
    for seed in 0..PROMPTS {
        pick(&text(seed, 32 << 10));
    }
    let mut group = criterion.benchmark_group("pick/cache_aware");
    for (length, name) in [(8 << 10, "8K"), (128 << 10, "128K")] {
        // Some are known, some are new, most begin alike.
        let shared = text(0, length / 2);
        let said: Vec<String> = (0..256).map(|seed| format!("{shared}{}", text(seed, length / 2))).collect();
        let mut turns = said.iter().cycle();
        group.bench_function(name, |bencher| bencher.iter(|| pick(turns.next().map_or("", String::as_str))));
        let mut times: Vec<Duration> = said
            .iter()
            .cycle()
            .take(PICKS)
            .map(|said| {
                let began = Instant::now();
                black_box(pick(said));
                began.elapsed()
            })
            .collect();
        times.sort_unstable();
        if let (Some(half), Some(most)) = (times.get(PICKS / 2), times.get(PICKS / 100 * 99)) {
            println!("pick/cache_aware/{name}: half within {half:?}, 99 % within {most:?}");
        }
    }
    group.finish();
}

/// So many bytes that other seeds do not share.
fn text(seed: u64, bytes: usize) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.alphanumeric()).take(bytes).collect()
}

/// What a call adds for its worker, and what the first pick after it adds.
fn latency(criterion: &mut Criterion, ranking: Ranking) {
    let now = Instant::now();
    let recent = Recent::default();
    let mut random = fastrand::Rng::with_seed(7);
    let mut report = move |recent: &Recent| recent.report(took(random.u64(10..1000)), now);
    let mut group = criterion.benchmark_group("latency");
    group.bench_function("report", |bencher| bencher.iter(|| report(black_box(&recent))));
    group.bench_function("report_and_rank", |bencher| {
        bencher.iter(|| {
            report(black_box(&recent));
            recent.standing(ranking, now)
        });
    });
    group.finish();
}

fn took(ms: u64) -> Attempt {
    let time = Duration::from_millis(ms);
    Attempt::Answered(Times { ttft: time, per_token: time, total: time })
}

fn fleet(workers: usize, now: Instant) -> Vec<Candidate> {
    let worker = |slot: usize| {
        let load = Arc::new(Load::default());
        load.set_health(Health::Ready);
        for call in 0..64 {
            load.recent.report(took(slot as u64 % 50 * 10 + call), now);
        }
        load.gauge.set(Sample {
            waiting_tokens: Some(slot as u64 % 11 * 1000),
            throughput: Some(2000.0),
            ..Sample::default()
        });
        Candidate {
            id: WorkerId::new(format!("worker-{slot}")),
            slot,
            priority: 50,
            cost: 1.0,
            weight: slot as u32 % 5 + 1,
            allowance: Allowance::default(),
            seed: slot as u64,
            price: (!slot.is_multiple_of(7))
                .then(|| Price { input: slot as u64, output: 3000 - slot as u64 }),
            load,
        }
    };
    (0..workers).map(worker).collect()
}
