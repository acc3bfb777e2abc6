//! Renaming the model in a body that otherwise passes as it came: the cost must not grow with the body.

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion};
use std::hint::black_box;
use trunkline_bench::{SIZES, chat_call};
use trunkline_dialect::rope::Rope;
use trunkline_dialect::scan::Scan;
use trunkline_testkit::load::Text;

/// What one read from a socket brings of a long body.
const PIECE: usize = 16 << 10;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("splice");
    for (size, bytes) in SIZES {
        let body = Bytes::from(chat_call(bytes, Text::Prose));
        let mut scan = Scan::new(64);
        scan.push(&body).expect("the body is JSON");
        let (_, model) = scan.finish().expect("the body is whole").model.expect("the body names a model");
        let name = Bytes::from_static(b"\"renamed/model-by-alias\"");
        for (cut, piece) in [("whole", body.len()), ("pieces", PIECE)] {
            if cut == "pieces" && piece >= body.len() {
                continue;
            }
            let mut rope = Rope::default();
            let cuts = (0..body.len()).step_by(piece);
            cuts.for_each(|at| rope.push(body.slice(at..body.len().min(at + piece))));
            group.bench_with_input(BenchmarkId::new(cut, size), &rope, |bencher, rope| {
                bencher.iter(|| black_box(rope).splice(&[(model.clone(), name.clone())]));
            });
        }
    }
    group.finish();
}
