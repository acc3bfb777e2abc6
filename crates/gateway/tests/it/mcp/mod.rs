//! MCP tools of Responses requests, in front of upstreams that only know functions.

mod refused;
mod rounds;

use crate::client::{Answer, Event};
use crate::rig::{RESPONSES, Rig, cloud, engine, settings};
use serde_json::{Value, json};
use trunkline_core::Secret;
use trunkline_gateway::config::{Config, McpServer as Configured, WorkerSpec};
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};
use trunkline_testkit::engine::{Engine, EngineConfig, Flavour};
use trunkline_testkit::mcp::{McpConfig, McpServer, McpTool, Says};

/// What is presented to the server that the operator configured.
const OPERATORS: &str = "operators-token-1";

/// A server with a tool of each kind.
async fn server(token: Option<&str>, streams: bool) -> McpServer {
    let tools = vec![
        McpTool { read_only: true, ..McpTool::new("get_weather", Says::Text("Sunny for {}".into())) },
        McpTool::new("get_time", Says::Text("Noon".into())),
        McpTool::new("break_it", Says::Error("it broke".into())),
        McpTool::new("refuse_it", Says::Refusal(-32602, "not like that".into())),
        McpTool::new("files.read", Says::Text("Read".into())),
    ];
    McpServer::start(McpConfig { tools, token: token.map(str::to_owned), streams }).await.unwrap()
}

/// Settings of a gateway that knows `server` as `maps`.
fn knowing(server: &McpServer, workers: impl IntoIterator<Item = WorkerSpec>) -> Config {
    let mut config = settings(workers);
    let token = Some(Secret::new(OPERATORS));
    config.mcp.servers =
        vec![Configured { name: "maps".into(), url: server.url(), token, ..Configured::default() }];
    config
}

fn ok(answer: Answer) -> Answer {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// The response that a stream ends in. Its events are numbered, framed and in the order of the items they are of.
fn last(stream: &[Event]) -> Value {
    let events: Vec<_> = stream.iter().map(Event::json).collect();
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "response.created").count(), 1, "{kinds:?}");
    assert_eq!(kinds[0], "response.created");
    let last = events.last().unwrap()["response"].clone();
    let (mut done, mut open) = (Vec::new(), None);
    for (n, (event, framed)) in events.iter().zip(stream).enumerate() {
        assert_eq!(
            (&event["sequence_number"], event["type"].as_str()),
            (&json!(n), Some(framed.name.as_str()))
        );
        if let Some(response) = event.get("response") {
            assert_eq!(response["id"], last["id"], "one answer, one id");
        }
        if let Some(index) = event.get("output_index") {
            assert_eq!(*index, json!(done.len()), "items do not interleave: {event}");
        }
        match framed.name.as_str() {
            "response.output_item.added" => {
                assert_eq!(open.replace(event["item"]["id"].clone()), None, "{event}");
            }
            "response.output_item.done" => {
                assert_eq!(open.take().as_ref(), Some(&event["item"]["id"]), "{event}");
                done.push(event["item"].clone());
            }
            _ => {}
        }
        if let Some(id) = event.get("item_id") {
            assert_eq!(open.as_ref(), Some(id), "{event}");
        }
    }
    assert_eq!(last["output"], json!(done));
    last
}

/// Asks once whole and once streamed; what both end in, but for what belongs to one answer alone.
async fn both(rig: &Rig, mut body: Value) -> [Value; 2] {
    let whole = ok(rig.post(RESPONSES.path, &body.to_string()).await).json();
    body["stream"] = json!(true);
    let stream = ok(rig.post(RESPONSES.path, &body.to_string()).await).events();
    [whole, last(&stream)]
}

/// The items of a kind.
fn items<'r>(response: &'r Value, kind: &str) -> Vec<&'r Value> {
    response["output"].as_array().unwrap().iter().filter(|item| item["type"] == kind).collect()
}

fn text(response: &Value) -> String {
    items(response, "message").iter().map(|item| item["content"][0]["text"].as_str().unwrap()).collect()
}

