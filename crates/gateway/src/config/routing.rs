//! What pools, routes and aliases can have wrong: names that nobody has, pools that hold themselves, and matches
//! that can never be.

use super::condition::{self, Condition};
use super::pools::{ContentRule, DEEPEST, LatencySpec, MemberSpec, MirrorSpec, PoolSpec, RouteSpec};
use super::problem::{Problem, nearest};
use super::tree::Config;
use super::validate::is_header_name;
use super::window::Window;
use std::collections::BTreeMap;
use trunkline_core::Dialect;

/// Methods that a request may have.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
/// Names listed in a message; of more, the nearest alone is of use.
const LISTED: usize = 12;

/// All problems of pools, routes and of aliases beside them.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let mut check = Check { names: BTreeMap::new(), pools: &config.pools, problems: Vec::new() };
    check.names(config);
    for (index, pool) in config.pools.iter().enumerate() {
        check.pool(&format!("pools[{index}]"), pool);
    }
    // Pools that hold themselves have no depth.
    if check.problems.is_empty() {
        check.depth();
    }
    for (index, route) in config.routes.iter().enumerate() {
        check.route(&format!("routes[{index}]"), route);
    }
    for alias in config.aliases.keys() {
        if let Some(owner) = check.names.get(alias.as_str()) {
            let message = format!("is also the name of {owner}; an alias that nothing can reach, rename one");
            check.problems.push(Problem::new(format!("aliases.{alias}"), message));
        }
    }
    check.problems
}

