//! Backends, pools and routes.

use super::*;

#[test]
fn backends_are_workers_with_names() {
    let yaml = "workers: [{url: http://gpu1:8000, name: gpu}]\nbackends:\n\
                - {name: own, url: https://gw.example/v1, provider: openai, api_key: k1, default_model: m}\n\
                - {name: first, provider: openai, api_key: k2, defaultModel: gpt-4o, timeout: 30s, max_retries: 3}\n\
                - {name: second, provider: openai, api_key: k3, organization: org-1}\n\
                - {name: azure, provider: azure, api_key: k4, models: [d]}\n\
                - {name: aws, provider: bedrock, aws: {region: eu-west-1}}\n\
                - {name: home, runtime: ollama}\n";
    let file = Temporary::new(yaml);
    let variables =
        [("AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com"), ("ANTHROPIC_BASE_URL", "http://x:1")];
    let mut sources = Sources { file: Some(file.0.clone()), env: env(&variables), flags: flags("") };
    let seen = |sources: &Sources| {
        let config = load(sources).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(config.backends.len(), 0, "they are lowered");
        let of = |worker: &WorkerSpec| format!("{} {}", worker.name.as_deref().unwrap_or("-"), worker.url);
        config.workers.iter().map(of).collect::<Vec<_>>()
    };
    let backends = [
        "own https://gw.example/v1",
        "first https://api.openai.com",
        "second https://api.openai.com",
        "azure https://r.openai.azure.com",
        "aws https://bedrock-runtime.eu-west-1.amazonaws.com",
        "home http://127.0.0.1:11434",
    ];
    assert_eq!(seen(&sources), [&["gpu http://gpu1:8000"][..], &backends].concat());
    let first = load(&sources).expect("it loads").workers.swap_remove(2);
    assert_eq!(first.default_model.as_deref(), Some("gpt-4o"));
    assert_eq!((first.timeout, first.max_retries), (Some(Duration::from_secs(30)), Some(3)));

    // Where providers are is the environment's to say, and flags replace `workers` alone.
    sources.env.insert("OPENAI_BASE_URL".into(), "http://127.0.0.1:9/v1".into());
    sources.flags = flags("--worker-urls http://flag:1");
    let moved = seen(&sources);
    assert_eq!(
        moved[..4],
        ["- http://flag:1", backends[0], "first http://127.0.0.1:9/v1", "second http://127.0.0.1:9/v1"]
    );
}

