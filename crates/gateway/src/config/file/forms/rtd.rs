//! The file of RTD's LLM Gateway 2.0: backends with a `type` and a `config`, pools among them, `routes`, `listeners`,
//! `policies` and `gateway`.

use super::fields::{Fields, Findings, Made};
use crate::config::file::node::{Node, Value};
use crate::config::problem::nearest;

/// Types of backends, and the providers they are.
const TYPES: [(&str, &str); 6] = [
    ("openai", "openai"),
    ("anthropic", "anthropic"),
    ("azure-openai", "azure-openai"),
    ("google", "gemini"),
    ("meta", "meta-llama"),
    ("mistral", "mistral"),
];
/// The type of a backend that is several.
const POOL: &str = "pool";
/// Google's models in the cloud, which its type means where a project is named.
const VERTEX: &str = "vertex";
/// The priority of a route that names none.
const USUAL_PRIORITY: u32 = 100;
/// Where the gateway's own key is, which stands in for keys that are not in the file.
const OWN_KEY: &str = "${TRUNKLINE_API_KEY}";

const RATE_LIMIT: (&str, &str) =
    ("rateLimit", "rate limits come later; `limits.concurrent_requests` bounds what runs at once");

pub(super) fn native(file: &mut Fields, made: &mut Made, findings: &mut Findings) {
    file.skip(&["version"]);
    if let Some(gateway) = file.map("gateway", findings) {
        about(gateway, made, findings);
    }
    listeners(file.maps("listeners", findings), made, findings);
    let mut pools = Vec::new();
    let mut backends = Vec::new();
    for backend in file.maps("backends", findings) {
        match self::backend(backend, findings) {
            (true, pool) => pools.push(pool),
            (false, backend) => backends.push(backend),
        }
    }
    made.list("backends", backends);
    made.list("pools", pools);
    routes(file.maps("routes", findings), made, findings);
    if let Some(policies) = file.map("policies", findings) {
        self::policies(policies, findings);
    }
}

/// A backend, or a pool, which is told by the first of the two.
fn backend(mut backend: Fields, findings: &mut Findings) -> (bool, Node) {
    let mut made = Made::of(&backend.here);
    let kind = backend.take("type");
    let is_pool = kind.as_ref().and_then(Node::said) == Some(POOL);
    backend.rename(&[("name", "name")], &mut made);
    if is_pool {
        backend.rename(
            &[("strategy", "strategy"), ("fallback", "fallback"), ("backends", "backends")],
            &mut made,
        );
    } else if let Some(config) = backend.map("config", findings) {
        account(kind.as_ref(), config, &mut made, findings);
    } else {
        account(kind.as_ref(), Fields::of(backend.here.clone(), findings), &mut made, findings);
    }
    backend.end(findings);
    (is_pool, made.node())
}

/// What `config` says of an account.
fn account(kind: Option<&Node>, mut config: Fields, made: &mut Made, findings: &mut Findings) {
    let project = config.take("projectId");
    let location = config.take("location");
    let provider = provider(kind, &config.here, findings);
    let is_google = provider.as_ref().and_then(Node::said) == Some("gemini");
    match provider {
        Some(provider) if is_google && project.is_some() => made.put("provider", provider.text(VERTEX)),
        Some(provider) => made.put("provider", provider),
        None => {}
    }
    config.rename(&[("endpoint", "url"), ("apiKey", "api_key"), ("orgId", "organization")], made);
    for (key, said) in [("project", project), ("location", location)] {
        if let Some(said) = said {
            made.put(key, said);
        }
    }
    let model = config.take("defaultModel");
    if let Some(deployment) = config.take("deploymentName") {
        made.put("default_model", model.unwrap_or_else(|| deployment.clone()));
        made.list("models", vec![deployment]);
    } else if let Some(model) = model {
        made.put("default_model", model);
    }
    config.rename(
        &[
            ("apiVersion", "api_version"),
            ("timeout", "timeout"),
            ("maxRetries", "max_retries"),
            ("maxTokens", "max_tokens"),
        ],
        made,
    );
    config.end(findings);
}

