use super::*;
use crate::config::{AssignmentMode, Backend, Config, LogLevel, PolicyName};
use std::collections::BTreeSet;
use std::time::Duration;

fn read(line: &str) -> Result<Command, UsageError> {
    parse(line.split_whitespace().map(OsString::from))
}

fn launch(line: &str) -> Config {
    let flags = match read(line) {
        Ok(Command::Launch(flags)) => flags,
        other => panic!("{line}: {other:?}"),
    };
    let mut config = Config::default();
    apply(&flags, &mut config);
    config
}

fn urls(config: &Config) -> Vec<&str> {
    config.workers.iter().map(|worker| worker.url.as_str()).collect()
}

#[test]
fn documented_command_lines_launch() {
    for (line, workers, backend, policy, igw) in [
        ("trunkline --enable-igw", vec![], None, PolicyName::RoundRobin, true),
        (
            "trunkline --worker-urls http://worker1:8000 http://worker2:8000 http://worker3:8000 \
             --policy round_robin --host 0.0.0.0 --port 30000",
            vec!["http://worker1:8000", "http://worker2:8000", "http://worker3:8000"],
            None,
            PolicyName::RoundRobin,
            false,
        ),
        (
            "trunkline --backend openai --worker-urls https://api.openai.com --host 0.0.0.0 --port 30000",
            vec!["https://api.openai.com"],
            Some(Backend::Openai),
            PolicyName::RoundRobin,
            false,
        ),
        (
            "trunkline --backend openai --worker-urls https://api.anthropic.com --host 0.0.0.0 --port 30000",
            vec!["https://api.anthropic.com"],
            Some(Backend::Openai),
            PolicyName::RoundRobin,
            false,
        ),
        (
            "trunkline --backend openai --worker-urls https://api.x.ai --host 0.0.0.0 --port 30000",
            vec!["https://api.x.ai"],
            Some(Backend::Openai),
            PolicyName::RoundRobin,
            false,
        ),
        (
            "trunkline --backend openai --worker-urls https://generativelanguage.googleapis.com \
             --host 0.0.0.0 --port 30000",
            vec!["https://generativelanguage.googleapis.com"],
            Some(Backend::Openai),
            PolicyName::RoundRobin,
            false,
        ),
        ("trunkline --enable-igw --host 0.0.0.0 --port 30000", vec![], None, PolicyName::RoundRobin, true),
        (
            "trunkline --worker-urls http://localhost:8000",
            vec!["http://localhost:8000"],
            None,
            PolicyName::RoundRobin,
            false,
        ),
    ] {
        let config = launch(line);
        assert_eq!(urls(&config), workers, "{line}");
        assert_eq!((config.backend, config.policy, config.igw), (backend, policy, igw), "{line}");
        assert_eq!(
            (config.listen.host.to_string().as_str(), config.listen.port),
            ("0.0.0.0", 30000),
            "{line}"
        );
        assert_eq!(config.validate(), [], "{line}");
    }
}

#[test]
fn flags_of_the_breaker_are_settings() {
    let config = launch(
        "trunkline --worker-urls http://w1:8000 --cb-failure-threshold 5 --cb-success-threshold 2 \
         --cb-timeout-duration-secs 30 --cb-window-duration-secs 60",
    );
    let breaker = &config.breaker;
    assert_eq!((breaker.failure_threshold, breaker.success_threshold), (5, 2));
    assert_eq!((breaker.open, breaker.window), (Duration::from_secs(30), Duration::from_secs(60)));
    assert!(breaker.enabled && config.validate().is_empty());
    assert!(!launch("trunkline --worker-urls http://w1:8000 --disable-circuit-breaker").breaker.enabled);
    for (flag, value) in [("cb-failure-threshold", "0"), ("cb-timeout-duration-secs", "0")] {
        let config = launch(&format!("trunkline --worker-urls http://w1:8000 --{flag} {value}"));
        assert_eq!(config.validate().len(), 1, "{flag}");
    }
}

