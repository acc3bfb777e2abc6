//! The file of LiteLLM's proxy: a `model_list` of deployments, several of which may have one `model_name`.
//!
//! Deployments of one account are one backend with several models; a `model_name` is a pool, whose members are asked
//! for their own model whatever it is called there. What stands in for a model when all of its deployments fail is a
//! pool around it.

mod deployment;

use super::fields::{Fields, Findings, Made, items};
use crate::config::file::node::{Node, Value};
use deployment::{Deployment, Limits};
use std::collections::BTreeMap;

/// Strategies of its router, and what they are here.
const STRATEGIES: [(&str, &str); 6] = [
    ("simple-shuffle", "random"),
    ("least-busy", "least_connections"),
    ("latency-based-routing", "latency"),
    ("cost-based-routing", "cost"),
    ("usage-based-routing", "usage"),
    ("usage-based-routing-v2", "usage"),
];
/// Call-backs that keep back what they find.
const GUARDING: [&str; 12] = [
    "aporia_prompt_injection",
    "azure_content_safety",
    "banned_keywords",
    "blocked_user_check",
    "detect_prompt_injection",
    "google_text_moderation",
    "hide_secrets",
    "lakera_prompt_injection",
    "llamaguard_moderations",
    "llmguard_moderations",
    "openai_moderations",
    "presidio",
];
const CALLBACKS: &str = "plug-ins come later; see `log` and `metrics` of the native form";
/// Why guardrails are refused.
const UNGUARDED: &str = "what they keep back would be let through: guardrails come later; take them out";
const BUDGETS: &str = "budgets come later";
/// Why callers' own keys and tokens are left out.
const ONE_KEY: &str = "callers present the one key in `master_key` instead";
/// How references to variables begin.
const VARIABLE: &str = "os.environ/";

pub(super) fn native(file: &mut Fields, made: &mut Made, findings: &mut Findings) {
    file.respell(&reference);
    let mut settings = Settings::default();
    if let Some(map) = file.map("router_settings", findings) {
        settings.router(map, made, findings);
    }
    if let Some(map) = file.map("litellm_settings", findings) {
        settings.general(map, made, findings);
    }
    if let Some(map) = file.map("general_settings", findings) {
        access(map, made, findings);
    }
    if let Some(guardrails) = file.take("guardrails").filter(Node::is_on) {
        findings.refuse_guard(&guardrails, UNGUARDED);
    }
    file.lose(
        &[
            ("environment_variables", "set them where the gateway is started"),
            ("mcp_servers", "MCP servers are set under `mcp.servers` of the native form"),
            ("include", "a configuration is one file"),
            ("credential_list", "say `api_key` of each deployment"),
            ("search_tools", "tools of the gateway's own come later"),
            ("vector_store_registry", "stores of the gateway's own come later"),
            ("files_settings", "files come later"),
            ("finetune_settings", "fine-tuning is not served"),
        ],
        findings,
    );
    let deployments = file.maps("model_list", findings);
    let limits = match settings.strategy.as_ref().and_then(Node::said) {
        Some("usage") => Limits::Counted,
        Some(_) | None => Limits::Weighed,
    };
    let deployments: Vec<_> =
        deployments.into_iter().filter_map(|map| Deployment::of(map, limits, findings)).collect();
    let backends = backends(&deployments);
    made.list("backends", backends.iter().map(Backend::node).collect());
    made.list("pools", pools(&deployments, &backends, &settings, findings));
}

/// A reference as we write it. One that is already written so is filled in as well: `${NAME}` taken as it stands would
/// be a key that anybody can guess.
fn reference(text: &str) -> Option<String> {
    text.strip_prefix(VARIABLE).map(|name| format!("${{{name}}}"))
}

/// What is said of all models.
#[derive(Default)]
struct Settings {
    strategy: Option<Node>,
    /// Who stands in for whom, by `model_name`.
    fallbacks: Vec<(String, Vec<Node>)>,
    /// Who stands in for everybody else.
    default_fallbacks: Vec<Node>,
}

