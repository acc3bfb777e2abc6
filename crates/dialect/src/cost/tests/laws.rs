//! What holds whatever is counted.

use super::*;
use crate::catalog::builtin;
use proptest::prelude::*;

/// Counts that an upstream might report, sensible or not.
fn any_count() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        Just(None),
        (0_u64..2_000_000).prop_map(Some),
        any::<u64>().prop_map(Some),
        Just(Some(u64::MAX))
    ]
}

prop_compose! {
    fn any_usage()(counts in prop::collection::vec(any_count(), 16)) -> Usage {
        let mut counts = counts.into_iter();
        let mut next = || counts.next().flatten();
        Usage {
            input_total: next(), input_audio: next(), input_image: next(), input_video: next(),
            cache_read: next(), cache_read_audio: next(), cache_write_5m: next(), cache_write_1h: next(),
            cache_write_other: next(), output_total: next(), output_audio: next(), reasoning: next(),
            web_search_requests: next(), citation_tokens: next(), search_units: next(), images: next(),
            ..Usage::default()
        }
    }
}

/// Every price of these is at least that of what it is a part of, so that more of anything never costs less.
const RISING: &str = "input 1; output 2; input 3 above=100000; output 4 above=100000; input_audio 5; cache_write 4; \
                      reasoning 6; web_search 0.01; search_unit 0.002; citation 1";

proptest! {
    #[test]
    fn the_total_is_the_sum_of_its_lines_and_nothing_overflows(
        usage in any_usage(), model in any::<prop::sample::Index>(), batch: bool, fast: bool,
    ) {
        let lines: Vec<&str> = builtin().lines().collect();
        let Ok(entry) = Entry::parse(lines[model.index(lines.len())]) else { panic!("every line is a model") };
        let facts = Facts { batch, speed: fast.then_some("fast"), region: Some("us"), ..NO_FACTS };
        if let Ok(cost) = cost(&usage, &entry, facts) {
            prop_assert_eq!(cost.lines.iter().map(|line| line.amount).sum::<Usd>(), cost.total);
            for line in &cost.lines {
                let product = u128::from(line.quantity) * u128::from(line.rate.pico());
                prop_assert!(line.amount.pico().abs_diff(product / u128::from(line.meter.per())) <= 1);
            }
            prop_assert!(!entry.prices.is_empty(), "an unpriced model has a cost");
        }
    }

    #[test]
    fn no_token_is_billed_twice(usage in any_usage()) {
        let Ok(cost) = cost(&usage, &entry(FLASH), NO_FACTS) else { return Ok(()) };
        let billed = |of: &[Meter]| -> u128 {
            cost.lines.iter().filter(|line| of.contains(&line.meter)).map(|line| u128::from(line.quantity)).sum()
        };
        let input = [Meter::Input, Meter::InputAudio, Meter::CacheRead, Meter::CacheReadAudio];
        prop_assert_eq!(billed(&input), u128::from(usage.input_total.unwrap_or(0)));
        prop_assert_eq!(billed(&[Meter::Output, Meter::Reasoning]), u128::from(usage.output_total.unwrap_or(0)));
    }

    #[test]
    fn more_of_anything_never_costs_less(usage in any_usage(), more in 0_u64..1_000_000, which in 0_usize..8) {
        // Sound is dearer than a write to the cache, which may take its place.
        let usage = Usage { input_audio: usage.input_audio.filter(|_| which != 7), ..usage };
        let mut larger = usage.clone();
        let count = match which {
            0 => &mut larger.input_total,
            1 => &mut larger.output_total,
            2 => &mut larger.input_audio,
            3 => &mut larger.reasoning,
            4 => &mut larger.web_search_requests,
            5 => &mut larger.search_units,
            6 => &mut larger.citation_tokens,
            _ => &mut larger.cache_write_5m,
        };
        *count = Some(count.unwrap_or(0).saturating_add(more));
        let total = |usage: &Usage| cost(usage, &entry(RISING), NO_FACTS).ok().map(|cost| cost.total);
        prop_assert!(total(&usage) <= total(&larger), "{:?} and {:?}", total(&usage), total(&larger));
    }
}
