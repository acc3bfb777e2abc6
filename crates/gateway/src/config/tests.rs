mod pools;

use super::*;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use trunkline_core::Secret;
use trunkline_dialect::provider::PROVIDERS;

/// A file that is gone when the test is.
struct Temporary(PathBuf);

impl Temporary {
    fn new(text: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("trunkline-config-{}-{count}.yaml", std::process::id()));
        std::fs::write(&path, text).expect("the temporary directory can be written");
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn flags(line: &str) -> Flags {
    let argv = ["trunkline"].into_iter().chain(line.split_whitespace()).map(std::ffi::OsString::from);
    match crate::cli::parse(argv) {
        Ok(crate::cli::Command::Launch(flags)) => flags,
        other => panic!("{line}: {other:?}"),
    }
}

/// The report, with the file's name made the same on every machine.
fn refusal(yaml: &str, pairs: &[(&str, &str)], line: &str) -> String {
    let file = Temporary::new(yaml);
    let sources = Sources { file: Some(file.0.clone()), env: env(pairs), flags: flags(line) };
    let report = load(&sources).expect_err("it is refused").to_string();
    report.replace(&file.0.display().to_string(), "gw.yaml")
}

#[test]
fn later_sources_win() {
    let yaml = "igw: true\nlisten: {port: 1111}\nauth: {api_key: of-file}\nprovider_keys: {openai: of-file, xai: x}\n\
                workers: [{url: http://file:1}]\naliases: {a: file, b: file}\nretry: {attempts: 2}\n";
    let file = Temporary::new(yaml);
    let name = file.0.display().to_string();
    let reveal = |key: Option<&Secret>| key.map_or(String::new(), |key| key.reveal().to_owned());
    for (pairs, line, port, key, openai, worker, alias, attempts) in [
        (&[][..], "", 1111, "of-file", "of-file", "http://file:1", "file", 2),
        (
            &[("TRUNKLINE_API_KEY", " of-env\n"), ("RUST_LOG", "debug"), ("OPENAI_API_KEY", "of-env")][..],
            "",
            1111,
            "of-env",
            "of-env",
            "http://file:1",
            "file",
            2,
        ),
        (
            &[("TRUNKLINE_API_KEY", "of-env"), ("OPENAI_API_KEY", "")][..],
            "--port 2222 --api-key of-flag --worker-urls http://flag:1 --model-alias a=flag --disable-retries",
            2222,
            "of-flag",
            "of-file",
            "http://flag:1",
            "flag",
            1,
        ),
    ] {
        let mut variables = env(pairs);
        variables.insert("TRUNKLINE_CONFIG".into(), name.clone());
        let sources = Sources { file: None, env: variables, flags: flags(line) };
        let config = load(&sources).unwrap_or_else(|why| panic!("{line}: {why}"));
        assert_eq!(config.listen.port, port, "{line}");
        assert_eq!(reveal(config.auth.api_key.as_ref()), key, "{line}");
        assert_eq!(reveal(config.provider_keys.get("openai")), openai, "{line}");
        assert_eq!(reveal(config.provider_keys.get("xai")), "x", "{line}");
        assert_eq!(config.workers[0].url, worker, "{line}");
        assert_eq!(config.aliases.get("a").map(String::as_str), Some(alias), "{line}");
        assert_eq!(config.aliases.get("b").map(String::as_str), Some("file"), "{line}");
        assert_eq!(config.retry.attempts, attempts, "{line}");
        assert_eq!(config.log.filter.is_some(), sources.env.contains_key("RUST_LOG"), "{line}");
    }
}

#[test]
fn the_file_is_named_by_caller_then_flag_then_environment() {
    let [one, two, three] =
        [1, 2, 3].map(|port| Temporary::new(&format!("igw: true\nlisten: {{port: {port}}}\n")));
    let name = |file: &Temporary| file.0.display().to_string();
    for (given, line, variable, port) in [
        (Some(one.0.clone()), format!("--config {}", name(&two)), name(&three), 1),
        (None, format!("--config {}", name(&two)), name(&three), 2),
        (None, String::new(), name(&three), 3),
        (None, "--enable-igw".to_owned(), String::new(), 30000),
    ] {
        let sources =
            Sources { file: given, env: env(&[("TRUNKLINE_CONFIG", &variable)]), flags: flags(&line) };
        assert_eq!(load(&sources).expect("it loads").listen.port, port, "{line}");
    }
}

#[test]
fn keys_of_providers_are_enough_to_start() {
    let keys = PROVIDERS.iter().flat_map(|one| one.key_variables.iter().map(|name| (*name, one.id)));
    for (variable, provider) in keys {
        let sources = Sources { env: env(&[(variable, "k")]), ..Sources::default() };
        match load(&sources) {
            Ok(config) => {
                assert_eq!(config.provider_keys.keys().collect::<Vec<_>>(), [provider]);
                let row = PROVIDERS.iter().find(|row| row.id == provider).expect("it is one of them");
                assert!(config.address_of(row, config.aws.region.as_deref()).is_some(), "{variable}");
            }
            Err(why) => {
                let told = format!("there are none: there is a key for {provider}, but not where; set ");
                assert!(why.to_string().contains(&told), "{variable}: {why}");
            }
        }
    }
    // What is left out beside others is told.
    let both = env(&[("OPENAI_API_KEY", "k"), ("AZURE_OPENAI_API_KEY", "k")]);
    let config = load(&Sources { env: both, ..Sources::default() }).expect("one of them is whole");
    assert_eq!(
        config.warnings,
        ["there is a key for azure-openai but not where; set AZURE_OPENAI_ENDPOINT; it is not used"]
    );
    let said = load(&Sources::default()).expect_err("there is nothing to serve").to_string();
    assert_eq!(
        said,
        "workers (`--worker-urls`): there are none; pass --worker-urls, list them in the file, set a provider's key \
         such as OPENAI_API_KEY, or start empty with --enable-igw"
    );
}

#[test]
fn what_is_odd_about_providers_that_nobody_asks_is_not_told() {
    let odd = [
        ("AZURE_OPENAI_API_KEY", "one"),
        ("AZURE_API_KEY", "two"),
        ("AZURE_OPENAI_ENDPOINT", "https://one.example"),
        ("AZURE_API_BASE", "https://two.example"),
        ("VERTEX_AI_PROJECT_ID", "p"),
    ];
    for (yaml, told) in [
        ("workers: [{url: http://a}]", 0),
        ("backends: [{name: a, provider: mistral, api_key: k}]", 0),
        ("backends: [{name: a, provider: azure}]", 2),
        ("backends: [{name: a, url: https://x.openai.azure.com}]", 2),
        ("log: {json: true}", 3),
        ("igw: true", 3),
    ] {
        let file = Temporary::new(yaml);
        let sources = Sources { file: Some(file.0.clone()), env: env(&odd), ..Sources::default() };
        let config = load(&sources).unwrap_or_else(|why| panic!("{yaml}: {why}"));
        let azure = config.warnings.iter().filter(|warning| warning.contains("AZURE")).count();
        let all = config.warnings.len();
        assert_eq!((azure, all), (told.min(2), told), "{yaml}: {:?}", config.warnings);
    }
}

#[test]
fn keys_of_aws_come_from_the_environment() {
    let yaml =
        "igw: true\naws: {access_key_id: f, secret_access_key: f, session_token: f, region: eu-west-1}\n";
    let file = Temporary::new(yaml);
    let keys = [("AWS_ACCESS_KEY_ID", "e"), ("AWS_SECRET_ACCESS_KEY", " e\n")];
    let with = |more: &[(&'static str, &'static str)]| [&keys[..], more].concat();
    for (pairs, key, token, region) in [
        (vec![], "f", Some("f"), "eu-west-1"),
        // The token of the file belongs to the file's key.
        (with(&[]), "e", None, "eu-west-1"),
        (with(&[("AWS_SESSION_TOKEN", "e")]), "e", Some("e"), "eu-west-1"),
        (with(&[("AWS_DEFAULT_REGION", "us-west-2")]), "e", None, "us-west-2"),
        (vec![("AWS_DEFAULT_REGION", "us-west-2"), ("AWS_REGION", "us-east-1")], "f", Some("f"), "us-east-1"),
        // Half a key is none.
        (vec![keys[0]], "f", Some("f"), "eu-west-1"),
    ] {
        let sources = Sources { file: Some(file.0.clone()), env: env(&pairs), flags: flags("") };
        let aws = load(&sources).unwrap_or_else(|why| panic!("{pairs:?}: {why}")).aws;
        let reveal = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.reveal().to_owned());
        assert_eq!(reveal(&aws.access_key_id).as_deref(), Some(key), "{pairs:?}");
        assert_eq!(reveal(&aws.secret_access_key).as_deref(), Some(key), "{pairs:?}");
        assert_eq!(reveal(&aws.session_token).as_deref(), token, "{pairs:?}");
        assert_eq!(aws.region.as_deref(), Some(region), "{pairs:?}");
    }
    // Enough to start with, once it is known where.
    let start = |pairs: &[(&str, &str)]| load(&Sources { env: env(pairs), ..Sources::default() });
    assert!(start(&with(&[("AWS_REGION", "us-east-1")])).is_ok());
    let config = start(&keys).expect("there is nothing else that could be meant");
    assert_eq!(config.aws.region.as_deref(), Some("us-east-1"));
    assert!(
        config.warnings.iter().any(|warning| warning.contains("set AWS_REGION")),
        "{:?}",
        config.warnings
    );
    // A region alone is that of a machine with a role; beside anything else it means nothing.
    assert!(start(&[("AWS_REGION", "eu-west-1")]).expect("so is this").has_machine_role);
    for other in ["OPENAI_API_KEY", "OLLAMA_HOST", "VERTEX_AI_PROJECT_ID"] {
        let config = start(&[("AWS_REGION", "eu-west-1"), (other, "x")]).expect("it is set up");
        assert!(!config.has_machine_role, "{other}");
    }
}

