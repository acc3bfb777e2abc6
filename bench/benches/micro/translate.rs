//! Translation between the two dialects: calls, whole answers and streams, each read and written as the
//! gateway does it.

use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use trunkline_bench::pairs::context;
use trunkline_bench::{
    EVENTS, SIZES, chat_call, chat_reply, chat_stream, messages_call, messages_reply, messages_stream, reads,
};
use trunkline_core::Dialect::{AnthropicMessages, OpenaiChat};
use trunkline_core::{Dialect, Fault, Losses};
use trunkline_dialect::{
    StreamReader, StreamWriter, Target, UserIds, Vendor, read_call, read_reply, write_call, write_reply,
};
use trunkline_testkit::load::Text;

/// Longest event taken; far beyond any here.
const EVENT_LIMIT: usize = 1 << 20;

pub(crate) fn benches(criterion: &mut Criterion) {
    calls(criterion);
    replies(criterion);
    streams(criterion);
}

fn calls(criterion: &mut Criterion) {
    for (name, from, to, body) in [
        ("chat_to_messages", OpenaiChat, AnthropicMessages, prose_call as fn(usize) -> Vec<u8>),
        ("messages_to_chat", AnthropicMessages, OpenaiChat, messages_call),
    ] {
        let mut group = criterion.benchmark_group(format!("call/{name}"));
        for (size, bytes) in SIZES {
            let body = body(bytes);
            group.throughput(Throughput::Bytes(body.len() as u64));
            let call = read_call(from, &body, &mut Losses::default()).expect("the call can be read");
            write_call(to, &call, &target(), &mut Losses::default()).expect("the call can be written");
            group.bench_with_input(BenchmarkId::new("read", size), &body, |bencher, body| {
                bencher.iter(|| read_call(from, black_box(body), &mut Losses::default()));
            });
            group.bench_with_input(BenchmarkId::new("write", size), &call, |bencher, call| {
                bencher.iter(|| write_call(to, black_box(call), &target(), &mut Losses::default()));
            });
        }
        group.finish();
    }
}

fn replies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reply");
    for (name, from, to, body) in [
        ("chat_to_messages", OpenaiChat, AnthropicMessages, chat_reply()),
        ("messages_to_chat", AnthropicMessages, OpenaiChat, messages_reply()),
    ] {
        reply(from, to, &body).expect("the answer can be translated");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &body, |bencher, body| {
            bencher.iter(|| reply(from, to, black_box(body)));
        });
    }
    group.finish();
}

fn streams(criterion: &mut Criterion) {
    for (name, from, to, events) in [
        ("chat_to_messages", OpenaiChat, AnthropicMessages, chat_stream()),
        ("messages_to_chat", AnthropicMessages, OpenaiChat, messages_stream()),
    ] {
        let bytes = events.concat().len() as u64;
        let sent = stream(from, to, &events).expect("the stream can be translated");
        assert!(sent > EVENTS * 100, "{name}: {sent} bytes for {bytes}");
        for (unit, throughput) in
            [("events", Throughput::Elements(events.len() as u64)), ("bytes", Throughput::Bytes(bytes))]
        {
            let mut group = criterion.benchmark_group(format!("stream/{name}/{unit}"));
            group.throughput(throughput);
            for per_read in [1, 16] {
                let reads = reads(&events, per_read);
                group.bench_with_input(BenchmarkId::new("per_read", per_read), &reads, |bencher, reads| {
                    bencher.iter(|| stream(from, to, black_box(reads)));
                });
            }
            group.finish();
        }
    }
}

fn prose_call(bytes: usize) -> Vec<u8> {
    chat_call(bytes, Text::Prose)
}

fn reply(from: Dialect, to: Dialect, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let reply = read_reply(from, body)?;
    write_reply(to, &reply, &context(), &mut Losses::default())
}

/// Bytes sent to the client for one whole stream.
fn stream(from: Dialect, to: Dialect, reads: &[Vec<u8>]) -> Result<usize, Fault> {
    let mut reader = StreamReader::new(from, EVENT_LIMIT)?;
    let mut writer = StreamWriter::new(to, context())?;
    let (mut out, mut sent) = (Vec::new(), 0);
    for read in reads {
        reader.push(read, &mut |event| writer.write(event, &mut out));
        sent += black_box(&out).len();
        out.clear();
    }
    reader.close(&mut |event| writer.write(event, &mut out));
    Ok(sent + out.len())
}

const fn target() -> Target<'static> {
    Target {
        model: "mock-model",
        vendor: Vendor::Owner,
        default_max_tokens: None,
        user_ids: UserIds::Opaque,
        strict_arguments: false,
        anthropic_version: "2023-06-01",
    }
}
