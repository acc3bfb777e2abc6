//! Names that mean something to users of other gateways, or will mean something here, but that this
//! build does not serve. They are refused by name: ignoring one would change what a user asked for.

/// Values by what they are a value of, and why each is not here.
const VALUES: &[(&str, &[&str], &str)] = &[
    ("backend", &["tokenspeed"], "TokenSpeed comes with gRPC workers, later"),
    ("runtime", &["tokenspeed"], "TokenSpeed comes with gRPC workers, later"),
    ("worker_type", &["encode"], "disaggregated serving comes later"),
];

/// Top-level keys of what comes later.
const KEYS: &[(&str, &str)] = &[
    ("mesh", "the mesh comes later"),
    ("history", "stored history comes later"),
    ("discovery", "service discovery comes later"),
    ("plugins", "plugins come later"),
    ("tracing", "trace export comes later"),
    ("tenants", "tenants come later"),
    ("listeners", "there is one listener, which `listen` describes (`host`, `port`, `tls_cert`, `tls_key`)"),
    (
        "policies",
        "rate limits and guardrails come later; `limits` bounds requests, `rpm` and `tpm` of backends their share, and \
         `retry` says what is tried again",
    ),
];

/// Keys that others use for what has another name here.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (&["upstreams", "servers", "nodes", "endpoints"], "workers"),
    (&["providers", "model_list"], "backends"),
    (&["type", "vendor", "kind"], "provider"),
    (
        &[
            "base_url", "baseUrl", "baseURL", "api_base", "apiBase", "endpoint", "address", "host", "uri",
            "api_url",
        ],
        "url",
    ),
    (&["apiKey", "key", "token", "secret", "auth"], "api_key"),
    (&["model", "model_name"], "models"),
    (&["id"], "name"),
    (&["strategy", "routing", "load_balancing"], "policy"),
    (&["deployment", "deployments"], "models"),
    (&["apiVersion"], "api_version"),
    (&["members", "targets"], "backends"),
    (&["pool", "target", "destination", "to"], "backend"),
    (&["condition", "conditions"], "when"),
    (&["server", "bind", "listener"], "listen"),
    (&["logging", "logs"], "log"),
    (&["model_aliases", "alias"], "aliases"),
    (&["retries"], "retry"),
    (&["num_retries", "retries", "maxRetries"], "max_retries"),
    (&["max_retries", "num_retries"], "attempts"),
    (&["request_timeout", "timeout"], "first_byte"),
    (&["requests_per_minute"], "rpm"),
    (&["tokens_per_minute"], "tpm"),
    (&["timeout"], "timeouts"),
];

/// Why a name cannot be the value of a setting, if it is one that is known but not served. The setting
/// is its last key: `policy`, or `workers[2].runtime`.
pub(crate) fn value(setting: &str, name: &str) -> Option<String> {
    let setting = setting.rsplit('.').next().unwrap_or(setting);
    let row = VALUES.iter().find(|(of, names, _)| *of == setting && names.contains(&name));
    row.map(|(_, _, why)| format!("`{name}` is not in this build: {why}"))
}

/// Why a key cannot be set, if it is one that is known but not served.
pub(crate) fn key(path: &str) -> Option<String> {
    let row = KEYS.iter().find(|(key, _)| *key == path);
    row.map(|(_, why)| format!("not in this build: {why}"))
}

/// The key of a map that has the keys `known` which another gateway's `key` is.
pub(crate) fn elsewhere(key: &str, known: &[&'static str]) -> Option<&'static str> {
    let meant = ELSEWHERE.iter().filter(|(keys, _)| keys.contains(&key)).map(|(_, meant)| *meant);
    meant.into_iter().find(|meant| known.contains(meant))
}
