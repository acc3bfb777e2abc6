//! A table of what each client dialect costs against each upstream dialect, in processor time and as a multiple
//! of OpenAI Chat against Anthropic Messages. `pairs OPENAI-RESPONSES` limits it to pairs with that dialect.
//!
//! `pairs repeat TIMES request|answer|text|arguments CLIENT UPSTREAM` does one of it so often and prints nothing, for
//! profilers that count instructions: on a busy machine the difference of two such runs is all that can be trusted.

#![expect(clippy::expect_used, reason = "what cannot be set up must not be measured")]

use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{self, Write};
use std::time::Duration;
use trunkline_bench::pairs::table::{mark, place, table};
use trunkline_bench::pairs::{Answer, PIECES, Pair, has_tools, key, large_request, reply, request, stream};

/// The allocator of the shipped binary: translation allocates, so its cost depends on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Passes over all pairs. The least of them counts: whatever else the machine does only adds.
const PASSES: usize = 9;

/// Time that one pass gives to one pair.
const BATCH: Duration = Duration::from_millis(3);

/// Tools in a megabyte of request.
const TOOLS: usize = 200;

type Work = Box<dyn FnMut()>;

/// What is measured.
#[derive(Clone, Copy)]
struct Measured {
    title: &'static str,
    /// What it is repeated by.
    name: &'static str,
    unit: &'static str,
    /// Deltas it is shared by.
    per: usize,
    work: fn(Pair) -> Option<Work>,
}

const MEASURED: [Measured; 4] = [
    Measured { title: "request", name: "request", unit: "µs", per: 1, work: of_request },
    Measured { title: "whole answer", name: "answer", unit: "µs", per: 1, work: of_reply },
    Measured {
        title: "streamed text, per delta",
        name: "text",
        unit: "ns",
        per: PIECES,
        work: |pair| of_stream(pair, Answer::Text),
    },
    Measured {
        title: "streamed arguments, per delta",
        name: "arguments",
        unit: "ns",
        per: PIECES,
        work: |pair| of_stream(pair, Answer::ToolCall),
    },
];

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).map(|word| word.to_lowercase()).collect();
    if let [word, times, name, client, upstream] = arguments.as_slice()
        && word == "repeat"
    {
        return repeat(times, name, client, upstream);
    }
    let only = arguments.first();
    let chosen = |pair: &Pair| {
        let named = |name: &str| pair.client.name() == name || pair.upstream.name() == name;
        *pair == Pair::BASE || only.is_none_or(|only| named(only))
    };
    let pairs: Vec<Pair> = Pair::all().filter(chosen).collect();
    let mut out = io::stdout().lock();
    writeln!(out, "Multiples of {} to {}; rows are clients.", Pair::BASE.client, Pair::BASE.upstream)?;
    for Measured { title, unit, per, work, .. } in MEASURED {
        let costs = costs(&pairs, work);
        let base = costs.get(&place(Pair::BASE)).copied().unwrap_or_default().as_secs_f64();
        let scale = if unit == "µs" { 1e6 } else { 1e9 };
        let shown = base * scale / f64::from(u32::try_from(per).unwrap_or(u32::MAX));
        writeln!(out, "\n{title}: 1.00 is {shown:.1} {unit}\n")?;
        table(&mut out, &costs, |cost| mark(cost.as_secs_f64() / base))?;
    }
    growth(&mut out, &pairs)
}

fn repeat(times: &str, name: &str, client: &str, upstream: &str) -> io::Result<()> {
    let measured = MEASURED.into_iter().find(|measured| measured.name == name);
    let pair = Pair::all().find(|pair| pair.client.name() == client && pair.upstream.name() == upstream);
    let work = measured.zip(pair).and_then(|(measured, pair)| (measured.work)(pair));
    let (Some(mut work), Ok(times)) = (work, times.parse::<u32>()) else {
        return Err(io::Error::other("there is no such thing to repeat"));
    };
    (0..times).for_each(|_| work());
    Ok(())
}

/// What a megabyte costs in a body of four, as a multiple of what it costs in a body of one.
fn growth(out: &mut impl Write, pairs: &[Pair]) -> io::Result<()> {
    let [once, twice, four] = [1, 2, 4].map(|times| costs(pairs, move |pair| of_large(pair, TOOLS * times)));
    let ms = |costs: &Costs| costs.get(&place(Pair::BASE)).copied().unwrap_or_default().as_secs_f64() * 1e3;
    writeln!(
        out,
        "\nrequests of 1, 2 and 4 MB with 200, 400 and 800 tools; 1.00 is as linear as can be, and {} to {} takes \
         {:.1}, {:.1} and {:.1} ms\n",
        Pair::BASE.client,
        Pair::BASE.upstream,
        ms(&once),
        ms(&twice),
        ms(&four)
    )?;
    let grown = four.iter().filter_map(|(place, cost)| Some((*place, cost.div_f64(4.0), *once.get(place)?)));
    let grown: BTreeMap<_, _> = grown.map(|(place, four, once)| (place, (four, once))).collect();
    table(out, &grown, |(four, once)| mark(four.as_secs_f64() / once.as_secs_f64()))
}

/// By the places of client and upstream.
type Costs = BTreeMap<(usize, usize), Duration>;

fn costs(pairs: &[Pair], work: impl Fn(Pair) -> Option<Work>) -> Costs {
    let mut works: Vec<_> = pairs.iter().filter_map(|pair| Some((place(*pair), work(*pair)?))).collect();
    let mut costs = Costs::new();
    for _ in 0..PASSES {
        for (place, work) in &mut works {
            let cost = cost(work);
            let least = costs.entry(*place).or_insert(cost);
            *least = cost.min(*least);
        }
    }
    costs
}

fn cost(work: &mut Work) -> Duration {
    let (start, mut runs) = (processor_time(), 0);
    loop {
        work();
        runs += 1;
        let spent = processor_time().saturating_sub(start);
        if spent >= BATCH {
            return spent / runs;
        }
    }
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

fn of_request(pair: Pair) -> Option<Work> {
    Some(of_body(pair, request(pair.client)))
}

fn of_large(pair: Pair, tools: usize) -> Option<Work> {
    large_request(pair.client, tools).map(|body| of_body(pair, body))
}

fn of_body(pair: Pair, body: Vec<u8>) -> Work {
    let key = key();
    pair.call(&body, key).expect("the request can be translated");
    Box::new(move || drop(black_box(pair.call(black_box(&body), key))))
}

fn of_reply(pair: Pair) -> Option<Work> {
    let restore = pair.call(&request(pair.client), key()).expect("the request can be translated").restore;
    let body = reply(pair.upstream);
    pair.reply(&body, &restore).expect("the answer can be translated");
    Some(Box::new(move || drop(black_box(pair.reply(black_box(&body), &restore)))))
}

fn of_stream(pair: Pair, answer: Answer) -> Option<Work> {
    if answer == Answer::ToolCall && !has_tools(pair.client) {
        return None;
    }
    let reads = stream(pair.upstream, answer)?;
    let restore = pair.call(&request(pair.client), key()).expect("the request can be translated").restore;
    pair.stream(&reads, restore.clone()).expect("the stream can be translated");
    Some(Box::new(move || drop(black_box(pair.stream(black_box(&reads), restore.clone())))))
}