#[test]
fn a_misspelt_key_of_workers_is_one_error() {
    let path = std::env::temp_dir().join(format!("trunkline-{}-misspelt.yaml", std::process::id()));
    for (text, says) in [
        ("workres: [{url: http://a}]\n", Some("workres: unknown key; did you mean `workers`?")),
        ("upstreams: [{url: http://a}]\n", Some("upstreams: unknown key")),
        ("listen: {prot: 1}\n", None),
    ] {
        std::fs::write(&path, text).expect("the folder for such files is writable");
        let said = load(&Sources { file: Some(path.clone()), ..Sources::default() }).expect_err("it is bad");
        let said = said.to_string();
        // An unknown key elsewhere does not explain why there are no workers.
        assert_eq!(says.is_some(), !said.contains("there are none"), "{said}");
        assert!(said.contains(says.unwrap_or("did you mean `port`?")), "{said}");
    }
    std::fs::remove_file(path).expect("it was written");
}

/// Where each line of a report points, and what of the tree it is about.
fn places(report: &str) -> Vec<(&str, &str)> {
    let line = |line: &'_ str| line.starts_with("gw.yaml:").then_some(());
    let lines = report.lines().filter(|text| line(text).is_some());
    let parts = lines.filter_map(|text| {
        let mut parts = text.splitn(5, ':');
        Some((parts.nth(1)?, parts.nth(1)?.trim()))
    });
    parts.collect()
}