#[test]
fn pools_routes_and_names_are_checked() {
    const NAMED: &str = "backends: [{name: one, url: http://a}, {name: two, url: http://b}]\n";
    for (yaml, said) in [
        (
            "backends: [{url: http://a}]",
            "backends[0].name: is missing; a backend has a name, which pools and routes use",
        ),
        (
            "backends: [{name: a b, url: http://a}]",
            "backends[0].name: is no name; use letters, digits, dashes and dots",
        ),
        (
            "backends: [{name: a}]",
            "backends[0].url: is missing; write http://HOST:PORT, or name a `provider` whose address is known",
        ),
        (
            "workers: [{priority: 1}]",
            "workers[0].url: is missing; write http://HOST:PORT, or name a `provider` whose address is known",
        ),
        (
            "backends: [{name: a, provider: opnai}]",
            "backends[0].provider: no such provider; did you mean `openai`? One that is not listed but speaks OpenAI's \
             dialects is `openai-compatible`",
        ),
        (
            "backends: [{name: a, provider: azure}]",
            "backends[0].url: is missing: the address of `azure-openai` depends on the account; set it, or AZURE_OPENAI_ENDPOINT",
        ),
        (
            "backends: [{name: a, provider: bedrock}]",
            "backends[0].aws.region: is missing, which its address depends on; set it, AWS_REGION, or `url`",
        ),
        (
            "backends: [{name: a, url: http://a, timeout: 0}]",
            "backends[0].timeout: is 0; use a duration above 0, such as 30s",
        ),
        (
            "backends: [{name: a, url: http://a, organization: ''}]",
            "backends[0].organization: is empty or has characters that cannot be sent; set it, or leave it out",
        ),
        (
            "workers: [{url: http://a/v1}]\nbackends: [{name: a, url: http://a}]",
            "backends[0].url: is the same worker as workers[0]; list it once, or give each a `name`",
        ),
        (
            "pools: [{name: one, backends: [{name: two}]}]",
            "pools[0].name: is also the name of backends[0]; names are unique among backends and pools",
        ),
        (
            "workers: [{url: http://a}]\nfallbacks: {m: {default: [n, m]}}",
            "fallbacks.m.default[1]: is what failed; name another model or pool",
        ),
        (
            "pools: [{name: p, cost: {max_price: 0}, backends: [{name: one}]}]",
            "pools[0].cost.max_price: is not above 0; write dollars for one call, such as 0.05",
        ),
        (
            "pools: [{name: p, region: ' ', backends: [{name: one}]}]",
            "pools[0].region: is empty; name the region, or leave it out",
        ),
        (
            "workers: [{url: http://a}]\ncatalog: {models: {openai/b: {cannot: [visions]}}}",
            "catalog.models.openai/b.cannot[0]: is no capability; did you mean `vision`?",
        ),
        (
            "workers: [{url: http://a}]\ncatalog: {models: {openai/b: {can: [tools], cannot: [tools]}}}",
            "catalog.models.openai/b.cannot[0]: is in `can` as well; keep the one or the other",
        ),
        ("pools: [{name: p, backends: []}]", "pools[0].backends: is empty; a pool has one member or more"),
        (
            "pools: [{name: p, backends: [{name: one, weight: 0}]}]",
            "pools[0].backends: have weight 0 all of them; give one a weight above 0",
        ),
        (
            "pools: [{name: p, backends: [{name: on}]}]",
            "pools[0].backends[0].name: no backend or pool has this name; did you mean `one`?",
        ),
        (
            "pools: [{name: p, backends: [{name: elsewhere}]}]",
            "pools[0].backends[0].name: no backend or pool has this name; known are one, p, two",
        ),
        (
            "pools: [{name: p, backends: [{name: one}, {name: one}]}]",
            "pools[0].backends[1].name: is in the pool already; list it once, with the sum of its weights",
        ),
        (
            "pools: [{name: p, backends: [{name: p}]}]",
            "pools[0].backends[0].name: leads back to where it began (p, p); a pool cannot hold itself",
        ),
        (
            "pools: [{name: p, backends: [{name: q}]}, {name: q, backends: [{name: one}, {name: r}]}, {name: r, backends: [{name: q}]}]",
            "pools[1].backends[1].name: leads back to where it began (q, r, q); a pool cannot hold itself\n\
             pools[2].backends[0].name: leads back to where it began (r, q, r); a pool cannot hold itself",
        ),
        (
            "pools: [{name: p, backends: [{name: q, model: m}]}, {name: q, backends: [{name: one}]}]",
            "pools[0].backends[0].model: cannot be said of a pool; say it of the backends in it",
        ),
        (
            "pools: [{name: p, backends: [{name: one, label: a b}, {name: two, label: one}, {name: q, label: x}]}, {name: q, backends: [{name: one}]}]",
            "pools[0].backends[0].label: is shown in headers and metrics; use letters, digits and signs, without spaces\n\
             pools[0].backends[2].label: cannot be said of a pool; say it of the backends in it",
        ),
        (
            "pools: [{name: p, backends: [{name: one}, {name: two, label: one}]}]",
            "pools[0].backends[1].label: is what another member of the pool is called; use another",
        ),
        (
            "pools: [{name: p, strategy: ab, sticky: header, backends: [{name: one}]}]",
            "pools[0].sticky: use one of `user`, `key`, `session`, `header:NAME`; found `header`",
        ),
        (
            "pools: [{name: p, strategy: ab, sticky: 'header:x y', backends: [{name: one}]}]",
            "pools[0].sticky: no header has this name; write it as `header:x-session-id`; found `header:x y`",
        ),
        (
            "pools: [{name: p, latency: {percentile: 2}, backends: [{name: one}]}]",
            "pools[0].latency.percentile: 2 is not between 0 and 1",
        ),
        (
            "pools: [{name: p, strategy: random, backends: [{name: q}]}, {name: q, strategy: latency, backends: [{name: one}]}]",
            "pools[0].strategy: has pool `q` in it, which chooses in another way; give both the same `strategy`, or make the outer one `priority`",
        ),
        (
            "routes: [{backend: one, mirror: {backend: tow, percent: 101, concurrency: 0, timeout: 0}}]",
            "routes[0].mirror.backend: no backend or pool has this name; did you mean `two`?\n\
             routes[0].mirror.percent: 101 is not between 0 and 100\n\
             routes[0].mirror.concurrency: is 0, with which nothing is copied; use 1 or more\n\
             routes[0].mirror.timeout: is 0; use a duration above 0, such as 60s",
        ),
        (
            "pools: [{name: p, mirror: {backend: p}, backends: [{name: one}]}]",
            "pools[0].mirror.backend: is a pool; name one backend that gets the copies",
        ),
        ("routes: [{path: /v1}]", "routes[0].backend: is missing; name the pool or backend that answers"),
        (
            "routes: [{backend: tow}]",
            "routes[0].backend: no backend or pool has this name; did you mean `two`?",
        ),
        ("routes: [{backend: one, path: v1}]", "routes[0].path: is not a path; begin it with `/`"),
        (
            "routes: [{backend: one, path: '/v1/*/x'}]",
            "routes[0].path: has a character that no path has, or a `*` that is not at its end",
        ),
        (
            "routes: [{backend: one, methods: [post]}]",
            "routes[0].methods[0]: is no method; did you mean `POST`?",
        ),
        (
            "routes: [{backend: one, headers: {'x y': z}}]",
            "routes[0].headers.x y: is not a header name; use letters, digits and dashes",
        ),
        (
            "routes: [{backend: one, content: {regex: '('}}]",
            "routes[0].content: is no regular expression: unclosed group",
        ),
        (
            "routes: [{backend: one, content: {contains: ''}}]",
            "routes[0].content: looks for no text at all; write some, or leave it out",
        ),
        (
            "routes: [{backend: one, when: {$or: [{metadata.plan: paid}, {params.n: {$above: 1}}]}}]",
            "routes[0].when.$or[1].params.n.$above: is no comparison; known are `$eq`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`, `$in`, `$nin` and `$regex`",
        ),
        (
            "routes: [{backend: one, dialects: [openai-chats], percent: -1, min_prompt_tokens: 2, max_prompt_tokens: 1, during: {from: noon}}]",
            "routes[0].dialects[0]: is no dialect; did you mean `openai-chat`?\n\
             routes[0].percent: -1 is not between 0 and 100\n\
             routes[0].max_prompt_tokens: is below `min_prompt_tokens`, so that nothing fits\n\
             routes[0].during.from: `noon` is no time of day; write it as `08:30`",
        ),
        (
            "aliases: {one: gpt-4o}",
            "aliases.one: is also the name of backends[0]; an alias that nothing can reach, rename one",
        ),
    ] {
        let with_names =
            yaml.starts_with("pools") || yaml.starts_with("routes") || yaml.starts_with("aliases");
        let text = format!("{}{yaml}\n", if with_names { NAMED } else { "" });
        let report = refusal(&text, &[], "");
        let heads: Vec<_> = report.lines().filter(|line| !line.starts_with("  ")).collect();
        let heads: Vec<_> = heads
            .iter()
            .map(|line| {
                line.strip_prefix("gw.yaml:")
                    .map_or(*line, |rest| rest.splitn(3, ':').nth(2).unwrap_or(rest).trim())
            })
            .collect();
        assert_eq!(heads.join("\n"), said, "{yaml}\n{report}");
    }
    // So is what is wrong deep in a condition.
    let when = "routes:\n  - backend: one\n    when:\n      $and:\n        - params.n: {$regex: \"(\"}\n";
    assert_eq!(
        refusal(&format!("{NAMED}{when}"), &[], ""),
        "gw.yaml:6:30: routes[0].when.$and[0].params.n.$regex: is no regular expression: unclosed group\n\
         \x20 6 |         - params.n: {$regex: \"(\"}\n\
         \x20   |                              ^^^"
    );
    // A name that nobody has is shown where it stands.
    assert_eq!(
        refusal(&format!("{NAMED}pools:\n  - name: p\n    backends:\n      - name: on\n"), &[], ""),
        "gw.yaml:5:15: pools[0].backends[0].name: no backend or pool has this name; did you mean `one`?\n\
         \x20 5 |       - name: on\n\
         \x20   |               ^^"
    );
}

#[test]
fn pools_in_pools_have_an_end() {
    let deep = |levels: usize| {
        let pool = |at: usize| {
            let inner = if at == levels { "one".to_owned() } else { format!("p{}", at + 1) };
            format!("- {{name: p{at}, backends: [{{name: {inner}}}]}}\n")
        };
        let pools: String = (0..=levels).map(pool).collect();
        format!("backends: [{{name: one, url: http://a}}]\npools:\n{pools}")
    };
    let file = Temporary::new(&deep(8));
    assert!(load(&Sources { file: Some(file.0.clone()), ..Sources::default() }).is_ok());
    let said = refusal(&deep(9), &[], "");
    let says = "gw.yaml:3:24: pools[0].backends: are pools in pools of more than 8 levels; use fewer\n";
    assert!(said.starts_with(says), "{said}");
}
