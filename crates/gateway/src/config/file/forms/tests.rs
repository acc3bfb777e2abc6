use super::{Form, Format};
use crate::cli::Flags;
use crate::config::file::Unset;
use crate::config::{Config, ConfigError, ModelCard, Sources, Text, WorkerSpec, load};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configurations").join(name)
}

/// A file that is gone when the test is.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("trunkline-forms-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("the temporary directory can be written");
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Every variable that the fixtures name, but for an organisation's that most do not have.
fn environment() -> BTreeMap<String, String> {
    [
        ("OPENAI_API_KEY", "key-openai"),
        ("ANTHROPIC_API_KEY", "key-anthropic"),
        ("AZURE_OPENAI_API_KEY", "key-azure"),
        ("AZURE_OPENAI_ENDPOINT", "https://myresource.openai.azure.com"),
        ("AZURE_API_KEY", "key-azure"),
        ("AZURE_API_BASE", "https://myresource.openai.azure.com"),
        ("GOOGLE_AI_API_KEY", "key-google"),
        ("GCP_PROJECT_ID", "project-1"),
        ("LLAMA_ENDPOINT_URL", "https://llama.example/v1"),
        ("LLAMA_API_KEY", "key-llama"),
        ("MISTRAL_API_KEY", "key-mistral"),
        ("GROQ_API_KEY", "key-groq"),
        ("LITELLM_MASTER_KEY", "key-gateway"),
        ("DATABASE_URL", "postgres://db.example"),
        ("TRUNKLINE_API_KEY", "key-gateway"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn loaded(file: &Path) -> Result<Config, ConfigError> {
    load(&Sources { file: Some(file.to_owned()), env: environment(), flags: Flags::default() })
}

/// What was made of a file, a line for each backend, pool, member and route, and each warning without its file.
fn told(config: &Config, file: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for worker in &config.workers {
        let mut said = vec![worker.name.clone().unwrap_or_default(), worker.url.clone()];
        said.extend(worker.provider.clone());
        said.extend(worker.runtime.map(|runtime| format!("{runtime:?}")));
        said.extend(worker.api_key.as_ref().map(|key| key.reveal().to_owned()));
        said.extend(worker.default_model.as_ref().map(|model| format!("default={model}")));
        for model in &worker.models {
            let (ModelCard::Name(id) | ModelCard::Card { id, .. }) = model;
            said.push(format!("model={id}"));
        }
        let more = [
            ("timeout", worker.timeout.map(|timeout| timeout.as_secs().to_string())),
            ("retries", worker.max_retries.map(|n| n.to_string())),
            ("max_tokens", worker.max_tokens.map(|n| n.to_string())),
            ("organization", worker.organization.clone()),
            ("project", worker.project.clone()),
            ("version", worker.api_version.clone()),
            ("region", worker.aws.region.clone()),
            ("max_concurrent", worker.max_concurrent.map(|n| n.to_string())),
        ];
        said.extend(more.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))));
        lines.push(said.join(" "));
    }
    for pool in &config.pools {
        let member = |member: &crate::config::MemberSpec| {
            let model = member.model.as_ref().map(|model| format!(" as {model}")).unwrap_or_default();
            format!("{}*{}{model}", member.name, member.weight)
        };
        let members: Vec<_> = pool.backends.iter().map(member).collect();
        lines.push(format!(
            "pool {} {:?} {} [{}]",
            pool.name,
            pool.strategy,
            pool.fallback,
            members.join(", ")
        ));
    }
    for route in &config.routes {
        let mut said = vec![format!("route {}", route.name), route.priority.to_string()];
        said.extend(route.path.clone());
        said.extend([&route.methods, &route.models].into_iter().flatten().cloned());
        said.extend(route.headers.iter().map(|(name, value)| format!("{name}={value}")));
        said.extend(route.content.as_ref().map(|rule| format!("{rule:?}")));
        lines.push(format!("{} to {}", said.join(" "), route.backend));
    }
    for (of, fallbacks) in &config.fallbacks {
        let lists = [&fallbacks.context_window, &fallbacks.content_policy, &fallbacks.default];
        lines.push(format!("fallbacks of {of}: {}", lists.map(|list| list.join(", ")).join("; ")));
    }
    lines.extend(config.aliases.iter().map(|(alias, model)| format!("alias {alias}={model}")));
    let prefix = format!("{}:", file.display());
    lines.extend(config.warnings.iter().map(|line| line.replace(&prefix, "")));
    lines
}

const OPENAI: &str = "https://api.openai.com openai key-openai";
const ANTHROPIC: &str = "https://api.anthropic.com anthropic key-anthropic";
const CLAUDE: &str = "claude-3-5-sonnet-20241022";

