//! The tap on streams that pass untouched; nanoseconds per event are one over the rate in `elem/s`.

use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use trunkline_bench::{chat_stream, messages_stream, reads};
use trunkline_core::Dialect;
use trunkline_dialect::tap::{StreamTap, Tapped};

pub(crate) fn benches(criterion: &mut Criterion) {
    for (name, dialect, events) in [
        ("chat", Dialect::OpenaiChat, chat_stream()),
        ("messages", Dialect::AnthropicMessages, messages_stream()),
    ] {
        let bytes = events.concat().len() as u64;
        let tapped = tap(dialect, &events);
        assert!(tapped.ended && tapped.usage.is_some(), "{name}: {tapped:?}");
        for (unit, throughput) in
            [("events", Throughput::Elements(events.len() as u64)), ("bytes", Throughput::Bytes(bytes))]
        {
            let mut group = criterion.benchmark_group(format!("tap/{name}/{unit}"));
            group.throughput(throughput);
            for per_read in [1, 16] {
                let reads = reads(&events, per_read);
                group.bench_with_input(BenchmarkId::new("per_read", per_read), &reads, |bencher, reads| {
                    bencher.iter(|| tap(dialect, black_box(reads)));
                });
            }
            group.finish();
        }
    }
}

fn tap(dialect: Dialect, reads: &[Vec<u8>]) -> Tapped {
    let mut tap = StreamTap::new(dialect, 1);
    for read in reads {
        black_box(tap.see(read));
    }
    tap.tapped
}
