//! Published models, unknown prices, flags, sums and rounding.

use super::*;
use crate::catalog::builtin;

#[test]
fn published_models_cost_what_their_lists_say() {
    for (id, usage, tier, lines, total) in [
        (
            "openai/gpt-4o",
            Usage { cache_read: Some(400), ..tokens(1_000, 500) },
            "default",
            &["0.0015", "0.0005", "0.005"][..],
            "0.007",
        ),
        ("openai/gpt-4o", tokens(1_000, 500), "priority", &["0.00425", "0.0085"], "0.01275"),
        ("openai/gpt-5.4", tokens(300_000, 1_000), "default", &["1.5", "0.0225"], "1.5225"),
        (
            "openai/gpt-5.4",
            Usage { reasoning: Some(800), ..tokens(1_000, 1_000) },
            "flex",
            &["0.00125", "0.0075"],
            "0.00875",
        ),
        (
            "anthropic/claude-opus-4-8",
            Usage { cache_read: Some(6_000), cache_write_5m: Some(2_000), ..tokens(10_000, 1_000) },
            "standard",
            &["0.01", "0.003", "0.0125", "0.025"],
            "0.0505",
        ),
        (
            "gemini/gemini-2.5-pro",
            Usage { cache_read: Some(100_000), reasoning: Some(1_500), ..tokens(250_000, 2_000) },
            "",
            &["0.375", "0.025", "0.03"],
            "0.43",
        ),
    ] {
        let entry = builtin().entries().find(|entry| &*entry.id == id);
        let Some(entry) = entry else { panic!("{id} is not known") };
        let cost = cost(&usage, &entry, Facts { tier: Some(tier), ..NO_FACTS });
        let Ok(cost) = cost else { panic!("{id} has no price") };
        let amounts: Vec<String> = cost.lines.iter().map(|line| line.amount.to_string()).collect();
        assert_eq!(
            (amounts, cost.total.to_string()),
            (lines.iter().map(|l| (*l).to_owned()).collect(), total.to_owned()),
            "{id} {tier}"
        );
    }
}

#[test]
fn what_has_no_price_is_never_taken_for_nothing() {
    let missing = |prices: &str, usage: Usage, counts| {
        cost(&usage, &entry(prices), Facts { counts, ..NO_FACTS })
            .map(|cost| cost.total.to_string())
            .map_err(|u| u.missing)
    };
    assert_eq!(missing("", tokens(10, 10), &[]), Err(vec![Meter::Input, Meter::Output]));
    assert_eq!(missing("", Usage::default(), &[]), Err(vec![]));
    assert_eq!(missing("input 1", tokens(10, 10), &[]), Err(vec![Meter::Output]));
    assert_eq!(missing("output 1", tokens(10, 10), &[]), Err(vec![Meter::Input]));
    assert_eq!(missing("image 1", tokens(10, 10), &[]), Err(vec![Meter::Input, Meter::Output]));
    assert_eq!(missing("input 1", Usage::default(), &[(Meter::Character, 9)]), Err(vec![Meter::Character]));
    assert_eq!(missing("input 1 tier=flex; output 1", tokens(10, 0), &[]), Err(vec![Meter::Input]));
    assert_eq!(missing("input 1 region=eu; output 1", tokens(10, 0), &[]), Err(vec![Meter::Input]));
    assert_eq!(missing("image 1 size=1x1", Usage::default(), &[(Meter::Image, 1)]), Err(vec![Meter::Image]));
    assert_eq!(missing("input 1", tokens(10, 0), &[]), Ok("0.00001".into()));
}

