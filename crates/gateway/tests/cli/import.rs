//! `trunkline import` and `trunkline schema`.

use crate::{Run, file, trunkline};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configurations").join(name);
    path.to_str().unwrap().to_owned()
}

/// As with a key in the environment.
fn checked(config: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command.args(["check", "--config", config]).env_clear().env("OPENAI_API_KEY", "hunter2");
    command.env("AZURE_API_KEY", "hunter2").env("AZURE_API_BASE", "https://r.openai.azure.com");
    Run::of(&command.output().unwrap())
}

#[test]
fn a_file_is_printed_in_our_form() {
    let source = fixture("litellm/two-deployments.yaml");
    let run = trunkline(&["import", &source]);
    assert_eq!(run.code, Some(0), "{run:?}");
    for line in
        ["- name: azure-openai", "  api_key: ${AZURE_API_KEY}", "    model: gpt-4o-eu", "- name: gpt-4o"]
    {
        assert!(run.out.lines().any(|l| l == line), "{line:?} is missing in\n{}", run.out);
    }
    let told: Vec<_> = run.err.lines().collect();
    assert_eq!(told[0], "2 things in the LiteLLM file were not carried over as they stand:");
    let why = "is no limit here; deployments without `weight` are drawn by it";
    assert_eq!(told[1], format!("  {source}:8:12: model_list[0].litellm_params.rpm: {why}"));
    assert_eq!(told.len(), 3, "{}", run.err);

    // What is written to a file is the same, and is good.
    let target = file("imported.yaml", "");
    let written = trunkline(&["import", &source, "--from", "litellm", "--output", &target]);
    assert_eq!((written.code, written.out.as_str()), (Some(0), ""), "{written:?}");
    assert_eq!(std::fs::read_to_string(&target).unwrap(), run.out);
    let good = checked(&target);
    assert_eq!(good.code, Some(0), "{good:?}");
    let line = "  pools    gpt-4o: azure-openai, openai by random, with fallback";
    assert!(good.out.lines().any(|l| l == line), "{}", good.out);
    assert!(!good.out.contains("hunter2"), "{}", good.out);

    let again = trunkline(&["import", &target]);
    assert_eq!((again.code, again.out), (Some(0), run.out));
    assert_eq!(again.err, format!("{target} is in our form already\n"));
    std::fs::remove_file(target).unwrap();
}

#[test]
fn what_protects_something_is_not_left_out_without_a_word() {
    let deployment = "model_list:\n- {model_name: m, litellm_params: {model: openai/m, api_key: k%}}\n";
    let litellm = |params: &str, rest: &str| deployment.replace('%', params) + rest;
    let rtd = |rest: &str| format!("{rest}\nbackends: [{{name: a, type: openai, config: {{apiKey: k}}}}]\n");
    let ferro = |plugin: &str| format!("targets: [{{virtual_key: openai}}]\nplugins: [{plugin}]\n");
    for (text, protects) in [
        (litellm("", "guardrails: [{guardrail_name: pii, litellm_params: {guardrail: presidio}}]\n"), true),
        (litellm(", guardrails: [pii]", ""), true),
        (litellm(", max_budget: 3", ""), true),
        (litellm("", "litellm_settings: {max_budget: 10}\n"), true),
        (litellm("", "litellm_settings: {callbacks: [langfuse, lakera_prompt_injection]}\n"), true),
        (litellm("", "litellm_settings: {callbacks: langfuse}\n"), false),
        (litellm("", "general_settings: {master_key: sk-12345678, enable_jwt_auth: true}\n"), true),
        (litellm("", "general_settings: {litellm_jwtauth: {user_id_jwt_field: sub}}\n"), true),
        (litellm("", "general_settings: {enable_jwt_auth: true}\n"), true),
        (litellm("", "general_settings: {allowed_ips: [10.0.0.1]}\n"), true),
        (litellm("", "general_settings: {alerting: [slack], enable_jwt_auth: false}\n"), false),
        (rtd("gateway: {auth: {jwt: {enabled: true, jwksUrl: 'https://id.example'}}}"), true),
        (rtd("policies: {rateLimit: {jwt: {requests: 3, period: 1m}}}"), true),
        (rtd("policies: {contentPolicy: {blockedPatterns: [x]}}"), true),
        (rtd("policies: {retry: {attempts: 3}}"), false),
        (ferro("{name: word-filter, type: guardrail}"), true),
        (ferro("{name: budget, type: budget}"), true),
        (ferro("{name: logger, type: logging}"), false),
    ] {
        let source = file("guarded.yaml", &text);
        let run = trunkline(&["import", &source]);
        assert_eq!(run.code, Some(if protects { 3 } else { 0 }), "{text}{run:?}");
        assert!(run.out.contains("backends"), "it is written all the same: {run:?}");
        let is_marked = |line: &str| line.starts_with("! ") && line.contains("guarded.yaml:");
        assert_eq!(run.err.lines().any(is_marked), protects, "{text}{}", run.err);
        assert_eq!(run.err.contains("--allow-lost"), protects, "{text}{}", run.err);
        let allowed = trunkline(&["import", &source, "--allow-lost"]);
        assert_eq!((allowed.code, allowed.out), (Some(0), run.out), "{text}{}", allowed.err);
        std::fs::remove_file(source).unwrap();
    }
}

