//! Every client dialect against every upstream dialect, and the codecs' requests as they grow. Bodies and streams
//! are those of the table that `pairs` prints.

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, measurement::WallTime};
use std::hint::black_box;
use std::time::Duration;
use trunkline_bench::pairs::{
    Answer, PIECES, Pair, clients, has_tools, key, large_request, reply, request, stream, target, upstreams,
};
use trunkline_core::{Dialect, Losses};
use trunkline_dialect::{read_call, write_call};

/// Tools in a megabyte of request.
const TOOLS: usize = 200;

pub(crate) fn benches(criterion: &mut Criterion) {
    for client in clients() {
        calls(short(criterion, format!("pair/call/{client}")), client);
        replies(short(criterion, format!("pair/reply/{client}")), client);
        streams(short(criterion, format!("pair/text/{client}")), client, Answer::Text);
        if has_tools(client) {
            streams(short(criterion, format!("pair/arguments/{client}")), client, Answer::ToolCall);
        }
        reads(short(criterion, format!("large/read/{client}")), client);
    }
    for upstream in upstreams() {
        writes(short(criterion, format!("large/write/{upstream}")), upstream);
    }
}

/// There are hundreds of these, and their table wants ratios: each gets a fifth of a second.
fn short(criterion: &mut Criterion, name: String) -> BenchmarkGroup<'_, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(40))
        .measurement_time(Duration::from_millis(120));
    group
}

fn pairs(client: Dialect) -> impl Iterator<Item = Pair> {
    Pair::all().filter(move |pair| pair.client == client)
}

fn calls(mut group: BenchmarkGroup<'_, WallTime>, client: Dialect) {
    let body = request(client);
    group.throughput(Throughput::Bytes(body.len() as u64));
    for pair in pairs(client) {
        pair.call(&body, key()).expect("the request can be translated");
        group.bench_function(BenchmarkId::from_parameter(pair.upstream), |bencher| {
            let key = key();
            bencher.iter(|| pair.call(black_box(&body), key));
        });
    }
}

fn replies(mut group: BenchmarkGroup<'_, WallTime>, client: Dialect) {
    for pair in pairs(client) {
        let restore = pair.call(&request(client), key()).expect("the request can be translated").restore;
        let body = reply(pair.upstream);
        pair.reply(&body, &restore).expect("the answer can be translated");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(pair.upstream), |bencher| {
            bencher.iter(|| pair.reply(black_box(&body), &restore));
        });
    }
}

fn streams(mut group: BenchmarkGroup<'_, WallTime>, client: Dialect, answer: Answer) {
    for pair in pairs(client) {
        let Some(reads) = stream(pair.upstream, answer) else { continue };
        let restore = pair.call(&request(client), key()).expect("the request can be translated").restore;
        pair.stream(&reads, restore.clone()).expect("the stream can be translated");
        let bytes = reads.iter().map(Vec::len).sum::<usize>() as u64;
        group.throughput(Throughput::ElementsAndBytes { elements: PIECES as u64, bytes });
        group.bench_function(BenchmarkId::from_parameter(pair.upstream), |bencher| {
            bencher.iter(|| pair.stream(black_box(&reads), restore.clone()));
        });
    }
}

fn reads(mut group: BenchmarkGroup<'_, WallTime>, client: Dialect) {
    for (size, body) in grown(client) {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| read_call(client, black_box(&body), &mut Losses::default()));
        });
    }
}

fn writes(mut group: BenchmarkGroup<'_, WallTime>, upstream: Dialect) {
    for (size, body) in grown(Dialect::OpenaiChat) {
        let call = read_call(Dialect::OpenaiChat, &body, &mut Losses::default()).expect("it can be read");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher
                .iter(|| write_call(upstream, black_box(&call), &target(upstream), &mut Losses::default()));
        });
    }
}

fn grown(client: Dialect) -> [(&'static str, Vec<u8>); 3] {
    [("1MB", 1), ("2MB", 2), ("4MB", 4)].map(|(size, times)| {
        (size, large_request(client, TOOLS * times).expect("every client has a large request"))
    })
}