#[test]
fn everything_wrong_is_told_in_one_run() {
    let yaml = "\
listen:
  port: ${GATEWAY_PORT}
backends:
  - name: one
    provider: ${WHOSE}
    api_key: ${KEY_OF_ONE}
    priority: 200
  - name: two
    url: ftp://two
    max_concurrent: many
    queue: {size: 5}
  - not a backend
  - name: three
    uri: http://three
    timeout: soon
    weight: 1000001
pools:
  - name: fast
    strategy: weighed
    fallbak: true
    backends: [{name: one}, {name: twoo}, {nmae: three}]
  - strategy: latency
    backends: [{name: one, weight: 0}]
routes:
  - name: all
    methods: [POTS]
    backend: fast
retry: {jitter: 2}
";
    let report = refusal(yaml, &[], "");
    assert_eq!(
        places(&report),
        [
            ("2", "listen.port"),
            ("5", "backends[0].provider"),
            ("6", "backends[0].api_key"),
            ("7", "backends[0].priority"),
            ("9", "backends[1].url"),
            ("10", "backends[1].max_concurrent"),
            ("12", "backends[2]"),
            ("14", "backends[3].uri"),
            ("15", "backends[3].timeout"),
            ("16", "backends[3].weight"),
            ("19", "pools[0].strategy"),
            ("20", "pools[0].fallbak"),
            ("21", "pools[0].backends[2].nmae"),
            ("22", "pools[1]"),
            ("23", "pools[1].backends"),
            ("26", "routes[0].methods[0]"),
            ("28", "retry.jitter"),
        ],
        "{report}"
    );
    // Which names there are is not known where one is missing; where none is, it is.
    let named = yaml.replace("  - not a backend\n", "").replace("  - strategy: latency", "  - name: slow");
    let report = refusal(&named, &[], "");
    assert!(
        report.contains("pools[0].backends[1].name: no backend or pool has this name; did you mean `two`?"),
        "{report}"
    );
}

/// Keys that other gateways' files have, too, do not make ours one of theirs.
#[test]
fn a_file_with_backends_of_ours_is_ours() {
    let backends = "backends:\n  - {name: a, url: http://a}\n";
    for (more, said) in [
        ("listeners: [{port: 8080}]", "gw.yaml:3:1: listeners: not in this build: there is one listener"),
        (
            "policies: {rateLimit: {}}",
            "gw.yaml:3:1: policies: not in this build: rate limits and guardrails come later",
        ),
        ("strategy: latency", "gw.yaml:3:1: strategy: unknown key; did you mean `policy`?"),
        (
            "  - {name: b, type: openai, api_key: k}",
            "gw.yaml:3:15: backends[1].type: unknown key; did you mean `provider`?",
        ),
        (
            "  - {name: b, base_url: http://b}",
            "gw.yaml:3:15: backends[1].base_url: unknown key; did you mean `url`?",
        ),
    ] {
        let report = refusal(&format!("{backends}{more}\n"), &[], "");
        assert!(report.starts_with(said) && report.matches("gw.yaml:").count() == 1, "{more}\n{report}");
    }
}