#[test]
fn what_is_left_out_is_told_by_check_too() {
    let run = checked(&fixture("rtd/openai.yaml"));
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    let of = |line: &&str| line.starts_with("  warnings");
    let warning = run.out.lines().find(of).unwrap_or_else(|| panic!("no warning in\n{}", run.out));
    assert!(
        warning.contains("openai.yaml:6:14: backends[0].config.orgId: environment variable `OPENAI_ORG_ID`")
    );
}

#[test]
fn what_is_written_and_cannot_be_loaded_is_told() {
    let targets =
        "targets:\n- {virtual_key: openai, weight: heavy}\nrequest_timeout: fast\nalias: {fast: gpt-4o}\n";
    let weight = "pools[0].backends[0].weight: ";
    for (text, said) in [
        (targets, &[weight, "timeouts.first_byte: expected a duration", "alias: unknown key"][..]),
        (
            "backends: [{name: a, type: openai, config: {timeout: '${T:-soon}'}}]\n",
            &["timeout: expected a duration"],
        ),
        // What is not set here may be where the result is used.
        (
            "backends: [{name: a, type: openai, config: {apiKey: '${K}', endpoint: '${U}', maxRetries: '${R}'}}]\n",
            &[],
        ),
    ] {
        let source = file("other.yaml", text);
        for format in ["yaml", "json", "toml"] {
            let run = trunkline(&["import", &source, "--to", format]);
            assert_eq!(run.code, Some(i32::from(!said.is_empty())), "{format}: {run:?}");
            assert!(run.out.contains("backends"), "it is written all the same: {run:?}");
            assert_eq!(run.err.contains("does not pass `trunkline check`"), !said.is_empty(), "{}", run.err);
            for part in said {
                assert!(run.err.contains(part), "{format}: {part:?} is missing in\n{}", run.err);
            }
        }
        std::fs::remove_file(source).unwrap();
    }
}

#[test]
fn what_cannot_be_imported_is_told() {
    let broken = file("broken.yaml", "model_list: [\n");
    for (arguments, code, said) in [
        (&["import", "/nowhere/a.yaml"][..], 1, "/nowhere/a.yaml: cannot be read"),
        (&["import", &broken], 1, "not valid YAML"),
        (&["import"], 2, "<FILE>"),
        (&["import", &broken, "--from", "nginx"], 2, "nginx"),
    ] {
        let run = trunkline(arguments);
        assert_eq!((run.code, run.out.as_str()), (Some(code), ""), "{arguments:?}: {run:?}");
        assert!(run.err.contains(said), "{arguments:?}: {}", run.err);
    }
    std::fs::remove_file(broken).unwrap();
}

#[test]
fn the_schema_knows_every_key_of_the_top_level() {
    let run = trunkline(&["schema"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    let schema: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let told = trunkline(&["check", "--config", &file("unknown.yaml", "zzzzzzzz: 1\nigw: true\n")]);
    let known = told.err.split("known here: ").nth(1).unwrap().lines().next().unwrap();
    for key in known.split(", ").map(|key| key.trim_matches('`')) {
        assert!(schema["properties"][key].is_object(), "{key} is not in the schema");
    }
}