/// Documented elsewhere as well, but for what this build does not have: refused by name, all at once.
#[test]
fn documented_command_lines_of_later_features_say_so() {
    for (line, said) in [
        (
            "trunkline --worker-urls grpc://worker1:50051 grpc://worker2:50052 \
             --model-path meta-llama/Llama-3.1-8B-Instruct --policy round_robin",
            "`--model-path` is not in this build: gRPC workers and tokenizers come later",
        ),
        (
            "trunkline --worker-urls http://gpu1:8000 --ha-mesh --seeds 10.0.0.2:30001,10.0.0.3:30001",
            "`--seeds` is not in this build: the mesh comes later\n\
             `--ha-mesh` is not in this build: the mesh comes later",
        ),
        ("trunkline launch --ha-mesh", "`--ha-mesh` is not in this build: the mesh comes later"),
        ("trunkline check --enable-trace", "`--enable-trace` is not in this build: trace export comes later"),
        (
            "trunkline --model Qwen/Qwen3-8B",
            "`--model-path` is not in this build: gRPC workers and tokenizers come later",
        ),
        (
            "trunkline --tenant-api-key=acme:sk-1",
            "`--tenant-api-key` is not in this build: tenants come later",
        ),
        (
            "trunkline --prefill http://p:1 9000 --redis-retention-days -1",
            "`--prefill` is not in this build: disaggregated serving comes later\n\
             `--redis-retention-days` is not in this build: stored history comes later",
        ),
    ] {
        let error = read(line).unwrap_err();
        assert!(matches!(error, UsageError::Later(_)), "{line}: {error}");
        assert_eq!(error.to_string(), said, "{line}");
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn wrong_values_say_what_is_right() {
    for (line, first) in [
        (
            "trunkline --policy fastest",
            "error: invalid value 'fastest' for '--policy <POLICY>': no such name; known here: round_robin, \
             random, power_of_two, weighted, least_connections, latency, cost, usage, cache_aware, \
             prefix_hash, consistent_hashing, least_load, bucket, manual, passthrough",
        ),
        (
            "trunkline --backend tokenspeed",
            "error: invalid value 'tokenspeed' for '--backend <BACKEND>': `tokenspeed` is not in this build: \
             TokenSpeed comes with gRPC workers, later; known here: sglang, vllm, trtllm, openai, anthropic, gemini",
        ),
        (
            "trunkline --host localhost",
            "error: invalid value 'localhost' for '--host <IP>': not an IP address; write one such as 0.0.0.0 or [::]",
        ),
        (
            "trunkline --port 65536",
            "error: invalid value '65536' for '--port <PORT>': 65536 is not in 0..=65535",
        ),
        (
            "trunkline --model-alias fast",
            "error: invalid value 'fast' for '--model-alias <ALIAS=MODEL>...': write ALIAS=MODEL",
        ),
        ("trunkline --worker-url http://a", "error: unexpected argument '--worker-url' found"),
        ("trunkline --port 1 launch", "error: the subcommand 'launch' cannot be used with '--port <PORT>'"),
        (
            "trunkline --model-alias a=b --model-alias a=c",
            "`--model-alias a` is given twice, for `b` and `c`; keep one",
        ),
        ("trunkline explain --stream", "error: the following required arguments were not provided:"),
    ] {
        let error = read(line).unwrap_err();
        assert_eq!(error.to_string().lines().next(), Some(first), "{line}");
        assert_eq!(error.exit_code(), 2, "{line}");
    }
    let error = read("trunkline --worker-url http://a").unwrap_err().to_string();
    assert!(error.contains("a similar argument exists: '--worker-urls'"), "{error}");
    assert!(read("trunkline --ha-mash").unwrap_err().to_string().contains("unexpected argument '--ha-mash'"));
}

/// One line with every flag, so that no flag can be read and then forgotten.
#[test]
fn every_flag_reaches_the_tree() {
    let config = launch(
        "trunkline start --host [::1] --port 8080 --tls-cert-path c.pem --tls-key-path k.pem \
         --shutdown-grace-period-secs 7 --request-id-headers x-a x-b --cors-allowed-origins https://a https://b \
         --worker-urls http://a:1 http://b:1 --worker-urls http://c:1 --runtime vllm --enable-igw --policy random \
         --model-alias a=b c=d --model-alias e=f --worker-startup-timeout-secs 8 \
         --worker-startup-check-interval 9 --ca-cert-paths x.pem y.pem --api-key hush --request-timeout-secs 10 \
         --max-payload-size 11 --max-concurrent-requests 12 --queue-size 13 --queue-timeout-secs 14 \
         --retry-max-retries 15 --retry-initial-backoff-ms 16 --retry-max-backoff-ms 17 \
         --retry-backoff-multiplier 1.8 --retry-jitter-factor 0.19 --health-failure-threshold 20 \
         --health-success-threshold 21 --health-check-timeout-secs 22 --health-check-interval-secs 23 \
         --health-check-endpoint /up --disable-health-check --remove-unhealthy-workers --drain-settle-secs 24 \
         --log-level debug --log-json --prometheus-host 127.0.0.1 --prometheus-port 25 \
         --prometheus-duration-buckets 0.1 1 10 --runtime-worker-threads 3 --routing-key-override \
         --prefix-token-count 26 --prefix-hash-load-factor 2.7 --least-load-kv-pressure-weight 0.28 \
         --least-load-default-throughput 29 --least-load-mean-prefill-tokens 30 --load-monitor-interval 31 \
         --bucket-adjust-interval-secs 32 --assignment-mode min_load --max-idle-secs 33",
    );
    assert!(config.routing_key_override);
    let (prefix_hash, least_load) = (config.prefix_hash, config.least_load);
    assert_eq!((prefix_hash.prefix_token_count, prefix_hash.load_factor), (26, 2.7));
    assert_eq!((least_load.kv_pressure_weight, least_load.default_throughput), (0.28, 29.0));
    assert_eq!((least_load.mean_prefill_tokens, least_load.interval), (30, Duration::from_secs(31)));
    assert_eq!(config.bucket.adjust_interval, Duration::from_secs(32));
    let manual = config.manual;
    assert_eq!((manual.assignment_mode, manual.max_idle), (AssignmentMode::MinLoad, Duration::from_secs(33)));
    assert_eq!((config.listen.host.to_string().as_str(), config.listen.port), ("::1", 8080));
    assert_eq!(config.listen.tls_cert.as_deref(), Some("c.pem".as_ref()));
    assert_eq!(config.listen.tls_key.as_deref(), Some("k.pem".as_ref()));
    assert_eq!(config.listen.shutdown_grace, Duration::from_secs(7));
    assert_eq!(config.listen.request_id_headers, ["x-a", "x-b"]);
    assert_eq!(config.listen.cors_origins, ["https://a", "https://b"]);
    assert_eq!(urls(&config), ["http://a:1", "http://b:1", "http://c:1"]);
    assert_eq!((config.backend, config.igw, config.policy), (Some(Backend::Vllm), true, PolicyName::Random));
    let aliases: Vec<_> = config.aliases.iter().map(|(a, m)| format!("{a}={m}")).collect();
    assert_eq!(aliases, ["a=b", "c=d", "e=f"]);
    assert_eq!(config.upstream.ca_certs, ["x.pem", "y.pem"].map(std::path::PathBuf::from));
    assert_eq!(config.auth.api_key.as_ref().map(trunkline_core::Secret::reveal), Some("hush"));
    assert_eq!(config.timeouts.first_byte, Duration::from_secs(10));
    let limits = &config.limits;
    assert_eq!((limits.body_bytes, limits.concurrent_requests, limits.queue), (11, 12, 13));
    assert_eq!(limits.queue_timeout, Duration::from_secs(14));
    let retry = &config.retry;
    assert_eq!((retry.attempts, retry.multiplier, retry.jitter), (15, 1.8, 0.19));
    assert_eq!(retry.initial_backoff, Duration::from_millis(16));
    assert_eq!(retry.max_backoff, Duration::from_millis(17));
    let health = &config.health;
    assert_eq!((health.failure_threshold, health.success_threshold), (20, 21));
    assert_eq!((health.timeout, health.interval), (Duration::from_secs(22), Duration::from_secs(23)));
    assert_eq!(
        (health.startup_timeout, health.startup_interval),
        (Duration::from_secs(8), Duration::from_secs(9))
    );
    assert_eq!((health.endpoint.as_str(), health.enabled, health.remove_failed), ("/up", false, true));
    assert_eq!(health.drain_settle, Duration::from_secs(24));
    assert_eq!((config.log.level, config.log.json), (LogLevel::Debug, true));
    assert_eq!((config.metrics.host.to_string().as_str(), config.metrics.port), ("127.0.0.1", 25));
    assert_eq!(config.metrics.duration_buckets, [0.1, 1.0, 10.0]);
    assert_eq!(config.runtime.threads, 3);
}

#[test]
fn switches_off_and_no_bound() {
    for (line, attempts, places) in [
        ("trunkline --retry-max-retries 9 --disable-retries", 1, 0),
        ("trunkline --max-concurrent-requests -1", 5, 0),
        ("trunkline --max-concurrent-requests 0", 5, 0),
        ("trunkline", 5, 0),
    ] {
        let config = launch(line);
        assert_eq!((config.retry.attempts, config.limits.concurrent_requests), (attempts, places), "{line}");
    }
}

#[test]
fn other_subcommands() {
    assert!(matches!(
        read("trunkline demo --once --port 0"),
        Ok(Command::Demo(DemoFlags { once: true, port: Some(0) }))
    ));
    assert!(matches!(
        read("trunkline check --config a.yaml"),
        Ok(Command::Check(Flags { config: Some(_), .. }))
    ));
    let Ok(Command::Explain(explain)) =
        read("trunkline explain --model m --stream --body b.json --worker-urls http://a")
    else {
        panic!("explain is not read");
    };
    assert_eq!((explain.model.as_deref(), explain.stream), (Some("m"), true));
    assert_eq!(explain.body.as_deref(), Some("b.json".as_ref()));
    assert_eq!(explain.flags.worker_urls, ["http://a"]);
    assert_eq!((explain.endpoint.as_str(), explain.json), ("chat", false));
    assert!(matches!(read("trunkline explain --body -"), Ok(Command::Explain(_))), "a body names its model");
}

#[test]
fn the_version_is_asked_for_anywhere() {
    for (line, want) in [
        ("trunkline --version", Some(false)),
        ("trunkline -V", Some(false)),
        ("trunkline --worker-urls http://a -V", Some(false)),
        ("trunkline launch --nonsense --version", Some(false)),
        ("trunkline --port 1 --version-verbose", Some(true)),
        ("trunkline version", Some(false)),
        ("trunkline version --verbose", Some(true)),
        ("trunkline --enable-igw", None),
    ] {
        let got = match read(line) {
            Ok(Command::Version { verbose }) => Some(verbose),
            _ => None,
        };
        assert_eq!(got, want, "{line}");
    }
    assert_eq!(version(false), format!("trunkline {}", env!("CARGO_PKG_VERSION")));
    assert!(version(true).starts_with(&format!("{}\ntarget: ", version(false))), "{}", version(true));
}

#[test]
fn help_shows_what_is_served_and_no_more() {
    for line in ["trunkline --help", "trunkline help", "trunkline explain -h"] {
        assert_eq!(read(line).map_err(|help| help.exit_code()).unwrap_err(), 0, "{line}");
    }
    let help = command().render_long_help().to_string();
    for shown in
        ["--worker-urls", "Requests and limits:", "timeouts.idle", "launch", "explain", "--version-verbose"]
    {
        assert!(help.contains(shown), "{shown} is missing in\n{help}");
    }
    for hidden in ["--ha-mesh", "--jwt-issuer", "--prefill "] {
        assert!(!help.contains(hidden), "{hidden} is shown in\n{help}");
    }
}

#[test]
fn every_flag_is_a_setting() {
    let command = Cli::command();
    let launch = command.find_subcommand("launch").expect("launch is a subcommand");
    let flags: BTreeSet<_> = launch.get_arguments().filter_map(clap::Arg::get_long).collect();
    let settings: BTreeSet<_> = apply::SETTINGS.iter().map(|(flag, _)| *flag).collect();
    let without: Vec<_> = flags.difference(&settings).collect();
    let (needless, others): (Vec<&str>, Vec<&str>) = without.into_iter().copied().partition(|flag| {
        let argument = launch.get_arguments().find(|argument| argument.get_long() == Some(flag));
        argument.is_some_and(clap::Arg::is_hide_set)
    });
    assert_eq!(others, ["config"]);
    // What is taken for the sake of others' command lines is told to be without effect.
    let line: String = needless.iter().map(|flag| format!(" --{flag} 1")).collect();
    let told = self::launch(&format!("trunkline{line}")).warnings;
    for flag in &needless {
        assert!(told.iter().any(|line| line.starts_with(&format!("--{flag}: has no effect"))), "{told:?}");
    }
    assert_eq!(told.len(), needless.len());
    assert_eq!(settings.difference(&flags).count(), 0);
}

#[test]
fn keys_stay_out_of_debug_output() {
    let command = read("trunkline --api-key sk-very-secret").expect("it is read");
    assert!(!format!("{command:?}").contains("very"), "{command:?}");
}
