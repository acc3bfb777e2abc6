use super::*;

fn found(provider: &str, model: &str) -> Option<(String, By)> {
    Catalog::default().find(provider, model).map(|found| (found.entry.id.into(), found.by))
}

#[test]
fn models_are_found_by_what_they_are_called() {
    for (provider, model, want) in [
        ("openai", "gpt-4o", Some(("openai/gpt-4o", By::Name))),
        ("OpenAI", "GPT-4o", Some(("openai/gpt-4o", By::Name))),
        ("openai", "openai/gpt-4o", Some(("openai/gpt-4o", By::Name))),
        ("openai", "gpt-4o-2024-08-06", Some(("openai/gpt-4o-2024-08-06", By::Name))),
        ("openai", "gpt-4o-2031-01-31", Some(("openai/gpt-4o", By::Snapshot))),
        ("anthropic", "claude-sonnet-4-5-20250929", Some(("anthropic/claude-sonnet-4-5-20250929", By::Name))),
        ("claude", "claude-sonnet-4-5-20310131", Some(("anthropic/claude-sonnet-4-5", By::Snapshot))),
        ("openrouter", "openai/gpt-4o", Some(("openrouter/openai/gpt-4o", By::Name))),
        ("google", "models/gemini-2.5-pro", Some(("gemini/gemini-2.5-pro", By::Name))),
        ("bedrock", "us.amazon.nova-pro-v1:0", Some(("bedrock/us.amazon.nova-pro-v1:0", By::Name))),
        ("bedrock", "ca.amazon.nova-pro-v1:0", Some(("bedrock/amazon.nova-pro-v1:0", By::Region))),
        (
            "aws",
            "arn:aws:bedrock:us-east-1:123:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            Some(("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", By::Name)),
        ),
        ("azure", "gpt-4o", Some(("azure-openai/gpt-4o", By::Name))),
        (
            "fireworks",
            "accounts/fireworks/models/llama-v3p1-8b-instruct",
            Some(("fireworks/accounts/fireworks/models/llama-v3p1-8b-instruct", By::Name)),
        ),
        // Never a guess across models, versions or providers.
        ("openai", "gpt-4o-mega", None),
        ("openai", "gpt-4o-2024", None),
        ("openai", "ft:gpt-77:acme::1", None),
        ("openai", "claude-sonnet-4-5", None),
        ("anthropic", "claude-sonnet-9-9-20310131", None),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20310131-v1:0", None),
        ("my-engine", "gpt-4o", None),
        ("openai", "", None),
        ("", "", None),
    ] {
        let want = want.map(|(id, by)| (id.to_owned(), by));
        assert_eq!(found(provider, model), want, "{provider} {model}");
    }
}

/// Names with a date are what people pin, and keep long after lists have moved on.
#[test]
fn dated_names_of_large_vendors_have_a_price() {
    for (provider, model, input, output) in [
        ("anthropic", "claude-3-haiku-20240307", "0.25", "1.25"),
        ("anthropic", "claude-3-opus-20240229", "15", "75"),
        ("anthropic", "claude-3-5-haiku-20241022", "0.8", "4"),
        ("anthropic", "claude-3-5-haiku-latest", "0.8", "4"),
        ("anthropic", "claude-3-5-sonnet", "3", "15"),
        ("anthropic", "claude-3-5-sonnet-20240620", "3", "15"),
        ("anthropic", "claude-3-5-sonnet-20241022", "3", "15"),
        ("anthropic", "claude-3-5-sonnet-latest", "3", "15"),
        ("anthropic", "claude-3-7-sonnet-20250219", "3", "15"),
        ("anthropic", "claude-sonnet-4-20250514", "3", "15"),
        ("anthropic", "claude-opus-4-1-20250805", "15", "75"),
        ("anthropic", "claude-sonnet-4-5-20250929", "3", "15"),
        ("anthropic", "claude-haiku-4-5-20251001", "1", "5"),
        ("vertex-ai", "claude-3-5-sonnet@20240620", "3", "15"),
        ("bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0", "3", "15"),
        ("openai", "gpt-4-0613", "30", "60"),
        ("openai", "gpt-4o-2024-05-13", "5", "15"),
        ("openai", "gpt-4o-2024-11-20", "2.5", "10"),
        ("openai", "gpt-4o-mini-2024-07-18", "0.15", "0.6"),
        ("openai", "gpt-4.1-2025-04-14", "2", "8"),
        ("openai", "gpt-5-2025-08-07", "1.25", "10"),
        ("openai", "o3-mini-2025-01-31", "1.1", "4.4"),
        ("azure-openai", "gpt-4o-2024-08-06", "2.5", "10"),
        ("gemini", "gemini-2.0-flash", "0.1", "0.4"),
        ("mistral", "mistral-large-2411", "2", "6"),
        ("mistral", "mistral-medium-2508", "0.4", "2"),
        ("mistral", "mistral-small-2506", "0.1", "0.3"),
        ("cohere", "command-r-plus-08-2024", "2.5", "10"),
    ] {
        let Some(found) = Catalog::default().find(provider, model) else { panic!("{model} is not known") };
        for price in prices(&[&format!("input {input}"), &format!("output {output}")]) {
            let id = &found.entry.id;
            assert!(found.entry.prices.contains(&price), "{model}, {id}: {:?}", found.entry.prices);
        }
    }
}

