//! Tiers, and prompts that are long.

use super::*;

#[test]
fn tiers() {
    let of = |name, prices, usage, tier, lines, total| Case {
        name,
        prices,
        usage,
        facts: Facts { tier: Some(tier), ..NO_FACTS },
        lines,
        total,
    };
    check_all(&[
        of(
            "priority",
            GPT_4O,
            tokens(1_000, 500),
            "priority",
            &[("input", 1_000, 4_250_000), ("output", 500, 17_000_000)],
            "0.01275",
        ),
        of(
            "priority, cached",
            GPT_4O,
            Usage { cache_read: Some(400), ..tokens(1_000, 0) },
            "priority",
            &[("input", 600, 4_250_000), ("cache_read", 400, 2_125_000)],
            "0.0034",
        ),
        of("fast is priority", GPT_4O, tokens(1_000, 0), "fast", &[("input", 1_000, 4_250_000)], "0.00425"),
        of("default", GPT_4O, tokens(1_000, 0), "default", &[("input", 1_000, 2_500_000)], "0.0025"),
        of("on demand", GEMINI, tokens(1_000, 0), "ON_DEMAND", &[("input", 1_000, 1_250_000)], "0.00125"),
        of("a word for batch", GPT_4O, tokens(0, 100), "batch", &[("output", 100, 5_000_000)], "0.0005"),
        // 800 of the 1,000 are thoughts, at the output's price.
        of(
            "flex, thinking",
            GPT_5_4,
            Usage { reasoning: Some(800), ..tokens(1_000, 1_000) },
            "flex",
            &[("input", 1_000, 1_250_000), ("output", 1_000, 7_500_000)],
            "0.00875",
        ),
        of("no flex price", GPT_4O, tokens(1_000, 0), "flex", &[("input", 1_000, 2_500_000)], "0.0025"),
        of("a tier nobody knows", GPT_4O, tokens(1_000, 0), "gold", &[("input", 1_000, 2_500_000)], "0.0025"),
        of(
            "a tier without prices for long prompts",
            GPT_5_4,
            tokens(300_000, 1_000),
            "priority",
            &[("input", 300_000, 5_000_000), ("output", 1_000, 30_000_000)],
            "1.53",
        ),
    ]);
    let batch = Facts { batch: true, ..NO_FACTS };
    check_all(&[
        Case {
            name: "batch",
            prices: OPUS,
            usage: Usage { cache_read: Some(500), cache_write_5m: Some(100), ..tokens(1_000, 100) },
            facts: batch,
            // The list has no batch price for writes: the standard one.
            lines: &[
                ("input", 400, 2_500_000),
                ("cache_read", 500, 250_000),
                ("cache_write", 100, 6_250_000),
                ("output", 100, 12_500_000),
            ],
            total: "0.003",
        },
        Case {
            name: "batch over the usage's word",
            prices: GPT_4O,
            usage: Usage { tier: Some("priority".into()), ..tokens(100, 0) },
            facts: batch,
            lines: &[("input", 100, 1_250_000)],
            total: "0.000125",
        },
        Case {
            name: "thoughts have the answer's price in every tier",
            prices: FLASH,
            usage: Usage { reasoning: Some(60), ..tokens(0, 100) },
            facts: batch,
            lines: &[("output", 40, 1_250_000), ("reasoning", 60, 1_250_000)],
            total: "0.000125",
        },
        Case {
            name: "searches have no batch price and need none",
            prices: OPUS,
            usage: Usage { web_search_requests: Some(2), ..tokens(100, 0) },
            facts: batch,
            lines: &[("input", 100, 2_500_000), ("web_search", 2, 10_000_000_000)],
            total: "0.02025",
        },
        Case {
            name: "the usage's tier, not the one asked for",
            prices: GPT_4O,
            usage: Usage { tier: Some("default".into()), ..tokens(100, 0) },
            facts: Facts { tier: Some("priority"), ..NO_FACTS },
            lines: &[("input", 100, 2_500_000)],
            total: "0.00025",
        },
        Case {
            name: "a known factor for a tier without a price",
            prices: GPT_4O,
            usage: tokens(1_000, 100),
            facts: Facts { tier: Some("flex"), tier_factor: Factor::parse("0.5"), ..NO_FACTS },
            lines: &[("input", 1_000, 1_250_000), ("output", 100, 5_000_000)],
            total: "0.00175",
        },
        Case {
            name: "no factor where the tier has its price",
            prices: GPT_4O,
            usage: tokens(1_000, 0),
            facts: Facts { tier: Some("priority"), tier_factor: Factor::parse("0.5"), ..NO_FACTS },
            lines: &[("input", 1_000, 4_250_000)],
            total: "0.00425",
        },
    ]);
}