/// An upstream, and the model it serves.
enum Upstream {
    Cloud(Cloud),
    Engine(Engine),
}

impl Upstream {
    async fn all() -> Vec<(&'static str, Self, WorkerSpec)> {
        let mut all = Vec::new();
        for (provider, id, model) in [
            (Provider::Anthropic, "anthropic", "claude-haiku-4-5"),
            (Provider::Gemini, "gemini", "gemini-2.5-flash"),
            (Provider::OpenAi, "openai", "gpt-4o-mini"),
        ] {
            let account = Cloud::start(provider, CloudConfig::new(provider)).await.unwrap();
            let spec = cloud(account.url(), id, model, Some("sk-test"));
            all.push((model, Self::Cloud(account), spec));
        }
        let config = EngineConfig {
            flavour: Flavour::Generic,
            models: vec!["m".to_owned()],
            time_scale: 0.0,
            record: 100,
            ..EngineConfig::default()
        };
        let simulated = Engine::start(config).await.unwrap();
        let spec = engine(simulated.url(), "m");
        all.push(("m", Self::Engine(simulated), spec));
        all
    }

    /// Everything it was sent, heads and bodies.
    fn heard(&self) -> Vec<String> {
        let requests = match self {
            Self::Cloud(cloud) => cloud.requests(),
            Self::Engine(engine) => engine.requests(),
        };
        requests.iter().map(|request| format!("{:?} {}", request.headers, request.json())).collect()
    }
}

/// Whatever the upstream speaks, the client's answer tells of the list, the calls in the model's order and the words.
#[tokio::test]
async fn c57_tools_are_listed_and_run_whatever_the_upstream_speaks() {
    for streams in [false, true] {
        let server = server(Some(OPERATORS), streams).await;
        for (model, upstream, spec) in Upstream::all().await {
            let rig = Rig::start(knowing(&server, [spec])).await;
            let (calls, asked) = (server.calls().len(), upstream.heard().len());
            let body = json!({"model": model, "max_output_tokens": 400,
                "tools": [{"type": "mcp", "server_label": "maps", "require_approval": "never"}],
                "input": "Ask get_weather and get_time about Lisbon"});
            for response in both(&rig, body.clone()).await {
                assert_eq!(response["status"], "completed", "{model}: {response}");
                assert_eq!(response["tools"], body["tools"], "{model}");
                let lists = items(&response, "mcp_list_tools");
                let names: Vec<_> =
                    lists[0]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
                assert_eq!(lists.len(), 1, "{model}");
                assert_eq!(
                    json!(names),
                    json!(["get_weather", "get_time", "break_it", "refuse_it", "files.read"])
                );
                assert_eq!(lists[0]["tools"][0]["annotations"]["readOnlyHint"], true, "{model}");
                let called = items(&response, "mcp_call");
                let said: Vec<_> = called
                    .iter()
                    .map(|call| (call["name"].as_str().unwrap(), call["output"].as_str().unwrap()))
                    .collect();
                let arguments = called[0]["arguments"].as_str().unwrap();
                let arguments: Value = serde_json::from_str(arguments).unwrap();
                assert_eq!(
                    said,
                    [("get_weather", format!("Sunny for {arguments}").as_str()), ("get_time", "Noon")]
                );
                for call in &called {
                    assert_eq!(
                        (&call["status"], &call["error"]),
                        (&json!("completed"), &Value::Null),
                        "{model}"
                    );
                    assert_eq!(call["server_label"], "maps");
                }
                assert!(items(&response, "function_call").is_empty(), "{model}: {response}");
                assert!(text(&response).contains("Sunny"), "{model}: {response}");
                assert!(response["usage"]["total_tokens"].as_u64().unwrap() > 0, "{model}: {response}");
            }
            assert_eq!(server.calls().len() - calls, 4, "{model}");
            let heard = upstream.heard();
            assert_eq!(heard.len() - asked, 4, "{model}: two turns, twice");
            assert!(!heard.iter().any(|said| said.contains(OPERATORS)), "{model}");
            rig.at_rest().await;
        }
    }
}