impl Settings {
    fn router(&mut self, mut map: Fields, made: &mut Made, findings: &mut Findings) {
        if let Some(strategy) = map.take("routing_strategy") {
            let said = strategy.said().unwrap_or_default();
            match STRATEGIES.iter().find(|(name, _)| *name == said) {
                Some((_, ours)) => self.strategy = Some(strategy.text(*ours)),
                None => findings.lose(&strategy, "no such strategy; deployments are drawn by weight instead"),
            }
        }
        if let Some(aliases) = map.take("model_group_alias") {
            made.put("aliases", names_of(aliases, findings));
        }
        self.common(&mut map, made, findings);
        if let Some(allowed) = map.take("allowed_fails") {
            let fails = allowed.said().and_then(|said| said.parse::<u32>().ok());
            let fails = fails.map_or(allowed.clone(), |fails| allowed.number(fails.saturating_add(1)));
            made.within("breaker", |breaker| breaker.put("failure_threshold", fails));
        }
        if let Some(time) = map.take("cooldown_time") {
            made.within("breaker", |breaker| breaker.put("open", time.clone()));
            made.within("cooldown", |cooldown| cooldown.put("busy", time));
        }
        map.lose_guards(&[("provider_budget_config", BUDGETS)], findings);
        map.lose(
            &[
                ("redis_host", "state is not shared between gateways"),
                ("redis_port", "state is not shared between gateways"),
                ("redis_password", "state is not shared between gateways"),
            ],
            findings,
        );
        // Made without being asked for.
        map.skip(&["enable_pre_call_checks"]);
        map.lose_rest("has no counterpart", findings);
    }

    fn general(&mut self, mut map: Fields, made: &mut Made, findings: &mut Findings) {
        self.common(&mut map, made, findings);
        if let Some(drop) = map.take("drop_params").filter(Node::is_on) {
            made.within("translate", |translate| translate.put("on_unsupported_param", drop.text("drop")));
        }
        if let Some(guardrails) = map.take("guardrails").filter(Node::is_on) {
            findings.refuse_guard(&guardrails, UNGUARDED);
        }
        if let Some(callbacks) = map.take("callbacks").filter(Node::is_on) {
            self::callbacks(&callbacks, findings);
        }
        map.lose_guards(
            &[
                ("max_budget", BUDGETS),
                ("budget_duration", BUDGETS),
                ("max_user_budget", BUDGETS),
                ("max_end_user_budget", BUDGETS),
                ("max_internal_user_budget", BUDGETS),
                ("default_team_settings", ONE_KEY),
                ("upperbound_key_generate_params", ONE_KEY),
                ("banned_keywords_list", CALLBACKS),
                ("blocked_user_list", CALLBACKS),
            ],
            findings,
        );
        map.skip(&["set_verbose", "telemetry"]);
        map.lose(
            &[
                ("cache", "answers are not cached"),
                ("cache_params", "answers are not cached"),
                ("success_callback", CALLBACKS),
                ("failure_callback", CALLBACKS),
            ],
            findings,
        );
        map.lose_rest("has no counterpart", findings);
    }

    /// What both may say.
    fn common(&mut self, map: &mut Fields, made: &mut Made, findings: &mut Findings) {
        if let Some(retries) = map.take("num_retries") {
            let attempts = retries.said().and_then(|said| said.parse::<u32>().ok());
            let attempts = attempts.map_or(retries.clone(), |count| retries.number(count.saturating_add(1)));
            made.within("retry", |retry| retry.put_new("attempts", attempts, findings));
        }
        if let Some(timeout) = map.take_any(&["timeout", "request_timeout"], findings) {
            made.within("timeouts", |timeouts| timeouts.put_new("first_byte", timeout, findings));
        }
        for rule in map.list("fallbacks", findings) {
            self.fallback(rule, findings);
        }
        self.default_fallbacks.extend(map.list("default_fallbacks", findings));
        for (theirs, ours) in
            [("context_window_fallbacks", "context_window"), ("content_policy_fallbacks", "content_policy")]
        {
            for rule in map.list(theirs, findings) {
                fallbacks_of_a_class(rule, ours, made, findings);
            }
        }
    }

    fn fallback(&mut self, rule: Node, findings: &mut Findings) {
        let Value::Map(entries) = rule.value else {
            return findings.mistake(&rule, "expected a map of a model's name to a list of others");
        };
        for entry in entries {
            let others = items(entry.value, findings);
            if entry.key == "*" {
                self.default_fallbacks.extend(others);
            } else {
                self.fallbacks.push((entry.key, others));
            }
        }
    }

    /// Who stands in for `model`.
    fn stand_ins(&self, model: &str) -> &[Node] {
        let own = self.fallbacks.iter().find(|(of, _)| of == model);
        own.map_or(&self.default_fallbacks, |(_, others)| others)
    }
}