#[test]
fn files_of_others_load_unchanged() {
    let pool = [
        format!("openai-backend {OPENAI} default=gpt-4o"),
        format!("anthropic-backend {ANTHROPIC} default={CLAUDE}"),
        "pool llm-pool Latency true [openai-backend*70, anthropic-backend*30]".into(),
        "route chat 0 /v1/chat/completions POST to llm-pool".into(),
    ];
    for (name, want) in [
        (
            "rtd/openai.yaml",
            vec![
                format!("openai-backend {OPENAI} default=gpt-4o timeout=30 retries=3"),
                "6:14: backends[0].config.orgId: environment variable `OPENAI_ORG_ID` is not set, so this is left out; \
                 set it, or write `${OPENAI_ORG_ID:-}`"
                    .into(),
            ],
        ),
        (
            "rtd/anthropic.yaml",
            vec![format!("anthropic-backend {ANTHROPIC} default={CLAUDE} timeout=60 max_tokens=8192")],
        ),
        (
            "rtd/azure.yaml",
            vec![
                "azure-backend https://myresource.openai.azure.com azure-openai key-azure default=gpt-4o-prod \
                 model=gpt-4o-prod timeout=30 version=2024-08-01-preview"
                    .into(),
            ],
        ),
        (
            "rtd/gemini.yaml",
            vec!["gemini-backend https://generativelanguage.googleapis.com gemini key-google default=gemini-1.5-pro".into()],
        ),
        (
            "rtd/vertex.yaml",
            vec![
                "gemini-backend https://us-central1-aiplatform.googleapis.com vertex default=gemini-1.5-pro \
                 project=project-1"
                    .into(),
            ],
        ),
        (
            "rtd/llama.yaml",
            vec![
                "llama-backend https://llama.example/v1 meta-llama key-llama default=llama-3.3-70b-instruct timeout=60"
                    .into(),
            ],
        ),
        (
            "rtd/mistral.yaml",
            vec!["mistral-backend https://api.mistral.ai mistral key-mistral default=mistral-large-latest timeout=30".into()],
        ),
        ("rtd/pool.yaml", pool.to_vec()),
        (
            "ferro/minimal.yaml",
            vec![
                "openai https://api.openai.com openai".into(),
                "anthropic https://api.anthropic.com anthropic".into(),
                "pool targets Priority true [openai*1, anthropic*1]".into(),
                "route targets 0 to targets".into(),
                "alias fast=gpt-4o-mini".into(),
                format!("alias smart={CLAUDE}"),
            ],
        ),
        (
            "litellm/two-deployments.yaml",
            vec![
                "azure-openai https://myresource.openai.azure.com azure-openai key-azure model=gpt-4o-eu \
                 version=2024-10-21"
                    .into(),
                format!("openai {OPENAI} model=gpt-4o-2024-08-06"),
                "pool gpt-4o Random true [azure-openai*900 as gpt-4o-eu, openai*100 as gpt-4o-2024-08-06]".into(),
                "8:12: model_list[0].litellm_params.rpm: is no limit here; deployments without `weight` are drawn by it"
                    .into(),
                "13:12: model_list[1].litellm_params.rpm: is no limit here; deployments without `weight` are drawn by it"
                    .into(),
            ],
        ),
    ] {
        let file = fixture(name);
        let config = loaded(&file).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(told(&config, &file), want, "{name}");
    }
}

