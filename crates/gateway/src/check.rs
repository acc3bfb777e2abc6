//! `trunkline check`: what a configuration that is good amounts to, in a few lines.

use crate::config::units::{duration_text, size_text};
use crate::config::{Config, PoolSpec, RouteSpec, WorkerSpec};
use crate::table::aligned;
use clap::ValueEnum;
use std::path::Path;

/// Workers named one by one; of more, the rest are counted.
const SHOWN: usize = 8;

/// Describes `config`, which came from `file` where there is one.
#[must_use]
pub fn describe(config: &Config, file: Option<&Path>) -> String {
    let mut rows = vec![
        ["file", &file.map_or_else(|| "none; flags and environment alone".to_owned(), path)]
            .map(str::to_owned),
        ["listen".to_owned(), listen(config)],
        ["workers".to_owned(), workers(config)],
    ];
    let lines = shown(config.workers.iter().map(worker_line), config.workers.len());
    rows.extend(lines.into_iter().map(|line| [String::new(), line]));
    rows.push(["policy".to_owned(), policy(config)]);
    for (title, names) in [("pools", pools(config)), ("routes", routes(config))] {
        let row = |(at, text): (usize, String)| [if at == 0 { title } else { "" }.to_owned(), text];
        rows.extend(names.into_iter().enumerate().map(row));
    }
    if !config.aliases.is_empty() {
        let aliases: Vec<_> =
            config.aliases.iter().map(|(alias, model)| format!("{alias} = {model}")).collect();
        rows.push(["aliases".to_owned(), aliases.join(", ")]);
    }
    rows.push(["limits".to_owned(), limits(config)]);
    rows.push(["callers".to_owned(), callers(config)]);
    let warning =
        |(at, text): (usize, &String)| [if at == 0 { "warnings" } else { "" }.to_owned(), text.clone()];
    rows.extend(config.warnings.iter().enumerate().map(warning));
    format!("configuration is good\n{}", aligned(2, &rows))
}

fn path(file: &Path) -> String {
    file.display().to_string()
}

fn listen(config: &Config) -> String {
    let scheme = if config.listen.tls_cert.is_some() { "https" } else { "http" };
    let address = std::net::SocketAddr::new(config.listen.host, config.listen.port);
    let metrics = match config.metrics.port {
        0 => "metrics there under /metrics".to_owned(),
        port => format!("metrics also on http://{}", std::net::SocketAddr::new(config.metrics.host, port)),
    };
    format!("{scheme}://{address}, {metrics}")
}

fn workers(config: &Config) -> String {
    let aws = config.aws.has_keys().then_some("AWS");
    let keys: Vec<_> = config.provider_keys.keys().map(String::as_str).chain(aws).collect();
    let keys = if keys.is_empty() { String::new() } else { format!("; keys for {}", keys.join(", ")) };
    match (config.workers.len(), config.igw) {
        (0, true) => format!("none yet; they are added over /workers{keys}"),
        (0, false) => format!("the providers whose keys are set{keys}"),
        (count, true) => format!("{count}, more over /workers{keys}"),
        (count, false) => format!("{count}{keys}"),
    }
}

fn worker_line(worker: &WorkerSpec) -> String {
    let provider = worker.provider.as_ref().map_or_else(String::new, |provider| format!(", {provider}"));
    let name = worker.name.as_ref().map_or_else(String::new, |name| format!("{name}: "));
    format!("{name}{}{provider}, priority {}", worker.url, worker.priority)
}

fn pools(config: &Config) -> Vec<String> {
    let members =
        |pool: &PoolSpec| pool.backends.iter().map(|m| m.name.clone()).collect::<Vec<_>>().join(", ");
    let strategy = |pool: &PoolSpec| serde_json::to_value(pool.strategy).unwrap_or_default();
    let line = |pool: &PoolSpec| {
        let fallback = if pool.fallback { ", with fallback" } else { "" };
        format!(
            "{}: {} by {}{fallback}",
            pool.name,
            members(pool),
            strategy(pool).as_str().unwrap_or_default()
        )
    };
    shown(config.pools.iter().map(line), config.pools.len())
}

fn routes(config: &Config) -> Vec<String> {
    let line = |route: &RouteSpec| {
        let models = match route.models.as_slice() {
            [] => String::new(),
            models => format!(", models {}", models.join(", ")),
        };
        let path = route.path.as_deref().unwrap_or("any path");
        format!(
            "{}{path}{models} to {}",
            if route.name.is_empty() { String::new() } else { format!("{}: ", route.name) },
            route.backend
        )
    };
    shown(config.routes.iter().map(line), config.routes.len())
}

/// The first of `lines`, and how many more there are.
fn shown(lines: impl Iterator<Item = String>, count: usize) -> Vec<String> {
    let more = count.checked_sub(SHOWN).filter(|more| *more > 0).map(|more| format!("and {more} more"));
    lines.take(SHOWN).chain(more).collect()
}

fn policy(config: &Config) -> String {
    let policy = config.policy.to_possible_value();
    let attempts = match config.retry.attempts {
        1 => "no retries".to_owned(),
        attempts => format!("{attempts} attempts at most"),
    };
    format!("{}, {attempts}", policy.as_ref().map_or("", |policy| policy.get_name()))
}

fn limits(config: &Config) -> String {
    let limits = &config.limits;
    let bodies = size_text(limits.body_bytes);
    match limits.concurrent_requests {
        0 => format!("bodies up to {bodies}, any number of requests at once"),
        places => format!(
            "bodies up to {bodies}, {places} requests at once, {} more may wait for {}",
            limits.queue,
            duration_text(limits.queue_timeout)
        ),
    }
}

fn callers(config: &Config) -> String {
    match config.auth.api_key {
        Some(_) => "must present the gateway's key",
        None => "anybody who can reach the address",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use trunkline_core::Secret;

    #[test]
    fn a_configuration_in_a_few_lines() {
        let workers = (0..10).map(|n| WorkerSpec::new(format!("http://w{n}:8000"))).collect();
        let mut config = Config { workers, ..Config::default() };
        config.aliases.insert("fast".into(), "llama".into());
        config.limits.concurrent_requests = 64;
        config.auth.api_key = Some(Secret::new("very-secret"));
        let route = json!({"name": "r", "models": ["gpt-*", "o3"], "backend": "both"});
        config.routes.push(serde_json::from_value(route).unwrap());
        let text = describe(&config, Some(Path::new("gateway.yaml")));
        for line in [
            "  file     gateway.yaml",
            "  listen   http://0.0.0.0:30000, metrics also on http://0.0.0.0:29000",
            "  workers  10",
            "           http://w7:8000, priority 50",
            "           and 2 more",
            "  policy   round_robin, 5 attempts at most",
            "  routes   r: any path, models gpt-*, o3 to both",
            "  aliases  fast = llama",
            "  limits   bodies up to 512MiB, 64 requests at once, 100 more may wait for 1m",
            "  callers  must present the gateway's key",
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} is missing in\n{text}");
        }
        assert!(!text.contains("secret"));
    }
}
