//! Flags known by name but not served by this build, as data.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// Why, flags that take values, flags that take none.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

const LATER: &[Row] = &[
    (
        "the mesh comes later",
        &[
            "seeds",
            "mesh-peer-urls",
            "mesh-server-name",
            "mesh-host",
            "mesh-advertise-host",
            "mesh-port",
            "router-selector",
        ],
        &["ha-mesh", "enable-mesh"],
    ),
    (
        "service discovery comes later",
        &[
            "selector",
            "encode-selector",
            "prefill-selector",
            "decode-selector",
            "service-discovery-port",
            "service-discovery-namespace",
            "model-id-from",
        ],
        &["service-discovery"],
    ),
    (
        "disaggregated serving comes later",
        &["prefill", "decode", "encode", "prefill-policy", "decode-policy", "encode-policy"],
        &["pd-disaggregation", "epd-disaggregation"],
    ),
    ("data-parallel ranks come later", &[], &["dp-aware", "dp-minimum-tokens-scheduler"]),
    (
        "gRPC workers and tokenizers come later",
        &[
            "model-path",
            "tokenizer-path",
            "chat-template",
            "tokenizer-cache-l0-max-entries",
            "tokenizer-cache-l1-max-memory",
            "reasoning-parser",
            "tool-call-parser",
        ],
        &["disable-tokenizer-autoload", "tokenizer-cache-enable-l0", "tokenizer-cache-enable-l1"],
    ),
    ("MCP servers are set under `mcp.servers` of the configuration", &["mcp-config-path"], &[]),
    ("plugins come later", &["storage-hook-wasm-path", "storage-context-headers"], &["enable-wasm"]),
    ("the extra health listener comes later; /health is on the main one", &["health-check-port"], &[]),
    ("a delay before the first probe comes later", &["worker-startup-delay"], &[]),
    ("metrics of engines come later", &[], &["engine-metrics"]),
    ("tensor transports come later", &["multimodal-tensor-transport", "multimodal-shm-min-bytes"], &[]),
    ("WebRTC comes later", &["webrtc-bind-addr", "webrtc-stun-server"], &[]),
    (
        "tenants come later",
        &["tenant-header-name", "tenant-rate-limit-config", "tenant-api-key"],
        &["trust-tenant-header", "tenant-rate-limit-enabled"],
    ),
    ("rate limits come later; --max-concurrent-requests is here", &["rate-limit-tokens-per-second"], &[]),
    (
        "the priority scheduler comes later",
        &[
            "priority-scheduler-default-max-class",
            "priority-scheduler-config",
            "priority-scheduler-tenant-metric-top-n",
        ],
        &["priority-scheduler-enabled"],
    ),
    (
        "stored history comes later",
        &[
            "history-backend",
            "schema-config",
            "oracle-wallet-path",
            "oracle-tns-alias",
            "oracle-dsn",
            "oracle-connect-descriptor",
            "oracle-user",
            "oracle-username",
            "oracle-password",
            "oracle-pool-min",
            "oracle-pool-max",
            "oracle-pool-timeout-secs",
            "postgres-db-url",
            "postgres-pool-max-size",
            "postgres-pool-max",
            "redis-url",
            "redis-pool-max-size",
            "redis-pool-max",
            "redis-retention-days",
        ],
        &["oracle-external-auth"],
    ),
    ("client certificates toward workers come later", &["client-cert-path", "client-key-path"], &[]),
    (
        "control-plane keys and JWT come later",
        &[
            "control-plane-api-keys",
            "jwt-issuer",
            "jwt-audience",
            "jwt-jwks-uri",
            "jwt-role-claim",
            "jwt-role-mapping",
        ],
        &[],
    ),
    ("audit logs come later", &[], &["disable-audit-logging", "control-plane-audit-enabled"]),
    ("log files come later; redirect standard output", &["log-dir"], &[]),
    ("trace export comes later", &["otlp-traces-endpoint"], &["enable-trace"]),
];

/// Teaches a command the refused flags, hidden from its help.
pub(super) fn add(mut command: Command) -> Command {
    for (_, valued, bare) in LATER {
        for name in *valued {
            // How many values does not matter: it is refused with any number.
            command = command
                .arg(hidden(name).action(ArgAction::Append).num_args(0..).allow_negative_numbers(true));
        }
        for name in *bare {
            command = command.arg(hidden(name).action(ArgAction::Count));
        }
    }
    // Elsewhere another name of --model-path; `explain` has a `--model` of its own.
    match command.get_name() {
        "explain" => command,
        _ => command.mut_arg("model-path", |arg| arg.alias("model")),
    }
}

/// One line for every refused flag that was given.
pub(super) fn refused(matches: &ArgMatches) -> Vec<String> {
    let given = |name: &str| {
        // The top level and each subcommand know the flags; a match lists only what its own level has.
        let is_given = |level: &ArgMatches| {
            level.try_contains_id(name).is_ok()
                && level.value_source(name) == Some(clap::parser::ValueSource::CommandLine)
        };
        is_given(matches) || matches.subcommand().is_some_and(|(_, level)| is_given(level))
    };
    let flags =
        LATER.iter().flat_map(|(why, valued, bare)| valued.iter().chain(*bare).map(move |name| (why, name)));
    flags
        .filter(|(_, name)| given(name))
        .map(|(why, name)| format!("`--{name}` is not in this build: {why}"))
        .collect()
}

fn hidden(name: &'static str) -> Arg {
    Arg::new(name).long(name).hide(true)
}
