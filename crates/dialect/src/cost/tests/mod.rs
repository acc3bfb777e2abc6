//! Calls and what they cost, worked out by hand: each line of a bill is its count and 10⁻¹² dollars for one.

mod conditions;
mod laws;
mod parts;
mod rules;
mod tiers;
mod tokens;
mod units;

use super::*;

/// A call, and its bill.
struct Case<'a> {
    name: &'a str,
    prices: &'a str,
    usage: Usage,
    facts: Facts<'a>,
    /// Meter, count, 10⁻¹² dollars for one.
    lines: &'a [(&'static str, u64, u64)],
    total: &'a str,
}

fn entry(prices: &str) -> Entry {
    let parse = |text: &str| text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    Entry {
        prices: prices.split("; ").filter(|text| !text.is_empty()).map(parse).collect(),
        ..Entry::default()
    }
}

fn tokens(input: u64, output: u64) -> Usage {
    Usage { input_total: Some(input), output_total: Some(output), ..Usage::default() }
}

fn check(case: &Case<'_>, entry: &Entry) {
    let cost =
        cost(&case.usage, entry, case.facts).unwrap_or_else(|error| panic!("{}: {error:?}", case.name));
    let got: Vec<_> =
        cost.lines.iter().map(|line| (line.meter.name(), line.quantity, line.amount.pico())).collect();
    let product = |(meter, count, each): &(&'static str, u64, u64)| {
        (*meter, *count, u128::from(*count) * u128::from(*each))
    };
    let want: Vec<_> = case.lines.iter().map(product).collect();
    assert_eq!(got, want, "{}", case.name);
    assert_eq!(cost.total.to_string(), case.total, "{}", case.name);
}

fn check_all(cases: &[Case<'_>]) {
    for case in cases {
        check(case, &entry(case.prices));
    }
}

const GPT_4O: &str = "input 2.5; output 10; cache_read 1.25; input 4.25 tier=priority; output 17 tier=priority; \
                      cache_read 2.125 tier=priority; input 1.25 tier=batch; output 5 tier=batch";
const GPT_5_4: &str = "input 2.5; output 15; cache_read 0.25; input 5 above=272000; output 22.5 above=272000; \
                       cache_read 0.5 above=272000; input 1.25 tier=flex; output 7.5 tier=flex; \
                       input 5 tier=priority; output 30 tier=priority";
const OPUS: &str = "input 5; output 25; cache_read 0.5; cache_write 6.25; cache_write_1h 10; web_search 0.01; \
                    input 2.5 tier=batch; output 12.5 tier=batch; cache_read 0.25 tier=batch";
const GEMINI: &str = "input 1.25; output 10; cache_read 0.125; input 2.5 above=200000; output 15 above=200000; \
                      cache_read 0.25 above=200000; web_search 0.035; maps_query 0.025";
const FLASH: &str = "input 0.3; output 2.5; reasoning 2.5; input_audio 1; cache_read 0.03; cache_read_audio 0.1; \
                     input 0.15 tier=batch; output 1.25 tier=batch; input_audio 0.5 tier=batch";
const NO_FACTS: Facts<'static> = Facts {
    tier: None,
    batch: false,
    region: None,
    speed: None,
    context: None,
    quality: None,
    size: None,
    off_peak: false,
    counts: &[],
    free: &[],
    tier_factor: None,
    factors: &[],
};
