//! Turn after turn.

use super::{OPERATORS, both, items, knowing, last, ok, server, text};
use crate::client::{Line, post};
use crate::rig::{RESPONSES, Rig, cloud, engine, until};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_testkit::mcp::{McpConfig, McpServer, McpTool, Says};
use trunkline_testkit::script::{Reply, Upstream};

/// One turn of a model: the tools it calls, or words.
pub(super) enum Turn {
    Calls(&'static [(&'static str, &'static str)]),
    Says(&'static str),
}

/// An upstream that takes these turns, and then the first again.
pub(super) async fn model(turns: Vec<Turn>) -> Upstream {
    let turn = move |asked: &Value, nth: usize| {
        let turn = &turns[nth % turns.len()];
        if asked["stream"] == true { streamed(turn, nth) } else { whole(turn, nth) }
    };
    Upstream::directed(move |request, nth| turn(&request.json(), nth)).await.unwrap()
}

fn calls(calls: &[(&str, &str)], nth: usize) -> Value {
    let call = |(at, (name, arguments)): (usize, &(&str, &str))| {
        json!({"index": at, "id": format!("call_{nth}_{at}"), "type": "function",
            "function": {"name": name, "arguments": arguments}})
    };
    calls.iter().enumerate().map(call).collect()
}

fn usage() -> Value {
    json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
}

fn whole(turn: &Turn, nth: usize) -> Reply {
    let (message, finish) = match turn {
        Turn::Calls(list) => {
            (json!({"role": "assistant", "content": null, "tool_calls": calls(list, nth)}), "tool_calls")
        }
        Turn::Says(words) => (json!({"role": "assistant", "content": words}), "stop"),
    };
    let choice = json!({"index": 0, "message": message, "finish_reason": finish});
    let body = json!({"id": format!("c{nth}"), "object": "chat.completion", "created": 1, "model": "m",
        "choices": [choice], "usage": usage()});
    Reply::json(200, body.to_string())
}

fn streamed(turn: &Turn, nth: usize) -> Reply {
    let chunk = |delta: Value, finish: Value| {
        json!({"id": format!("c{nth}"), "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let mut chunks = match turn {
        Turn::Calls(list) => {
            let list = calls(list, nth);
            let mut chunks: Vec<_> = list
                .as_array()
                .unwrap()
                .iter()
                .map(|call| chunk(json!({"tool_calls": [call]}), Value::Null))
                .collect();
            chunks.push(chunk(json!({}), json!("tool_calls")));
            chunks
        }
        Turn::Says(words) => {
            let words = words.split_inclusive(' ').map(|word| chunk(json!({"content": word}), Value::Null));
            words.chain([chunk(json!({}), json!("stop"))]).collect()
        }
    };
    chunks.push(
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
        "usage": usage()}),
    );
    let events =
        chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).chain(["data: [DONE]\n\n".to_owned()]);
    Reply::events(events.collect::<Vec<_>>(), Duration::ZERO)
}

fn asked(more: Value) -> Value {
    let mut body = json!({"model": "m", "input": "go",
        "tools": [{"type": "mcp", "server_label": "maps", "require_approval": "never"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// Several calls in one turn, one of which fails, and another turn that calls: one answer, in the model's order.
#[tokio::test]
async fn c57_turns_are_joined_to_one_answer() {
    let server = server(Some(OPERATORS), true).await;
    let upstream = model(vec![
        Turn::Calls(&[("get_weather", r#"{"city":"Rome"}"#), ("break_it", "{}"), ("refuse_it", "{}")]),
        Turn::Calls(&[("mcp_maps_files_read", ""), ("get_time", "no JSON"), ("made_up", "{}")]),
        Turn::Says("All is told."),
    ])
    .await;
    let rig = Rig::start(knowing(&server, [engine(upstream.url(), "m")])).await;
    for response in both(&rig, asked(json!({"tool_choice": "required"}))).await {
        let called: Vec<_> = items(&response, "mcp_call")
            .iter()
            .map(|call| {
                let error = if call["error"].is_null() { Value::Null } else { call["error"]["type"].clone() };
                json!([call["name"], call["arguments"], call["status"], call["output"], error])
            })
            .collect();
        let want = json!([
            ["get_weather", r#"{"city":"Rome"}"#, "completed", r#"Sunny for {"city":"Rome"}"#, null],
            ["break_it", "{}", "failed", null, "mcp_tool_execution_error"],
            ["refuse_it", "{}", "failed", null, "mcp_protocol_error"],
            ["files.read", "", "completed", "Read", null],
            ["get_time", "no JSON", "failed", null, "http_error"],
        ]);
        assert_eq!(json!(called), want);
        assert_eq!(text(&response), "All is told.");
        let usage = &response["usage"];
        assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(30), &json!(15)), "{usage}");
        assert_eq!(
            (&response["status"], &response["tool_choice"]),
            (&json!("completed"), &json!("required"))
        );
    }
    let heard: Vec<_> = upstream.requests().iter().map(|request| request.json()).collect();
    assert_eq!(heard.len(), 6);
    for turns in heard.chunks(3) {
        let choices: Vec<_> = turns.iter().map(|turn| turn["tool_choice"].clone()).collect();
        assert_eq!(json!(choices), json!(["required", "auto", "auto"]));
        let told: Vec<_> =
            turns[2]["messages"].as_array().unwrap().iter().map(|m| m["role"].clone()).collect();
        let round = ["assistant", "tool", "tool", "tool"];
        let roles: Vec<_> = ["user"].into_iter().chain(round).chain(round).collect();
        assert_eq!(json!(told), json!(roles));
        let results = turns[2]["messages"].to_string();
        for said in
            ["Sunny for", "it broke", "not like that", "Read", "not a JSON object", "there is no tool"]
        {
            assert!(results.contains(said), "{said} in {results}");
        }
    }
    rig.at_rest().await;
    assert_eq!(rig.metric("trunkline_tokens_total", &["direction=\"output\""]).await, 30.0);
    assert_eq!(rig.metric("trunkline_retries_total", &[]).await, 0.0, "a turn is no retry");
}

/// The gateway runs its own tools and hands the client those that are the client's.
#[tokio::test]
async fn a_clients_own_tools_end_the_loop() {
    let server = server(Some(OPERATORS), false).await;
    let upstream =
        model(vec![Turn::Calls(&[("get_weather", "{}"), ("mine", r#"{"a":1}"#), ("get_time", "{}")])]).await;
    let rig = Rig::start(knowing(&server, [engine(upstream.url(), "m")])).await;
    let mine =
        json!({"type": "function", "name": "mine", "parameters": {"type": "object", "properties": {}}});
    let maps = json!({"type": "mcp", "server_label": "maps", "allowed_tools": ["get_weather", "get_time"]});
    for response in both(&rig, asked(json!({"tools": [mine, maps]}))).await {
        let kinds: Vec<_> =
            response["output"].as_array().unwrap().iter().map(|item| item["type"].clone()).collect();
        assert_eq!(json!(kinds), json!(["mcp_list_tools", "mcp_call", "function_call", "mcp_call"]));
        assert_eq!(items(&response, "function_call")[0]["arguments"], r#"{"a":1}"#);
        assert_eq!(items(&response, "mcp_call")[1]["output"], "Noon");
        assert_eq!(items(&response, "mcp_list_tools")[0]["tools"].as_array().unwrap().len(), 2);
        assert_eq!(response["status"], "completed");
    }
    assert_eq!(upstream.requests().len(), 2, "one turn each");
    rig.at_rest().await;
}

/// What is over the limit is not run and not shown; the model is told, and answers without tools.
#[tokio::test]
async fn the_loop_has_an_end() {
    let server = server(Some(OPERATORS), false).await;
    let twice: &[(&str, &str)] = &[("get_weather", "{}"), ("get_time", "{}")];
    for (more, rounds, runs, turns) in [
        (json!({"max_tool_calls": 1}), 25, 1, 2),
        (json!({"max_tool_calls": 3}), 25, 3, 3),
        (json!({}), 2, 4, 3),
        (json!({"max_tool_calls": 0}), 25, 0, 1),
    ] {
        let upstream = model(vec![Turn::Calls(twice)]).await;
        let mut config = knowing(&server, [engine(upstream.url(), "m")]);
        config.mcp.max_rounds = rounds;
        let rig = Rig::start(config).await;
        for response in both(&rig, asked(more.clone())).await {
            assert_eq!(items(&response, "mcp_call").len(), runs, "{more}: {response}");
            assert_eq!(response["status"], "completed", "{more}");
        }
        let heard = upstream.requests();
        assert_eq!(heard.len(), 2 * turns, "{more}");
        assert_eq!(heard[turns - 1].json()["tool_choice"], "none", "{more}");
        rig.at_rest().await;
    }
}

/// A tool that needs a yes waits for one, which is good for what was asked and for nothing else.
#[tokio::test]
async fn tools_wait_for_a_yes() {
    let server = server(Some(OPERATORS), false).await;
    let upstream = model(vec![
        Turn::Calls(&[("get_time", r#"{"city":"Rome"}"#), ("get_weather", "{}")]),
        Turn::Says("Done."),
    ])
    .await;
    let rig = Rig::start(knowing(&server, [engine(upstream.url(), "m")])).await;
    let tool =
        json!({"type": "mcp", "server_label": "maps", "require_approval": {"never": {"read_only": true}}});
    for streams in [false, true] {
        let before = server.calls().len();
        let mut body = asked(json!({"tools": [tool], "stream": streams}));
        let answer = |answer: crate::client::Answer| {
            let answer = ok(answer);
            if streams { last(&answer.events()) } else { answer.json() }
        };
        let first = answer(rig.post(RESPONSES.path, &body.to_string()).await);
        let question = items(&first, "mcp_approval_request")[0].clone();
        assert_eq!(
            (&question["name"], &question["arguments"]),
            (&json!("get_time"), &json!(r#"{"city":"Rome"}"#))
        );
        assert_eq!((items(&first, "mcp_call").len(), &first["status"]), (1, &json!("completed")));
        assert_eq!(server.calls().len() - before, 1, "the other tool only reads");

        let mut input = vec![json!({"role": "user", "content": "go"})];
        input.extend(first["output"].as_array().unwrap().iter().cloned());
        let says = |approve: bool| {
            json!({"type": "mcp_approval_response", "approval_request_id": question["id"], "approve": approve,
                "reason": "not now"})
        };
        // Other arguments than those that were shown.
        let mut forged = input.clone();
        let asked = forged.iter_mut().find(|item| item["type"] == "mcp_approval_request").unwrap();
        asked["arguments"] = json!(r#"{"city":"Berlin"}"#);
        forged.push(says(true));
        body["input"] = json!(forged);
        let refused = rig.post(RESPONSES.path, &body.to_string()).await;
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("invalid_approval")));
        // A yes to nothing.
        body["input"] = json!([{"role": "user", "content": "go"}, says(true)]);
        let refused = rig.post(RESPONSES.path, &body.to_string()).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["code"]),
            (400, &json!("unknown_approval_request"))
        );
        assert_eq!(server.calls().len() - before, 1);

        for approve in [false, true] {
            let mut input = input.clone();
            input.push(says(approve));
            body["input"] = json!(input);
            let second = answer(rig.post(RESPONSES.path, &body.to_string()).await);
            let called = items(&second, "mcp_call");
            assert_eq!(called.len(), usize::from(approve), "{second}");
            if approve {
                assert_eq!(
                    (&called[0]["approval_request_id"], &called[0]["output"]),
                    (&question["id"], &json!("Noon"))
                );
            }
            assert!(items(&second, "mcp_list_tools").is_empty(), "the conversation has it");
            assert_eq!(text(&second), "Done.");
            let told = upstream.requests().pop().unwrap().json()["messages"].to_string();
            assert!(told.contains(if approve { "Noon" } else { "did not approve" }), "{told}");
            // The model's next turn is its first again, which nobody asks for here.
            if !approve {
                ok(rig.post(RESPONSES.path, r#"{"model":"m","input":"x"}"#).await);
            }
        }
        assert_eq!(server.calls().len() - before, 2, "once, after the yes");
    }
    rig.at_rest().await;
}

/// What was called in earlier answers is told to an upstream that knows functions, with and without the server.
#[tokio::test]
async fn earlier_calls_are_told_as_functions() {
    let server = server(Some(OPERATORS), false).await;
    let upstream = model(vec![Turn::Says("Yes.")]).await;
    let rig = Rig::start(knowing(&server, [cloud(upstream.url(), "deepseek", "m", Some("sk-test"))])).await;
    let input = json!([
        {"role": "user", "content": "go"},
        {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "maps", "tools": []},
        {"type": "mcp_call", "id": "mcp_1", "server_label": "maps", "name": "files.read", "arguments": "{\"a\":1}",
         "output": "Read", "error": null},
        {"type": "mcp_call", "id": "mcp_2", "server_label": "maps", "name": "get_time", "arguments": "{}",
         "output": null, "error": {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": "no clock"}]}},
        {"role": "user", "content": "and?"},
    ]);
    for (tools, name) in
        [(json!([]), "files_read_601e4e"), (asked(json!({}))["tools"].clone(), "mcp_maps_files_read")]
    {
        let body = json!({"model": "m", "input": input, "tools": tools});
        ok(rig.post(RESPONSES.path, &body.to_string()).await);
        let told = upstream.requests().pop().unwrap().json()["messages"].clone();
        let called = told[1]["tool_calls"][0]["function"].clone();
        assert_eq!(called["name"], name, "{told}");
        assert_eq!(called["arguments"], "{\"a\":1}");
        let results: Vec<_> = told.as_array().unwrap().iter().filter(|m| m["role"] == "tool").collect();
        assert_eq!((results.len(), &results[0]["content"]), (2, &json!("Read")), "{told}");
        assert!(results[1]["content"].as_str().unwrap().contains("no clock"), "{told}");
    }
    rig.at_rest().await;
}

/// Who hangs up has the tool called off that is under way, and nothing goes on behind their back.
#[tokio::test]
async fn hanging_up_calls_tools_off() {
    let late = Says::Late(Duration::from_secs(30), "too late".into());
    let tools = vec![McpTool::new("get_weather", late)];
    let server = McpServer::start(McpConfig { tools, ..McpConfig::default() }).await.unwrap();
    let upstream = model(vec![Turn::Calls(&[("get_weather", "{}")])]).await;
    let rig = Rig::start(knowing(&server, [engine(upstream.url(), "m")])).await;
    let mut line = Line::open(rig.address()).await;
    let mut head = line.begin(&post(RESPONSES.path, asked(json!({"stream": true})).to_string())).await;
    line.see(&mut head, "response.mcp_call.in_progress").await;
    until("the tool is called", async || server.calls().len() == 1).await;
    drop(line);
    until("the call is called off", async || server.cancelled() == 1 && !server.aborts().is_empty()).await;
    rig.at_rest().await;
    assert_eq!(upstream.requests().len(), 1, "no other turn");
    let line = rig.access_line("client_gone").await;
    assert!(line.contains("status=499"), "{line}");
}
