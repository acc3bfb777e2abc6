//! Prices that depend on something, and what multiplies them.

use super::*;
use crate::catalog::Surcharge;

#[test]
fn conditions_and_multipliers() {
    let given = |name, prices, usage, facts, lines, total| Case { name, prices, usage, facts, lines, total };
    let image =
        "image 0.011 quality=low size=1024x1024; image 0.042 quality=medium size=1024x1024; image 0.02";
    let search = "input 1; web_search 0.005 context=low; web_search 0.008 context=medium; web_search 0.012 context=high";
    let picture = Usage { images: Some(2), ..Usage::default() };
    let searched = Usage { web_search_requests: Some(1), ..Usage::default() };
    let (tenth, margin) = (Factor::parse("0.9"), Factor::parse("1.25"));
    let (Some(tenth), Some(margin)) = (tenth, margin) else { panic!("they are factors") };
    let both = [tenth, margin];
    let regions = "input 2.5; output 10; input 2.75 region=eu; input 5 above=1000";
    check_all(&[
        given(
            "quality and size",
            image,
            picture.clone(),
            Facts { quality: Some("low"), size: Some("1024x1024"), ..NO_FACTS },
            &[("image", 2, 11_000_000_000)],
            "0.022",
        ),
        given(
            "a size that is not listed",
            image,
            picture.clone(),
            Facts { quality: Some("low"), size: Some("512x512"), ..NO_FACTS },
            &[("image", 2, 20_000_000_000)],
            "0.04",
        ),
        given(
            "how much a search reads",
            search,
            searched.clone(),
            Facts { context: Some("high"), ..NO_FACTS },
            &[("web_search", 1, 12_000_000_000)],
            "0.012",
        ),
        given(
            "some of it free",
            "web_search 0.035",
            Usage { web_search_requests: Some(5), ..Usage::default() },
            Facts { free: &[(Meter::WebSearch, 3)], ..NO_FACTS },
            &[("web_search", 2, 35_000_000_000)],
            "0.07",
        ),
        given(
            "all of it free",
            "input 1; web_search 0.035",
            Usage { web_search_requests: Some(5), ..tokens(10, 0) },
            Facts { free: &[(Meter::WebSearch, 9)], ..NO_FACTS },
            &[("input", 10, 1_000_000)],
            "0.00001",
        ),
        given(
            "a region with a price",
            regions,
            tokens(1_000, 0),
            Facts { region: Some("eu"), ..NO_FACTS },
            &[("input", 1_000, 2_750_000)],
            "0.00275",
        ),
        given(
            "a region without one",
            regions,
            tokens(1_000, 0),
            Facts { region: Some("apac"), ..NO_FACTS },
            &[("input", 1_000, 2_500_000)],
            "0.0025",
        ),
        given(
            "the lower price of the night",
            "input 0.3; input 0.15 off_peak=yes",
            tokens(1_000, 0),
            Facts { off_peak: true, ..NO_FACTS },
            &[("input", 1_000, 150_000)],
            "0.00015",
        ),
        given(
            "speed as a price",
            "input 5; input 30 speed=fast",
            tokens(100, 0),
            Facts { speed: Some("fast"), ..NO_FACTS },
            &[("input", 100, 30_000_000)],
            "0.003",
        ),
        // 2.5 × 0.9 × 1.25 = 2.8125; 0.01 × 1.125 = 0.01125.
        given(
            "discount, then margin, on everything",
            "input 2.5; web_search 0.01",
            Usage { web_search_requests: Some(1), ..tokens(1_000, 0) },
            Facts { factors: &both, ..NO_FACTS },
            &[("input", 1_000, 2_812_500), ("web_search", 1, 11_250_000_000)],
            "0.0140625",
        ),
    ]);
    let surcharge = |axis, label: &str, factor| Surcharge {
        axis,
        label: label.into(),
        factor: Factor::parse(factor).unwrap_or_else(|| panic!("{factor}")),
    };
    let factors = vec![
        surcharge(Axis::Region, "us", "1.1"),
        surcharge(Axis::Speed, "fast", "2"),
        surcharge(Axis::Region, "regional", "1.1"),
    ];
    let opus = Entry { factors: factors.clone().into_iter().take(2).collect(), ..entry(OPUS) };
    let vertex = Entry { factors: factors.into_iter().skip(2).collect(), ..entry(GEMINI) };
    let europe = Entry { factors: vec![surcharge(Axis::Region, "eu", "1.1")], ..entry(regions) };
    for (case, entry) in [
        (
            given(
                "a region's surcharge, not on searches",
                "",
                Usage { web_search_requests: Some(1), ..tokens(1_000, 100) },
                Facts { region: Some("us"), ..NO_FACTS },
                &[
                    ("input", 1_000, 5_500_000),
                    ("output", 100, 27_500_000),
                    ("web_search", 1, 10_000_000_000),
                ],
                "0.01825",
            ),
            &opus,
        ),
        (
            given(
                "region and speed",
                "",
                Usage { cache_read: Some(100), ..tokens(100, 0) },
                Facts { region: Some("us"), speed: Some("fast"), ..NO_FACTS },
                &[("cache_read", 100, 1_100_000)],
                "0.00011",
            ),
            &opus,
        ),
        (
            given(
                "region and speed by the answer's own words",
                "",
                Usage {
                    speed: Some("fast".into()),
                    region: Some("us".into()),
                    cache_read: Some(100),
                    ..tokens(100, 0)
                },
                Facts { region: Some("eu"), ..NO_FACTS },
                &[("cache_read", 100, 1_100_000)],
                "0.00011",
            ),
            &opus,
        ),
        (
            given(
                "neither",
                "",
                tokens(100, 0),
                Facts { region: Some("global"), speed: Some("standard"), ..NO_FACTS },
                &[("input", 100, 5_000_000)],
                "0.0005",
            ),
            &opus,
        ),
        (
            given(
                "any region but the global one",
                "",
                tokens(1_000, 0),
                Facts { region: Some("europe-west4"), ..NO_FACTS },
                &[("input", 1_000, 1_375_000)],
                "0.001375",
            ),
            &vertex,
        ),
        (
            given(
                "the global one",
                "",
                tokens(1_000, 0),
                Facts { region: Some("global"), ..NO_FACTS },
                &[("input", 1_000, 1_250_000)],
                "0.00125",
            ),
            &vertex,
        ),
        (
            given(
                "no surcharge on a price that is the region's",
                "",
                tokens(1_000, 100),
                Facts { region: Some("eu"), ..NO_FACTS },
                &[("input", 1_000, 2_750_000), ("output", 100, 11_000_000)],
                "0.00385",
            ),
            &europe,
        ),
    ] {
        check(&case, entry);
    }
}
