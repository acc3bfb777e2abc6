use super::*;
use crate::config::ForceUsage;
use std::time::Duration;

fn lowered(text: &str, env: &[(&str, &str)]) -> (Option<Config>, Vec<Problem>) {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut problems = Vec::new();
    let config =
        read(&Text::of("gw.yaml", text), &env, Unset::Wrong, &mut problems).map(|(config, _)| config);
    (config, problems)
}

fn fine(text: &str, env: &[(&str, &str)]) -> Config {
    match lowered(text, env) {
        (Some(config), problems) if problems.is_empty() => config,
        (_, problems) => panic!("{text}\n{problems:#?}"),
    }
}

fn report(text: &str, env: &[(&str, &str)]) -> String {
    let (_, problems) = lowered(text, env);
    let file = Some("gw.yaml".into());
    crate::config::ConfigError::Invalid { file, problems, warnings: Vec::new() }.to_string()
}

#[test]
fn nothing_is_the_defaults() {
    for text in [
        "",
        "\n",
        "# only a comment\n",
        "---\n",
        "---\n# more\n...\n",
        "null\n",
        "{}\n",
        "listen:\nworkers:\nigw: false\n",
    ] {
        let config = fine(text, &[]);
        assert_eq!(config.listen.port, 30000, "{text:?}");
        assert!(config.workers.is_empty(), "{text:?}");
    }
}

