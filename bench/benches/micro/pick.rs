//! Picking a worker, from fleets small and large, and telling a worker how long its answer took.

use criterion::{BenchmarkId, Criterion};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trunkline_core::{
    Allowance, Attempt, Candidate, Health, Load, LoadGuard, Metric, Price, Prompt, Ranking, Recent, Times,
    WorkerId,
};
use trunkline_route::{Draw, Latency, Policy};

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
    ];
    let prompt = Prompt { tokens: 1200, answer: 500, ..Prompt::default() };
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
