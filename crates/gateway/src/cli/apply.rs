//! Flags over a configuration, and which setting each flag is.

use super::flags::Flags;
use crate::config::{Config, WorkerSpec};
use std::time::Duration;

/// Every flag that overrides a setting, and the setting. The reference page prints it; errors about a
/// setting name its flag. A setting's own flag comes before switches that only turn it off.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("host", "listen.host"),
    ("port", "listen.port"),
    ("tls-cert-path", "listen.tls_cert"),
    ("tls-key-path", "listen.tls_key"),
    ("shutdown-grace-period-secs", "listen.shutdown_grace"),
    ("request-id-headers", "listen.request_id_headers"),
    ("cors-allowed-origins", "listen.cors_origins"),
    ("worker-urls", "workers"),
    ("backend", "backend"),
    ("enable-igw", "igw"),
    ("policy", "policy"),
    ("routing-key-override", "routing_key_override"),
    ("prefix-token-count", "prefix_hash.prefix_token_count"),
    ("prefix-hash-load-factor", "prefix_hash.load_factor"),
    ("least-load-kv-pressure-weight", "least_load.kv_pressure_weight"),
    ("least-load-default-throughput", "least_load.default_throughput"),
    ("least-load-mean-prefill-tokens", "least_load.mean_prefill_tokens"),
    ("load-monitor-interval", "least_load.interval"),
    ("bucket-adjust-interval-secs", "bucket.adjust_interval"),
    ("assignment-mode", "manual.assignment_mode"),
    ("max-idle-secs", "manual.max_idle"),
    ("model-alias", "aliases"),
    ("worker-startup-timeout-secs", "health.startup_timeout"),
    ("worker-startup-check-interval", "health.startup_interval"),
    ("ca-cert-paths", "upstream.ca_certs"),
    ("api-key", "auth.api_key"),
    ("request-timeout-secs", "timeouts.first_byte"),
    ("max-payload-size", "limits.body_bytes"),
    ("max-concurrent-requests", "limits.concurrent_requests"),
    ("queue-size", "limits.queue"),
    ("queue-timeout-secs", "limits.queue_timeout"),
    ("retry-max-retries", "retry.attempts"),
    ("retry-initial-backoff-ms", "retry.initial_backoff"),
    ("retry-max-backoff-ms", "retry.max_backoff"),
    ("retry-backoff-multiplier", "retry.multiplier"),
    ("retry-jitter-factor", "retry.jitter"),
    ("disable-retries", "retry.attempts"),
    ("cb-failure-threshold", "breaker.failure_threshold"),
    ("cb-success-threshold", "breaker.success_threshold"),
    ("cb-timeout-duration-secs", "breaker.open"),
    ("cb-window-duration-secs", "breaker.window"),
    ("disable-circuit-breaker", "breaker.enabled"),
    ("health-failure-threshold", "health.failure_threshold"),
    ("health-success-threshold", "health.success_threshold"),
    ("health-check-timeout-secs", "health.timeout"),
    ("health-check-interval-secs", "health.interval"),
    ("health-check-endpoint", "health.endpoint"),
    ("disable-health-check", "health.enabled"),
    ("remove-unhealthy-workers", "health.remove_failed"),
    ("drain-settle-secs", "health.drain_settle"),
    ("log-level", "log.level"),
    ("log-json", "log.json"),
    ("prometheus-host", "metrics.host"),
    ("prometheus-port", "metrics.port"),
    ("prometheus-duration-buckets", "metrics.duration_buckets"),
    ("runtime-worker-threads", "runtime.threads"),
];

/// The flag that sets a setting, without its dashes.
pub(crate) fn flag_of(setting: &str) -> Option<&'static str> {
    SETTINGS.iter().find(|(_, of)| *of == setting).map(|(flag, _)| *flag)
}

/// Lowers flags into a configuration. Lists replace what the file said, except aliases, which are added
/// to it; switches only ever turn on.
pub fn apply(flags: &Flags, config: &mut Config) {
    listen(flags, config);
    workers(flags, config);
    requests(flags, config);
    policies(flags, config);
    breaker(flags, config);
    health(flags, config);
    observe(flags, config);
}

fn set<T: Clone>(value: Option<&T>, to: &mut T) {
    if let Some(value) = value {
        value.clone_into(to);
    }
}

fn set_list<T: Clone>(values: &[T], to: &mut Vec<T>) {
    if !values.is_empty() {
        *to = values.to_vec();
    }
}

fn set_secs(seconds: Option<u64>, to: &mut Duration) {
    set(seconds.map(Duration::from_secs).as_ref(), to);
}

fn set_millis(millis: Option<u64>, to: &mut Duration) {
    set(millis.map(Duration::from_millis).as_ref(), to);
}

fn listen(flags: &Flags, config: &mut Config) {
    let listen = &mut config.listen;
    set(flags.host.as_ref(), &mut listen.host);
    set(flags.port.as_ref(), &mut listen.port);
    listen.tls_cert = flags.tls_cert_path.clone().or(listen.tls_cert.take());
    listen.tls_key = flags.tls_key_path.clone().or(listen.tls_key.take());
    set_secs(flags.shutdown_grace_period_secs, &mut listen.shutdown_grace);
    set_list(&flags.request_id_headers, &mut listen.request_id_headers);
    set_list(&flags.cors_allowed_origins, &mut listen.cors_origins);
}

