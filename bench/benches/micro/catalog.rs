//! The model catalogue: loading it, finding a model by names of each kind, and what a call cost.

use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use trunkline_core::Usage;
use trunkline_dialect::catalog::{By, Catalog, Listing, builtin};
use trunkline_dialect::cost::{Facts, cost};

pub(crate) fn benches(criterion: &mut Criterion) {
    let models = builtin().lines().count();
    let mut group = criterion.benchmark_group("catalog");
    group.throughput(Throughput::Elements(models as u64));
    group.bench_function("load", |bencher| bencher.iter(Listing::load));
    group.bench_function("list", |bencher| bencher.iter(|| builtin().entries().count()));
    group.finish();

    let catalog = Catalog::default();
    let mut group = criterion.benchmark_group("catalog/find");
    for (kind, provider, model, by) in [
        ("name", "openai", "gpt-4o", Some(By::Name)),
        ("snapshot", "openai", "gpt-4o-2031-01-31", Some(By::Snapshot)),
        ("region", "bedrock", "ca.amazon.nova-pro-v1:0", Some(By::Region)),
        ("unknown", "openai", "no-such-model", None),
    ] {
        assert_eq!(catalog.find(provider, model).map(|found| found.by), by, "{kind}");
        group.bench_function(BenchmarkId::from_parameter(kind), |bencher| {
            bencher.iter(|| catalog.find(black_box(provider), black_box(model)));
        });
    }
    group.finish();

    let entry = catalog.find("openai", "gpt-5.4").expect("it is known").entry;
    let usage = Usage {
        input_total: Some(300_000),
        cache_read: Some(200_000),
        output_total: Some(1_000),
        reasoning: Some(800),
        ..Usage::default()
    };
    let facts = Facts { tier: Some("flex"), region: Some("eu"), ..Facts::default() };
    assert!(cost(&usage, &entry, facts).is_ok_and(|cost| cost.lines.len() == 3));
    criterion.bench_function("cost", |bencher| {
        bencher.iter(|| cost(black_box(&usage), black_box(&entry), facts));
    });
}
