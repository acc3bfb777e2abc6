//! Everything a well-typed configuration can still have wrong, all of it found before a port is bound.

use super::catalog::price_problems;
use super::problem::Problem;
use super::surroundings::unplaced;
use super::surroundings::{VERTEX_LOCATION, VERTEX_PROJECT};
use super::tree::{Config, HealthChecks, Limits, Listen, Metrics, Retry, Timeouts, Translate, Upstream};
use super::worker::{Aws, Entra, ModelCard, Queue, RuntimeName, WorkerSpec, WorkerType};
use super::worker_url::WorkerUrl;
use serde::Deserialize;
use serde::de::value::{Error as ValueError, StrDeserializer};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;
use trunkline_core::Secret;
use trunkline_dialect::provider::{
    self, AZURE, BEDROCK, COMPATIBLE, FOUNDRY, OLLAMA, PROVIDERS, VERTEX, VERTEX_CLAUDE,
};
use trunkline_dialect::region::is_region;

/// Shortest secret that seals reasoning state: what a client could guess, it could forge.
const SHORTEST_SEAL: usize = 16;

/// More threads than this are a typing error, not a machine.
const MOST_THREADS: usize = 1024;

impl Config {
    /// All problems, in the order of the tree; none means that it can be served.
    #[must_use]
    pub fn validate(&self) -> Vec<Problem> {
        let mut check = Check::default();
        check.listen(&self.listen);
        check.workers(self);
        check.problems.extend(super::routing::problems(self));
        check.problems.extend(super::fallbacks::problems(&self.fallbacks));
        check.aws(&self.aws);
        check.aliases(&self.aliases);
        check.keys(self);
        check.limits(&self.limits);
        check.timeouts(&self.timeouts);
        check.retry(&self.retry);
        check.health(&self.health);
        check.translate(&self.translate);
        check.upstream(&self.upstream);
        check.metrics(&self.metrics, &self.listen);
        if self.runtime.threads > MOST_THREADS {
            check.fail(
                "runtime.threads",
                format!("{} is over {MOST_THREADS}; use 0 for one per core", self.runtime.threads),
            );
        }
        check.within("breaker", self.breaker.problems());
        check.within("prefix_hash", self.prefix_hash.problems());
        check.within("least_load", self.least_load.problems());
        check.within("bucket", self.bucket.problems());
        check.within("manual", self.manual.problems());
        check.within("mcp", self.mcp.problems());
        check.within("catalog", self.catalog.problems());
        check.problems
    }
}

impl WorkerSpec {
    /// All problems of one worker, their paths relative to it; `aws` is what holds for all workers.
    #[must_use]
    pub fn validate(&self, aws: &Aws) -> Vec<Problem> {
        let mut check = Check::default();
        match WorkerUrl::parse(&self.url) {
            Err(_) if self.url.is_empty() => {
                check.no_address(self);
                check.vertex(self, None);
            }
            Err(why) => check.fail("url", why.to_string()),
            Ok(url) => {
                let is_unknown = |name: &&str| *name != COMPATIBLE && provider::named(name).is_none();
                if let Some(name) = self.provider.as_deref().filter(is_unknown) {
                    check.fail("provider", unlisted(name));
                }
                if self.aws != Aws::default() {
                    check.bedrock(self, &url, aws);
                }
                if self.azure != Entra::default() {
                    check.entra(self, &url);
                }
                if let Some(version) = &self.api_version {
                    check.azure(self, &url, version);
                }
                check.vertex(self, Some(&url));
            }
        }
        if let Some(key) = &self.api_key {
            check.key("api_key", key, "leave it out");
        }
        match self.worker_type {
            WorkerType::Regular => {}
            WorkerType::Prefill => check.fail(
                "worker_type",
                "`prefill` is not in this build: disaggregated serving comes later; use `regular`",
            ),
            WorkerType::Decode => check.fail(
                "worker_type",
                "`decode` is not in this build: disaggregated serving comes later; use `regular`",
            ),
        }
        check.account(self);
        if self.priority > 100 {
            check.fail("priority", format!("{} is over 100; use 0 to 100", self.priority));
        }
        if !(self.cost.is_finite() && self.cost > 0.0) {
            check.fail("cost", format!("{} is not above 0; use 1 for the usual cost", self.cost));
        }
        if self.weight > 1_000_000 {
            check
                .fail("weight", format!("{} is over 1000000; weights count against each other", self.weight));
        }
        for (key, limit) in [("rpm", self.rpm), ("tpm", self.tpm)] {
            if limit == Some(0) {
                check.fail(
                    key,
                    "is 0, which lets nothing through; use 1 or more, or `weight: 0` to take it out",
                );
            }
        }
        for (index, model) in self.models.iter().enumerate() {
            let (ModelCard::Name(id) | ModelCard::Card { id, .. }) = model;
            if id.is_empty() {
                check.fail(format!("models[{index}]"), "has an empty name; write the model's name");
            }
        }
        check.problems.extend(price_problems("prices", &self.prices));
        let health = &self.health;
        for (key, seconds) in [
            ("health.timeout_secs", health.timeout_secs),
            ("health.check_interval_secs", health.check_interval_secs),
            ("health.success_threshold", health.success_threshold.map(u64::from)),
            ("health.failure_threshold", health.failure_threshold.map(u64::from)),
        ] {
            if seconds == Some(0) {
                check.fail(key, "is 0; use 1 or more, or leave it out");
            }
        }
        check.within("breaker", self.breaker.problems());
        check.problems
    }
}