#[test]
fn a_model_listed_by_its_snapshots_alone_is_the_newest_of_them() {
    let catalog = Catalog::default();
    let mut checked = 0;
    for entry in builtin().entries() {
        let base = names::undated(entry.upstream());
        let is_dated = entry.upstream().strip_prefix(base).is_some_and(names::is_date);
        if !is_dated || builtin().find(entry.provider(), base).is_some() {
            continue;
        }
        let Some(newest) = catalog.find(entry.provider(), base) else { panic!("{base} is not found") };
        assert_eq!(newest.by, By::Snapshot, "{base}");
        assert_eq!(names::undated(newest.entry.upstream()), base);
        assert!(newest.entry.upstream() >= entry.upstream(), "{} and {}", newest.entry.id, entry.id);
        checked += 1;
    }
    assert!(checked > 20, "{checked} models");
}

#[test]
fn bare_names_are_found_where_they_leave_no_doubt() {
    let catalog = Catalog::default();
    for (model, want) in [
        ("gpt-4o", Some("openai/gpt-4o")),
        ("openai/gpt-4o", Some("openai/gpt-4o")),
        ("claude-sonnet-4-5-20250929", Some("anthropic/claude-sonnet-4-5-20250929")),
        ("gemini-2.5-pro", Some("gemini/gemini-2.5-pro")),
        ("groq/openai/gpt-oss-120b", Some("groq/openai/gpt-oss-120b")),
        ("openrouter/openai/gpt-4o", Some("openrouter/openai/gpt-4o")),
        // Sold by many, at many prices.
        ("openai/gpt-oss-120b", None),
        ("no-such-model", None),
        ("", None),
    ] {
        let found = catalog.find_bare(model).map(|found| found.entry.id);
        assert_eq!(found.as_deref(), want, "{model}");
    }
}

fn prices(texts: &[&str]) -> Vec<Price> {
    texts.iter().map(|text| text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))).collect()
}

#[test]
fn what_the_operator_says_wins() {
    let dear = prices(&["input 100", "output 200"]);
    let limits = Limits { output: Some(7), ..Limits::default() };
    let catalog = Catalog::new([
        ("OpenAI/gpt-4o".into(), Correction { prices: Some(dear.clone()), ..Correction::default() }),
        ("anthropic/claude-opus-4-8".into(), Correction { limits, ..Correction::default() }),
        ("house/llama".into(), Correction { prices: Some(dear.clone()), ..Correction::default() }),
    ]);
    let built_in = |id: &str| Catalog::default().find_bare(id).map(|found| found.entry);
    let find = |provider, model| catalog.find(provider, model).map(|found| found.entry);

    let (gpt, was) = (find("openai", "gpt-4o").unwrap(), built_in("gpt-4o").unwrap());
    assert_eq!((&gpt.prices, gpt.limits), (&dear, was.limits));
    let (opus, was) = (find("anthropic", "claude-opus-4-8").unwrap(), built_in("claude-opus-4-8").unwrap());
    assert_eq!(
        (&opus.prices, opus.limits.output, opus.limits.input),
        (&was.prices, Some(7), was.limits.input)
    );
    let llama = find("house", "LLAMA").unwrap();
    assert_eq!((&*llama.id, &llama.prices), ("house/LLAMA", &dear));
    // By a day of which nobody knows, too.
    assert_eq!(find("openai", "gpt-4o-2031-01-31").unwrap().prices, dear);
    assert_eq!(find("openai", "gpt-4.1"), built_in("gpt-4.1"));

    let all: Vec<Entry> = catalog.entries().collect();
    assert_eq!(all.len(), builtin().lines().count() + 1);
    assert_eq!(all.iter().filter(|entry| entry.prices == dear).count(), 2);
}