struct Check<'a> {
    /// Backends and pools by name, and where each stands.
    names: BTreeMap<&'a str, String>,
    pools: &'a [PoolSpec],
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn fail(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    fn names(&mut self, config: &'a Config) {
        let named = |list: &'static str, index: usize, name: &'a str| (format!("{list}[{index}]"), name);
        let of_workers = |list: &'static str, workers: &'a [super::WorkerSpec]| {
            workers
                .iter()
                .enumerate()
                .filter_map(move |(index, w)| Some(named(list, index, w.name.as_deref()?)))
        };
        let pools = config.pools.iter().enumerate().map(|(index, pool)| named("pools", index, &pool.name));
        let all = of_workers("workers", &config.workers).chain(of_workers("backends", &config.backends));
        for (place, name) in all.chain(pools) {
            if name.is_empty() {
                self.fail(format!("{place}.name"), "is empty; write a name");
            } else if let Some(first) = self.names.get(name) {
                let message =
                    format!("is also the name of {first}; names are unique among backends and pools");
                self.fail(format!("{place}.name"), message);
            } else {
                self.names.insert(name, place);
            }
        }
    }

    fn pool(&mut self, path: &str, pool: &'a PoolSpec) {
        if pool.backends.is_empty() {
            self.fail(format!("{path}.backends"), "is empty; a pool has one member or more");
        } else if pool.backends.iter().all(|member| member.weight == 0) {
            self.fail(format!("{path}.backends"), "have weight 0 all of them; give one a weight above 0");
        }
        for (index, member) in pool.backends.iter().enumerate() {
            let path = format!("{path}.backends[{index}]");
            self.known(&format!("{path}.name"), &member.name);
            self.member(&path, pool, index, member);
        }
        if let Some(problem) = pool.nesting_problem(self.pools) {
            self.fail(format!("{path}.strategy"), problem);
        }
        self.latency(path, &pool.latency);
        if pool.cost.max_price.is_some_and(|most| most.is_nan() || most <= 0.0) {
            self.fail(
                format!("{path}.cost.max_price"),
                "is not above 0; write dollars for one call, such as 0.05",
            );
        }
        self.mirror(path, pool.mirror.as_ref());
        self.region(path, pool.region.as_deref());
    }

    fn member(&mut self, path: &str, pool: &'a PoolSpec, index: usize, member: &'a MemberSpec) {
        let is_same = |other: &MemberSpec| other.name == member.name && other.model == member.model;
        if pool.backends.iter().take(index).any(is_same) {
            self.fail(
                format!("{path}.name"),
                "is in the pool already; list it once, with the sum of its weights",
            );
        }
        self.label(path, pool, index, member);
        let Some(inner) = self.pools.iter().find(|pool| pool.name == member.name) else { return };
        let said = [
            ("model", member.model.is_some()),
            ("model_map", !member.model_map.is_empty()),
            ("label", member.label.is_some()),
        ];
        for (key, _) in said.iter().filter(|(_, is_said)| *is_said) {
            self.fail(format!("{path}.{key}"), "cannot be said of a pool; say it of the backends in it");
        }
        let mut way = vec![pool.name.as_str()];
        if self.leads_back(inner, &mut way) {
            let message =
                format!("leads back to where it began ({}); a pool cannot hold itself", way.join(", "));
            self.fail(format!("{path}.name"), message);
        }
    }

    fn label(&mut self, path: &str, pool: &PoolSpec, index: usize, member: &MemberSpec) {
        let Some(label) = &member.label else { return };
        if label.is_empty() || !label.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = "is shown in headers and metrics; use letters, digits and signs, without spaces";
            self.fail(format!("{path}.label"), message);
        }
        if pool.backends.iter().take(index).any(|other| other.variant() == *label) {
            self.fail(format!("{path}.label"), "is what another member of the pool is called; use another");
        }
    }

    /// Whether `pool` holds the first of `way`, which then shows how. A circle farther on is told where it begins.
    fn leads_back(&self, pool: &'a PoolSpec, way: &mut Vec<&'a str>) -> bool {
        let is_first = way.first() == Some(&pool.name.as_str());
        if !is_first && way.contains(&pool.name.as_str()) {
            return false;
        }
        way.push(&pool.name);
        let inner = |name: &str| self.pools.iter().find(|pool| pool.name == name);
        if is_first || pool.backends.iter().filter_map(|m| inner(&m.name)).any(|p| self.leads_back(p, way)) {
            return true;
        }
        way.pop();
        false
    }

    fn depth(&mut self) {
        let pools = self.pools;
        for (index, _) in
            pools.iter().enumerate().filter(|(_, pool)| self.is_deeper(pool, DEEPEST)).collect::<Vec<_>>()
        {
            let message = format!("are pools in pools of more than {DEEPEST} levels; use fewer");
            self.fail(format!("pools[{index}].backends"), message);
        }
    }

    fn is_deeper(&self, pool: &PoolSpec, levels: usize) -> bool {
        let mut inner = self.pools.iter().filter(|other| pool.backends.iter().any(|m| m.name == other.name));
        inner.any(|pool| levels == 0 || self.is_deeper(pool, levels - 1))
    }

    fn latency(&mut self, path: &str, latency: &LatencySpec) {
        for (key, share) in [("percentile", latency.percentile), ("explore", latency.explore)] {
            if !(0.0..=1.0).contains(&share) {
                self.fail(format!("{path}.latency.{key}"), format!("{share} is not between 0 and 1"));
            }
        }
        if latency.window.is_zero() {
            self.fail(format!("{path}.latency.window"), "is 0; use a duration above 0, such as 5m");
        }
    }

    fn mirror(&mut self, path: &str, mirror: Option<&MirrorSpec>) {
        let Some(MirrorSpec { backend, percent, concurrency, timeout }) = mirror else { return };
        let path = format!("{path}.mirror");
        if self.pools.iter().any(|pool| pool.name == *backend) {
            self.fail(format!("{path}.backend"), "is a pool; name one backend that gets the copies");
        } else {
            self.known(&format!("{path}.backend"), backend);
        }
        if !(0.0..=100.0).contains(percent) {
            self.fail(format!("{path}.percent"), format!("{percent} is not between 0 and 100"));
        }
        if *concurrency == 0 {
            self.fail(format!("{path}.concurrency"), "is 0, with which nothing is copied; use 1 or more");
        }
        if timeout.is_zero() {
            self.fail(format!("{path}.timeout"), "is 0; use a duration above 0, such as 60s");
        }
    }

    fn region(&mut self, path: &str, region: Option<&str>) {
        if region.is_some_and(|region| region.trim().is_empty()) {
            self.fail(format!("{path}.region"), "is empty; name the region, or leave it out");
        }
    }

    fn route(&mut self, path: &str, route: &'a RouteSpec) {
        self.mirror(path, route.mirror.as_ref());
        self.region(path, route.region.as_deref());
        if route.backend.is_empty() {
            self.fail(format!("{path}.backend"), "is missing; name the pool or backend that answers");
        } else {
            self.known(&format!("{path}.backend"), &route.backend);
        }
        if let Some(place) = &route.path {
            let beginning = place.strip_suffix('*').unwrap_or(place);
            if !beginning.starts_with('/') {
                self.fail(format!("{path}.path"), "is not a path; begin it with `/`");
            } else if beginning.contains(['*', '?', '#']) {
                self.fail(
                    format!("{path}.path"),
                    "has a character that no path has, or a `*` that is not at its end",
                );
            }
        }
        for (index, method) in route.methods.iter().enumerate() {
            if !METHODS.contains(&method.as_str()) {
                let upper = method.to_ascii_uppercase();
                let hint = match nearest(&upper, &METHODS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("use one of {}", METHODS.join(", ")),
                };
                self.fail(format!("{path}.methods[{index}]"), format!("is no method; {hint}"));
            }
        }
        for name in route.headers.keys().filter(|name| !is_header_name(name)) {
            self.fail(
                format!("{path}.headers.{name}"),
                "is not a header name; use letters, digits and dashes",
            );
        }
        for (index, _) in route.models.iter().enumerate().filter(|(_, model)| model.is_empty()) {
            self.fail(format!("{path}.models[{index}]"), "is empty; write a model's name, `*` for anything");
        }
        match &route.content {
            Some(ContentRule::Contains(text) | ContentRule::NotContains(text)) if text.is_empty() => {
                self.fail(format!("{path}.content"), "looks for no text at all; write some, or leave it out");
            }
            Some(ContentRule::Regex(pattern)) => {
                if let Err(why) = condition::regex(pattern) {
                    self.fail(format!("{path}.content"), why);
                }
            }
            Some(ContentRule::Contains(_) | ContentRule::NotContains(_)) | None => {}
        }
        self.conditions(path, route);
    }

    /// What a route says of a request beside its head, model and content.
    fn conditions(&mut self, path: &str, route: &RouteSpec) {
        let dialects: Vec<&str> = Dialect::ALL.iter().map(|dialect| dialect.name()).collect();
        for (index, name) in
            route.dialects.iter().enumerate().filter(|(_, name)| !dialects.contains(&name.as_str()))
        {
            let hint = match nearest(name, &dialects) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", dialects.join(", ")),
            };
            self.fail(format!("{path}.dialects[{index}]"), format!("is no dialect; {hint}"));
        }
        if !(0.0..=100.0).contains(&route.percent) {
            self.fail(format!("{path}.percent"), format!("{} is not between 0 and 100", route.percent));
        }
        if route.min_prompt_tokens.zip(route.max_prompt_tokens).is_some_and(|(least, most)| least > most) {
            self.fail(
                format!("{path}.max_prompt_tokens"),
                "is below `min_prompt_tokens`, so that nothing fits",
            );
        }
        if let Some(Err((key, why))) = route.during.as_ref().map(Window::read) {
            self.fail(format!("{path}.during.{key}"), why);
        }
        if let Some(Err(mistake)) = route.when.as_ref().map(|when| Condition::read(&when.0)) {
            self.fail(format!("{path}.when{}", mistake.path), mistake.message);
        }
    }

    fn known(&mut self, path: &str, name: &str) {
        if self.names.contains_key(name) {
            return;
        }
        let known: Vec<&str> = self.names.keys().copied().collect();
        let hint = match nearest(name, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "there are none with a name".to_owned(),
            None if known.len() > LISTED => format!("there are {} others", known.len()),
            None => format!("known are {}", known.join(", ")),
        };
        self.fail(path, format!("no backend or pool has this name; {hint}"));
    }
}