/// Everything each form can say, and what becomes of it.
#[test]
fn whole_files_of_others_are_accounted_for() {
    for (name, want) in [
        (
            "rtd/whole.yaml",
            &[
                "primary https://api.openai.com openai key-openai",
                "local http://gpu1:8000 meta-llama",
                "pool mixed LeastConnections false [primary*1, local*1]",
                "route team 10 /v1/chat* x-team=blue to local",
                "route rest 100 /v1/completions to mixed",
                "4:14: gateway.adminPort: the listener",
                "7:7: gateway.auth.apiKey: keys of its own",
                "16:13: gateway.observability.metrics.path: metrics are",
                "18:18: gateway.observability.metrics.namespace: names",
                "29:5: listeners[1]: there is one listener",
                "55:15: routes[0].policies[0].auth: keys of its own",
                "56:20: routes[0].policies[1].rateLimit: rate limits come later",
                "62:5: policies.rateLimit: rate limits come later",
                "66:5: policies.retry: see `retry`",
            ][..],
        ),
        (
            "ferro/whole.yaml",
            &[
                "openai https://api.openai.com openai retries=3",
                "anthropic https://api.anthropic.com anthropic",
                "ollama http://127.0.0.1:11434 Ollama",
                "pool targets Priority false [openai*3, anthropic*1, ollama*1]",
                "route  0 claude-* to anthropic",
                "route  0 gpt-4o to openai",
                "route targets 0 to targets",
                "alias fast=gpt-4o-mini",
                "3:18: request_timeout: bounds",
                "14:5: strategy.content_conditions: are of the strategy `content-based` alone",
                "22:24: targets[0].retry.on_status_codes: which faults",
                "23:27: targets[0].retry.initial_backoff_ms: see `retry.initial_backoff`",
                "26:7: targets[1].concurrency: see",
                "32:13: targets[2].models: models are added",
                "36:11: plugins[0].name: plug-ins come later",
                "47:3: mcp_servers: MCP servers are set under `mcp.servers` of the native form",
                "52:3: observability: trace export comes later",
            ],
        ),
        (
            "litellm/whole.yaml",
            &[
                "openai https://api.openai.com openai key-openai model=gpt-4o model=gpt-4o-mini",
                "azure-openai https://r.openai.azure.com azure-openai key-azure model=gpt-4o-eu max_concurrent=8",
                "vllm http://gpu1:8000/v1 Vllm model=meta-llama/Llama-3.3-70B",
                "bedrock https://bedrock-runtime.us-west-2.amazonaws.com bedrock \
                 model=anthropic.claude-3-5-sonnet-20241022-v2:0 max_tokens=4096 region=us-west-2",
                "groq https://api.groq.com/openai groq key-groq",
                "pool claude Priority true [claude/deployments*1, gpt-4o-mini*1]",
                "pool claude/deployments Latency true [bedrock*1 as anthropic.claude-3-5-sonnet-20241022-v2:0]",
                "pool gpt-4o Priority true [gpt-4o/deployments*1, claude/deployments*1]",
                "pool gpt-4o/deployments Priority true [gpt-4o/deployments/order-1*1, gpt-4o/deployments/order-2*1]",
                "pool gpt-4o/deployments/order-1 Latency true [openai*90 as gpt-4o, azure-openai*10 as gpt-4o-eu]",
                "pool gpt-4o/deployments/order-2 Latency true [vllm*1 as meta-llama/Llama-3.3-70B]",
                "pool gpt-4o-mini Latency true [openai*1 as gpt-4o-mini]",
                "fallbacks of gpt-4o: claude; gpt-4o-mini; ",
                "alias gpt-4=gpt-4o",
                "9:20: model_list[0].litellm_params.temperature: is not added",
                "11:7: model_list[0].model_info: what models",
                "19:12: model_list[1].litellm_params.tpm: is no limit here",
                "35:19: model_list[4].litellm_params.max_tokens: is used only",
                "46:24: router_settings.fallbacks[0].gpt-4o[1]: is no `model_name`",
                "54:21: litellm_settings.success_callback: plug-ins come later",
                "58:17: general_settings.database_url: keys, teams and spending",
                "6:21: model_list[0].litellm_params.organization: environment variable `OPENAI_ORG` is not set",
            ],
        ),
    ] {
        let file = fixture(name);
        let config = loaded(&file).unwrap_or_else(|why| panic!("{name}: {why}"));
        let got = told(&config, &file);
        for (got, want) in got.iter().zip(want) {
            assert!(got.starts_with(want), "{name}: {want}\n{got}");
        }
        assert_eq!(got.len(), want.len(), "{name}: {got:#?}");
    }
    let of = |name: &str| loaded(&fixture(name)).expect("it loads");
    let rtd = of("rtd/whole.yaml");
    assert_eq!((rtd.listen.port, rtd.metrics.port, rtd.log.json), (8080, 9090, true));
    assert_eq!(rtd.metrics.duration_buckets, [0.05, 0.1, 2.5]);
    let ferro = of("ferro/whole.yaml");
    assert_eq!((ferro.limits.body_bytes, ferro.timeouts.first_byte.as_secs()), (10 << 20, 90));
    assert_eq!(ferro.translate.on_unsupported_param, trunkline_core::OnUnsupported::Drop);
    let litellm = of("litellm/whole.yaml");
    assert_eq!((litellm.retry.attempts, litellm.timeouts.first_byte.as_secs()), (3, 600));
    assert_eq!(litellm.auth.api_key.as_ref().map(trunkline_core::Secret::reveal), Some("key-gateway"));
}

