//! The simulated engine.

use crate::client::{Event, get, post, send};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_testkit::engine::{Engine, EngineConfig, Flavour};

async fn engine(flavour: Flavour) -> Engine {
    Engine::start(EngineConfig { flavour, time_scale: 0.0, record: 10, ..EngineConfig::default() })
        .await
        .unwrap()
}

fn chat(more: Value) -> Value {
    let mut body =
        json!({"model": "demo-model", "messages": [{"role": "user", "content": "Tell me of lighthouses"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// Joins one delta field over all chat chunks of a choice.
fn joined(events: &[Event], choice: u64, pointer: &str) -> String {
    let chunks = events.iter().filter(|event| event.data != "[DONE]").map(Event::json);
    let choices = chunks.filter_map(|chunk| chunk["choices"].get(0).cloned());
    let mine = choices.filter(|found| found["index"] == choice);
    mine.filter_map(|found| Some(found.pointer(pointer)?.as_str()?.to_owned())).collect()
}

#[tokio::test]
async fn every_flavour_is_told_by_its_surface() {
    for (flavour, owner, path, pointer, expected) in [
        (Flavour::Sglang, json!("sglang"), "/server_info", "/version", json!("0.5.21")),
        (Flavour::Sglang, json!("sglang"), "/model_info", "/is_generation", json!(true)),
        (Flavour::Vllm, json!("vllm"), "/version", "/version", json!("0.30.0")),
        (Flavour::Llamacpp, json!("llamacpp"), "/props", "/total_slots", json!(256)),
        (Flavour::Ollama, json!("library"), "/api/tags", "/models/0/name", json!("demo-model")),
        (Flavour::Ollama, json!("library"), "/api/version", "/version", json!("0.15.0")),
        (Flavour::Tgi, json!("demo-model"), "/info", "/model_id", json!("demo-model")),
        (Flavour::Mlx, Value::Null, "/health", "/status", json!("ok")),
        (Flavour::Trtllm, json!("tensorrt_llm"), "/metrics", "/0/maxNumActiveRequests", json!(256)),
        (Flavour::Generic, json!("organization"), "/health", "/status", json!("ok")),
    ] {
        let engine = engine(flavour).await;
        let models = get(&engine.url(), "/v1/models").await.json().await;
        assert_eq!(models["data"][0]["owned_by"], owner, "{flavour:?}");
        assert_eq!(models["data"][0]["id"], "demo-model");
        let found = get(&engine.url(), path).await.json().await;
        assert_eq!(found.pointer(pointer), Some(&expected), "{flavour:?} {path}");
        let health = if flavour == Flavour::Ollama { "/" } else { "/health" };
        assert_eq!(get(&engine.url(), health).await.status, 200, "{flavour:?}");
        assert_eq!(get(&engine.url(), "/nothing").await.status, 404, "{flavour:?}");
        assert_eq!(flavour.name().parse(), Ok(flavour));
    }
}

#[tokio::test]
async fn metrics_bear_the_flavours_names() {
    for (flavour, path, name) in [
        (Flavour::Sglang, "/metrics", "sglang_num_running_reqs"),
        (Flavour::Vllm, "/metrics", "vllm:num_requests_waiting"),
        (Flavour::Llamacpp, "/metrics", "llamacpp:requests_processing"),
        (Flavour::Tgi, "/metrics", "tgi_queue_size"),
        (Flavour::Trtllm, "/prometheus/metrics", "trtllm_kv_cache_utilization"),
    ] {
        let text = get(&engine(flavour).await.url(), path).await.text().await;
        assert!(text.contains(&format!("\n{name}{{model_name=\"demo-model\"}} 0\n")), "{text}");
    }
    assert_eq!(get(&engine(Flavour::Ollama).await.url(), "/metrics").await.status, 404);
}

#[tokio::test]
async fn chat_streams_what_it_says_whole() {
    let engine = engine(Flavour::Vllm).await;
    let path = "/v1/chat/completions";
    let whole =
        post(&engine.url(), path, &chat(json!({"n": 2, "reasoning_effort": "low"}))).await.json().await;
    let asked = chat(
        json!({"n": 2, "reasoning_effort": "low", "stream": true, "stream_options": {"include_usage": true}}),
    );
    let events = post(&engine.url(), path, &asked).await.events().await;
    assert_eq!(events.last().unwrap().data, "[DONE]");
    for choice in 0..2 {
        let message = &whole["choices"][choice as usize]["message"];
        assert_eq!(joined(&events, choice, "/delta/content"), message["content"].as_str().unwrap());
        assert_eq!(
            joined(&events, choice, "/delta/reasoning_content"),
            message["reasoning_content"].as_str().unwrap()
        );
        assert_eq!(joined(&events, choice, "/finish_reason"), "stop");
        assert_eq!(joined(&events, choice, "/delta/role"), "assistant");
    }
    assert!(whole["choices"][0]["message"]["content"].as_str().unwrap().contains("Tell me of lighthouses"));
    let usage = events[events.len() - 2].json()["usage"].clone();
    assert_eq!(usage["completion_tokens"], whole["usage"]["completion_tokens"]);
    assert_eq!(usage["prompt_tokens"], whole["usage"]["prompt_tokens"]);
    assert!(usage["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap() > 0);
    let stats = engine.stats();
    assert_eq!((stats.started, stats.finished, stats.aborted, stats.running), (2, 2, 0, 0));
    assert_eq!(engine.requests().len(), 2);
    assert_eq!(engine.requests()[1].json(), asked);
}

#[tokio::test]
async fn limits_and_stops_are_honoured() {
    let engine = engine(Flavour::Sglang).await;
    for (more, reason, tokens) in [
        (json!({"max_tokens": 5}), "length", Some(5)),
        (json!({"max_completion_tokens": 5}), "length", Some(5)),
        (json!({"max_tokens": 700, "ignore_eos": true}), "length", Some(700)),
        (json!({"stop": ["lighthouses"]}), "stop", None),
    ] {
        let answer = post(&engine.url(), "/v1/chat/completions", &chat(more.clone())).await.json().await;
        assert_eq!(answer["choices"][0]["finish_reason"], reason, "{more}");
        let used = answer["usage"]["completion_tokens"].as_u64().unwrap();
        assert_eq!(used, tokens.unwrap_or(used), "{more}");
        assert!(
            tokens.is_some()
                || !answer["choices"][0]["message"]["content"].as_str().unwrap().contains("lighthouses")
        );
    }
    let prompt = json!({"model": "demo-model", "prompt": "Once", "max_tokens": 4, "echo": true});
    let answer = post(&engine.url(), "/v1/completions", &prompt).await;
    assert_eq!(answer.json().await["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn tools_are_called_and_their_results_quoted() {
    let engine = engine(Flavour::Sglang).await;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": schema}});
    let asked = chat(json!({
        "messages": [{"role": "user", "content": "Use get_rain and get_wind for Oslo"}],
        "tools": [tool("get_rain"), tool("get_wind")],
    }));
    let whole = post(&engine.url(), "/v1/chat/completions", &asked).await.json().await;
    let calls = whole["choices"][0]["message"]["tool_calls"].as_array().unwrap();
    assert_eq!(
        calls.iter().map(|call| call["function"]["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["get_rain", "get_wind"]
    );
    assert_eq!(calls[0]["function"]["arguments"], r#"{"city":"Oslo"}"#);
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");

    let mut streamed = asked.clone();
    streamed["stream"] = true.into();
    let events = post(&engine.url(), "/v1/chat/completions", &streamed).await.events().await;
    assert_eq!(joined(&events, 0, "/delta/tool_calls/0/function/arguments"), r#"{"city":"Oslo"}"#.repeat(2));
    assert_eq!(
        joined(&events, 0, "/delta/tool_calls/0/id").len(),
        2 * calls[0]["id"].as_str().unwrap().len()
    );

    let mut answered = asked;
    answered["messages"].as_array_mut().unwrap().extend([
        json!({"role": "assistant", "content": null, "tool_calls": calls}),
        json!({"role": "tool", "tool_call_id": calls[0]["id"], "content": "4 mm"}),
    ]);
    let answer = post(&engine.url(), "/v1/chat/completions", &answered).await.json().await;
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().contains("4 mm"));
}

#[tokio::test]
async fn a_repeated_prompt_is_served_from_the_cache() {
    let engine = engine(Flavour::Vllm).await;
    let long =
        chat(json!({"messages": [{"role": "user", "content": "harbor ".repeat(200)}], "max_tokens": 2}));
    let cached = |answer: &Value| answer["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap();
    let first = post(&engine.url(), "/v1/chat/completions", &long).await.json().await;
    let second = post(&engine.url(), "/v1/chat/completions", &long).await.json().await;
    assert_eq!(cached(&first), 0);
    assert!(cached(&second) >= 192 && cached(&second) < second["usage"]["prompt_tokens"].as_u64().unwrap());
    let stats = engine.stats();
    assert_eq!(stats.cached_tokens, cached(&second));
    assert!(stats.hit_rate() > 0.4);
}

#[tokio::test]
async fn a_client_that_hangs_up_frees_its_slot() {
    let config =
        EngineConfig { max_running: 1, step_base: Duration::from_millis(20), ..EngineConfig::default() };
    let engine = Engine::start(config).await.unwrap();
    let endless = chat(json!({"stream": true, "max_tokens": 5000, "ignore_eos": true}));
    let mut streaming = post(&engine.url(), "/v1/chat/completions", &endless).await;
    assert!(streaming.piece().await.unwrap().is_ok());
    let url = engine.url();
    let waiting = tokio::spawn(async move {
        post(&url, "/v1/chat/completions", &chat(json!({"max_tokens": 1}))).await.status
    });
    while engine.stats().waiting == 0 {
        tokio::task::yield_now().await;
    }
    drop(streaming);
    assert_eq!(waiting.await.unwrap(), 200, "the queue moved up");
    let stats = engine.stats();
    assert_eq!((stats.started, stats.finished, stats.aborted), (2, 1, 1));
}

#[tokio::test]
async fn a_client_that_gives_up_waiting_frees_its_slot() {
    let config = EngineConfig { step_base: Duration::from_millis(20), ..EngineConfig::default() };
    let engine = Engine::start(config).await.unwrap();
    let (url, endless) = (engine.url(), chat(json!({"max_tokens": 5000, "ignore_eos": true})));
    let asking = post(&url, "/v1/chat/completions", &endless);
    assert!(tokio::time::timeout(Duration::from_millis(60), asking).await.is_err());
    while engine.stats().aborted == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!((engine.stats().running, engine.stats().kv_usage), (0, 0.0));
}

#[tokio::test]
async fn responses_follow_the_canonical_order() {
    let engine = engine(Flavour::Vllm).await;
    let asked =
        json!({"model": "demo-model", "input": "hello", "reasoning": {"effort": "low"}, "stream": true});
    let events = post(&engine.url(), "/v1/responses", &asked).await.events().await;
    let mut order: Vec<_> =
        events.iter().map(|event| event.name.strip_prefix("response.").unwrap()).collect();
    order.dedup();
    assert_eq!(
        order,
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "reasoning_text.delta",
            "reasoning_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed",
        ]
    );
    for (at, event) in events.iter().enumerate() {
        let json = event.json();
        assert_eq!((&json["sequence_number"], &json["type"]), (&json!(at), &json!(event.name)));
    }
    let last = &events.last().unwrap().json()["response"];
    let unary = json!({"model": "demo-model", "input": "hello", "reasoning": {"effort": "low"}});
    let whole = post(&engine.url(), "/v1/responses", &unary).await.json().await;
    assert_eq!(last["output"][1]["content"], whole["output"][1]["content"]);
    assert_eq!((&whole["status"], &whole["usage"]), (&json!("completed"), &last["usage"]));
    let short = json!({"model": "demo-model", "input": "hello", "max_output_tokens": 2});
    let cut = post(&engine.url(), "/v1/responses", &short).await.json().await;
    assert_eq!(
        (&cut["status"], &cut["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
}

#[tokio::test]
async fn ollama_streams_lines_with_whole_tool_calls() {
    let engine = engine(Flavour::Ollama).await;
    let tool =
        json!({"type": "function", "function": {"name": "get_rain", "parameters": {"type": "object"}}});
    let said = json!([{"role": "user", "content": "Use get_rain"}]);
    let mut asked = json!({"model": "demo-model", "messages": said, "tools": [tool], "think": true});
    let answer = post(&engine.url(), "/api/chat", &asked).await;
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let text = answer.text().await;
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, before) = lines.split_last().unwrap();
    assert!(before.iter().all(|line| line["done"] == false) && last["done"] == true);
    assert_eq!((&last["done_reason"], last["eval_count"].is_number()), (&json!("stop"), true));
    let calls: Vec<_> = before.iter().filter_map(|line| line["message"]["tool_calls"].as_array()).collect();
    assert_eq!(calls, [&vec![json!({"function": {"name": "get_rain", "arguments": {}}})]]);
    asked["stream"] = false.into();
    let whole = post(&engine.url(), "/api/chat", &asked).await.json().await;
    let thought: String = before.iter().filter_map(|line| line["message"]["thinking"].as_str()).collect();
    assert_eq!((&whole["message"]["thinking"], &whole["eval_count"]), (&json!(thought), &last["eval_count"]));
    let prompt =
        json!({"model": "demo-model", "prompt": "hi", "stream": false, "options": {"num_predict": 2}});
    let generated = post(&engine.url(), "/api/generate", &prompt).await.json().await;
    assert_eq!((&generated["done_reason"], &generated["eval_count"]), (&json!("length"), &json!(2)));
    let missing = post(&engine.url(), "/api/chat", &json!({"model": "x", "messages": said})).await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn sglang_generate_repeats_the_text_so_far() {
    let engine = engine(Flavour::Sglang).await;
    let mut asked = json!({"text": "hello there", "sampling_params": {"max_new_tokens": 5}});
    let whole = post(&engine.url(), "/generate", &asked).await.json().await;
    assert_eq!(whole["meta_info"]["finish_reason"], json!({"type": "length", "length": 5}));
    asked["stream"] = true.into();
    let events = post(&engine.url(), "/generate", &asked).await.events().await;
    let texts: Vec<_> =
        events[..6].iter().map(|event| event.json()["text"].as_str().unwrap().to_owned()).collect();
    assert!(texts.windows(2).all(|pair| pair[1].starts_with(&pair[0])));
    assert_eq!((&json!(texts[5]), events[6].data.as_str()), (&whole["text"], "[DONE]"));
}

#[tokio::test]
async fn messages_are_served_where_the_flavour_has_them() {
    let asked =
        json!({"model": "demo-model", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]});
    for flavour in Flavour::ALL {
        let expected = matches!(flavour, Flavour::Sglang | Flavour::Vllm | Flavour::Llamacpp);
        let answer = post(&engine(flavour).await.url(), "/v1/messages", &asked).await;
        assert_eq!(answer.status == 200, expected, "{flavour:?}");
        if expected {
            assert_eq!(answer.json().await["stop_reason"], "end_turn");
            let counted = post(&engine(flavour).await.url(), "/v1/messages/count_tokens", &asked).await;
            assert_eq!(counted.json().await, json!({"input_tokens": 4}));
        }
    }
}

#[tokio::test]
async fn mistakes_are_refused() {
    let config = EngineConfig {
        flavour: Flavour::Vllm,
        api_key: Some("k".into()),
        kv_tokens: 256,
        time_scale: 0.0,
        ..EngineConfig::default()
    };
    let engine = Engine::start(config).await.unwrap();
    let key = [("authorization", "Bearer k")];
    assert_eq!(get(&engine.url(), "/v1/models").await.status, 401);
    assert_eq!(get(&engine.url(), "/health").await.status, 200);
    for (body, status, message) in [
        (json!({"model": "demo-model"}), 400, "messages"),
        (chat(json!({"model": "other"})), 404, "`other` does not exist"),
        (chat(json!({"max_tokens": 1000})), 400, "maximum context length is 256"),
    ] {
        let answer = send(&engine.url(), "/v1/chat/completions", &key, &body).await.unwrap();
        assert_eq!(answer.status, status, "{body}");
        let error = answer.json().await;
        assert!(error["error"]["message"].as_str().unwrap().contains(message), "{error}");
    }
    engine.drain();
    assert_eq!(get(&engine.url(), "/health").await.status, 503);
    engine.resume();
    assert_eq!(get(&engine.url(), "/health").await.status, 200);
}

#[tokio::test]
async fn a_stopped_engine_is_gone() {
    let engine = engine(Flavour::Generic).await;
    let address = engine.address();
    engine.stop();
    tokio::task::yield_now().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    let open = EngineConfig { address: "0.0.0.0:0".parse().unwrap(), ..EngineConfig::default() };
    assert_eq!(Engine::start(open).await.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn unhappy_paths_are_walked_on_demand() {
    let engine = engine(Flavour::Ollama).await;
    let asked = |demand: &str| chat(json!({"messages": [{"role": "user", "content": demand}]}));
    for (demand, status) in
        [("simulate:rate-limit", 429), ("simulate:overload", 503), ("simulate:crash", 500)]
    {
        let answer = post(&engine.url(), "/api/chat", &asked(demand)).await;
        assert_eq!(answer.status, status, "{demand}");
        assert!(answer.json().await["error"].is_string(), "{demand}");
    }
    let text = post(&engine.url(), "/api/chat", &asked("simulate:break")).await.text().await;
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, before) = lines.split_last().unwrap();
    assert!(!before.is_empty() && before.iter().all(|line| line["done"] == false));
    assert!(last["error"].is_string() && last.get("done").is_none(), "{last}");
    assert_eq!((engine.stats().finished, engine.stats().aborted), (1, 0));
}

#[tokio::test]
async fn ollama_refuses_and_embeds_in_its_own_words() {
    let engine = engine(Flavour::Ollama).await;
    let said = json!([{"role": "user", "content": "hello"}]);
    for (path, body, status, words) in [
        ("/api/chat", json!({"messages": said}), 400, "model is required"),
        ("/api/chat", json!({"model": "x", "messages": said}), 404, "model 'x' not found"),
        (
            "/api/chat",
            json!({"model": "demo-model", "messages": [{"role": "user", "content": []}]}),
            400,
            "messages.content",
        ),
        (
            "/api/generate",
            json!({"model": "demo-model", "prompt": "x", "images": ["data:,"]}),
            400,
            "illegal base64",
        ),
        ("/api/embed", json!({"model": "x", "input": "x"}), 404, "model 'x' not found"),
        ("/api/embed", json!({"model": "demo-model", "input": 1}), 400, "invalid input type"),
        ("/api/show", json!({"model": "x"}), 404, "model 'x' not found"),
    ] {
        let answer = post(&engine.url(), path, &body).await;
        assert_eq!(answer.status, status, "{path} {body}");
        let error = answer.json().await["error"].clone();
        assert!(error.as_str().unwrap().contains(words), "{error}");
    }
    let asked = json!({"model": "demo-model", "input": ["a", "b c"], "dimensions": 3});
    let embedded = post(&engine.url(), "/api/embed", &asked).await.json().await;
    assert_eq!(
        (embedded["embeddings"].as_array().unwrap().len(), &embedded["prompt_eval_count"]),
        (2, &json!(3))
    );
    let old = json!({"model": "demo-model", "prompt": "a", "dimensions": 3});
    let old = post(&engine.url(), "/api/embeddings", &old).await.json().await;
    assert_eq!(old["embedding"], embedded["embeddings"][0]);
    assert_eq!(post(&self::engine(Flavour::Vllm).await.url(), "/api/embed", &asked).await.status, 404);
}

#[tokio::test]
async fn ollama_calls_several_tools_and_reads_their_results() {
    let engine = engine(Flavour::Ollama).await;
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
    let tools = json!([tool("get_rain"), tool("get_wind"), tool("get_tide")]);
    let question = json!({"role": "user", "content": "Use get_rain, get_wind and get_tide"});
    let mut body = chat(json!({"messages": [question], "tools": tools, "stream": false}));
    let turn = post(&engine.url(), "/api/chat", &body).await.json().await["message"].clone();
    let calls = turn["tool_calls"].as_array().unwrap();
    let names: Vec<_> = calls.iter().map(|call| call["function"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["get_rain", "get_wind", "get_tide"]);
    let result = |name: &&str| json!({"role": "tool", "tool_name": name, "content": "42 degrees"});
    let mut said = vec![question, turn.clone()];
    said.extend(names.iter().map(result));
    body["messages"] = json!(said);
    let answer = post(&engine.url(), "/api/chat", &body).await.json().await;
    assert!(
        answer["message"]["content"]
            .as_str()
            .unwrap()
            .contains("The tools answered: 42 degrees; 42 degrees; 42 degrees."),
        "{answer}"
    );
}
