//! Picking a worker, from fleets small and large.

use criterion::{BenchmarkId, Criterion};
use std::hint::black_box;
use std::sync::Arc;
use trunkline_core::{Candidate, Health, Load, LoadGuard, Prompt, WorkerId};
use trunkline_route::Policy;

pub(crate) fn benches(criterion: &mut Criterion) {
    for policy in [Policy::round_robin(), Policy::Random, Policy::PowerOfTwo] {
        let mut group = criterion.benchmark_group(format!("pick/{}", policy.name()));
        for workers in [4, 64, 1024] {
            let fleet = fleet(workers);
            // Loads that differ, as they do under traffic.
            let guards: Vec<_> =
                fleet.iter().step_by(3).map(|candidate| LoadGuard::new(&candidate.load)).collect();
            group.bench_with_input(BenchmarkId::from_parameter(workers), &fleet, |bencher, fleet| {
                let mut chance = fastrand::Rng::with_seed(7);
                bencher.iter(|| {
                    let chosen = policy.pick(&Prompt::default(), black_box(fleet), &[], chance.u64(..));
                    chosen.map(|candidate| candidate.slot)
                });
            });
            drop(guards);
        }
        group.finish();
    }
}

fn fleet(workers: usize) -> Vec<Candidate> {
    let worker = |slot: usize| {
        let load = Arc::new(Load::default());
        load.set_health(Health::Ready);
        Candidate {
            id: WorkerId::new(format!("worker-{slot}")),
            slot,
            priority: 50,
            cost: 1.0,
            weight: 1,
            load,
        }
    };
    (0..workers).map(worker).collect()
}