#[test]
fn strategies_of_others_are_ours() {
    for (form, want) in [
        ("strategy: {mode: single}", "Priority false"),
        ("strategy: {mode: fallback}", "Priority true"),
        ("strategy: {mode: loadbalance}", "RoundRobin true"),
        ("strategy: {mode: least-latency}", "Latency true"),
        ("strategy: {mode: cost-optimized}", "Cost true"),
        ("strategy: {mode: ab-test, ab_variants: [{target_key: openai, weight: 5, label: a}]}", "Ab true"),
        ("apiVersion: v1", "Priority false"),
    ] {
        let file = Temporary::new("strategy.yaml", &format!("{form}\ntargets: [{{virtual_key: openai}}]\n"));
        let config = loaded(&file.0).unwrap_or_else(|why| panic!("{form}: {why}"));
        let [pool] = config.pools.as_slice() else { panic!("{form}: {:?}", config.pools) };
        assert_eq!(format!("{:?} {}", pool.strategy, pool.fallback), want, "{form}");
        assert_eq!(pool.backends[0].weight, if form.contains("ab-test") { 5 } else { 1 }, "{form}");
    }
    for (strategy, want) in [
        ("simple-shuffle", "Random"),
        ("least-busy", "LeastConnections"),
        ("latency-based-routing", "Latency"),
        ("cost-based-routing", "Cost"),
        ("usage-based-routing-v2", "Usage"),
    ] {
        let text = format!(
            "model_list: [{{model_name: m, litellm_params: {{model: openai/m}}}}]\n\
             router_settings: {{routing_strategy: {strategy}}}\n"
        );
        let config = loaded(&Temporary::new("router.yaml", &text).0).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(format!("{:?}", config.pools[0].strategy), want, "{strategy}");
    }
}

#[test]
fn breakers_of_others_are_ours() {
    let ferro = "strategy: {mode: fallback}\ntargets: [{virtual_key: openai, circuit_breaker: \
                 {failure_threshold: 5, success_threshold: 1, max_half_threshold: 2, timeout: 30s}}]\n";
    let config = loaded(&Temporary::new("ferro.yaml", ferro).0).unwrap_or_else(|why| panic!("{why}"));
    let own = &config.workers[0].breaker;
    assert_eq!((own.failure_threshold, own.success_threshold, own.trials), (Some(5), Some(1), Some(2)));
    assert_eq!(
        (own.open, config.warnings.len()),
        (Some(Duration::from_secs(30)), 0),
        "{:?}",
        config.warnings
    );
    let litellm = "model_list: [{model_name: m, litellm_params: {model: openai/m}}]\n\
                   router_settings: {allowed_fails: 3, cooldown_time: 30}\n";
    let config = loaded(&Temporary::new("litellm.yaml", litellm).0).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!((config.breaker.failure_threshold, config.breaker.open), (4, Duration::from_secs(30)));
    assert_eq!(
        (config.cooldown.busy, config.warnings.len()),
        (Duration::from_secs(30), 0),
        "{:?}",
        config.warnings
    );
}

/// Limits of deployments are those of backends where they are what is routed by; two models of one account have each
/// their own then.
#[test]
fn limits_of_deployments_count_where_usage_is_routed_by() {
    let config = |strategy: &str| {
        let text = format!(
            "model_list:\n\
             - {{model_name: a, litellm_params: {{model: openai/a, rpm: 10, tpm: 1000}}}}\n\
             - {{model_name: b, litellm_params: {{model: openai/b, rpm: 10, tpm: 1000}}}}\n\
             router_settings: {{routing_strategy: {strategy}}}\n"
        );
        loaded(&Temporary::new("limits.yaml", &text).0).unwrap_or_else(|why| panic!("{why}"))
    };
    let limits = |config: &Config| {
        let of = |worker: &WorkerSpec| (worker.name.clone().unwrap_or_default(), worker.rpm, worker.tpm);
        config.workers.iter().map(of).collect::<Vec<_>>()
    };
    let own = |name: &str| (name.to_owned(), Some(10), Some(1000));
    let counted = config("usage-based-routing-v2");
    assert_eq!((limits(&counted), counted.warnings.len()), (vec![own("openai"), own("openai-2")], 0));
    assert_eq!(counted.pools[1].backends[0].name, "openai-2");
    let weighed = config("simple-shuffle");
    assert_eq!(limits(&weighed), [("openai".to_owned(), None, None)]);
    assert_eq!(weighed.warnings.len(), 4, "{:?}", weighed.warnings);
}