#[test]
fn every_kind_of_value_is_read() {
    let config = fine(
        r#"
listen: { host: "::1", port: 8080, shutdown_grace: 90 }
igw: true
policy: power_of_two
aliases:
  gpt-4: meta-llama/Llama-3.1-8B-Instruct
  "1.10": no
workers:
  - url: http://a:8000/v1
    api_key: 0012345
    runtime_type: vllm
    priority: "70"
    cost: 2
    labels: { version: 1.10, region: us-east, on: yes }
    models: [plain, { id: card, aliases: [one], context: 8192 }]
    health: { timeout_secs: 3 }
  - { url: https://api.openai.com, provider: openai }
limits: { body_bytes: 64KiB, event_bytes: 1048576 }
timeouts:
  connect: 250ms
  idle: 1.5
retry: { multiplier: 2, jitter: 0 }
translate: { default_max_tokens: 4096, on_unsupported_param: reject }
metrics: { duration_buckets: [0.5, 1, 2] }
provider_keys: { openai: sk-1 }
"#,
        &[],
    );
    assert_eq!((config.listen.host.to_string().as_str(), config.listen.port), ("::1", 8080));
    assert_eq!(config.listen.shutdown_grace, Duration::from_secs(90));
    assert_eq!(config.aliases.get("gpt-4").map(String::as_str), Some("meta-llama/Llama-3.1-8B-Instruct"));
    assert_eq!(config.aliases.get("1.10").map(String::as_str), Some("no"));
    let worker = &config.workers[0];
    assert_eq!(worker.api_key.as_ref().map(trunkline_core::Secret::reveal), Some("0012345"));
    assert_eq!((worker.priority, worker.cost, worker.health.timeout_secs), (70, 2.0, Some(3)));
    assert_eq!(worker.runtime, Some(crate::config::RuntimeName::Vllm));
    let labels: Vec<_> = worker.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(labels, ["on=yes", "region=us-east", "version=1.10"]);
    match worker.models.as_slice() {
        [crate::config::ModelCard::Name(name), crate::config::ModelCard::Card { id, aliases, more }] => {
            assert_eq!(
                (name.as_str(), id.as_str(), aliases.as_slice()),
                ("plain", "card", &["one".to_owned()][..])
            );
            assert_eq!(more.get("context"), Some(&serde_json::json!(8192)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((config.limits.body_bytes, config.limits.event_bytes), (65536, 1 << 20));
    assert_eq!(config.timeouts.connect, Duration::from_millis(250));
    assert_eq!(config.timeouts.idle, Duration::from_millis(1500));
    assert_eq!((config.retry.multiplier, config.retry.jitter), (2.0, 0.0));
    assert_eq!(config.translate.default_max_tokens, Some(4096));
    assert_eq!(config.metrics.duration_buckets, [0.5, 1.0, 2.0]);
    assert_eq!(config.provider_keys.get("openai").map(trunkline_core::Secret::reveal), Some("sk-1"));
    // What a file does not say stays the default.
    assert_eq!(config.timeouts.first_byte, Duration::from_secs(1800));
}

#[test]
fn whose_usage_is_asked_for_is_a_name_or_the_switch_of_older_files() {
    for (text, want) in [
        ("", ForceUsage::Paid),
        ("force_include_usage: paid", ForceUsage::Paid),
        ("force_include_usage: always", ForceUsage::Always),
        ("force_include_usage: true", ForceUsage::Always),
        ("force_include_usage: never", ForceUsage::Never),
        ("force_include_usage: false", ForceUsage::Never),
        ("force_include_usage: ${USAGE}", ForceUsage::Never),
    ] {
        let config = fine(&format!("translate:\n  {text}\n"), &[("USAGE", "false")]);
        assert_eq!(config.translate.force_include_usage, want, "{text}");
    }
}

#[test]
fn references_are_typed_by_their_field() {
    let env = [
        ("PORT", "8081"),
        ("ON", "true"),
        ("T", "90"),
        ("SIZE", "1MiB"),
        ("KEY", "sk-1: {x}"),
        ("P", "random"),
    ];
    let config = fine(
        "listen: {port: \"${PORT}\"}\nigw: ${ON}\ntimeouts: {idle: \"${T}\", connect: \"${C:-250ms}\"}\n\
         limits: {body_bytes: \"${SIZE}\", queue: \"${Q:-7}\"}\nauth: {api_key: \"${KEY}\"}\npolicy: ${P}\n\
         retry:\n  jitter: ${J:-0.5}\nworkers:\n- url: http://${HOST:-gpu1}:8000\n  labels: {a: '$${T}'}\n",
        &env,
    );
    assert_eq!((config.listen.port, config.igw, config.limits.queue), (8081, true, 7));
    assert_eq!(
        (config.timeouts.idle, config.timeouts.connect),
        (Duration::from_secs(90), Duration::from_millis(250))
    );
    assert_eq!((config.limits.body_bytes, config.retry.jitter), (1 << 20, 0.5));
    assert_eq!(config.policy, crate::config::PolicyName::Random);
    // What is filled in is a text, never YAML.
    assert_eq!(config.auth.api_key.as_ref().map(trunkline_core::Secret::reveal), Some("sk-1: {x}"));
    assert_eq!(config.workers[0].url, "http://gpu1:8000");
    assert_eq!(config.workers[0].labels.get("a").map(String::as_str), Some("${T}"));
}

#[test]
fn what_is_set_to_nothing_is_not_set() {
    let file =
        "workers:\n- {url: http://a, organization: '${ORG}', timeout: '${TIME}', project: '${PROJECT:-}'}\n";
    let env = [("ORG", ""), ("TIME", " ")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut problems = Vec::new();
    let (config, document) =
        read(&Text::of("gw.yaml", file), &env, Unset::Wrong, &mut problems).expect("it is a map");
    assert_eq!(problems, []);
    let worker = &config.workers[0];
    assert_eq!((&worker.organization, worker.timeout, &worker.project), (&None, None, &None));
    let left_out = |key: &str, name: &str| {
        format!(
            "workers[0].{key}: environment variable `{name}` is empty, so this is left out; set it, or write `${{{name}:-}}`"
        )
    };
    let told: Vec<_> = document.lost.iter().map(|lost| lost.line(None)).collect();
    assert_eq!(told, [left_out("organization", "ORG"), left_out("timeout", "TIME")]);
}

#[test]
fn anchors_and_merges_work() {
    let config = fine(
        "timeouts: {idle: &t 45s, connect: *t}\nworkers:\n- &w {url: http://a, priority: 9}\n- {<<: *w, url: http://b}\n",
        &[],
    );
    assert_eq!(config.timeouts.connect, Duration::from_secs(45));
    assert_eq!((config.workers[1].url.as_str(), config.workers[1].priority), ("http://b", 9));
}

#[test]
fn everything_wrong_is_told_with_its_place() {
    let env = [("BAD", "hunter2")];
    for (text, said) in [
        (
            "timeouts:\n  first_byt: 30s\n",
            "gw.yaml:2:3: timeouts.first_byt: unknown key; did you mean `first_byte`?\n\
             \x20 2 |   first_byt: ***\n\
             \x20   |   ^^^^^^^^^",
        ),
        (
            "retry: {zzz: 1, attemps: 2}\n",
            "gw.yaml:1:9: retry.zzz: unknown key; known here: `attempts`, `initial_backoff`, `max_backoff`, \
             `multiplier`, `jitter`\n\
             \x20 1 | retry: {zzz: ***, attemps: 2}\n\
             \x20   |         ^^^\n\
             gw.yaml:1:17: retry.attemps: unknown key; did you mean `attempts`?\n\
             \x20 1 | retry: {zzz: 1, attemps: ***}\n\
             \x20   |                 ^^^^^^^",
        ),
        (
            "workers:\n  - url: http://a\n    apikey: live-123\n",
            "gw.yaml:3:5: workers[0].apikey: unknown key; did you mean `api_key`?\n\
             \x20 3 |     apikey: ***\n\
             \x20   |     ^^^^^^",
        ),
        (
            "mesh:\n  port: 1\n",
            "gw.yaml:1:1: mesh: not in this build: the mesh comes later\n\
             \x20 1 | mesh:\n\
             \x20   | ^^^^",
        ),
        (
            "listen:\n  port: 80a\n",
            "gw.yaml:2:9: listen.port: expected a whole number from 0 to 65535; found `80a`\n\
             \x20 2 |   port: 80a\n\
             \x20   |         ^^^",
        ),
        (
            "listen:\n  port: 65536\n",
            "gw.yaml:2:9: listen.port: expected a whole number from 0 to 65535; found `65536`\n\
             \x20 2 |   port: 65536\n\
             \x20   |         ^^^^^",
        ),
        (
            "listen: {port: '${BAD}'}\n",
            "gw.yaml:1:16: listen.port: expected a whole number from 0 to 65535; found the value of `${BAD}`\n\
             \x20 1 | listen: {port: '${BAD}'}\n\
             \x20   |                ^^^^^^^^",
        ),
        (
            "igw: maybe\n",
            "gw.yaml:1:6: igw: expected true or false; found `maybe`\n\
             \x20 1 | igw: maybe\n\
             \x20   |      ^^^^^",
        ),
        (
            "timeouts:\n  idle: 5 minutes\n",
            "gw.yaml:2:9: timeouts.idle: expected a duration: 250ms, 30s, 5m, 1h, 1d, or a number of seconds; \
             found `5 minutes`\n\
             \x20 2 |   idle: 5 minutes\n\
             \x20   |         ^^^^^^^^^",
        ),
        (
            "limits: {body_bytes: 10 megabytes}\n",
            "gw.yaml:1:22: limits.body_bytes: expected a size: 64KiB, 10MiB, 1GiB, 500KB, 10MB, or a number of \
             bytes; found `10 megabytes`\n\
             \x20 1 | limits: {body_bytes: 10 megabytes}\n\
             \x20   |                      ^^^^^^^^^^^^",
        ),
        (
            "auth:\n  api_key:\n",
            "gw.yaml:2:10: auth.api_key: is empty; write the key, or leave `api_key` out to let anyone call; found \
             nothing\n\
             \x20 2 |   api_key:\n\
             \x20   |          ^",
        ),
        (
            "policy: rondom\n",
            "gw.yaml:1:9: policy: unknown name `rondom`; did you mean `random`?\n\
             \x20 1 | policy: rondom\n\
             \x20   |         ^^^^^^",
        ),
        (
            "policy: fastest\n",
            "gw.yaml:1:9: policy: unknown name `fastest`; use one of `round_robin`, `random`, \
             `power_of_two`, `weighted`, `least_connections`, `latency`, `cost`, `usage`, \
             `cache_aware`, `prefix_hash`, `consistent_hashing`, `least_load`, `bucket`, `manual`, `passthrough`\n\
             \x20 1 | policy: fastest\n\
             \x20   |         ^^^^^^^",
        ),
        (
            "listen: {host: localhost}\n",
            "gw.yaml:1:16: listen.host: invalid IP address syntax; found `localhost`\n\
             \x20 1 | listen: {host: localhost}\n\
             \x20   |                ^^^^^^^^^",
        ),
        (
            "pools:\n  - name: a\n",
            "gw.yaml:2:5: pools[0]: the key `backends` is missing; add it\n\
             \x20 2 |   - name: a\n\
             \x20   |     ^",
        ),
        (
            "workers: http://a\n",
            "gw.yaml:1:10: workers: expected a list; found `http://a`\n\
             \x20 1 | workers: http://a\n\
             \x20   |          ^^^^^^^^",
        ),
        (
            "retry: 3\n",
            "gw.yaml:1:8: retry: expected a map with the keys `attempts`, `initial_backoff`, `max_backoff`, \
             `multiplier`, `jitter`; found `3`\n\
             \x20 1 | retry: 3\n\
             \x20   |        ^",
        ),
        (
            "workers: [{url: http://a, models: [{aliases: [x]}]}]\n",
            "gw.yaml:1:36: workers[0].models[0]: expected a model's name or a map with its `id`; found a map\n\
             \x20 1 | workers: [{url: http://a, models: [{aliases: [x]}]}]\n\
             \x20   |                                    ^",
        ),
        (
            "listen: {port: }\n",
            "gw.yaml:1:14: listen.port: expected a whole number from 0 to 65535; found nothing\n\
             \x20 1 | listen: {port: }\n\
             \x20   |              ^",
        ),
        (
            "auth:\n  api_key: [live-123]\n",
            "gw.yaml:2:12: auth.api_key: expected a text; found a list\n\
             \x20 2 |   api_key: [***]\n\
             \x20   |            ^",
        ),
        (
            "auth: live-123\n",
            "gw.yaml:1:7: auth: expected a map with the keys `api_key`; found ***\n\
             \x20 1 | auth: ***\n\
             \x20   |       ^^^",
        ),
        (
            "igw: sk-live-123\n",
            "gw.yaml:1:6: igw: expected true or false; found ***\n\
             \x20 1 | igw: ***\n\
             \x20   |      ^^^",
        ),
        (
            "auth:\n  api_key: ${NOPE}\nlisten:\n  port: ${file:/nonexistent/port}\n",
            "gw.yaml:2:12: auth.api_key: environment variable `NOPE` is not set; set it or write `${NOPE:-default}`\n\
             \x20 2 |   api_key: ***\n\
             \x20   |            ^^^\n\
             gw.yaml:4:9: listen.port: cannot read file `/nonexistent/port`: No such file or directory (os error 2)\n\
             \x20 4 |   port: ${file:/nonexistent/port}\n\
             \x20   |         ^^^^^^^^^^^^^^^^^^^^^^^^^",
        ),
        (
            "igw: true\nigw: false\n",
            "gw.yaml:2:1: the key `igw` stands twice in one map; keep one\n\
             \x20 2 | igw: ***\n\
             \x20   | ^",
        ),
        (
            "listen: [\n",
            "gw.yaml:1:9: not valid YAML: unclosed bracket '['\n\
             \x20 1 | listen: [\n\
             \x20   |         ^",
        ),
        (
            "listen:\n\tport: 1\n",
            "gw.yaml:2:2: not valid YAML: tabs disallowed within this context (block indentation)\n\
             \x20 2 |  port: ***\n\
             \x20   |  ^",
        ),
        (
            "igw: true\n---\nigw: true\n",
            "gw.yaml:3:1: not valid YAML: only single YAML document expected but multiple found\n\
             \x20 3 | igw: ***\n\
             \x20   | ^",
        ),
        (
            "listen: x: y\n",
            "gw.yaml:1:10: not valid YAML: mapping values are not allowed in this context\n\
             \x20 1 | listen: ***\n\
             \x20   |          ^",
        ),
    ] {
        assert_eq!(report(text, &env), said, "{text}");
    }
}

#[test]
fn all_wrong_values_are_told_at_once() {
    let said = report(
        "workers:\n- {url: [live-1], priority: high}\npools:\n- {name: a}\nlisten:\n  port: none\n  prot: 2\n  host: here\n\
         auth: {api_key: [hunter2], apikey: x}\nmetrics: {duration_buckets: [1, two, three]}\n",
        &[],
    );
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("gw.yaml")).collect();
    assert_eq!(
        lines,
        [
            "gw.yaml:2:9: workers[0].url: expected a text; found a list",
            "gw.yaml:2:29: workers[0].priority: expected a whole number, 0 or more; found `high`",
            "gw.yaml:4:3: pools[0]: the key `backends` is missing; add it",
            "gw.yaml:6:9: listen.port: expected a whole number from 0 to 65535; found `none`",
            "gw.yaml:7:3: listen.prot: unknown key; did you mean `port`?",
            "gw.yaml:8:9: listen.host: invalid IP address syntax; found `here`",
            "gw.yaml:9:17: auth.api_key: expected a text; found a list",
            "gw.yaml:9:28: auth.apikey: unknown key; did you mean `api_key`?",
            "gw.yaml:10:33: metrics.duration_buckets[1]: expected a number; found `two`",
            "gw.yaml:10:38: metrics.duration_buckets[2]: expected a number; found `three`",
        ]
    );
    assert!(!said.contains("hunter2"), "{said}");
}

/// Wherever an error lands, and whatever kind it is, the credential beside it is not shown.
#[test]
fn no_error_shows_a_secret() {
    const SECRET: &str = "hunter2hunter2";
    let env = [("KEY", SECRET), ("PORT", SECRET)];
    for text in [
        "auth: {api_key: 'hunter2hunter2', apikeyy: hunter2hunter2}\n",
        "auth: {api_key: hunter2hunter2\n",
        "auth:\n  api_key: \"hunter2hunter2\nigw: 1\n",
        "auth:\n  api_key: hunter2hunter2: x\n",
        "auth:\n\tapi_key: hunter2hunter2\n",
        "auth:\n  api_key: >\n    hunter2hunter2\n   x: y\n  z: w\n",
        "auth:\n  api_key: |\n    hunter2hunter2\n  apikey: |\n    hunter2hunter2\n",
        "auth:\n  api_key:\n    deep: hunter2hunter2\n",
        "auth:\n  api_key:\n    - hunter2hunter2\n    - {a: hunter2hunter2}\n",
        "provider_keys: [hunter2hunter2]\n",
        "provider_keys: hunter2hunter2\n",
        "provider_keys: {openai: [hunter2hunter2]}\n",
        "listen: {port: '${PORT}', tls_cert: [1]}\n",
        "listen: {prt: '${PORT}'}\n",
        "igw: '${KEY}'\npolicy: x\n",
        "policy: '${KEY}'\n",
        "timeouts: {idle: '${KEY}'}\n",
        "limits: {body_bytes: '${KEY}'}\n",
        "listen: {host: '${KEY}'}\n",
        "retry: '${KEY}'\n",
        "workers: '${KEY}'\n",
        "workers: [{url: 'http://me:hunter2hunter2@host', priority: x}]\n",
        "workers: [{url: 'http://host/?key=hunter2hunter2', priority: x}]\n",
        "auth: {api_key: 'a${hunter2hunter2'}\n",
        "auth: {api_key: '${hunter2hunter2!}'}\n",
        "api_key: hunter2hunter2\n",
        "auth: {api_key: hunter2hunter2, api_key: hunter2hunter2}\n",
        "auth: {api_key: hunter2hunter2}}\n",
        "auth: {api_key: !!int hunter2hunter2}\n",
        "auth: {api_key: \"\\xhunter2hunter2\"}\n",
        "auth: {api_key: *hunter2hunter2}\n",
        "\u{feff}auth: {api_key: hunter2hunter2, b: 1}\r\n",
        "# \u{e9}\u{1f600}\r\nauth: {\u{e9}\u{e9}: '\u{e9}', api_key: hunter2hunter2, b: 1}\r\n",
        "auth: {api_key: hunter2hunter2\n   hunter2hunter2, b: 1}\n",
        "auth: {api_key: 'hunter2hunter2\n   hunter2hunter2', b: 1}\n",
        "auth: {b: 1, api_key: &a hunter2hunter2, api_kez: *a}\n",
        "workers: [{url: http://a, api_key: !!str hunter2hunter2, x: 1}]\n",
        "auth:\n  api_key: hunter2hunter2:\t\n",
        "auth:\n  api_key: >\n hunter2hunter2: x\n",
        "- hunter2hunter2\n",
        "hunter2hunter2\n",
    ] {
        let (_, problems) = lowered(text, &env);
        let of_values = crate::config::load_text(
            &crate::config::Sources {
                env: env.map(|(name, value)| (name.into(), value.into())).into(),
                ..Default::default()
            },
            Some(Text::of("gw.yaml", text)),
        );
        let shown = format!(
            "{}\n{problems:?}\n{}",
            report(text, &env),
            of_values.err().map_or_else(String::new, |why| why.to_string())
        );
        assert!(!problems.is_empty(), "{text} has no problem: {shown}");
        assert!(!shown.contains(SECRET), "{text} shows it: {shown}");
    }
}

/// A password that begins like an anchor or a tag of YAML's is no value, and as secret as one.
#[test]
fn passwords_that_are_punctuation_are_hidden() {
    for text in [
        "auth:\n  api_key: &hunter2hunter2[&&: ]\n",
        "auth:\n  api_key: &hunter2hunter2 [1]\n",
        "auth:\n  api_key: !hunter2hunter2 [1]\n",
        "auth: {api_key: &hunter2hunter2 {a: b}}\n",
        "auth: {api_key: &hunter2hunter2 {hunter2: b}}\n",
    ] {
        let said = report(text, &[]);
        assert!(!said.contains("hunter2h") && !said.is_empty(), "{text:?}: {said}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    #[test]
    fn garbage_is_refused_without_a_panic(text in "[a-c:{}\\[\\]'\"$&*|>!%@<,?# \\-\n\r\t\u{e9}\u{1f600}]{0,60}") {
        let (_, problems) = lowered(&text, &[("a", "b")]);
        for problem in &problems {
            if let Some(place) = &problem.place {
                proptest::prop_assert!(place.before <= place.shown.chars().count(), "{problem:?}");
            }
        }
    }

    #[test]
    fn garbage_around_a_secret_does_not_show_it(
        before in "[a-c:{}\\[\\]'\",# \\-\n\u{e9}]{0,12}",
        quote in "['\"|>&]?",
        after in "[a-c:{}\\[\\]'\"$&*|>!,# \\-\n\t\u{e9}]{0,30}",
    ) {
        let text = format!("{before}\nauth:\n  api_key: {quote}hunter2hunter2{after}\n");
        let said = report(&text, &[]);
        proptest::prop_assert!(!said.contains("hunter2"), "{text:?}: {said}");
    }
}

#[test]
fn json_is_held_to_its_own_rules() {
    let told = |name: &str, text: &str| {
        let mut problems = Vec::new();
        let config = read(&Text::of(name, text), &BTreeMap::new(), Unset::Wrong, &mut problems)
            .map(|(config, _)| config);
        let file = Some(name.into());
        (
            config.is_some(),
            crate::config::ConfigError::Invalid { file, problems, warnings: Vec::new() }.to_string(),
        )
    };
    let comma = "{\n  \"igw\": true,\n  \"aliases\": {\"a\": \"b\"},\n}\n";
    for name in ["gw.json", "body"] {
        let (is_read, report) = told(name, comma);
        assert!(!is_read, "{name}");
        let want = format!("{name}:4:1: not valid JSON: trailing comma\n  4 | }}\n    | ^");
        assert_eq!(report, want);
    }
    let (_, report) = told("gw.json", "{\"auth\": {\"api_key\": \"hunter2\" \"x\": 1}}");
    assert!(report.starts_with("gw.json:1:32: not valid JSON: expected `,` or `}`"), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
    // To YAML that is fine, and so is all that JSON allows.
    assert_eq!(told("gw.yaml", comma), (true, String::new()));
    for text in [
        "{}",
        "{\n\t\"igw\": true\n}\n",
        "\u{feff}{\"aliases\": {\"a\": \"\\u00e9\\/b\"}}",
        "{\"retry\": {\"jitter\": 1e-1}}",
    ] {
        assert_eq!(told("gw.json", text), (true, String::new()), "{text}");
    }
}
