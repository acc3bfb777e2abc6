//! The server-sent events framer under the codecs.

use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use trunkline_bench::{EVENTS, chat_stream, messages_stream, reads};
use trunkline_dialect::sse::{EventTooLong, Events};

/// A network that cuts wherever it likes.
const CUT: usize = 97;

pub(crate) fn benches(criterion: &mut Criterion) {
    for (name, events) in [("chat", chat_stream()), ("messages", messages_stream())] {
        let whole = events.concat();
        assert!(frame(&events).is_ok_and(|data| data > EVENTS * 100), "{name}");
        let mut group = criterion.benchmark_group(format!("sse/{name}"));
        group.throughput(Throughput::Elements(events.len() as u64));
        for (cut, reads) in [
            ("1_per_read", reads(&events, 1)),
            ("16_per_read", reads(&events, 16)),
            ("97_bytes_per_read", whole.chunks(CUT).map(<[u8]>::to_vec).collect()),
        ] {
            group.bench_with_input(BenchmarkId::from_parameter(cut), &reads, |bencher, reads| {
                bencher.iter(|| frame(black_box(reads)));
            });
        }
        group.finish();
    }
}

/// Bytes of data in all events.
fn frame(reads: &[Vec<u8>]) -> Result<usize, EventTooLong> {
    let mut framer = Events::new(1 << 20);
    let mut seen = 0;
    for read in reads {
        framer.push(read, |event| seen += black_box(event).data.len())?;
    }
    framer.finish(|event| seen += event.data.len());
    Ok(seen)
}