/// What is wrong with a file of another form is told in its own words, at its own place, without its secrets; and
/// what would open what was closed is refused.
#[test]
fn errors_speak_of_the_file_that_was_written() {
    for (name, text, want) in [
        (
            "misspelt",
            "backends:\n  - name: a\n    type: openai\n    config:\n      apikey: hunter2\n",
            "f:5:7: backends[0].config.apikey: unknown key; did you mean `apiKey`?\n  5 |       apikey: ***\n    |       ^^^^^^",
        ),
        (
            "a wrong value, found when ours is read",
            "backends:\n  - name: a\n    type: openai\n    config: {timeout: soon}\n",
            "f:4:23: backends[0].config.timeout: expected a duration: 250ms, 30s, 5m, 1h, 1d, or a number of seconds; \
             found `soon`\n  4 |     config: {timeout: soon}\n    |                       ^^^^",
        ),
        (
            "a wrong name, found when ours is checked",
            "backends:\n  - name: a\n    type: openai\nroutes:\n  - path: /v1/chat/completions\n    backend: b\n",
            "f:6:14: routes[0].backend: no backend or pool has this name; did you mean `a`?\n\
             \x20 6 |     backend: b\n    |              ^",
        ),
        (
            "a key that is not there",
            "backends:\n  - name: a\n    type: azure-openai\n    config: {apiKey: hunter2}\n",
            "f:2:5: backends[0]: `url` is missing: the address of `azure-openai` depends on the account; set it, or \
             AZURE_OPENAI_ENDPOINT\n  2 |   - name: a\n    |     ^",
        ),
        (
            "a variable",
            "backends:\n  - name: a\n    type: openai\n    config: {apiKey: \"${NOT_THERE}\"}\n",
            "f:4:22: backends[0].config.apiKey: environment variable `NOT_THERE` is not set; set it or write \
             `${NOT_THERE:-default}`\n  4 |     config: {apiKey: ***}\n    |                      ^^^",
        ),
        (
            "a type",
            "backends:\n  - name: a\n    type: opnai\n",
            "f:3:11: backends[0].type: no such type; did you mean `openai`?\n  3 |     type: opnai\n    |           ^^^^^",
        ),
        (
            "closed, but not by us",
            "gateway: {auth: {jwt: {enabled: true, jwksUrl: https://id.example}}}\nbackends: [{name: a, type: openai}]\n",
            "f:1:23: gateway.auth.jwt: environment variable `TRUNKLINE_API_KEY` is not set; set it or write \
             `${TRUNKLINE_API_KEY:-default}`\n  1 | gateway: {auth: {jwt: {enabled: ***, jwksUrl: ***}}}\n    |                       ^\n\
             warning: f:1:23: gateway.auth.jwt: keys of its own, tokens and sessions come later; callers present the one \
             key in TRUNKLINE_API_KEY instead",
        ),
        (
            "kept back, but not by us",
            "policies:\n  contentPolicy: {pii: redact}\nbackends: [{name: a, type: openai}]\n",
            "f:2:18: policies.contentPolicy: what it keeps back would be let through: guardrails come later; take it out\n\
             \x20 2 |   contentPolicy: {pii: redact}\n    |                  ^",
        ),
        (
            "no TLS",
            "listeners: [{protocol: HTTPS, port: 8443}]\nbackends: [{name: a, type: openai}]\n",
            "f:1:24: listeners[0].protocol: would be served without TLS; give it `tls` with `cert` and `key`\n\
             \x20 1 | listeners: [{protocol: HTTPS, port: 8443}]\n    |                        ^^^^^",
        ),
        (
            "a guard among plug-ins",
            "targets: [{virtual_key: openai}]\nplugins:\n  - {name: word-filter, type: guardrail}\n",
            "f:3:12: plugins[0].name: what it keeps back would be let through: plug-ins come later; take it out\n\
             \x20 3 |   - {name: word-filter, type: guardrail}\n    |            ^^^^^^^^^^^",
        ),
        (
            "a strategy",
            "strategy: {mode: fallbak}\ntargets: [{virtual_key: openai}]\n",
            "f:1:18: strategy.mode: no such strategy; did you mean `fallback`?\n  1 | strategy: {mode: fallbak}\n    |                  ^^^^^^^",
        ),
        (
            "tokens that would open it",
            "model_list: [{model_name: m, litellm_params: {model: openai/m}}]\ngeneral_settings: {enable_jwt_auth: true}\n",
            "f:2:37: general_settings.enable_jwt_auth: would leave the gateway open: set `master_key`, which callers \
             then present\n  2 | general_settings: {enable_jwt_auth: true}\n    |                                     ^^^^",
        ),
        (
            "addresses that would open it",
            "model_list: [{model_name: m, litellm_params: {model: openai/m}}]\ngeneral_settings: {allowed_ips: [10.0.0.1]}\n",
            "f:2:33: general_settings.allowed_ips: would let callers in from everywhere: bind `listen.host` or filter \
             before it, and take it out\n  2 | general_settings: {allowed_ips: [10.0.0.1]}\n    |                                 ^",
        ),
        (
            "a guard of one deployment",
            "model_list: [{model_name: m, litellm_params: {model: openai/m, guardrails: [pii]}}]\n",
            "f:1:76: model_list[0].litellm_params.guardrails: what they keep back would be let through: guardrails come \
             later; take them out\n  1 | model_list: [{model_name: m, litellm_params: {model: openai/m, guardrails: [pii]}}]\n    |                                                                            ^",
        ),
        (
            "a guard among call-backs",
            "model_list: [{model_name: m, litellm_params: {model: openai/m}}]\nlitellm_settings: {callbacks: [a, presidio]}\n",
            "f:2:35: litellm_settings.callbacks[1]: what they keep back would be let through: guardrails come later; take \
             them out\n  2 | litellm_settings: {callbacks: [a, presidio]}\n    |                                   ^^^^^^^^",
        ),
        (
            "nobody's model",
            "model_list:\n  - model_name: m\n    litellm_params: {model: some-model, api_key: hunter2}\n",
            "f:3:29: model_list[0].litellm_params.model: nobody knows whose model this is; write PROVIDER/MODEL, or set \
             `api_base`\n  3 |     litellm_params: {model: some-model, api_key: ***}\n    |                             ^^^^^^^^^^",
        ),
        (
            "a misspelt model",
            "model_list:\n  - model_name: m\n    litellm_params: {modl: openai/m}\n",
            "f:3:21: model_list[0].litellm_params: the key `model` is missing; did you mean it by `modl`?\n\
             \x20 3 |     litellm_params: {modl: openai/m}\n    |                     ^",
        ),
        (
            "weights that are none",
            "model_list:\n  - model_name: m\n    litellm_params: {model: openai/m, weight: -1}\n  - model_name: m\n\
             \x20   litellm_params: {model: openai/n, rpm: lots, order: last}\n",
            "f:3:47: model_list[0].litellm_params.weight: expected a number, 0 or more\n\
             \x20 3 |     litellm_params: {model: openai/m, weight: ***}\n    |                                               ^^^\n\
             f:5:44: model_list[1].litellm_params.rpm: expected a number, 0 or more\n\
             \x20 5 |     litellm_params: {model: openai/n, rpm: ***, order: ***}\n    |                                            ^^^\n\
             f:5:57: model_list[1].litellm_params.order: expected a whole number, 0 or more\n\
             \x20 5 |     litellm_params: {model: openai/n, rpm: ***, order: ***}\n    |                                                        ^^^\n\
             warning: f:5:44: model_list[1].litellm_params.rpm: is no limit here; deployments without `weight` are \
             drawn by it",
        ),
        (
            "an error beside what is only lost",
            "model_list:\n  - model_name: m\n    litellm_params: {model: openai/m, timeout: soon, api_bse: x}\n",
            "f:3:48: model_list[0].litellm_params.timeout: expected a duration: 250ms, 30s, 5m, 1h, 1d, or a number of \
             seconds; found `soon`\n  3 |     litellm_params: {model: openai/m, timeout: soon, api_bse: x}\n\
             \x20   |                                                ^^^^\n\
             warning: f:3:63: model_list[0].litellm_params.api_bse: is not added to requests; let clients send it; did \
             you mean `api_base`?",
        ),
        (
            "neither theirs nor ours",
            "targets: [{virtual_key: openai}]\ntimeoutz: {}\n",
            "f:2:1: timeoutz: unknown key; did you mean `timeouts`?\n  2 | timeoutz: {}\n    | ^^^^^^^^",
        ),
    ] {
        let file = Temporary::new("wrong.yaml", text);
        let sources = Sources { file: Some(file.0.clone()), env: BTreeMap::new(), flags: Flags::default() };
        let said = load(&sources).expect_err(name).to_string().replace(&file.0.display().to_string(), "f");
        assert_eq!(said, want, "{name}");
    }
}