fn workers(flags: &Flags, config: &mut Config) {
    let urls: Vec<_> = flags.worker_urls.iter().map(WorkerSpec::new).collect();
    set_list(&urls, &mut config.workers);
    config.backend = flags.backend.or(config.backend);
    config.igw |= flags.enable_igw;
    set(flags.policy.as_ref(), &mut config.policy);
    config.aliases.extend(flags.model_alias.iter().cloned());
    set_list(&flags.ca_cert_paths, &mut config.upstream.ca_certs);
}

fn requests(flags: &Flags, config: &mut Config) {
    config.auth.api_key = flags.api_key.clone().or(config.auth.api_key.take());
    set_secs(flags.request_timeout_secs, &mut config.timeouts.first_byte);
    let limits = &mut config.limits;
    set(flags.max_payload_size.as_ref(), &mut limits.body_bytes);
    // Anything below 1 is "no bound" on the command line, which is 0 in the tree.
    let places = flags.max_concurrent_requests.map(|n| usize::try_from(n).unwrap_or(0));
    set(places.as_ref(), &mut limits.concurrent_requests);
    set(flags.queue_size.as_ref(), &mut limits.queue);
    set_secs(flags.queue_timeout_secs, &mut limits.queue_timeout);
    let retry = &mut config.retry;
    set(flags.retry_max_retries.as_ref(), &mut retry.attempts);
    set_millis(flags.retry_initial_backoff_ms, &mut retry.initial_backoff);
    set_millis(flags.retry_max_backoff_ms, &mut retry.max_backoff);
    set(flags.retry_backoff_multiplier.as_ref(), &mut retry.multiplier);
    set(flags.retry_jitter_factor.as_ref(), &mut retry.jitter);
    if flags.disable_retries {
        retry.attempts = 1;
    }
}

fn policies(flags: &Flags, config: &mut Config) {
    config.routing_key_override |= flags.routing_key_override;
    set(flags.prefix_token_count.as_ref(), &mut config.prefix_hash.prefix_token_count);
    set(flags.prefix_hash_load_factor.as_ref(), &mut config.prefix_hash.load_factor);
    let least_load = &mut config.least_load;
    set(flags.least_load_kv_pressure_weight.as_ref(), &mut least_load.kv_pressure_weight);
    set(flags.least_load_default_throughput.as_ref(), &mut least_load.default_throughput);
    set(flags.least_load_mean_prefill_tokens.as_ref(), &mut least_load.mean_prefill_tokens);
    set_secs(flags.load_monitor_interval, &mut least_load.interval);
    set_secs(flags.bucket_adjust_interval_secs, &mut config.bucket.adjust_interval);
    set(flags.assignment_mode.as_ref(), &mut config.manual.assignment_mode);
    set_secs(flags.max_idle_secs, &mut config.manual.max_idle);
    config.warnings.extend(flags.thresholds.warnings());
}

fn breaker(flags: &Flags, config: &mut Config) {
    let breaker = &mut config.breaker;
    breaker.enabled &= !flags.disable_circuit_breaker;
    set(flags.cb_failure_threshold.as_ref(), &mut breaker.failure_threshold);
    set(flags.cb_success_threshold.as_ref(), &mut breaker.success_threshold);
    set_secs(flags.cb_timeout_duration_secs, &mut breaker.open);
    set_secs(flags.cb_window_duration_secs, &mut breaker.window);
}

fn health(flags: &Flags, config: &mut Config) {
    let health = &mut config.health;
    health.enabled &= !flags.disable_health_check;
    health.remove_failed |= flags.remove_unhealthy_workers;
    set(flags.health_failure_threshold.as_ref(), &mut health.failure_threshold);
    set(flags.health_success_threshold.as_ref(), &mut health.success_threshold);
    set(flags.health_check_endpoint.as_ref(), &mut health.endpoint);
    set_secs(flags.health_check_timeout_secs, &mut health.timeout);
    set_secs(flags.health_check_interval_secs, &mut health.interval);
    set_secs(flags.worker_startup_timeout_secs, &mut health.startup_timeout);
    set_secs(flags.worker_startup_check_interval, &mut health.startup_interval);
    set_secs(flags.drain_settle_secs, &mut health.drain_settle);
}

fn observe(flags: &Flags, config: &mut Config) {
    set(flags.log_level.as_ref(), &mut config.log.level);
    config.log.json |= flags.log_json;
    let metrics = &mut config.metrics;
    set(flags.prometheus_host.as_ref(), &mut metrics.host);
    set(flags.prometheus_port.as_ref(), &mut metrics.port);
    set_list(&flags.prometheus_duration_buckets, &mut metrics.duration_buckets);
    set(flags.runtime_worker_threads.as_ref(), &mut config.runtime.threads);
}