fn provider(kind: Option<&Node>, config: &Node, findings: &mut Findings) -> Option<Node> {
    let Some(kind) = kind else {
        findings.refuse(config, "the key `type` is missing beside it; add it");
        return None;
    };
    let said = kind.said().unwrap_or_default();
    if let Some((_, provider)) = TYPES.iter().find(|(name, _)| *name == said) {
        return Some(kind.text(*provider));
    }
    // Not one of its own, but a provider's name all the same.
    if trunkline_dialect::provider::named(said).is_some() {
        return Some(kind.clone());
    }
    let known: Vec<&str> = TYPES.iter().map(|(name, _)| *name).chain([POOL]).collect();
    findings.refuse(
        kind,
        match nearest(said, &known) {
            Some(near) => format!("no such type; did you mean `{near}`?"),
            None => format!("no such type; known here: {}", known.join(", ")),
        },
    );
    None
}

fn routes(routes: Vec<Fields>, made: &mut Made, findings: &mut Findings) {
    let mut given: Vec<(Fields, Option<Node>)> = Vec::new();
    for mut route in routes {
        let priority = route.take("priority");
        given.push((route, priority));
    }
    let is_ranked = given.iter().any(|(_, priority)| priority.is_some());
    let mut all = Vec::new();
    for (mut route, priority) in given {
        let mut one = Made::of(&route.here);
        route.rename(&[("name", "name")], &mut one);
        match priority {
            Some(priority) => one.put("priority", priority),
            None if is_ranked => one.number("priority", USUAL_PRIORITY),
            None => {}
        }
        if let Some(path) = route.take("path") {
            one.put("path", beginning(path));
        }
        route.rename(&[("methods", "methods"), ("headers", "headers"), ("backend", "backend")], &mut one);
        for mut policy in route.maps("policies", findings) {
            if let Some(auth) = policy.take("auth") {
                close(&auth, made, findings);
            }
            policy.lose_guards(&[RATE_LIMIT], findings);
            policy.lose(&[("timeout", "routes have no timeout; give it to their backends")], findings);
            policy.end(findings);
        }
        route.end(findings);
        all.push(one.node());
    }
    made.list("routes", all);
}

/// A path there is one place or all below it, which is for us to tell: what we serve is a place.
fn beginning(path: Node) -> Node {
    let is_place =
        |said: &str| said.ends_with('*') || crate::endpoint::ENDPOINTS.iter().any(|row| row.path == said);
    match path.said() {
        Some(said) if !is_place(said) => path.text(format!("{said}*")),
        Some(_) | None => path,
    }
}

fn listeners(listeners: Vec<Fields>, made: &mut Made, findings: &mut Findings) {
    for (index, mut listener) in listeners.into_iter().enumerate() {
        if index > 0 {
            let why = "there is one listener; start another gateway for this one";
            findings.lose(&listener.here, why);
            continue;
        }
        listener.skip(&["name"]);
        let protocol = listener.take("protocol");
        let tls = listener.map("tls", findings);
        if let (Some(protocol), None) = (&protocol, &tls)
            && protocol.said().is_some_and(|said| said.eq_ignore_ascii_case("https"))
        {
            findings
                .refuse_guard(protocol, "would be served without TLS; give it `tls` with `cert` and `key`");
        }
        made.within("listen", |listen| {
            listener.rename(&[("host", "host"), ("port", "port")], listen);
            if let Some(mut tls) = tls {
                tls.rename(&[("cert", "tls_cert"), ("key", "tls_key")], listen);
                if let Some(version) = tls.take("minVersion")
                    && version.said().is_none_or(|said| !matches!(said, "TLS1.2" | "1.2"))
                {
                    findings.lose(&version, "TLS 1.2 and 1.3 are served");
                }
                tls.end(findings);
            }
        });
        listener.end(findings);
    }
}