#[test]
fn a_deployment_comes_before_its_model() {
    let catalog = Catalog::default();
    let own = prices(&["input 9"]);
    let resolve = |upstream, deployment| catalog.resolve("azure", upstream, deployment);
    let base = Deployment { base_model: Some("gpt-4o"), ..Deployment::default() };
    let priced = Deployment { prices: Some(&own), ..base };

    let by = |found: Option<Found>| {
        found.map(|found| (found.by, found.entry.id.to_string(), found.entry.prices == own))
    };
    assert_eq!(by(resolve("chat-prod", Deployment::default())), None);
    assert_eq!(by(resolve("chat-prod", base)), Some((By::BaseModel, "azure-openai/gpt-4o".into(), false)));
    assert_eq!(by(resolve("chat-prod", priced)), Some((By::Deployment, "azure-openai/gpt-4o".into(), true)));
    // A deployment may be called like a model; then that is what it runs.
    assert_eq!(by(resolve("gpt-4.1", base)), Some((By::Name, "azure-openai/gpt-4.1".into(), false)));
    let unknown = catalog.resolve("house", "llama", Deployment { base_model: None, ..priced });
    assert_eq!(by(unknown), Some((By::Deployment, "house/llama".into(), true)));
}

/// Input, output, then other components; the prompt's and the answer's bounds.
#[test]
fn well_known_models_are_as_their_makers_say() {
    let catalog = Catalog::default();
    for (id, want, input, output) in KNOWN {
        let Some(entry) = catalog.find_bare(id).map(|found| found.entry) else { panic!("{id} is not known") };
        assert_eq!(&*entry.id, *id);
        for price in prices(want) {
            assert!(entry.prices.contains(&price), "{id}: {price} is not among {:?}", entry.prices);
        }
        let limits = (entry.limits.input.or(entry.limits.context), entry.limits.output);
        assert_eq!(limits, (*input, *output), "{id}");
    }
}