/// Whatever a text has in it, and whatever looks like something else, is the same when it is read again.
#[test]
fn what_is_printed_is_read_back_as_it_was() {
    for text in [
        "123",
        "1.10",
        "1e3",
        "0x1f",
        "true",
        "no",
        "null",
        "~",
        "",
        " x",
        "x ",
        "a: b",
        "- a",
        "#a",
        "a #b",
        "{a}",
        "[a",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "'",
        "\"",
        "a\nb\n",
        "a\tb",
        "2024-10-21",
        "\u{e9}\u{1f600}",
        "?",
        ":",
        "\\n",
    ] {
        let written = serde_json::to_string(text).expect("a text is JSON");
        let file = Temporary::new("text.yaml", &format!("igw: true\naliases: {{a: {written}}}\n"));
        let imported = crate::config::import(&file.0, None).unwrap_or_else(|why| panic!("{text:?}: {why}"));
        for (format, name) in [(Format::Yaml, "a.yaml"), (Format::Json, "a.json"), (Format::Toml, "a.toml")] {
            let printed = Text::of(name, imported.written(format).expect("it is a map of texts"));
            let again = crate::config::file::read(&printed, &BTreeMap::new(), Unset::Wrong, &mut Vec::new());
            let (config, _) = again.unwrap_or_else(|| panic!("{text:?}: {}", printed.parts[0].text));
            let said = config.aliases.get("a").map(String::as_str);
            assert_eq!(said, Some(text), "{}", printed.parts[0].text);
        }
    }
    // Spelled as a number, and a text all the same.
    let file =
        Temporary::new("number.yaml", "igw: true\naliases: {a: 1.10, b: 007}\nretry: {jitter: 0.50}\n");
    let imported = crate::config::import(&file.0, None).expect("it is YAML");
    for (format, name) in [(Format::Yaml, "a.yaml"), (Format::Json, "a.json"), (Format::Toml, "a.toml")] {
        let printed = imported.written(format).expect("it is a map");
        let again = crate::config::file::read(
            &Text::of(name, &printed),
            &BTreeMap::new(),
            Unset::Wrong,
            &mut Vec::new(),
        );
        let (config, _) = again.unwrap_or_else(|| panic!("{printed}"));
        let said: Vec<&str> = config.aliases.values().map(String::as_str).collect();
        assert_eq!((said, config.retry.jitter), (vec!["1.10", "007"], 0.5), "{printed}");
    }
}