fn about(mut gateway: Fields, made: &mut Made, findings: &mut Findings) {
    gateway.skip(&["name", "version"]);
    if let Some(auth) = gateway.map("auth", findings) {
        self::auth(auth, made, findings);
    }
    if let Some(tls) = gateway.take("tls").filter(Node::is_on) {
        findings.refuse_guard(
            &tls,
            "would be served without TLS; say it of a listener, as `tls` with `cert` and `key`",
        );
    }
    gateway.lose(
        &[
            ("adminPort", "the listener serves `/workers` and what else there is to administer"),
            ("timeouts", "see `timeouts` of the native form, and `timeout` of backends"),
        ],
        findings,
    );
    if let Some(observability) = gateway.map("observability", findings) {
        observe(observability, made, findings);
    }
    gateway.end(findings);
}

fn auth(mut auth: Fields, made: &mut Made, findings: &mut Findings) {
    auth.lose_guards(&[("requireAll", "one key is all that callers present")], findings);
    for key in ["apiKey", "jwt", "oauth2", "oidc"] {
        if let Some(way) = auth.take(key).filter(Node::is_on) {
            close(&way, made, findings);
        }
    }
    auth.end(findings);
}

/// Keeps closed what the file has closed by means that are not here.
fn close(way: &Node, made: &mut Made, findings: &mut Findings) {
    findings.lose_guard(
        way,
        "keys of its own, tokens and sessions come later; callers present the one key in TRUNKLINE_API_KEY instead",
    );
    made.within("auth", |auth| {
        if !auth.has("api_key") {
            auth.put("api_key", way.text(OWN_KEY));
        }
    });
}

fn observe(mut observability: Fields, made: &mut Made, findings: &mut Findings) {
    if let Some(mut metrics) = observability.map("metrics", findings) {
        let is_on = metrics.take("enabled").is_none_or(|enabled| enabled.is_on());
        made.within("metrics", |to| {
            metrics.rename(&[("port", "port")], to);
            if !is_on && !to.has("port") {
                to.number("port", 0);
            }
            if let Some(buckets) = metrics.take("latencyBuckets") {
                to.put("duration_buckets", seconds(buckets));
            }
        });
        if let Some(path) = metrics.take("path").filter(|path| path.said() != Some("/metrics")) {
            findings.lose(&path, "metrics are at /metrics");
        }
        metrics.lose(&[("namespace", "names of metrics begin with `trunkline_`")], findings);
        metrics.end(findings);
    }
    if let Some(mut logging) = observability.map("logging", findings) {
        made.within("log", |log| {
            logging.rename(&[("level", "level")], log);
            if let Some(format) = logging.take("format") {
                let is_json = format.said() == Some("json");
                log.put("json", format.number(is_json));
            }
        });
        // Neither bodies nor headers are ever logged.
        logging.skip(&["redactHeaders"]);
        logging.lose(
            &[
                ("includeRequestBody", "bodies are not logged"),
                ("includeResponseBody", "bodies are not logged"),
            ],
            findings,
        );
        logging.end(findings);
    }
    observability.lose(&[("tracing", "trace export comes later")], findings);
    observability.end(findings);
}

/// Milliseconds as seconds.
fn seconds(buckets: Node) -> Node {
    let Value::List(items) = &buckets.value else { return buckets };
    let second = |item: &Node| match item.said().and_then(|said| said.parse::<f64>().ok()) {
        Some(millis) => item.number(millis / 1000.0),
        None => item.clone(),
    };
    buckets.becoming(Value::List(items.iter().map(second).collect()))
}

fn policies(mut policies: Fields, findings: &mut Findings) {
    policies.lose_guards(&[RATE_LIMIT], findings);
    policies.lose(
        &[
            ("retry", "see `retry` of the native form, and `maxRetries` of backends"),
            ("circuitBreaker", "see `breaker` of the native form, and that of backends"),
        ],
        findings,
    );
    if let Some(content) = policies.take("contentPolicy").filter(Node::is_on) {
        findings.refuse_guard(
            &content,
            "what it keeps back would be let through: guardrails come later; take it out",
        );
    }
    policies.end(findings);
}
