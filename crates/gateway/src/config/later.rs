//! Names that mean something to users of other gateways, or will mean something here, but that this
//! build does not serve. They are refused by name: ignoring one would change what a user asked for.

/// Values by what they are a value of, and why each is not here.
const VALUES: &[(&str, &[&str], &str)] = &[
    ("policy", &["cache_aware"], "cache-aware routing comes later"),
    ("policy", &["prefix_hash", "consistent_hashing"], "hashing policies come later"),
    ("policy", &["least_load"], "load-aware routing comes later"),
    ("policy", &["manual", "bucket", "passthrough"], "this policy comes later"),
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