/// What our own messages tell to write where a variable may not be set is filled in there, too: as it stands it would be
/// a key that anybody can guess.
#[test]
fn references_of_ours_are_filled_in_for_litellm() {
    let text = "model_list: [{model_name: m, litellm_params: {model: openai/m, api_key: '${MY_KEY:-key-said}'}}]\n\
                general_settings: {master_key: '${LITELLM_MASTER_KEY:-default}'}\n";
    let file = Temporary::new("ours.yaml", text);
    let config = loaded(&file.0).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(config.auth.api_key.map(|key| key.reveal().to_owned()).as_deref(), Some("key-gateway"));
    let key = config.workers[0].api_key.as_ref().map(|key| key.reveal().to_owned());
    assert_eq!(key.as_deref(), Some("key-said"));
    let file = Temporary::new("open.yaml", "model_list: []\ngeneral_settings: {master_key: '${NOT SET'}\n");
    let said = loaded(&file.0).expect_err("no reference").to_string();
    assert!(said.contains("general_settings.master_key: `${` has no closing `}`"), "{said}");
}

/// The same thing said twice is not dropped without a word, and names for several models are told.
#[test]
fn nothing_of_litellm_is_dropped_silently() {
    let text = "model_list:\n- {model_name: '*', litellm_params: {model: openai/gpt-4o, api_base: http://a, base_url: http://b}}\n\
                - {model_name: azure/*, litellm_params: {model: azure/*, api_base: http://c}}\n\
                router_settings: {num_retries: 1, timeout: 5}\nlitellm_settings: {num_retries: 2, request_timeout: 6}\n";
    let file = Temporary::new("twice.yaml", text);
    let lost = crate::config::import(&file.0, None).expect("it is YAML").lost;
    let lost: Vec<_> = lost.iter().map(|lost| lost.problem.line(None)).collect();
    assert_eq!(
        lost,
        [
            "model_list[0].litellm_params.model: names for several models are only `PROVIDER/*`, which needs no pool",
            "model_list[0].litellm_params.base_url: stands beside `api_base`, which counts",
            "litellm_settings.num_retries: is said twice; what stands first counts",
            "litellm_settings.request_timeout: is said twice; what stands first counts",
        ]
    );
}

/// The page shows what is true: each file of another form, and behind it what it is in ours.
#[test]
fn the_examples_of_the_page_are_true() {
    const PAGE: &str = include_str!("../../../../../../docs/pools.md");
    let examples: Vec<(&str, &str)> = PAGE
        .split("```yaml ")
        .skip(1)
        .filter_map(|rest| rest.split_once("\n```").and_then(|(example, _)| example.split_once('\n')))
        .collect();
    assert_eq!(examples.len(), 14);
    for (at, (form, text)) in examples.iter().enumerate() {
        let file = Temporary::new("page.yaml", text);
        let config = loaded(&file.0).unwrap_or_else(|why| panic!("{form} {at}: {why}"));
        let warnings: Vec<_> =
            config.warnings.iter().filter(|line| !line.contains("OPENAI_ORG_ID")).collect();
        assert_eq!(warnings, [""; 0], "{form} {at}");
        let imported = crate::config::import(&file.0, None).expect("it is YAML");
        assert_eq!(imported.form.name().to_lowercase().replace("trunkline", "native"), *form, "{at}");
        if *form != "native" {
            let written = imported.written(Format::Yaml).expect("it is a map");
            assert_eq!(written.trim_end(), examples[at + 1].1, "{form}");
        }
    }
}

