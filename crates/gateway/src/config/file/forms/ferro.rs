//! The file of Ferro's AI Gateway: a `strategy` over `targets`, which are providers set up by their variables.
//!
//! Every request goes by the strategy there, so a route that matches anything leads to one pool of all targets; what
//! depends on the model or the prompt is a route before it.

use super::fields::{Fields, Findings, Made, items};
use crate::config::file::node::{Node, Value};
use crate::config::problem::nearest;

/// What the pool of all targets is called, and the route to it.
const ALL: &str = "targets";
/// Strategies, what they are here, and whether another target answers when the chosen one fails.
const MODES: [(&str, &str, bool); 8] = [
    ("single", "priority", false),
    ("fallback", "priority", true),
    ("loadbalance", "round_robin", true),
    ("conditional", "priority", false),
    ("content-based", "priority", false),
    ("ab-test", "ab", true),
    ("least-latency", "latency", true),
    ("cost-optimized", "cost", true),
];
/// Types of plug-ins without which a request passes that should not have.
const GUARDING: [&str; 2] = ["guardrail", "auth"];
/// Types that bound what is used or spent.
const BOUNDING: [&str; 4] = ["budget", "ratelimit", "rate_limit", "rate-limit"];

pub(super) fn native(file: &mut Fields, made: &mut Made, findings: &mut Findings) {
    file.skip(&["apiVersion"]);
    if let Some(bytes) = file.take("max_request_bytes") {
        made.within("limits", |limits| limits.put("body_bytes", bytes));
    }
    if let Some(timeout) = file.take("request_timeout") {
        findings.lose(&timeout, "bounds the time until an answer begins, not the whole of it");
        made.within("timeouts", |timeouts| timeouts.put("first_byte", timeout));
    }
    let targets: Vec<Node> = file.list("targets", findings);
    let mut members = Vec::new();
    let mut backends = Vec::new();
    for target in targets {
        let (backend, member) = self::target(Fields::of(target, findings), findings);
        backends.push(backend);
        members.push(member);
    }
    made.list("backends", backends);
    strategy(file.map("strategy", findings), members, made, findings);
    file.rename(&[("aliases", "aliases")], made);
    if let Some(mut compatibility) = file.map("compatibility", findings) {
        made.within("translate", |translate| {
            compatibility.rename(&[("on_unsupported_param", "on_unsupported_param")], translate);
        });
        compatibility.end(findings);
    }
    for plugin in file.maps("plugins", findings) {
        self::plugin(plugin, findings);
    }
    file.lose(
        &[
            ("mcp_servers", "MCP servers are set under `mcp.servers` of the native form"),
            ("batch_target", "files and batches come later"),
            ("responses_target", "a stored response is asked for where its model is served"),
            ("observability", "trace export comes later; see `log` and `metrics` of the native form"),
        ],
        findings,
    );
}

/// A target as a backend and as a member of the pool.
fn target(mut target: Fields, findings: &mut Findings) -> (Node, Node) {
    let mut backend = Made::of(&target.here);
    let mut member = Made::of(&target.here);
    if let Some(key) = target.take("virtual_key") {
        member.put("name", key.clone());
        backend.put("name", key.clone());
        let is_ollama = key.said() == Some(trunkline_dialect::provider::OLLAMA);
        backend.put(if is_ollama { "runtime" } else { "provider" }, key);
    }
    target.rename(&[("weight", "weight")], &mut member);
    if let Some(models) = target.take("models") {
        findings.lose(
            &models,
            "models are added to what a provider lists there; here what it lists counts, or those of `models` alone",
        );
    }
    if let Some(mut retry) = target.map("retry", findings) {
        if let Some(attempts) = retry.take("attempts") {
            let retries = attempts.said().and_then(|said| said.parse::<u32>().ok());
            let retries = retries.map(|attempts| attempts.saturating_sub(1));
            backend.put("max_retries", retries.map_or(attempts.clone(), |retries| attempts.number(retries)));
        }
        retry.lose(
            &[
                ("on_status_codes", "which faults are worth another attempt is one table for all backends"),
                (
                    "initial_backoff_ms",
                    "see `retry.initial_backoff` of the native form, which is for all backends",
                ),
            ],
            findings,
        );
        retry.end(findings);
    }
    if let Some(mut breaker) = target.map("circuit_breaker", findings) {
        let same = [
            ("failure_threshold", "failure_threshold"),
            ("success_threshold", "success_threshold"),
            ("max_half_threshold", "trials"),
            ("timeout", "open"),
        ];
        backend.within("breaker", |own| breaker.rename(&same, own));
        breaker.end(findings);
    }
    target.lose(
        &[("concurrency", "see `limits.concurrent_requests` of the native form, which is for all backends")],
        findings,
    );
    target.end(findings);
    (backend.node(), member.node())
}