/// What is to be called with each request, some of which keeps it back.
fn callbacks(callbacks: &Node, findings: &mut Findings) {
    let all = match &callbacks.value {
        Value::List(items) => items.as_slice(),
        Value::Null | Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(callbacks),
    };
    let keeps_back = |callback: &Node| callback.said().is_some_and(|said| GUARDING.contains(&said));
    match all.iter().find(|callback| keeps_back(callback)) {
        Some(guard) => findings.refuse_guard(guard, UNGUARDED),
        None => findings.lose(callbacks, CALLBACKS),
    }
}

/// Who stands in for models in one kind of failure.
fn fallbacks_of_a_class(rule: Node, class: &str, made: &mut Made, findings: &mut Findings) {
    let Value::Map(entries) = rule.value else {
        return findings.mistake(&rule, "expected a map of a model's name to a list of others");
    };
    made.within("fallbacks", |fallbacks| {
        for entry in entries {
            fallbacks.within(&entry.key, |of_model| of_model.put_new(class, entry.value, findings));
        }
    });
}

/// Aliases whose values may be maps that say more than a name.
fn names_of(aliases: Node, findings: &mut Findings) -> Node {
    let mut made = Made::of(&aliases);
    let Value::Map(entries) = aliases.value else { return aliases };
    for entry in entries {
        match entry.value.value {
            Value::Map(_) => {
                let mut alias = Fields::of(entry.value, findings);
                if let Some(model) = alias.take("model") {
                    made.put(&entry.key, model);
                }
                alias.lose(&[("hidden", "aliases are not hidden")], findings);
            }
            Value::Null | Value::List(_) | Value::Scalar(_) => made.put(&entry.key, entry.value),
        }
    }
    made.node()
}

/// Who may call.
fn access(mut map: Fields, made: &mut Made, findings: &mut Findings) {
    let key = map.take("master_key");
    for way in ["enable_jwt_auth", "enable_oauth2_auth", "custom_auth"] {
        let Some(way) = map.take(way).filter(Node::is_on) else { continue };
        if key.is_some() {
            findings.lose_guard(&way, ONE_KEY);
        } else {
            let why = "would leave the gateway open: set `master_key`, which callers then present";
            findings.refuse_guard(&way, why);
        }
    }
    if let Some(key) = key {
        made.within("auth", |auth| auth.put("api_key", key));
    }
    if let Some(ips) = map.take("allowed_ips").filter(Node::is_on) {
        let why =
            "would let callers in from everywhere: bind `listen.host` or filter before it, and take it out";
        findings.refuse_guard(&ips, why);
    }
    map.lose_guards(
        &[
            ("litellm_jwtauth", ONE_KEY),
            (
                "database_url",
                "keys, teams and spending are not kept; callers present the one key in `master_key`",
            ),
            ("allowed_routes", "whoever may call may call all that is served"),
            ("admin_only_routes", "whoever may call may call all that is served"),
            ("max_parallel_requests", "see `limits.concurrent_requests` of the native form"),
            ("global_max_parallel_requests", "see `limits.concurrent_requests` of the native form"),
            ("max_request_size_mb", "see `limits.body_bytes` of the native form"),
            ("enforced_params", "requests need not say anything"),
            ("enforce_user_param", "requests need not say whose they are"),
        ],
        findings,
    );
    map.lose(
        &[
            ("store_model_in_db", "models are those of the file"),
            ("alerting", "alerts come later; see `metrics` of the native form"),
        ],
        findings,
    );
    map.lose_rest("has no counterpart", findings);
}

/// One account, and the models that are asked for there.
struct Backend<'a> {
    name: String,
    of: &'a Deployment,
    models: Vec<Node>,
}

impl Backend<'_> {
    fn node(&self) -> Node {
        let mut made = Made::of(&self.of.account);
        made.text("name", &self.name);
        made.adopt(self.of.account.clone());
        made.list("models", self.models.clone());
        // Only names of the list are names there; what deployments are called is nobody's concern.
        if !self.models.is_empty() {
            made.number("listed", false);
        }
        made.node()
    }
}

/// The accounts of all deployments, each once. None has the name of a model.
fn backends(deployments: &[Deployment]) -> Vec<Backend<'_>> {
    let mut all: Vec<Backend<'_>> = Vec::new();
    for of in deployments {
        let model = of.model.said().filter(|model| !model.contains('*')).map(|_| of.model.clone());
        if let Some(same) = all.iter_mut().find(|backend| backend.of.is_of_one_account(of)) {
            if !same.models.iter().any(|have| have.said() == of.model.said()) && !same.models.is_empty() {
                // One that serves whatever it has needs no list.
                same.models =
                    model.map_or_else(Vec::new, |model| [same.models.clone(), vec![model]].concat());
            }
            continue;
        }
        let is_free = |name: &str| {
            all.iter().all(|backend| backend.name != name)
                && deployments.iter().all(|other| other.name != name)
        };
        let count =
            (1..).map(|count| if count == 1 { of.base.to_owned() } else { format!("{}-{count}", of.base) });
        let name = { count }.find(|name| is_free(name)).unwrap_or_default();
        all.push(Backend { name, of, models: model.into_iter().collect() });
    }
    all
}

