//! Providers that speak the client's dialect in their own way.

use super::ok;
use crate::client::post;
use crate::pools::{backend, config, to};
use crate::rig::{CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, Rig, cloud, settings};
use serde_json::{Value, json};
use trunkline_core::OnUnsupported;
use trunkline_gateway::config::RouteSpec;
use trunkline_testkit::script::{Reply, Upstream};

/// What Bedrock answers.
const CONVERSED: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"hello"}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}"#;

/// A gateway in front of an account with `provider`, which answers every request.
async fn account(provider: &str, streams: bool) -> (Upstream, Rig) {
    let upstream = Upstream::directed(move |_, _| CHAT.answer(streams)).await.unwrap();
    let rig = Rig::start(settings([cloud(upstream.url(), provider, "m", Some("k"))])).await;
    (upstream, rig)
}

#[tokio::test]
async fn a_clients_bytes_pass_unless_the_provider_would_refuse_or_misread_them() {
    for (provider, more, passes) in [
        ("openai", r#","top_k": 1 , "made_up":1"#, true),
        ("mistral", r#","temperature": 0.10 , "safe_prompt":true"#, true),
        ("mistral", r#","seed": 7"#, false),
        ("mistral", r#","made_up":1"#, false),
        ("groq", r#","n":1, "stop" :["a"]"#, true),
        ("groq", r#","logit_bias":{"5":1.0}"#, false),
        // Ignored there: no reason to touch what the client wrote.
        ("deepseek", r#","made_up" : 1"#, true),
        ("perplexity", r#","stop":"x""#, false),
    ] {
        let (upstream, rig) = account(provider, false).await;
        let body = format!("{{ \"model\":\"m\",{}{more}}}", CHAT.prompt);
        let answer = ok(rig.post(CHAT.path, &body).await);
        let received = upstream.requests().remove(0);
        assert_eq!(received.body == body.as_bytes(), passes, "{provider} {more}");
        assert_eq!(answer.text() == CHAT.reply, passes, "{provider} {more}: {}", answer.text());
        let path = if provider == "perplexity" { "/chat/completions" } else { CHAT.path };
        assert_eq!(received.path(), path, "{provider}");
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn a_call_written_anew_says_what_became_of_it() {
    let (upstream, rig) = account("mistral", false).await;
    let body = format!(r#"{{"model":"m",{},"seed":7,"logit_bias":{{"5":1}},"stop":"x"}}"#, CHAT.prompt);
    let answer = ok(rig.post(CHAT.path, &body).await);
    let sent: Value = serde_json::from_slice(&upstream.requests().remove(0).body).unwrap();
    let hi = json!([{"role": "user", "content": "hi"}]);
    assert_eq!(sent, json!({"model": "m", "messages": hi, "random_seed": 7, "stop": ["x"]}));
    assert_eq!(answer.header("x-trunkline-warnings"), "logit_bias dropped (the target refuses it)");
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "hello");
}

#[tokio::test]
async fn c43_tools_that_nobody_can_call_are_refused_before_anything_is_sent() {
    let (upstream, rig) = account("perplexity", false).await;
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let body = format!(r#"{{"model":"m",{},"tools":{tools}}}"#, CHAT.prompt);
    let answer = rig.post(CHAT.path, &body).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["param"]),
        (400, &json!("tools")),
        "{}",
        answer.text()
    );
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn stop_strings_end_the_answer_where_the_provider_takes_none() {
    for streams in [false, true] {
        let (upstream, rig) = account("perplexity", streams).await;
        let body = format!(r#"{{"model":"m",{},"stop":"ll","stream":{streams}}}"#, CHAT.prompt);
        let answer = ok(rig.post(CHAT.path, &body).await);
        let sent: Value = serde_json::from_slice(&upstream.requests().remove(0).body).unwrap();
        assert_eq!(sent.get("stop"), None);
        let text = answer.text();
        assert!(text.contains("\"he\"") && !text.contains("hello") && text.contains("\"stop\""), "{text}");
        assert!(answer.header("x-trunkline-warnings").contains("stop emulated"));
        // The dialect of this client shows which text it was.
        let body = format!(
            r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"hi"}}],"stop_sequences":["ll"],"stream":{streams}}}"#
        );
        let answer = ok(rig.post("/v1/messages", &body).await);
        let text = answer.text();
        assert!(text.contains(r#""stop_reason":"stop_sequence""#), "{text}");
        assert!(text.contains(r#""stop_sequence":"ll""#) && !text.contains("hello"), "{text}");
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn the_request_decides_what_becomes_of_what_cannot_be_sent() {
    let body =
        format!(r#"{{"model":"m",{},"seed":7,"logit_bias":{{"5":1}},"invented_here":1}}"#, CHAT.prompt);
    for (header, configured, status, warned) in [
        (None, OnUnsupported::Warn, 200, true),
        (None, OnUnsupported::Drop, 200, false),
        (None, OnUnsupported::Reject, 400, false),
        (Some("drop"), OnUnsupported::Warn, 200, false),
        (Some("warn"), OnUnsupported::Reject, 200, true),
        (Some("reject"), OnUnsupported::Warn, 400, false),
    ] {
        let what = format!("{header:?} {configured:?}");
        let upstream = Upstream::directed(move |_, _| CHAT.answer(false)).await.unwrap();
        let mut config = settings([cloud(upstream.url(), "mistral", "m", Some("k"))]);
        config.translate.on_unsupported_param = configured;
        let rig = Rig::start(config).await;
        let mut ask = post(CHAT.path, body.as_str());
        if let Some(said) = header {
            ask = ask.header("x-trunkline-on-unsupported-param", said);
        }
        let answer = rig.ask(&ask).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(answer.headers.contains_key("x-trunkline-warnings"), warned, "{what}");
        if status == 400 {
            assert_eq!(answer.json()["error"]["param"], "logit_bias", "{what}");
            assert!(upstream.requests().is_empty(), "{what}");
            continue;
        }
        for parameter in ["logit_bias", "other"] {
            let labels =
                ["provider=\"mistral\"", &format!("parameter=\"{parameter}\""), "action=\"dropped\""];
            let counted = rig.metric("trunkline_translation_losses_total", &labels).await;
            assert!((counted - 1.0).abs() < 0.1, "{what} {parameter}: {counted}");
        }
    }
}

#[tokio::test]
async fn a_route_decides_it_where_the_request_does_not() {
    let body = format!(r#"{{"model":"m",{},"logit_bias":{{"5":1}}}}"#, CHAT.prompt);
    for (header, route, everywhere, status, warned) in [
        (None, Some(OnUnsupported::Drop), OnUnsupported::Reject, 200, false),
        (None, Some(OnUnsupported::Warn), OnUnsupported::Reject, 200, true),
        (None, Some(OnUnsupported::Reject), OnUnsupported::Warn, 400, false),
        (None, None, OnUnsupported::Reject, 400, false),
        (Some("warn"), Some(OnUnsupported::Reject), OnUnsupported::Reject, 200, true),
    ] {
        let what = format!("{header:?} {route:?} {everywhere:?}");
        let upstream = Upstream::directed(move |_, _| CHAT.answer(false)).await.unwrap();
        let route = RouteSpec { on_unsupported_param: route, ..to("special") };
        let worker = backend("special", "mistral", &upstream, "mistral-small");
        let mut config = config(vec![worker], Vec::new(), vec![route]);
        config.translate.on_unsupported_param = everywhere;
        let rig = Rig::start(config).await;
        let mut ask = post(CHAT.path, body.as_str());
        if let Some(said) = header {
            ask = ask.header("x-trunkline-on-unsupported-param", said);
        }
        let answer = rig.ask(&ask).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(answer.headers.contains_key("x-trunkline-warnings"), warned, "{what}");
    }
}

#[tokio::test]
async fn trial_features_are_named_in_the_body_for_bedrocks_claude_and_told_of_elsewhere() {
    let ask = |model: &str| {
        post(MESSAGES.path, format!(r#"{{"model":"{model}","max_tokens":9,{}}}"#, MESSAGES.prompt))
            .header("anthropic-beta", "context-1m-2025-08-07, new-2099-01-01")
            .header("anthropic-beta", "interleaved-thinking-2025-05-14")
    };
    let claude = "anthropic.claude-sonnet-4-5-20250929-v1:0";
    let known = json!(["context-1m-2025-08-07", "interleaved-thinking-2025-05-14"]);
    for (provider, model, betas, warning) in [
        ("bedrock", claude, known, Some("anthropic-beta dropped (the target does not have new-2099-01-01)")),
        (
            "bedrock",
            "amazon.nova-pro-v1:0",
            Value::Null,
            Some("anthropic-beta dropped (the model is not Claude)"),
        ),
        ("openai", "gpt-5.2", Value::Null, Some("anthropic-beta dropped (the target has no such field)")),
        ("anthropic", "claude-sonnet-4-5", Value::Null, None),
    ] {
        let speech = match provider {
            "openai" => CHAT,
            _ => MESSAGES,
        };
        let upstream = Upstream::directed(move |_, _| match provider {
            "bedrock" => Reply::json(200, CONVERSED),
            _ => speech.answer(false),
        })
        .await
        .unwrap();
        let rig = Rig::start(settings([cloud(upstream.url(), provider, model, Some("k"))])).await;
        let answer = ok(rig.ask(&ask(model)).await);
        let warnings = answer.headers.get("x-trunkline-warnings").map(|said| said.to_str().unwrap());
        let told = warnings.and_then(|all| all.split("; ").find(|one| one.starts_with("anthropic-beta")));
        assert_eq!(told, warning, "{provider} {model}: {warnings:?}");
        let requests = upstream.requests();
        let sent: Value = serde_json::from_slice(&requests[0].body).unwrap();
        assert_eq!(sent["additionalModelRequestFields"]["anthropic_beta"], betas, "{model}: {sent}");
        let header = requests[0].headers.get_all("anthropic-beta").iter().count();
        assert_eq!(header, if provider == "anthropic" { 2 } else { 0 }, "{provider}");
    }
}

#[tokio::test]
async fn a_setting_there_is_not_is_refused_and_ignored_fields_count_when_asked() {
    let (upstream, rig) = account("deepseek", false).await;
    let body = format!(r#"{{"model":"m",{},"store":true,"seed":7}}"#, CHAT.prompt);
    let ask = |said: &str| post(CHAT.path, body.as_str()).header("x-trunkline-on-unsupported-param", said);
    let answer = rig.ask(&ask("perhaps")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("x-trunkline-on-unsupported-param"), "{}", answer.text());
    // DeepSeek ignores a seed, which nobody minds unless told to.
    assert_eq!(rig.ask(&ask("warn")).await.status, 200);
    let answer = rig.ask(&ask("reject")).await;
    assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!("seed")));
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn capabilities_tell_what_each_provider_makes_of_each_parameter() {
    let (_upstream, rig) = account("openai", false).await;
    let page = ok(rig.get("/v1/capabilities").await).json();
    let cell = |provider: &str, parameter: &str| {
        let providers = page["providers"].as_array().unwrap();
        providers.iter().find(|p| p["id"] == provider).unwrap()["parameters"][parameter].clone()
    };
    for (provider, parameter, disposition) in [
        ("openai", "seed", "native"),
        ("mistral", "seed", "renamed"),
        ("groq", "n", "emulated"),
        ("deepseek", "seed", "dropped"),
        ("mistral", "logit_bias", "refused"),
        ("anthropic", "stop", "renamed"),
        ("bedrock", "seed", "refused"),
    ] {
        assert_eq!(cell(provider, parameter), disposition, "{provider} {parameter}");
    }
    for (provider, path, how) in [
        ("openai", "/v1/embeddings", json!("splice")),
        ("gemini", "/v1/embeddings", json!("translate")),
        ("cohere", "/v1/rerank", json!("translate")),
        ("deepseek", "/v1/messages/count_tokens", json!("estimate")),
        ("deepseek", "/v1/embeddings", Value::Null),
    ] {
        assert_eq!(page["accounts"][provider][path], how, "{provider} {path}");
    }
    let narrower = &page["providers"][0]["models"][1];
    assert_eq!(narrower["which"], "reasoning models");
    assert_eq!(narrower["parameters"]["temperature"], "refused");
}

#[tokio::test]
async fn several_answers_are_as_many_calls_for_every_client_that_asks_for_them() {
    let contents = r#""contents":[{"role":"user","parts":[{"text":"hi"}]}]"#;
    for (path, body, answers) in [
        (CHAT.path, format!(r#"{{"model":"m",{},"n":3}}"#, CHAT.prompt), "choices"),
        (COMPLETIONS.path, format!(r#"{{"model":"m",{},"n":3}}"#, COMPLETIONS.prompt), "choices"),
        (
            "/v1beta/models/m:generateContent",
            format!(r#"{{{contents},"generationConfig":{{"candidateCount":3}}}}"#),
            "candidates",
        ),
    ] {
        for streams in [false, true] {
            let upstream = Upstream::directed(move |_, _| MESSAGES.answer(streams)).await.unwrap();
            let rig = Rig::start(settings([MESSAGES.worker(upstream.url())])).await;
            let (mut path, mut body) = (path.to_owned(), body.clone());
            if streams && path.ends_with(":generateContent") {
                path = path.replace(":generateContent", ":streamGenerateContent?alt=sse");
            } else if streams {
                body.insert_str(1, r#""stream":true,"#);
            }
            let answer = ok(rig.post(&path, &body).await);
            assert_eq!(upstream.requests().len(), 3, "{path} {streams}");
            assert!(answer.header("x-trunkline-warnings").contains("emulated"), "{path} {streams}");
            let payloads: Vec<Value> = if streams {
                let lines = answer.text().lines().filter_map(|line| line.strip_prefix("data: "));
                lines.filter_map(|data| serde_json::from_str(data).ok()).collect()
            } else {
                vec![answer.json()]
            };
            let given = payloads.iter().filter_map(|payload| payload[answers].as_array()).flatten();
            let said: Vec<_> = given.filter(|answer| answer.to_string().contains("hello")).collect();
            let mut nth: Vec<_> = said.iter().map(|answer| answer["index"].as_u64().unwrap_or(0)).collect();
            nth.sort_unstable();
            assert_eq!(nth, [0, 1, 2], "{path} {streams}: {}", answer.text());
            rig.at_rest().await;
        }
    }
}

/// Azure's newer endpoint takes the deployment in the body, its older one in the path with a version in the query.
#[tokio::test]
async fn c45_azure_gets_its_key_in_its_header_and_the_deployment_as_the_model() {
    let (older, chat) = ("/openai/deployments/my%20gpt%205", "/chat/completions");
    let default = format!("{older}{chat}?api-version=2024-10-21");
    for (base, version, speech, deployment, want) in [
        ("/openai", None, CHAT, "my gpt 5", Some("/openai/v1/chat/completions")),
        ("/openai/v1", None, CHAT, "../x", Some("/openai/v1/chat/completions")),
        ("/openai", Some("preview"), CHAT, "d", Some("/openai/v1/chat/completions?api-version=preview")),
        ("", None, CHAT, "my gpt 5", Some(default.as_str())),
        ("", Some("1999"), CHAT, "d", Some("/openai/deployments/d/chat/completions?api-version=1999")),
        ("", Some("1"), COMPLETIONS, "d", Some("/openai/deployments/d/completions?api-version=1")),
        ("", Some("1"), EMBEDDINGS, "d", Some("/openai/deployments/d/embeddings?api-version=1")),
        ("", Some("1"), RESPONSES, "d", Some("/openai/v1/responses")),
        ("/team", None, RESPONSES, "d", Some("/team/openai/v1/responses")),
        ("", None, CHAT, "../x", None),
        ("", None, CHAT, "..", None),
    ] {
        let upstream = Upstream::directed(move |_, _| speech.answer(false)).await.unwrap();
        let mut worker = cloud(format!("{}{base}", upstream.url()), "azure", deployment, Some("az-key"));
        worker.api_version = version.map(str::to_owned);
        let rig = Rig::start(settings([worker])).await;
        let body = speech.body(deployment, false);
        let answer = rig.post(speech.path, &body).await;
        let heard = upstream.requests().pop();
        let place = heard.as_ref().map(|heard| heard.uri.to_string());
        assert_eq!(place.as_deref(), want, "{base} {deployment}: {}", answer.text());
        let Some(heard) = heard else {
            assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!("model")));
            continue;
        };
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!((heard.header("api-key"), heard.header("authorization")), (Some("az-key"), None));
        assert_eq!(heard.body, body.as_bytes(), "the model stays in the body");
    }
}