#[test]
fn long_prompts() {
    let plain =
        |name, prices, usage, lines, total| Case { name, prices, usage, facts: NO_FACTS, lines, total };
    let table = "input 1; input 0.5 past=1000; input 0.25 past=10000; output 2; output 1 past=100";
    check_all(&[
        plain(
            "all of it costs more",
            GPT_5_4,
            tokens(300_000, 1_000),
            &[("input", 300_000, 5_000_000), ("output", 1_000, 22_500_000)],
            "1.5225",
        ),
        plain("as many as the bound", GPT_5_4, tokens(272_000, 0), &[("input", 272_000, 2_500_000)], "0.68"),
        plain("one more", GPT_5_4, tokens(272_001, 0), &[("input", 272_001, 5_000_000)], "1.360005"),
        // 150,000 × 2.5 + 100,000 × 0.25 = 400,000; 2,000 × 15 = 30,000; the thoughts are among the 2,000.
        plain(
            "cached tokens count for the length",
            GEMINI,
            Usage { cache_read: Some(100_000), reasoning: Some(1_500), ..tokens(250_000, 2_000) },
            &[("input", 150_000, 2_500_000), ("cache_read", 100_000, 250_000), ("output", 2_000, 15_000_000)],
            "0.43",
        ),
        plain(
            "nearly all cached is long still",
            GEMINI,
            Usage { cache_read: Some(200_000), ..tokens(200_001, 0) },
            &[("input", 1, 2_500_000), ("cache_read", 200_000, 250_000)],
            "0.0500025",
        ),
        plain(
            "a long answer is not",
            GEMINI,
            tokens(10, 300_000),
            &[("input", 10, 1_250_000), ("output", 300_000, 10_000_000)],
            "3.0000125",
        ),
        plain(
            "the bound included",
            "input 2; input 4 from=200000",
            tokens(200_000, 0),
            &[("input", 200_000, 4_000_000)],
            "0.8",
        ),
        plain(
            "one less",
            "input 2; input 4 from=200000",
            tokens(199_999, 0),
            &[("input", 199_999, 2_000_000)],
            "0.399998",
        ),
        plain(
            "the highest of several",
            "input 1; input 2 above=32000; input 3 above=128000; input 4 above=256000",
            tokens(200_000, 0),
            &[("input", 200_000, 3_000_000)],
            "0.6",
        ),
        plain("a table, its first band", table, tokens(1_000, 0), &[("input", 1_000, 1_000_000)], "0.001"),
        plain(
            "a table, two bands",
            table,
            tokens(1_500, 0),
            &[("input", 500, 500_000), ("input", 1_000, 1_000_000)],
            "0.00125",
        ),
        // 1,000 × 1 + 9,000 × 0.5 + 10,000 × 0.25 = 8,000; 100 × 2 + 50 × 1 = 250.
        plain(
            "a table, all bands, and the answer's own",
            table,
            tokens(20_000, 150),
            &[
                ("input", 10_000, 250_000),
                ("input", 9_000, 500_000),
                ("input", 1_000, 1_000_000),
                ("output", 50, 1_000_000),
                ("output", 100, 2_000_000),
            ],
            "0.00825",
        ),
        plain(
            "no long price for reads: the plain one",
            "input 1; input 2 above=100; cache_read 0.1",
            Usage { cache_read: Some(100), ..tokens(200, 0) },
            &[("input", 100, 2_000_000), ("cache_read", 100, 100_000)],
            "0.00021",
        ),
    ]);
}