#[test]
fn what_is_not_known_is_complained_of_once() {
    for (yaml, said) in [
        ("workers: [{url: \"${URL}\"}]", "workers[0].url: environment variable `URL` is not set"),
        (
            "backends: [{name: a, provider: \"${P}\"}]",
            "backends[0].provider: environment variable `P` is not set",
        ),
        (
            "backends: [{name: a, provider: \"${P}\", api_version: preview, url: https://a.example}]",
            "backends[0].provider: environment variable `P` is not set",
        ),
        ("workers: \"${WORKERS}\"", "workers: environment variable `WORKERS` is not set"),
        (
            "backends: [{name: \"${N}\", url: http://a}]\npools: [{name: p, backends: [{name: a}]}]",
            "backends[0].name: environment variable `N` is not set",
        ),
        (
            "igw: true\nretry: {initial_backoff: soon, max_backoff: 10ms}",
            "retry.initial_backoff: expected a duration",
        ),
        ("igw: true\naliases: {a: \"${A}\", b: c}", "aliases.a: environment variable `A` is not set"),
        (
            "igw: true\nmcp: {servers: [{name: a, url: \"${A}\"}]}",
            "mcp.servers[0].url: environment variable `A`",
        ),
        (
            "igw: true\nlimits: {body_bytes: \"${B}\", queue: 3}",
            "limits.body_bytes: environment variable `B`",
        ),
    ] {
        let report = refusal(yaml, &[], "");
        assert_eq!(report.matches("gw.yaml:").count(), 1, "{yaml}\n{report}");
        assert!(report.contains(said) && !report.contains("--"), "{yaml}\n{report}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let sources = Sources { file: Some("/nonexistent/gw.yaml".into()), ..Sources::default() };
    let said = load(&sources).expect_err("there is none").to_string();
    assert_eq!(said, "/nonexistent/gw.yaml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn problems_are_placed_where_they_come_from() {
    // Of the file: with its line. Of a flag: with its flag. An unknown key does not hide the rest.
    assert_eq!(
        refusal(
            "igw: true\nretry:\n  jiter: 1\n  multiplier: 0.5\n",
            &[],
            "--retry-jitter-factor 2 --queue-timeout-secs 0"
        ),
        "gw.yaml:3:3: retry.jiter: unknown key; did you mean `jitter`?\n\
         \x20 3 |   jiter: ***\n\
         \x20   |   ^^^^^\n\
         gw.yaml:4:15: retry.multiplier: 0.5 is not 1 or more; use 1 for a constant delay\n\
         \x20 4 |   multiplier: 0.5\n\
         \x20   |               ^^^\n\
         limits.queue_timeout (`--queue-timeout-secs`): is 0 while `limits.queue` is not; use a duration above 0, or a \
         queue of 0\n\
         retry.jitter (`--retry-jitter-factor`): 2 is not between 0 and 1; use 0 for none"
    );
    assert_eq!(
        refusal("workers:\n  - url: http://me:hunter2@a\n  - url: http://b/v1\n  - url: http://b\n", &[], ""),
        "gw.yaml:2:10: workers[0].url: holds a user name or password; take it out and set `api_key` instead\n\
         \x20 2 |   - url: ***\n\
         \x20   |          ^^^\n\
         gw.yaml:4:10: workers[2].url: is the same worker as workers[1]; list it once, or give each a `name`\n\
         \x20 4 |   - url: http://b\n\
         \x20   |          ^^^^^^^^"
    );
    assert_eq!(
        refusal("igw: true\n", &[], "--worker-urls grpc://worker1:50051"),
        "workers[0].url (`--worker-urls`): starts with `grpc://`: gRPC workers are not in this build; use the \
         engine's HTTP port"
    );
}

#[test]
fn everything_out_of_range_is_found() {
    let readable = Temporary::new("certificate");
    let readable = readable.0.display().to_string();
    let with_cert = format!("listen: {{tls_cert: '{readable}'}}");
    let with_both = format!("listen: {{tls_cert: '{readable}', tls_key: /nonexistent/key.pem}}");
    for (yaml, said) in [
        (
            with_cert.as_str(),
            "listen.tls_key: is missing while `listen.tls_cert` is set; set both or neither",
        ),
        (
            "listen: {tls_key: k.pem}",
            "listen.tls_cert: is missing while `listen.tls_key` is set; set both or neither",
        ),
        (&with_both, "listen.tls_key: cannot be read: No such file or directory (os error 2)"),
        (
            "listen: {request_id_headers: [x-a, 'x b']}",
            "listen.request_id_headers[1]: is not a header name; use letters, digits and dashes",
        ),
        (
            "listen: {cors_origins: [example.com]}",
            "listen.cors_origins[0]: is not an origin; write https://HOST or https://HOST:PORT, or leave \
             the list empty for any",
        ),
        ("workers: [{url: ftp://a}]", "workers[0].url: has an unknown scheme; use http:// or https://"),
        ("workers: [{url: http://a, priority: 101}]", "workers[0].priority: 101 is over 100; use 0 to 100"),
        (
            "workers: [{url: http://a, rpm: 0}]",
            "workers[0].rpm: is 0, which lets nothing through; use 1 or more, or `weight: 0` to take it out",
        ),
        (
            "workers: [{url: http://a, weight: 1000001}]",
            "workers[0].weight: 1000001 is over 1000000; weights count against each other",
        ),
        (
            "workers: [{url: http://a, cost: 0}]",
            "workers[0].cost: 0 is not above 0; use 1 for the usual cost",
        ),
        (
            "workers: [{url: http://a, cost: inf}]",
            "workers[0].cost: inf is not above 0; use 1 for the usual cost",
        ),
        ("workers: [{url: http://a, api_key: ''}]", "workers[0].api_key: is empty; set it, or leave it out"),
        (
            "workers: [{url: http://a, worker_type: prefill}]",
            "workers[0].worker_type: `prefill` is not in this build: disaggregated serving comes later; use `regular`",
        ),
        (
            "workers: [{url: http://a, worker_type: decode}]",
            "workers[0].worker_type: `decode` is not in this build: disaggregated serving comes later; use `regular`",
        ),
        (
            "workers: [{url: http://a, models: ['']}]",
            "workers[0].models[0]: has an empty name; write the model's name",
        ),
        (
            "workers: [{url: http://a, health: {timeout_secs: 0}}]",
            "workers[0].health.timeout_secs: is 0; use 1 or more, or leave it out",
        ),
        (
            "workers: [{url: http://a}, {url: http://A/v1/}]",
            "workers[1].url: is the same worker as workers[0]; list it once, or give each a `name`",
        ),
        (
            "translate: {seal_key: short}",
            "translate.seal_key: is too short to be a secret; use 16 characters or more",
        ),
        ("aliases: {gpt: gpt}", "aliases.gpt: stands for itself; name the model it stands for, or remove it"),
        ("aliases: {gpt: ''}", "aliases.gpt: has an empty name; write ALIAS: MODEL"),
        (
            "workers: [{url: http://a, provider: opnai}]",
            "workers[0].provider: no such provider; did you mean `openai`? One that is not listed but speaks OpenAI's \
             dialects is `openai-compatible`",
        ),
        (
            "workers: [{url: http://a, provider: vllm}]",
            "workers[0].provider: is an engine, not a provider; write `runtime: vllm` in place of it",
        ),
        (
            "backends: [{name: a, provider: openai-compatible}]",
            "backends[0].url: is missing: only you know where this provider is; write https://HOST",
        ),
        (
            "workers: [{url: http://a, prices: [input 1, output 2, input 3 tier=batch, input 2]}]",
            "workers[0].prices[3]: is another price of the same; keep one, or say when each holds",
        ),
        (
            "breaker: {open: 10m, max_open: 1m}",
            "breaker.max_open: is shorter than `open`; make it at least as long, or leave it out",
        ),
        (
            "workers: [{provider: vertex-ai, location: us-central1}]",
            "workers[0].project: is missing: models of Vertex AI are below a project and a location; set both",
        ),
        (
            "backends: [{name: a, provider: vertex-ai}]",
            "backends[0].project: is missing: models of Vertex AI are below a project and a location; set both, or \
             VERTEX_AI_PROJECT_ID and VERTEX_AI_REGION, or the `api_key` of an account in express mode",
        ),
        (
            "workers: [{provider: vertex-ai, project: acme}]",
            "workers[0].location: is missing: models of Vertex AI are below a project and a location; set both",
        ),
        (
            "workers: [{url: 'https://us-east5-aiplatform.googleapis.com', models: [claude-sonnet-4-5]}]",
            "workers[0].project: is missing: models of Vertex AI are below a project and a location; set both",
        ),
        (
            "workers: [{url: http://a, api_key: $MY_KEY}]",
            "workers[0].api_key: is the name of a variable, not what it holds; write `${MY_KEY}`",
        ),
        (
            "auth: {api_key: os.environ/MY_KEY}",
            "auth.api_key: is the name of a variable, not what it holds; write `${MY_KEY}`",
        ),
        ("workers: ['http://a']", "workers[0]: expected a map such as `url: URL`; found `http://a`"),
        (
            "pools: [{name: p, backends: [a]}]",
            "pools[0].backends[0]: expected a map such as `name: NAME`; found `a`",
        ),
        ("provider_keys: {opnai: k}", "provider_keys.opnai: no such provider; did you mean `openai`?"),
        (
            "provider_urls: {mistrl: http://x}",
            "provider_urls.mistrl: no such provider; did you mean `mistral`?",
        ),
        (
            "provider_urls: {openai: x}",
            "provider_urls.openai: has no scheme; write http://HOST:PORT or https://HOST; see OPENAI_BASE_URL",
        ),
        ("provider_keys: {openai: ' '}", "provider_keys.openai: is empty; set it, or leave it out"),
        ("aws: {access_key_id: a}", "aws.secret_access_key: is missing; a key has an id and a secret"),
        ("aws: {secret_access_key: a}", "aws.access_key_id: is missing; a key has an id and a secret"),
        (
            "aws: {access_key_id: a, secret_access_key: 'b c'}",
            "aws.secret_access_key: holds blanks or other characters that no AWS key has",
        ),
        (
            "aws: {session_token: t}",
            "aws.session_token: belongs to a key; set `access_key_id` and `secret_access_key` too",
        ),
        (
            "aws: {region: us-east}",
            "aws.region: is not a region; write it as in us-east-1, also in AWS_REGION",
        ),
        (
            "workers: [{url: http://a, api_version: '2024-10-21'}]",
            "workers[0].api_version: is for Azure OpenAI alone; set `provider: azure-openai`, or leave it out",
        ),
        (
            "workers: [{url: 'https://a.openai.azure.com', api_version: '1&x=2'}]",
            "workers[0].api_version: is no version; write one such as 2024-10-21 or preview",
        ),
        (
            "workers: [{url: http://a, aws: {region: us-east-1}}]",
            "workers[0].aws: is for Bedrock workers alone; set `provider: bedrock`, or leave it out",
        ),
        (
            "workers: [{url: http://a, provider: aws, aws: {access_key_id: a, secret_access_key: b}}]",
            "workers[0].aws.region: is missing, and the address names none; set it, or AWS_REGION",
        ),
        (
            "workers: [{url: http://a, provider: aws, aws: {profile: p}}]",
            "workers[0].aws.region: is missing, and the address names none; set it, or AWS_REGION",
        ),
        (
            "workers: [{url: http://a, provider: aws, aws: {access_key_id: a, secret_access_key: b, profile: p, region: us-east-1}}]",
            "workers[0].aws.profile: stands beside keys; keep the one or the other",
        ),
        ("aws: {external_id: e}", "aws.external_id: belongs to a role; set `role_arn` too"),
        (
            "workers: [{url: http://a, azure: {managed_identity: true}}]",
            "workers[0].azure: is for workers of Azure alone; set `provider: azure-openai` or `azure-foundry`, or leave it out",
        ),
        (
            "workers: [{url: http://a, provider: azure, azure: {client_id: c, client_secret: s}}]",
            "workers[0].azure.tenant_id: is missing; a secret or federated token is of one application in one directory",
        ),
        ("auth: {api_key: ''}", "auth.api_key: is empty; set it, or leave it out to let anyone call"),
        ("limits: {body_bytes: 0}", "limits.body_bytes: is 0; use 1 or more"),
        ("limits: {head_bytes: 0}", "limits.head_bytes: is 0; use 1 or more"),
        ("limits: {headers: 0}", "limits.headers: is 0; use 1 or more"),
        ("limits: {event_bytes: 0}", "limits.event_bytes: is 0; use 1 or more"),
        ("limits: {reply_bytes: 0}", "limits.reply_bytes: is 0; use 1 or more"),
        ("limits: {reply_depth: 0}", "limits.reply_depth: is 0; use 1 or more"),
        ("limits: {json_depth: 0}", "limits.json_depth: is 0; use 1 or more"),
        (
            "limits: {queue_timeout: 0}",
            "limits.queue_timeout: is 0 while `limits.queue` is not; use a duration above 0, or a queue of 0",
        ),
        ("timeouts: {connect: 0}", "timeouts.connect: is 0; use a duration above 0, such as 30s"),
        ("timeouts: {first_byte: 0s}", "timeouts.first_byte: is 0; use a duration above 0, such as 30s"),
        ("timeouts: {idle: 0}", "timeouts.idle: is 0; use a duration above 0, such as 30s"),
        ("timeouts: {client_body: 0}", "timeouts.client_body: is 0; use a duration above 0, such as 30s"),
        ("retry: {attempts: 0}", "retry.attempts: is 0; use 1 to never repeat"),
        ("retry: {initial_backoff: 0}", "retry.initial_backoff: is 0; use a duration above 0, such as 30s"),
        (
            "retry: {max_backoff: 1ms}",
            "retry.max_backoff: is shorter than `retry.initial_backoff`; make it at least as long",
        ),
        ("retry: {multiplier: 0.9}", "retry.multiplier: 0.9 is not 1 or more; use 1 for a constant delay"),
        ("retry: {multiplier: nan}", "retry.multiplier: NaN is not 1 or more; use 1 for a constant delay"),
        ("retry: {jitter: -0.1}", "retry.jitter: -0.1 is not between 0 and 1; use 0 for none"),
        ("health: {endpoint: health}", "health.endpoint: is not a path; begin it with `/`"),
        ("health: {interval: 0}", "health.interval: is 0; use a duration above 0, such as 30s"),
        ("health: {timeout: 0}", "health.timeout: is 0; use a duration above 0, such as 30s"),
        ("health: {startup_timeout: 0}", "health.startup_timeout: is 0; use a duration above 0, such as 30s"),
        (
            "health: {startup_interval: 0}",
            "health.startup_interval: is 0; use a duration above 0, such as 30s",
        ),
        ("breaker: {failure_threshold: 0}", "breaker.failure_threshold: is 0; use 1 or more"),
        ("breaker: {open: 1ms}", "breaker.open: is under 100ms; use a longer time, such as 30s"),
        (
            "breaker: {error_share: 2}",
            "breaker.error_share: 2 is no share above 0; use 1 for failures alone, or 0.5 for half",
        ),
        (
            "workers: [{url: http://a, breaker: {trials: 0}}]",
            "workers[0].breaker.trials: is 0; use 1 or more",
        ),
        ("health: {failure_threshold: 0}", "health.failure_threshold: is 0; use 1 or more"),
        ("health: {success_threshold: 0}", "health.success_threshold: is 0; use 1 or more"),
        (
            "translate: {default_max_tokens: 0}",
            "translate.default_max_tokens: is 0; use 1 or more, or leave it out",
        ),
        (
            "translate: {anthropic_version: ''}",
            "translate.anthropic_version: is not a version; write one such as 2023-06-01",
        ),
        ("translate: {fetch_bytes: 0}", "translate.fetch_bytes: is 0; use 1 or more"),
        ("upstream: {idle_timeout: 0}", "upstream.idle_timeout: is 0; use a duration above 0, such as 30s"),
        (
            "upstream: {ca_certs: [/nonexistent/ca.pem]}",
            "upstream.ca_certs[0]: cannot be read: No such file or directory (os error 2)",
        ),
        (
            "metrics: {port: 30000}",
            "metrics.port: 30000 is also `listen.port`; use another, or 0 to serve /metrics there alone",
        ),
        (
            "metrics: {duration_buckets: [1, 1]}",
            "metrics.duration_buckets: are not ascending seconds above 0; write for instance [0.1, 1, 10]",
        ),
        (
            "metrics: {duration_buckets: []}",
            "metrics.duration_buckets: are not ascending seconds above 0; write for instance [0.1, 1, 10]",
        ),
        ("runtime: {threads: 4096}", "runtime.threads: 4096 is over 1024; use 0 for one per core"),
    ] {
        let text = format!("igw: true\n{yaml}\n");
        let report = refusal(&text, &[], "");
        let first = report.lines().next().unwrap_or_default();
        let (place, message) = first.split_once(": ").expect("it begins with a place");
        assert_eq!(message, said, "{yaml}");
        assert!(place.starts_with("gw.yaml:2:"), "{yaml}: {place}");
    }
}

#[test]
fn what_is_unusual_but_right_is_taken() {
    for (yaml, line) in [
        ("igw: true\nlimits: {queue: 0, queue_timeout: 0}\n", ""),
        ("igw: true\nmetrics: {port: 0}\n", ""),
        ("igw: true\nlisten: {host: 127.0.0.1, port: 9000}\nmetrics: {host: 127.0.0.2, port: 9000}\n", ""),
        ("igw: true\nlisten: {port: 0, cors_origins: ['https://a:1', 'http://b']}\n", ""),
        ("igw: true\nretry: {attempts: 1, multiplier: 1, jitter: 1, max_backoff: 50ms}\n", ""),
        ("workers: [{url: http://a, priority: 100}, {url: https://a}]\n", ""),
        ("retry: {jitter: 7}\n", "--retry-jitter-factor 0.5 --enable-igw"),
    ] {
        let file = Temporary::new(yaml);
        let sources = Sources { file: Some(file.0.clone()), env: BTreeMap::new(), flags: flags(line) };
        if let Err(why) = load(&sources) {
            panic!("{yaml}: {why}");
        }
    }
}

/// A variable may hold something else than the setting expects, such as a key where a file is named.
#[test]
fn problems_never_show_what_a_variable_holds() {
    let pairs = [("KEY", "hunter2 hunter2")];
    for yaml in [
        "listen: {tls_cert: '${KEY}', tls_key: '${KEY}'}",
        "listen: {request_id_headers: ['${KEY}'], cors_origins: ['${KEY}']}",
        "workers: [{url: '${KEY}', models: ['${KEY}']}]",
        "workers: [{url: 'http://${KEY}@a'}]",
        "health: {endpoint: '${KEY}'}",
        "translate: {anthropic_version: '${KEY}'}",
        "upstream: {ca_certs: ['${KEY}']}",
    ] {
        let said = refusal(&format!("igw: true\n{yaml}\n"), &pairs, "");
        assert!(!said.contains("hunter2"), "{yaml}: {said}");
    }
}

#[test]
fn who_is_charged_at_openai_belongs_to_its_key() {
    let account = [("OPENAI_ORG_ID", "org-1"), ("OPENAI_PROJECT_ID", "proj-1")];
    let key = ("OPENAI_API_KEY", "sk-1");
    for (pairs, organization) in [
        ([&account[..], &[key]].concat(), Some("org-1")),
        (vec![key, ("OPENAI_ORGANIZATION", "org-2")], Some("org-2")),
        ([&account[..], &[("GROQ_API_KEY", "gsk_1")]].concat(), None),
    ] {
        let sources = Sources { file: None, env: env(&pairs), flags: flags("") };
        let config = load(&sources).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(config.openai.organization.as_deref(), organization, "{pairs:?}");
    }
}

#[test]
fn chains_of_the_environment_set_providers_up() {
    let trio = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "hush")];
    let endpoint = ("AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com");
    let credentials = ("GOOGLE_APPLICATION_CREDENTIALS", "/no/such");
    for (what, pairs, set_up) in [
        (
            "an application of Entra",
            [&trio[..], &[endpoint]].concat(),
            &["azure-openai", "azure-foundry"][..],
        ),
        ("half of one", [&trio[..2], &[endpoint]].concat(), &[]),
        ("a profile and a region", vec![("AWS_PROFILE", "p"), ("AWS_REGION", "us-east-1")], &["bedrock"]),
        ("a profile alone", vec![("AWS_PROFILE", "p")], &[]),
        ("a region alone", vec![("AWS_REGION", "us-east-1")], &[]),
        (
            "a project and a region of Vertex AI",
            vec![("VERTEX_AI_PROJECT_ID", "p"), ("VERTEX_AI_REGION", "us-east5")],
            &["vertex-ai", "vertex-anthropic"],
        ),
        ("no region", vec![("VERTEX_AI_PROJECT_ID", "p"), credentials], &["vertex-ai", "vertex-anthropic"]),
        (
            "a project for other tools",
            vec![("GOOGLE_CLOUD_PROJECT", "p"), ("GOOGLE_CLOUD_LOCATION", "l")],
            &[],
        ),
        (
            "a project, a location and credentials",
            vec![("GOOGLE_CLOUD_PROJECT", "p"), ("GOOGLE_CLOUD_LOCATION", "l"), credentials],
            &["vertex-ai", "vertex-anthropic"],
        ),
    ] {
        let env = env(&[&pairs[..], &[("OPENAI_API_KEY", "k")]].concat());
        let config =
            load(&Sources { env, ..Sources::default() }).unwrap_or_else(|why| panic!("{what}: {why}"));
        let mut found: Vec<_> = PROVIDERS
            .iter()
            .filter(|provider| provider.id != "openai" && config.has_credentials(provider))
            .map(|provider| provider.id)
            .collect();
        found.sort_by_key(|id| set_up.iter().position(|want| want == id));
        assert_eq!(found, set_up, "{what}");
        assert!(!format!("{config:?}").contains("hush"), "{what}");
        let is_warned = config.warnings.iter().any(|warning| warning.contains("VERTEX_AI_REGION"));
        assert_eq!(is_warned, what == "no region", "{what}: {:?}", config.warnings);
    }
    // Such a chain is enough to start with.
    let env = env(&[("VERTEX_AI_PROJECT_ID", "p"), ("VERTEX_AI_REGION", "us-east5")]);
    let config = load(&Sources { env, ..Sources::default() }).expect("it loads");
    let place = "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers";
    assert_eq!(config.provider_urls["vertex-ai"], format!("{place}/google"));
    assert_eq!(config.provider_urls["vertex-anthropic"], format!("{place}/anthropic"));
}

#[test]
fn the_tree_never_shows_a_secret() {
    let file = Temporary::new(
        "workers: [{url: http://a, api_key: hush}, {url: https://bedrock-runtime.us-east-1.amazonaws.com,\n\
         aws: {access_key_id: hush, secret_access_key: hush, session_token: hush}},\n\
         {url: https://r.openai.azure.com, azure: {tenant_id: t, client_id: c, client_secret: hush}},\n\
         {url: https://bedrock-runtime.us-east-2.amazonaws.com, aws: {role_arn: r, external_id: hush}}]\n\
         aws: {access_key_id: hush, secret_access_key: hush, session_token: hush}\n\
         auth: {api_key: hush}\nprovider_keys: {xai: hush}\n",
    );
    let pairs = [("OPENAI_API_KEY", "hush")];
    let sources = Sources { file: Some(file.0.clone()), env: env(&pairs), flags: flags("") };
    let config = load(&sources).expect("it loads");
    let shown = format!("{config:?}{}", serde_json::to_string(&config).expect("it serialises"));
    assert!(!shown.contains("hush"), "{shown}");
}

/// Workers also come as JSON over the network; the same types read both.
/// What is well-formed and can hardly be meant is taken, and told.
#[test]
fn what_can_hardly_be_meant_is_told() {
    let text = "igw: true\nauth: {api_key: short}\naliases: {a: b, b: a, c: gpt}\n\
                catalog: {models: {nosuch/x: {context: 1}, openai/x: {context: 1}, self_hosted/x: {context: 1}}}\n";
    let sources = Sources::default();
    let config = load_text(&sources, Some(Text::of("gw.yaml", text))).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(
        config.warnings,
        [
            "auth.api_key: has fewer than 8 characters, which can be guessed; use a longer one",
            "aliases.a: stands for an alias, and those are not followed: the model `b` itself is asked for",
            "aliases.b: stands for an alias, and those are not followed: the model `a` itself is asked for",
            "catalog.models.nosuch/x: no provider is called `nosuch`, so nothing is looked up there",
        ]
    );
}

#[test]
fn a_worker_is_read_from_json() {
    let body = r#"{"url":"http://worker:8000","api_key":"optional-key","runtime":"sglang","worker_type":"regular",
        "priority":50,"cost":1.0,"labels":{"region":"us-east"}}"#;
    let worker: WorkerSpec = serde_json::from_str(body).expect("it is read");
    assert_eq!(worker.validate(&Aws::default()), []);
    assert_eq!((worker.runtime, worker.priority), (Some(RuntimeName::Sglang), 50));
    let timeouts: Timeouts = serde_json::from_str(r#"{"idle":"5s","connect":2}"#).expect("they are read");
    assert_eq!((timeouts.idle, timeouts.connect), (Duration::from_secs(5), Duration::from_secs(2)));
}
