//! Plain tokens, and those that a cache kept or keeps.

use super::*;

#[test]
fn plain_tokens_and_the_cache() {
    let plain =
        |name, prices, usage, lines, total| Case { name, prices, usage, facts: NO_FACTS, lines, total };
    check_all(&[
        // 600 × 2.5 + 400 × 1.25 = 2,000; 500 × 10 = 5,000; all in millionths.
        plain(
            "cache read",
            GPT_4O,
            Usage { cache_read: Some(400), ..tokens(1_000, 500) },
            &[("input", 600, 2_500_000), ("cache_read", 400, 1_250_000), ("output", 500, 10_000_000)],
            "0.007",
        ),
        plain("one token", GPT_4O, tokens(1, 0), &[("input", 1, 2_500_000)], "0.0000025"),
        plain("output alone", GPT_4O, tokens(0, 3), &[("output", 3, 10_000_000)], "0.00003"),
        plain(
            "all of it cached",
            GPT_4O,
            Usage { cache_read: Some(1_000), ..tokens(1_000, 1) },
            &[("cache_read", 1_000, 1_250_000), ("output", 1, 10_000_000)],
            "0.00126",
        ),
        plain(
            "more cached than there was",
            GPT_4O,
            Usage { cache_read: Some(5_000), ..tokens(1_000, 0) },
            &[("cache_read", 1_000, 1_250_000)],
            "0.00125",
        ),
        plain(
            "no price for reads: the input's",
            "input 3; output 15",
            Usage { cache_read: Some(400), ..tokens(1_000, 0) },
            &[("input", 1_000, 3_000_000)],
            "0.003",
        ),
        // 2,000 × 5 + 6,000 × 0.5 + 2,000 × 6.25 = 25,500.
        plain(
            "read and written",
            OPUS,
            Usage { cache_read: Some(6_000), cache_write_5m: Some(2_000), ..tokens(10_000, 1_000) },
            &[
                ("input", 2_000, 5_000_000),
                ("cache_read", 6_000, 500_000),
                ("cache_write", 2_000, 6_250_000),
                ("output", 1_000, 25_000_000),
            ],
            "0.0505",
        ),
        plain(
            "written for an hour",
            OPUS,
            Usage { cache_write_1h: Some(1_000), ..tokens(1_000, 0) },
            &[("cache_write_1h", 1_000, 10_000_000)],
            "0.01",
        ),
        plain(
            "written for two lifetimes",
            OPUS,
            Usage { cache_write_5m: Some(300), cache_write_1h: Some(200), ..tokens(1_000, 0) },
            &[
                ("input", 500, 5_000_000),
                ("cache_write", 300, 6_250_000),
                ("cache_write_1h", 200, 10_000_000),
            ],
            "0.006375",
        ),
        plain(
            "written for nobody knows how long",
            OPUS,
            Usage { cache_write_other: Some(100), ..tokens(100, 0) },
            &[("cache_write", 100, 6_250_000)],
            "0.000625",
        ),
        plain(
            "half an hour at the price of any write",
            "input 4; output 20; cache_write 5; cache_write_12h 10",
            Usage { cache_write_30m: Some(100), cache_write_12h: Some(50), ..tokens(200, 0) },
            &[("input", 50, 4_000_000), ("cache_write", 100, 5_000_000), ("cache_write_12h", 50, 10_000_000)],
            "0.0012",
        ),
        plain(
            "no price for writes: the input's",
            GPT_4O,
            Usage { cache_write_5m: Some(100), cache_write_12h: Some(100), ..tokens(1_000, 0) },
            &[("input", 1_000, 2_500_000)],
            "0.0025",
        ),
        plain(
            "reads and writes beyond the whole",
            OPUS,
            Usage { cache_read: Some(800), cache_write_5m: Some(800), ..tokens(1_000, 0) },
            &[("cache_read", 800, 500_000), ("cache_write", 200, 6_250_000)],
            "0.00165",
        ),
        plain(
            "free by its list",
            "input 0; output 0",
            tokens(10, 10),
            &[("input", 10, 0), ("output", 10, 0)],
            "0",
        ),
        plain(
            "vectors have no output",
            "input 0.02",
            tokens(8_191, 0),
            &[("input", 8_191, 20_000)],
            "0.00016382",
        ),
    ]);
}