/// Wherever an error lands, the credential beside it is not shown.
#[test]
fn no_error_shows_a_secret_of_another_form() {
    for text in [
        "backends: [{name: a, type: opnai, config: {apiKey: hunter2, orgid: hunter2, timeout: x}}]\n",
        "gateway: {auth: {apiKey: {enabled: true, keys: [hunter2]}}}\nbackends: [{name: a, type: google, config: hunter2}]\n",
        "targets: [{virtual_key: openai, api_key: hunter2}]\nmcp_servers: [{env: {K: hunter2}}]\nstrategy: {mode: x}\n",
        "model_list: [{model_name: m, litellm_params: {model: m, api_key: hunter2}}]\ngeneral_settings: {master_key: hunter2, custom_auth: hunter2}\n",
        "model_list: [{model_name: m, litellm_params: {model: bedrock/m, aws_secret_access_key: hunter2, timeout: x}}]\n",
    ] {
        let file = Temporary::new("secret.yaml", text);
        let sources = Sources { file: Some(file.0.clone()), env: BTreeMap::new(), flags: Flags::default() };
        let said = load(&sources).expect_err(text).to_string();
        assert!(!said.contains("hunter2"), "{text}\n{said}");
        let told = crate::config::import(&file.0, None).expect("it is YAML").lost;
        let told: Vec<_> = told.iter().map(|lost| lost.problem.line(None)).collect();
        assert!(!told.join("\n").contains("hunter2"), "{text}\n{told:?}");
    }
}

/// What is printed says the same as the file it was made of, and needs no more of the environment.
#[test]
fn what_is_imported_means_the_same() {
    for (name, form) in [
        ("rtd/openai.yaml", Form::Rtd),
        ("rtd/anthropic.yaml", Form::Rtd),
        ("rtd/azure.yaml", Form::Rtd),
        ("rtd/gemini.yaml", Form::Rtd),
        ("rtd/vertex.yaml", Form::Rtd),
        ("rtd/llama.yaml", Form::Rtd),
        ("rtd/mistral.yaml", Form::Rtd),
        ("rtd/pool.yaml", Form::Rtd),
        ("rtd/whole.yaml", Form::Rtd),
        ("ferro/minimal.yaml", Form::Ferro),
        ("ferro/whole.yaml", Form::Ferro),
        ("litellm/two-deployments.yaml", Form::Litellm),
        ("litellm/whole.yaml", Form::Litellm),
        ("native/pool.yaml", Form::Native),
    ] {
        let direct = loaded(&fixture(name)).unwrap_or_else(|why| panic!("{name}: {why}"));
        let imported =
            crate::config::import(&fixture(name), None).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(imported.form, form, "{name}");
        for (format, end) in [(Format::Yaml, "yaml"), (Format::Json, "json"), (Format::Toml, "toml")] {
            let written = imported.written(format).expect("it is a map");
            let file = Temporary::new(&format!("{}.{end}", name.replace('/', "-")), &written);
            let again = loaded(&file.0).unwrap_or_else(|why| panic!("{name}: {why}\n{written}"));
            let json = |config: &Config| serde_json::to_value(config).expect("the tree serialises");
            assert_eq!(json(&again), json(&direct), "{name}\n{written}");
            let key = |config: &Config| config.auth.api_key.as_ref().map(|key| key.reveal().to_owned());
            assert_eq!(key(&again), key(&direct), "{name}");
            for secret in environment().into_values().filter(|value| value.starts_with("key-")) {
                assert!(!written.contains(&secret), "{name}: secrets stay references\n{written}");
            }
            let again = crate::config::import(&file.0, None).expect("it is read");
            let printed = again.written(format).expect("it is a map");
            assert_eq!((again.form, printed), (Form::Native, written), "{name}: it is in our form now");
        }
    }
}

/// What a deployment lacks is told beside a variable of it that is not set.
#[test]
fn what_is_not_known_of_another_form_hides_nothing_else() {
    let text = "model_list:\n- model_name: a\n  litellm_params:\n    model: azure/a\n    api_key: os.environ/NOT_SET\n";
    let file = Temporary::new("list.yaml", text);
    let sources = crate::config::Sources { file: Some(file.0.clone()), ..Default::default() };
    let said = crate::config::load(&sources).expect_err("two things are wrong").to_string();
    assert!(said.contains("environment variable `NOT_SET` is not set"), "{said}");
    assert!(said.contains("model_list[0]: `url` is missing: the address of `azure-openai`"), "{said}");
}
