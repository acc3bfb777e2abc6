//! The scan every request body goes through: proof that it is JSON, and the few fields routing needs.

use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use trunkline_bench::{SIZES, chat_call};
use trunkline_dialect::scan::{Scan, ScanError, Scanned};
use trunkline_testkit::load::Text;

/// What one read from a socket brings of a long body.
const PIECE: usize = 16 << 10;

pub(crate) fn benches(criterion: &mut Criterion) {
    for (text, words) in [("prose", Text::Prose), ("escaped", Text::Escaped)] {
        let mut group = criterion.benchmark_group(format!("scan/{text}"));
        for (size, bytes) in SIZES {
            let body = chat_call(bytes, words);
            group.throughput(Throughput::Bytes(body.len() as u64));
            assert!(scan(&body, PIECE).is_ok_and(|found| found.model.is_some()), "{text} {size}");
            for (cut, piece) in [("whole", usize::MAX), ("pieces", PIECE)] {
                // A body that fits one read has only the one shape.
                if piece < body.len() || piece == usize::MAX {
                    group.bench_with_input(BenchmarkId::new(cut, size), &body, |bencher, body| {
                        bencher.iter(|| scan(black_box(body), piece));
                    });
                }
            }
        }
        group.finish();
    }
}

fn scan(body: &[u8], piece: usize) -> Result<Scanned, ScanError> {
    let mut scan = Scan::new(64);
    body.chunks(piece.min(body.len())).try_for_each(|piece| scan.push(piece))?;
    scan.finish()
}