#[test]
fn flags_say_what_to_know_about_a_figure() {
    let flags =
        |prices: &str, usage: Usage, facts| cost(&usage, &entry(prices), facts).map(|cost| cost.flags);
    let tier = |word| Facts { tier: Some(word), ..NO_FACTS };
    assert_eq!(flags(GPT_4O, tokens(1, 1), NO_FACTS), Ok(vec![]));
    assert_eq!(flags(GPT_4O, tokens(1, 1), tier("priority")), Ok(vec![]));
    assert_eq!(flags(GPT_4O, tokens(1, 1), tier("gold")), Ok(vec![Flag::UnknownTier("gold".into())]));
    let standard = |meter| Flag::StandardRate(meter, Tier::Flex);
    assert_eq!(
        flags(GPT_4O, tokens(1, 1), tier("flex")),
        Ok(vec![standard(Meter::Input), standard(Meter::Output)])
    );
    let searched = Usage { web_search_requests: Some(1), ..tokens(1, 0) };
    assert_eq!(flags(GPT_4O, searched, NO_FACTS), Ok(vec![Flag::NoPrice(Meter::WebSearch)]));
    assert_eq!(flags(GPT_4O, Usage::default(), NO_FACTS), Ok(vec![Flag::NothingCounted]));
    assert_eq!(estimate(10, 10, &entry(GPT_4O), NO_FACTS).map(|cost| cost.flags), Ok(vec![Flag::Estimated]));
}

#[test]
fn bills_sum_attempts_and_keep_what_the_provider_says_beside_ours() {
    let reported = |spelled| trunkline_core::Number::parse(spelled);
    let ours = cost(&tokens(1_000, 500), &entry(GPT_4O), NO_FACTS);
    let both = cost(
        &Usage { reported_cost_usd: reported("0.0071"), ..tokens(1_000, 500) },
        &entry(GPT_4O),
        NO_FACTS,
    );
    let theirs = cost(&Usage { reported_cost_usd: reported("1.5e-3"), ..tokens(1, 1) }, &entry(""), NO_FACTS);
    let unknown = cost(&tokens(1, 1), &entry(""), NO_FACTS);
    let unbilled = Ok(Cost::default());
    let total = |attempts: &[&Result<Cost, Unpriced>], trust| {
        let total =
            Bill { attempts: attempts.iter().map(|attempt| (*attempt).clone()).collect() }.total(trust);
        (total.known.to_string(), total.unpriced, total.exact().is_some())
    };
    // 1,000 × 2.5 + 500 × 10 = 7,500.
    assert_eq!(total(&[], Trust::Computed), ("0".into(), 0, true));
    assert_eq!(total(&[&ours, &ours, &ours], Trust::Computed), ("0.0225".into(), 0, true));
    assert_eq!(total(&[&ours, &unbilled], Trust::Computed), ("0.0075".into(), 0, true));
    assert_eq!(total(&[&ours, &both], Trust::Computed), ("0.015".into(), 0, true));
    assert_eq!(total(&[&ours, &both], Trust::Reported), ("0.0146".into(), 0, true));
    assert_eq!(total(&[&ours, &unknown], Trust::Computed), ("0.0075".into(), 1, false));
    assert_eq!(total(&[&ours, &theirs], Trust::Computed), ("0.0075".into(), 1, false));
    assert_eq!(total(&[&ours, &theirs], Trust::Reported), ("0.009".into(), 0, true));
}

#[test]
fn amounts_round_at_the_last_digit_alone() {
    for (prices, count, pico) in [
        ("input 0.000001", 1, 1),
        ("input 0.0000004", 1, 0),
        ("input 0.0000005", 1, 1),
        ("input 0.0000005", 3, 2),
        ("input 0.000000000001", 1_000_000, 1),
        ("input 0.000000000001", 499_999, 0),
        ("pixel 0.0838933", 1, 83_893),
        ("pixel 0.0838933", 10, 838_933),
    ] {
        let meter = entry(prices).prices.first().map_or(Meter::Input, |price| price.meter);
        let cost = cost(&Usage::default(), &entry(prices), Facts { counts: &[(meter, count)], ..NO_FACTS });
        assert_eq!(cost.map(|cost| cost.total.pico()), Ok(pico), "{count} at {prices}");
    }
}