/// A pool for every name of a model, and those that are within it.
fn pools(
    deployments: &[Deployment],
    backends: &[Backend<'_>],
    settings: &Settings,
    findings: &mut Findings,
) -> Vec<Node> {
    let mut groups: BTreeMap<&str, Vec<&Deployment>> = BTreeMap::new();
    for deployment in deployments.iter().filter(|deployment| !deployment.name.contains('*')) {
        groups.entry(&deployment.name).or_default().push(deployment);
    }
    let has_stand_ins = |name: &str| settings.stand_ins(name).iter().any(|other| other.said() != Some(name));
    let inner =
        |name: &str| if has_stand_ins(name) { format!("{name}/deployments") } else { name.to_owned() };
    let mut pools = Vec::new();
    for (name, group) in &groups {
        if let Some(first) = group.first()
            && has_stand_ins(name)
        {
            let mut outer = Pool::new(&first.account, name, "priority");
            outer.add_pool(&inner(name));
            for other in settings.stand_ins(name).iter().filter(|other| other.said() != Some(*name)) {
                match other.said() {
                    Some(said) if groups.contains_key(said) => outer.add_pool(&inner(said)),
                    Some(_) | None => findings.lose(other, "is no `model_name` of the list"),
                }
            }
            pools.push(outer.node());
        }
        pools.append(&mut group_pools(&inner(name), group, backends, settings));
    }
    for (name, others) in settings.fallbacks.iter().filter(|(name, _)| !groups.contains_key(name.as_str())) {
        if let Some(first) = others.first() {
            findings.lose(first, format!("stands in for `{name}`, which is no `model_name` of the list"));
        }
    }
    pools
}

/// The pool of the deployments of one name; where they are ranked by `order`, of pools of those of one rank.
fn group_pools(
    name: &str,
    group: &[&Deployment],
    backends: &[Backend<'_>],
    settings: &Settings,
) -> Vec<Node> {
    let Some(first) = group.first() else { return Vec::new() };
    let strategy = settings.strategy.as_ref().and_then(Node::said).unwrap_or("random").to_owned();
    let mut ranks: BTreeMap<u32, Vec<&Deployment>> = BTreeMap::new();
    for deployment in group {
        ranks.entry(deployment.order).or_default().push(deployment);
    }
    let pool_of = |name: &str, members: &[&Deployment], strategy: &str| {
        let mut pool = Pool::new(&first.account, name, strategy);
        let weights = deployment::weights(members);
        for (member, weight) in members.iter().zip(weights) {
            if let Some(backend) = backends.iter().find(|backend| backend.of.is_of_one_account(member)) {
                pool.add(&backend.name, member, weight);
            }
        }
        pool
    };
    if ranks.len() < 2 {
        return vec![pool_of(name, group, &strategy).node()];
    }
    let mut outer = Pool::new(&first.account, name, "priority");
    let mut pools = Vec::new();
    for (rank, members) in ranks {
        let inner = format!("{name}/order-{rank}");
        outer.add_pool(&inner);
        pools.push(pool_of(&inner, &members, &strategy).node());
    }
    pools.insert(0, outer.node());
    pools
}

struct Pool {
    made: Made,
    members: Vec<Node>,
}

impl Pool {
    fn new(here: &Node, name: &str, strategy: &str) -> Self {
        let mut made = Made::of(here);
        made.text("name", name);
        made.text("strategy", strategy);
        made.number("fallback", true);
        Self { made, members: Vec::new() }
    }

    fn add(&mut self, backend: &str, deployment: &Deployment, weight: Option<u32>) {
        let mut member = Made::of(&deployment.account);
        member.text("name", backend);
        if let Some(weight) = weight {
            member.number("weight", weight);
        }
        member.put("model", deployment.model.clone());
        self.members.push(member.node());
    }

    fn add_pool(&mut self, name: &str) {
        let mut member = Made::of(&self.made.here);
        member.text("name", name);
        self.members.push(member.node());
    }

    fn node(mut self) -> Node {
        self.made.list("backends", self.members);
        self.made.node()
    }
}