#[derive(Default)]
struct Check {
    problems: Vec<Problem>,
}

impl Check {
    fn fail(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    fn within(&mut self, part: &str, problems: Vec<Problem>) {
        for problem in problems {
            self.fail(format!("{part}.{}", problem.path), problem.message);
        }
    }

    fn above_zero(&mut self, durations: &[(&str, Duration)]) {
        for (path, duration) in durations {
            if duration.is_zero() {
                self.fail(*path, "is 0; use a duration above 0, such as 30s");
            }
        }
    }

    fn at_least_one(&mut self, numbers: &[(&str, usize)]) {
        for (path, number) in numbers {
            if *number == 0 {
                self.fail(*path, "is 0; use 1 or more");
            }
        }
    }

    fn readable(&mut self, path: impl Into<String>, file: &Path) {
        if let Err(why) = std::fs::read(file) {
            // Not the file's name: a key itself may have been put in its place.
            self.fail(path, format!("cannot be read: {why}"));
        }
    }

    fn listen(&mut self, listen: &Listen) {
        match (&listen.tls_cert, &listen.tls_key) {
            (None, None) => {}
            (Some(_), None) => {
                self.fail("listen.tls_key", "is missing while `listen.tls_cert` is set; set both or neither")
            }
            (None, Some(_)) => {
                self.fail("listen.tls_cert", "is missing while `listen.tls_key` is set; set both or neither")
            }
            (Some(cert), Some(key)) => {
                self.readable("listen.tls_cert", cert);
                self.readable("listen.tls_key", key);
            }
        }
        for (index, name) in listen.request_id_headers.iter().enumerate() {
            if !is_header_name(name) {
                self.fail(
                    format!("listen.request_id_headers[{index}]"),
                    "is not a header name; use letters, digits and dashes",
                );
            }
        }
        for (index, origin) in listen.cors_origins.iter().enumerate() {
            if !is_origin(origin) {
                let message = "is not an origin; write https://HOST or https://HOST:PORT, or leave \
                               the list empty for any";
                self.fail(format!("listen.cors_origins[{index}]"), message);
            }
        }
    }

    fn workers(&mut self, config: &Config) {
        let unplaced: Vec<_> = unplaced(config).collect();
        let is_set_up =
            config.provider_keys.len() > unplaced.len() || config.provider_urls.contains_key(OLLAMA);
        let region = config.aws.region.as_deref();
        let is_lent = || {
            let mut others = PROVIDERS.iter().filter(|known| known.id != BEDROCK);
            others.any(|known| config.has_credentials(known) && config.address_of(known, region).is_some())
        };
        let has_any = !config.workers.is_empty() || !config.backends.is_empty();
        let is_told = has_any || config.igw || is_set_up || is_lent();
        if !is_told && let Some((provider, variable)) = unplaced.first() {
            let id = provider.id;
            self.fail(
                "workers",
                format!("there are none: there is a key for {id}, but not where; set {variable}"),
            );
        } else if !is_told && !PROVIDERS.iter().any(|known| config.has_credentials(known)) {
            let message = "there are none; pass --worker-urls, list them in the file, set a provider's key such as \
                           OPENAI_API_KEY, or start empty with --enable-igw";
            self.fail("workers", message);
        }
        let mut seen: BTreeMap<String, Vec<(&WorkerSpec, String)>> = BTreeMap::new();
        for (list, workers) in [("workers", &config.workers), ("backends", &config.backends)] {
            for (index, worker) in workers.iter().enumerate() {
                let path = format!("{list}[{index}]");
                for problem in worker.validate(&config.aws) {
                    self.fail(format!("{path}.{}", problem.path), problem.message);
                }
                if let Some(problem) = worker.breaker.misfit(&config.breaker) {
                    self.fail(format!("{path}.breaker.{}", problem.path), problem.message);
                }
                if list == "backends" && worker.name.is_none() {
                    self.fail(
                        format!("{path}.name"),
                        "is missing; a backend has a name, which pools and routes use",
                    );
                }
                let Some(place) = worker.place() else { continue };
                let there = seen.entry(place).or_default();
                // Two names at one address are two accounts.
                let twin = there.iter().find(|(other, _)| other.name.is_none() || worker.name.is_none());
                match twin {
                    Some((_, first)) => self.fail(
                        format!("{path}.url"),
                        format!("is the same worker as {first}; list it once, or give each a `name`"),
                    ),
                    None => there.push((worker, path)),
                }
            }
        }
    }

    /// Why a worker without a `url` has no address.
    fn no_address(&mut self, worker: &WorkerSpec) {
        let Some(name) = &worker.provider else {
            let message = "is missing; write http://HOST:PORT, or name a `provider` whose address is known";
            return self.fail("url", message);
        };
        match provider::named(name) {
            None if name == COMPATIBLE => {
                self.fail("url", "is missing: only you know where this provider is; write https://HOST");
            }
            None => self.fail("provider", unlisted(name)),
            Some(known) if known.id == BEDROCK => self
                .fail("aws.region", "is missing, which its address depends on; set it, AWS_REGION, or `url`"),
            // Half of it is told apart.
            Some(known) if known.id == VERTEX && (worker.project.is_some() || worker.location.is_some()) => {}
            Some(known) if known.id == VERTEX => {
                let [project, ..] = VERTEX_PROJECT;
                let [location, ..] = VERTEX_LOCATION;
                let message = format!(
                    "is missing: models of Vertex AI are below a project and a location; set both, or {project} and \
                     {location}, or the `api_key` of an account in express mode"
                );
                self.fail("project", message);
            }
            Some(known) => {
                let variable = known.url_variables.first().map(|name| format!(", or {name}"));
                let message = format!(
                    "is missing: the address of `{}` depends on the account; set it{}",
                    known.id,
                    variable.unwrap_or_default()
                );
                self.fail("url", message);
            }
        }
    }

    /// What is said of an account beyond its address.
    fn account(&mut self, worker: &WorkerSpec) {
        let is_plain = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b"/?#%\"\\".contains(&b))
        };
        if worker.name.as_deref().is_some_and(|name| !is_plain(name)) {
            self.fail("name", "is no name; use letters, digits, dashes and dots");
        }
        for (key, said) in [
            ("organization", &worker.organization),
            ("project", &worker.project),
            ("location", &worker.location),
            ("region", &worker.region),
        ] {
            if said.as_deref().is_some_and(|said| !is_plain(said)) {
                self.fail(key, "is empty or has characters that cannot be sent; set it, or leave it out");
            }
        }
        if worker.default_model.as_deref() == Some("") {
            self.fail("default_model", "is empty; write the model's name, or leave it out");
        }
        if worker.timeout.is_some_and(|timeout| timeout.is_zero()) {
            self.fail("timeout", "is 0; use a duration above 0, such as 30s");
        }
        if worker.max_concurrent == Some(0) {
            self.fail(
                "max_concurrent",
                "is 0, which would let no call through; use 1 or more, or leave it out",
            );
        }
        if worker.max_concurrent.is_none() && worker.queue != Queue::default() {
            self.fail("queue", "is for a worker that can be full; set `max_concurrent`, or leave it out");
        }
        if worker.max_tokens == Some(0) {
            self.fail("max_tokens", "is 0; use 1 or more, or leave it out");
        }
    }

    /// What a worker says of AWS.
    fn azure(&mut self, worker: &WorkerSpec, url: &WorkerUrl, version: &str) {
        if worker.known_provider(url).is_none_or(|known| known.id != AZURE) {
            self.fail(
                "api_version",
                "is for Azure OpenAI alone; set `provider: azure-openai`, or leave it out",
            );
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if version.is_empty() || !version.bytes().all(is_plain) {
            self.fail("api_version", "is no version; write one such as 2024-10-21 or preview");
        }
    }

    fn bedrock(&mut self, worker: &WorkerSpec, url: &WorkerUrl, all: &Aws) {
        if worker.known_provider(url).is_none_or(|known| known.id != BEDROCK) {
            self.fail("aws", "is for Bedrock workers alone; set `provider: bedrock`, or leave it out");
        }
        if (worker.aws.has_keys() || worker.aws.names_source()) && worker.aws_region(url, all).is_none() {
            self.fail("aws.region", "is missing, and the address names none; set it, or AWS_REGION");
        }
        if worker.aws.has_keys() && worker.aws.names_source() {
            let said = if worker.aws.profile.is_some() { "aws.profile" } else { "aws.role_arn" };
            self.fail(said, "stands beside keys; keep the one or the other");
        }
        self.aws(&worker.aws);
    }

    /// Where a worker of Vertex AI has its models. An address that says it all needs no more, nor does that of somebody
    /// who stands in between.
    fn vertex(&mut self, worker: &WorkerSpec, url: Option<&WorkerUrl>) {
        let known = url.and_then(|url| worker.known_provider(url)).map(|known| known.id);
        let is_vertex =
            worker.is_of_vertex() || known.is_some_and(|id| [VERTEX, VERTEX_CLAUDE].contains(&id));
        if !is_vertex || url.is_some_and(|url| url.base().contains("/projects/")) {
            return;
        }
        let is_home = |url: &WorkerUrl| provider::is_home(known, url.host());
        let is_bare = url.is_some_and(|url| is_home(url) && !url.base().contains("/publishers/"));
        let lacks = match (&worker.project, &worker.location) {
            (None, None) if is_bare => "project",
            (None, Some(_)) => "project",
            (Some(_), None) => "location",
            (None, None) | (Some(_), Some(_)) => return,
        };
        self.fail(lacks, "is missing: models of Vertex AI are below a project and a location; set both");
    }

    /// What a worker says of Entra.
    fn entra(&mut self, worker: &WorkerSpec, url: &WorkerUrl) {
        if worker.known_provider(url).is_none_or(|known| ![AZURE, FOUNDRY].contains(&known.id)) {
            let message = "is for workers of Azure alone; set `provider: azure-openai` or `azure-foundry`, or leave it out";
            self.fail("azure", message);
        }
        let Entra { tenant_id, client_id, client_secret, federated_token_file, .. } = &worker.azure;
        let proves = client_secret.is_some() || federated_token_file.is_some();
        for (path, part) in [("azure.tenant_id", tenant_id), ("azure.client_id", client_id)] {
            if proves && part.is_none() {
                self.fail(
                    path,
                    "is missing; a secret or federated token is of one application in one directory",
                );
            }
        }
    }

    fn aws(&mut self, aws: &Aws) {
        let keys = [
            ("aws.access_key_id", &aws.access_key_id, aws.secret_access_key.is_some()),
            ("aws.secret_access_key", &aws.secret_access_key, aws.access_key_id.is_some()),
            ("aws.session_token", &aws.session_token, false),
        ];
        for (path, secret, wanted) in keys {
            let text = secret.as_ref().map(|secret| secret.reveal());
            match text {
                None if wanted => self.fail(path, "is missing; a key has an id and a secret"),
                None => {}
                Some(text) if text.trim().is_empty() => self.fail(path, "is empty; set it or leave it out"),
                Some(text) if text.bytes().any(|byte| !byte.is_ascii_graphic()) => {
                    self.fail(path, "holds blanks or other characters that no AWS key has");
                }
                Some(_) => {}
            }
        }
        if aws.session_token.is_some() && !aws.has_keys() {
            self.fail(
                "aws.session_token",
                "belongs to a key; set `access_key_id` and `secret_access_key` too",
            );
        }
        if aws.external_id.is_some() && aws.role_arn.is_none() {
            self.fail("aws.external_id", "belongs to a role; set `role_arn` too");
        }
        if aws.region.as_deref().is_some_and(|region| !is_region(region)) {
            self.fail("aws.region", "is not a region; write it as in us-east-1, also in AWS_REGION");
        }
    }

    fn aliases(&mut self, aliases: &BTreeMap<String, String>) {
        for (alias, model) in aliases {
            let path = format!("aliases.{alias}");
            if alias.is_empty() || model.is_empty() {
                self.fail(path, "has an empty name; write ALIAS: MODEL");
            } else if alias == model {
                self.fail(path, "stands for itself; name the model it stands for, or remove it");
            }
        }
    }

    fn keys(&mut self, config: &Config) {
        let short = |key: &Secret| key.reveal().trim().len() < SHORTEST_SEAL;
        if config.translate.seal_key.as_ref().is_some_and(short) {
            let message = format!("is too short to be a secret; use {SHORTEST_SEAL} characters or more");
            self.fail("translate.seal_key", message);
        }
        for (provider, key) in &config.provider_keys {
            let path = format!("provider_keys.{provider}");
            if !PROVIDERS.iter().any(|known| known.id == provider) {
                self.fail(path, unknown_provider(provider));
            } else {
                self.key(&path, key, "leave it out");
            }
        }
        for (provider, url) in &config.provider_urls {
            let path = format!("provider_urls.{provider}");
            let is_known = provider == OLLAMA || PROVIDERS.iter().any(|known| known.id == provider);
            match WorkerUrl::parse(url) {
                _ if !is_known => self.fail(path, unknown_provider(provider)),
                Err(why) => {
                    let variables = provider::named(provider).map_or(&[][..], |known| known.url_variables);
                    let also =
                        variables.iter().map(|name| format!("; see {name}")).next().unwrap_or_default();
                    self.fail(path, format!("{why}{also}"));
                }
                Ok(_) => {}
            }
        }
        if let Some(key) = &config.auth.api_key {
            self.key("auth.api_key", key, "leave it out to let anyone call");
        }
    }

    /// A key, which is there: that of nobody is none, nor is the name of the variable that holds it.
    fn key(&mut self, path: &str, key: &Secret, otherwise: &str) {
        let text = key.reveal().trim();
        let variable = text.strip_prefix("os.environ/").or_else(|| text.strip_prefix('$'));
        let is_name = |name: &&str| {
            let mut letters = name.bytes();
            letters.next().is_some_and(|b| b.is_ascii_uppercase())
                && letters.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        };
        if text.is_empty() {
            self.fail(path, format!("is empty; set it, or {otherwise}"));
        } else if let Some(name) = variable.filter(is_name) {
            self.fail(path, format!("is the name of a variable, not what it holds; write `${{{name}}}`"));
        }
    }

    fn limits(&mut self, limits: &Limits) {
        self.at_least_one(&[
            ("limits.body_bytes", limits.body_bytes),
            ("limits.head_bytes", limits.head_bytes),
            ("limits.headers", limits.headers),
            ("limits.event_bytes", limits.event_bytes),
            ("limits.reply_bytes", limits.reply_bytes),
            ("limits.tool_calls", limits.tool_calls),
            ("limits.reply_depth", limits.reply_depth),
            ("limits.json_depth", limits.json_depth),
        ]);
        if limits.tool_calls > 1024 {
            self.fail("limits.tool_calls", "is over 1024; no more are kept track of");
        }
        if limits.queue > 0 && limits.queue_timeout.is_zero() {
            self.fail(
                "limits.queue_timeout",
                "is 0 while `limits.queue` is not; use a duration above 0, or a queue of 0",
            );
        }
    }

    fn timeouts(&mut self, timeouts: &Timeouts) {
        self.above_zero(&[
            ("timeouts.connect", timeouts.connect),
            ("timeouts.first_byte", timeouts.first_byte),
            ("timeouts.idle", timeouts.idle),
            ("timeouts.client_head", timeouts.client_head),
            ("timeouts.client_body", timeouts.client_body),
            ("timeouts.client_write", timeouts.client_write),
        ]);
    }

    fn retry(&mut self, retry: &Retry) {
        if retry.attempts == 0 {
            self.fail("retry.attempts", "is 0; use 1 to never repeat");
        }
        self.above_zero(&[("retry.initial_backoff", retry.initial_backoff)]);
        if retry.max_backoff < retry.initial_backoff {
            self.fail(
                "retry.max_backoff",
                "is shorter than `retry.initial_backoff`; make it at least as long",
            );
        }
        if !(retry.multiplier.is_finite() && retry.multiplier >= 1.0) {
            self.fail(
                "retry.multiplier",
                format!("{} is not 1 or more; use 1 for a constant delay", retry.multiplier),
            );
        }
        if !(0.0..=1.0).contains(&retry.jitter) {
            self.fail("retry.jitter", format!("{} is not between 0 and 1; use 0 for none", retry.jitter));
        }
    }

    fn health(&mut self, health: &HealthChecks) {
        if !health.endpoint.starts_with('/') {
            self.fail("health.endpoint", "is not a path; begin it with `/`");
        }
        self.above_zero(&[
            ("health.interval", health.interval),
            ("health.timeout", health.timeout),
            ("health.startup_timeout", health.startup_timeout),
            ("health.startup_interval", health.startup_interval),
        ]);
        for (path, threshold) in [
            ("health.failure_threshold", health.failure_threshold),
            ("health.success_threshold", health.success_threshold),
        ] {
            if threshold == 0 {
                self.fail(path, "is 0; use 1 or more");
            }
        }
    }

    fn translate(&mut self, translate: &Translate) {
        if translate.default_max_tokens == Some(0) {
            self.fail("translate.default_max_tokens", "is 0; use 1 or more, or leave it out");
        }
        let version = &translate.anthropic_version;
        if version.is_empty() || !version.chars().all(|c| c.is_ascii_graphic()) {
            self.fail("translate.anthropic_version", "is not a version; write one such as 2023-06-01");
        }
        self.at_least_one(&[("translate.fetch_bytes", translate.fetch_bytes)]);
    }

    fn upstream(&mut self, upstream: &Upstream) {
        self.above_zero(&[("upstream.idle_timeout", upstream.idle_timeout)]);
        for (index, file) in upstream.ca_certs.iter().enumerate() {
            self.readable(format!("upstream.ca_certs[{index}]"), file);
        }
    }

    fn metrics(&mut self, metrics: &Metrics, listen: &Listen) {
        let same_host =
            metrics.host == listen.host || [metrics.host, listen.host].iter().any(IpAddr::is_unspecified);
        if metrics.port != 0 && metrics.port == listen.port && same_host {
            let message = format!(
                "{} is also `listen.port`; use another, or 0 to serve /metrics there alone",
                metrics.port
            );
            self.fail("metrics.port", message);
        }
        let buckets = &metrics.duration_buckets;
        let ascending = buckets.windows(2).all(|pair| matches!(pair, [low, high] if low < high));
        if buckets.is_empty() || !ascending || !buckets.iter().all(|bound| bound.is_finite() && *bound > 0.0)
        {
            self.fail(
                "metrics.duration_buckets",
                "are not ascending seconds above 0; write for instance [0.1, 1, 10]",
            );
        }
    }
}