type Known = (&'static str, &'static [&'static str], Option<u64>, Option<u64>);
const KNOWN: &[Known] = &[
    (
        "openai/gpt-4o",
        &["input 2.5", "output 10", "cache_read 1.25", "input 1.25 tier=batch", "output 17 tier=priority"],
        Some(128_000),
        Some(16_384),
    ),
    ("openai/gpt-4o-mini", &["input 0.15", "output 0.6", "cache_read 0.075"], Some(128_000), Some(16_384)),
    ("openai/gpt-4.1", &["input 2", "output 8", "cache_read 0.5"], Some(1_047_576), Some(32_768)),
    (
        "openai/gpt-5",
        &["input 1.25", "output 10", "cache_read 0.125", "output 5 tier=flex"],
        Some(272_000),
        Some(128_000),
    ),
    ("openai/gpt-5-mini", &["input 0.25", "output 2"], Some(272_000), Some(128_000)),
    (
        "openai/gpt-5.4",
        &["input 2.5", "input 5 above=272000", "output 22.5 above=272000", "output 7.5 tier=flex"],
        Some(1_050_000),
        Some(128_000),
    ),
    ("openai/o3", &["input 2", "output 8", "input 3.5 tier=priority"], Some(200_000), Some(100_000)),
    ("openai/text-embedding-3-small", &["input 0.02"], Some(8_191), Some(1_536)),
    ("openai/text-embedding-3-large", &["input 0.13", "input 0.065 tier=batch"], Some(8_191), Some(3_072)),
    ("openai/whisper-1", &["second 0.0001"], None, None),
    ("openai/tts-1", &["character 15"], None, None),
    (
        "anthropic/claude-opus-4-8",
        &[
            "input 5",
            "output 25",
            "cache_read 0.5",
            "cache_write 6.25",
            "cache_write_1h 10",
            "web_search 0.01",
        ],
        Some(1_000_000),
        Some(128_000),
    ),
    (
        "anthropic/claude-sonnet-4-5",
        &["input 3", "output 15", "input 6 above=200000", "output 22.5 above=200000"],
        Some(200_000),
        Some(64_000),
    ),
    (
        "anthropic/claude-haiku-4-5",
        &["input 1", "output 5", "cache_write 1.25", "output 2.5 tier=batch"],
        Some(200_000),
        Some(64_000),
    ),
    (
        "gemini/gemini-2.5-pro",
        &["input 1.25", "output 10", "input 2.5 above=200000", "output 15 above=200000"],
        Some(1_048_576),
        Some(65_536),
    ),
    (
        "gemini/gemini-2.5-flash",
        &["input 0.3", "output 2.5", "input_audio 1", "cache_read 0.03"],
        Some(1_048_576),
        Some(65_536),
    ),
    ("gemini/gemini-2.5-flash-lite", &["input 0.1", "output 0.4"], Some(1_048_576), Some(65_536)),
    ("vertex-ai/gemini-2.5-pro", &["input 1.25", "output 10"], Some(1_048_576), Some(65_535)),
    (
        "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0",
        &["input 3", "output 15"],
        Some(200_000),
        Some(64_000),
    ),
    (
        "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        &["input 3.3", "output 16.5"],
        Some(200_000),
        Some(64_000),
    ),
    (
        "bedrock/amazon.nova-pro-v1:0",
        &["input 0.8", "output 3.2", "input 0.96 region=us-gov-west-1"],
        Some(300_000),
        Some(10_000),
    ),
    ("bedrock/amazon.nova-micro-v1:0", &["input 0.035", "output 0.14"], Some(128_000), Some(10_000)),
    ("azure-openai/gpt-4o", &["input 2.5", "output 10", "input 2.75 region=eu"], Some(128_000), Some(16_384)),
    ("azure-openai/gpt-4.1", &["input 2", "output 8"], Some(1_047_576), Some(32_768)),
    ("xai/grok-4.5", &["input 2", "output 6", "input 4 from=200000"], Some(500_000), Some(500_000)),
    ("mistral/codestral-latest", &["input 0.3", "output 0.9"], Some(128_000), Some(128_000)),
    ("cohere/command-a-03-2025", &["input 2.5", "output 10"], Some(256_000), Some(8_000)),
    ("cohere/rerank-v3.5", &["search_unit 0.002"], Some(4_096), Some(4_096)),
    ("groq/openai/gpt-oss-120b", &["input 0.15", "output 0.6"], Some(131_072), Some(65_536)),
    ("groq/llama-3.3-70b-versatile", &["input 0.59", "output 0.79"], Some(131_072), Some(32_768)),
    (
        "perplexity/sonar-pro",
        &["input 3", "output 15", "web_search 0.014 context=high"],
        Some(200_000),
        Some(8_000),
    ),
    ("together/openai/gpt-oss-120b", &["input 0.15", "output 0.6"], Some(131_072), Some(131_072)),
    ("openrouter/anthropic/claude-sonnet-4.5", &["input 3", "output 15"], Some(1_000_000), Some(64_000)),
    (
        "fireworks/accounts/fireworks/models/gpt-oss-120b",
        &["input 0.15", "output 0.6"],
        Some(131_072),
        Some(32_768),
    ),
    ("ai21/jamba-large-1.7", &["input 2", "output 8"], Some(256_000), Some(256_000)),
    ("voyage/voyage-3.5", &["input 0.06"], Some(32_000), None),
];