fn strategy(strategy: Option<Fields>, members: Vec<Node>, made: &mut Made, findings: &mut Findings) {
    let Some(first) = members.first().cloned() else { return };
    let mut strategy = strategy.unwrap_or_else(|| Fields::of(first.becoming(Value::Null), findings));
    let mode = strategy.take("mode");
    let (policy, fallback) = match &mode {
        Some(mode) => self::mode(mode, findings),
        None => ("priority", false),
    };
    let mut routes = Vec::new();
    let mut variants = Vec::new();
    for (key, of) in
        [("conditions", "conditional"), ("content_conditions", "content-based"), ("ab_variants", "ab-test")]
    {
        let Some(rules) = strategy.take(key) else { continue };
        if mode.as_ref().and_then(Node::said) != Some(of) {
            findings.lose(&rules, format!("are of the strategy `{of}` alone"));
            continue;
        }
        for rule in
            items(rules, findings).into_iter().map(|rule| Fields::of(rule, findings)).collect::<Vec<_>>()
        {
            match key {
                "conditions" => routes.push(model_route(rule, findings)),
                "content_conditions" => routes.push(content_route(rule, findings)),
                _ => variants.push(variant(rule, findings)),
            }
        }
    }
    let members = if variants.is_empty() { members } else { variants };
    let mut unpriced = strategy.take("unpriced_strategy").filter(|said| said.said() != Some("fallback"));
    let skips = unpriced.take_if(|said| said.said() == Some("skip"));
    if let Some(unpriced) = unpriced {
        findings.lose(&unpriced, "what has no known price comes after what has one");
    }
    let mut pool = Made::of(&strategy.here);
    pool.text("name", ALL);
    match &mode {
        Some(mode) => pool.put("strategy", mode.text(policy)),
        None => pool.text("strategy", policy),
    }
    if policy == "latency" {
        pool.within("latency", |latency| {
            latency.text("metric", "total");
            latency.number("percentile", 0.5);
        });
    }
    if let Some(skips) = skips {
        pool.within("cost", |cost| cost.put("unpriced", skips));
    }
    pool.number("fallback", fallback);
    pool.list("backends", members);
    let mut last = Made::of(&strategy.here);
    last.text("name", ALL);
    last.text("backend", ALL);
    routes.push(last.node());
    strategy.end(findings);
    made.list("pools", vec![pool.node()]);
    made.list("routes", routes);
}

fn mode(mode: &Node, findings: &mut Findings) -> (&'static str, bool) {
    let said = mode.said().unwrap_or_default();
    if let Some((_, policy, fallback)) = MODES.iter().find(|(name, ..)| *name == said) {
        return (policy, *fallback);
    }
    let known: Vec<&str> = MODES.iter().map(|(name, ..)| *name).collect();
    findings.refuse(
        mode,
        match nearest(said, &known) {
            Some(near) => format!("no such strategy; did you mean `{near}`?"),
            None => format!("no such strategy; known here: {}", known.join(", ")),
        },
    );
    ("priority", false)
}

/// A condition on the model.
fn model_route(mut condition: Fields, findings: &mut Findings) -> Node {
    let mut route = Made::of(&condition.here);
    let key = condition.take("key");
    let is_prefix = key.as_ref().and_then(Node::said) == Some("model_prefix");
    if let Some(key) = key.filter(|key| !matches!(key.said(), Some("model" | "model_prefix"))) {
        findings.refuse(&key, "no such condition; known here: model, model_prefix");
    }
    if let Some(value) = condition.take("value") {
        let said = value.said().unwrap_or_default();
        let pattern = if is_prefix { format!("{said}*") } else { said.to_owned() };
        let pattern = value.text(pattern);
        route.list("models", vec![pattern]);
    }
    condition.rename(&[("target_key", "backend")], &mut route);
    condition.end(findings);
    route.node()
}

/// A condition on the prompt.
fn content_route(mut condition: Fields, findings: &mut Findings) -> Node {
    let mut route = Made::of(&condition.here);
    let kind = condition.take("type");
    let rule = match kind.as_ref().and_then(Node::said) {
        Some("prompt_not_contains") => "not_contains",
        Some("prompt_regex") => "regex",
        Some("prompt_contains") | None => "contains",
        Some(_) => {
            let known = "no such condition; known here: prompt_contains, prompt_not_contains, prompt_regex";
            findings.refuse(kind.as_ref().unwrap_or(&condition.here), known);
            "contains"
        }
    };
    if let Some(value) = condition.take("value") {
        route.within("content", |content| content.put(rule, value));
    }
    condition.rename(&[("target_key", "backend")], &mut route);
    condition.end(findings);
    route.node()
}

/// A variant of an experiment as a member of the pool.
fn variant(mut variant: Fields, findings: &mut Findings) -> Node {
    let mut member = Made::of(&variant.here);
    variant.rename(&[("target_key", "name"), ("weight", "weight"), ("label", "label")], &mut member);
    variant.end(findings);
    member.node()
}

fn plugin(mut plugin: Fields, findings: &mut Findings) {
    let name = plugin.take("name");
    let kind = plugin.take("type");
    let is_on = plugin.take("enabled").is_none_or(|enabled| enabled.is_on());
    plugin.skip(&["stage", "config"]);
    let here = name.as_ref().unwrap_or(&plugin.here);
    let is_of = |kinds: &[&str]| kind.as_ref().and_then(Node::said).is_some_and(|said| kinds.contains(&said));
    if is_on && is_of(&GUARDING) {
        findings
            .refuse_guard(here, "what it keeps back would be let through: plug-ins come later; take it out");
    } else if is_on && is_of(&BOUNDING) {
        findings.lose_guard(here, "plug-ins come later");
    } else if is_on {
        findings.lose(here, "plug-ins come later");
    }
    plugin.end(findings);
}