fn unknown_provider(name: &str) -> String {
    match provider_like(name) {
        Some(close) => format!("no such provider; did you mean `{close}`?"),
        None => format!("no such provider; known are {}", provider_names()),
    }
}

/// What to write for the provider of a worker that has an address, but whose provider nobody knows.
fn unlisted(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    if RuntimeName::deserialize(StrDeserializer::<ValueError>::new(&lower)).is_ok() {
        return format!("is an engine, not a provider; write `runtime: {lower}` in place of it");
    }
    match provider_like(name) {
        Some(close) => format!(
            "no such provider; did you mean `{close}`? One that is not listed but speaks OpenAI's dialects is \
             `{COMPATIBLE}`"
        ),
        None => format!(
            "no such provider; write `{COMPATIBLE}` where it speaks OpenAI's dialects; listed are {}",
            provider_names()
        ),
    }
}

fn provider_like(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    let likeness = |id: &str| strsim::jaro_winkler(id, &lower);
    let known = PROVIDERS.iter().map(|known| known.id).chain([COMPATIBLE]);
    known.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|id| likeness(id) > 0.8)
}

fn provider_names() -> String {
    PROVIDERS.iter().map(|known| known.id).collect::<Vec<_>>().join(", ")
}

/// A token of RFC 9110, section 5.6.2.
pub(super) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Scheme, host and perhaps a port, as browsers send it (RFC 6454, section 6.2).
fn is_origin(origin: &str) -> bool {
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*'])
}
