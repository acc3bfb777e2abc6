//! The simulated Bedrock runtime.

use crate::client::{Answer, send};
use serde_json::{Value, json};
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};

const KEY: &[(&str, &str)] = &[("authorization", "Bearer sk-test")];
const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0";
const NOVA: &str = "amazon.nova-pro-v1%3A0";
const OTHER: &str = "openai.gpt-oss-120b-1%3A0";

async fn cloud() -> Cloud {
    Cloud::start(Provider::Bedrock, CloudConfig::new(Provider::Bedrock)).await.unwrap()
}

async fn converse(cloud: &Cloud, model: &str, verb: &str, body: &Value) -> Answer {
    send(&cloud.url(), &format!("/model/{model}/{verb}"), KEY, body).await.unwrap()
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": [{"text": text}]})
}

fn request(more: Value) -> Value {
    let mut body = json!({"messages": [user("Tell me of lighthouses")]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn tool(name: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    json!({"toolSpec": {"name": name, "inputSchema": {"json": schema}}})
}

fn tools() -> Value {
    json!({"tools": [tool("get_rain"), tool("get_wind"), tool("get_tide")]})
}

fn thinking() -> Value {
    json!({"thinking": {"type": "enabled", "budget_tokens": 1024}})
}

/// CRC-32 as the standard spells it, bit by bit: a second opinion on the encoder's library.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// Message type, event or exception type, and payload of every frame.
fn frames(mut bytes: &[u8]) -> Vec<(String, String, Value)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let (total, headers) = (number(0) as usize, number(4) as usize);
        assert_eq!(number(8), crc32(&bytes[..8]));
        assert_eq!(number(total - 4), crc32(&bytes[..total - 4]));
        let mut rest = &bytes[12..12 + headers];
        let mut named = std::collections::HashMap::new();
        while !rest.is_empty() {
            let name = rest[0] as usize;
            let value = u16::from_be_bytes([rest[name + 2], rest[name + 3]]) as usize;
            assert_eq!(rest[name + 1], 7, "a string");
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            named.insert(text(&rest[1..=name]), text(&rest[name + 4..name + 4 + value]));
            rest = &rest[name + 4 + value..];
        }
        let kind = named[":message-type"].clone();
        let payload = serde_json::from_slice(&bytes[12 + headers..total - 4]).unwrap();
        frames.push((kind.clone(), named[&format!(":{kind}-type")].clone(), payload));
        bytes = &bytes[total..];
    }
    frames
}

#[tokio::test]
async fn keys_paths_and_models() {
    let cloud = cloud().await;
    let path = format!("/model/{CLAUDE}/converse");
    for (path, headers, status, class) in [
        (path.as_str(), &[][..], 403, "MissingAuthenticationTokenException"),
        (&path, &[("authorization", "Bearer no")], 403, "AccessDeniedException"),
        (&path, &[("authorization", "AWS4-HMAC-SHA256 x")], 403, "IncompleteSignatureException"),
        ("/model/nothing/converse", KEY, 400, "ValidationException"),
        ("/model/arn%3Aaws%3Abedrock%3Anothing/converse", KEY, 404, "ResourceNotFoundException"),
        ("/model/nothing/invoke", KEY, 400, "ValidationException"),
        ("/model/nothing/forget", KEY, 404, "UnknownOperationException"),
    ] {
        let answer = send(&cloud.url(), path, headers, &request(json!({}))).await.unwrap();
        assert_eq!(answer.status, status, "{path} {headers:?}");
        let told = answer.headers["x-amzn-errortype"].to_str().unwrap();
        assert_eq!(told.split(':').next(), Some(class), "{path}");
        assert!(answer.headers.contains_key("x-amzn-requestid"));
        assert!(answer.json().await["message"].is_string());
    }
    let models = send(&cloud.url(), "/foundation-models", KEY, &Value::Null).await.unwrap().json().await;
    assert_eq!(models["modelSummaries"][1]["modelId"], "amazon.nova-pro-v1:0");
    let answer = converse(&cloud, CLAUDE, "converse", &request(json!({"unknown": 1}))).await.json().await;
    assert_eq!(answer["stopReason"], "end_turn");
    assert!(answer["output"]["message"]["content"][0]["text"].as_str().unwrap().contains("lighthouses"));
    assert!(answer["metrics"]["latencyMs"].is_number());
}

#[tokio::test]
async fn refusals_name_the_field() {
    let cloud = cloud().await;
    let said = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let config = |config: Value| json!({"inferenceConfig": config});
    let spec = |spec: Value| json!({"toolConfig": {"tools": [{"toolSpec": spec}]}});
    let extra = |extra: Value| json!({"additionalModelRequestFields": extra});
    let choice =
        |kind: &str, value: Value| json!({"toolConfig": {"tools": [tool("f")], "toolChoice": {kind: value}}});
    let png = |bytes: &str| json!({"image": {"format": "png", "source": {"bytes": bytes}}});
    let pdf = |name: &str| json!({"document": {"format": "pdf", "name": name, "source": {"bytes": "AAAA"}}});
    let assistant = |content: Value| json!({"role": "assistant", "content": content});
    let point = json!({"cachePoint": {"type": "default"}});
    for (model, more, words) in [
        (CLAUDE, json!({"messages": []}), "must start with a user message"),
        (CLAUDE, json!({"messages": [assistant(json!([{"text": "x"}]))]}), "must start with a user message"),
        (CLAUDE, json!({"messages": [user("a"), user("b")]}), "must alternate"),
        (
            CLAUDE,
            json!({"messages": [user("a"), {"role": "tool", "content": [{"text": "x"}]}]}),
            "messages.2.member.role",
        ),
        (CLAUDE, said(json!([])), "messages.0 is empty"),
        (CLAUDE, said(json!([{"text": " "}])), "messages.0.content.0 is blank"),
        (CLAUDE, said(json!([{"text": "x", "image": {}}])), "Only one of image and text can be set"),
        (CLAUDE, said(json!([{"type": "text"}])), "messages.0.content.0 is incorrect"),
        (CLAUDE, said(json!([png("!")])), "source.bytes are not valid base64"),
        (
            CLAUDE,
            said(json!([{"image": {"format": "jpg", "source": {"bytes": "AAAA"}}}])),
            "'messages.0.content.0.image.format'",
        ),
        (CLAUDE, said(json!([pdf("a")])), "A text block is required at messages.0.content"),
        (CLAUDE, said(json!([{"text": "x"}, pdf("my_file.pdf")])), "document.name can only contain"),
        (CLAUDE, said(json!([{"toolUse": {}}])), "only allowed in assistant messages"),
        (CLAUDE, json!({"system": [{"text": ""}]}), "system.0 is blank"),
        (CLAUDE, json!({"system": [point, point, point, point, point]}), "A maximum of 4 blocks"),
        (CLAUDE, config(json!({"maxTokens": 0})), "'inferenceConfig.maxTokens'"),
        (CLAUDE, config(json!({"temperature": 1.5})), "'inferenceConfig.temperature'"),
        (CLAUDE, json!({"toolConfig": {"tools": []}}), "'toolConfig.tools'"),
        (CLAUDE, spec(json!({"name": "a b"})), "toolSpec.name"),
        (CLAUDE, spec(json!({"name": "f", "inputSchema": {"json": {}}})), "inputSchema.json.type"),
        (CLAUDE, choice("none", json!({})), "toolConfig.toolChoice is incorrect"),
        (CLAUDE, choice("tool", json!({"name": "g"})), "toolConfig.toolChoice.tool.name"),
        (OTHER, choice("any", json!({})), "doesn't support the toolConfig.toolChoice.any field"),
        (CLAUDE, extra(json!({"seed": 1})), "seed: Extra inputs are not permitted"),
        (NOVA, extra(json!({"top_k": 1})), "extraneous key [top_k] is not permitted"),
        (
            CLAUDE,
            extra(json!({"thinking": {"type": "enabled", "budget_tokens": 5}})),
            "thinking.enabled.budget_tokens",
        ),
        (
            CLAUDE,
            json!({"additionalModelRequestFields": thinking(), "inferenceConfig": {"temperature": 0.5}}),
            "temperature: may only be set to 1",
        ),
        (
            CLAUDE,
            json!({"additionalModelRequestFields": thinking(),
                "toolConfig": {"tools": [tool("f")], "toolChoice": {"any": {}}}}),
            "Thinking may not be enabled when tool_choice forces tool use",
        ),
    ] {
        let answer = converse(&cloud, model, "converse", &request(more.clone())).await;
        assert_eq!(answer.status, 400, "{more}");
        let error = answer.json().await;
        assert!(error["message"].as_str().unwrap().contains(words), "{words}: {error}");
    }
    for (model, more) in [
        (OTHER, extra(json!({"reasoning_effort": "low", "seed": 1}))),
        (NOVA, choice("any", json!({}))),
        (CLAUDE, said(json!([{"text": "x"}, png("AAAA"), pdf("a (1)")]))),
        (CLAUDE, json!({"system": [{"text": "s"}, point]})),
    ] {
        let answer = converse(&cloud, model, "converse", &request(more.clone())).await;
        assert_eq!(answer.status, 200, "{more}");
    }
}

#[tokio::test]
async fn a_tool_loop_keeps_order_and_thoughts() {
    let cloud = cloud().await;
    let body = |messages: &Value| {
        json!({"messages": messages, "toolConfig": tools(), "additionalModelRequestFields": thinking(),
            "inferenceConfig": {"maxTokens": 4000}})
    };
    let asked = json!([user("Use get_rain, get_wind and get_tide for Oslo")]);
    let answer = converse(&cloud, CLAUDE, "converse", &body(&asked)).await.json().await;
    assert_eq!(answer["stopReason"], "tool_use");
    let turn = answer["output"]["message"].clone();
    let uses: Vec<&Value> =
        turn["content"].as_array().unwrap()[1..].iter().map(|block| &block["toolUse"]).collect();
    assert_eq!(
        uses.iter().map(|call| call["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["get_rain", "get_wind", "get_tide"]
    );
    assert_eq!(uses[0]["input"], json!({"city": "Oslo"}));
    let results: Vec<_> = uses
        .iter()
        .map(|call| json!({"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": "42 degrees"}]}}))
        .collect();
    let said = json!([asked[0], turn, {"role": "user", "content": results}]);
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &str); 11] = [
        ("as it was", |_| {}, ""),
        (
            "text after the results",
            |body| {
                body["messages"][2]["content"].as_array_mut().unwrap().push(json!({"text": "so?"}));
            },
            "",
        ),
        (
            "JSON results",
            |body| {
                body["messages"][2]["content"][0]["toolResult"]["content"] = json!([{"json": {"rain": 1}}]);
            },
            "",
        ),
        (
            "a result that is no object",
            |body| {
                body["messages"][2]["content"][0]["toolResult"]["content"] = json!([{"json": [1]}]);
            },
            "Provide a json object",
        ),
        (
            "text before the results",
            |body| {
                body["messages"][2]["content"].as_array_mut().unwrap().insert(0, json!({"text": "so?"}));
            },
            "must come before other content",
        ),
        (
            "a result too few",
            |body| {
                body["messages"][2]["content"].as_array_mut().unwrap().pop();
            },
            "Expected toolResult blocks at messages.2.content",
        ),
        (
            "a result too many",
            |body| {
                let again = body["messages"][2]["content"][0].clone();
                body["messages"][2]["content"].as_array_mut().unwrap().push(again);
            },
            "exceeds the number of toolUse blocks",
        ),
        (
            "no toolConfig",
            |body| {
                body.as_object_mut().unwrap().remove("toolConfig");
            },
            "toolConfig field must be defined",
        ),
        (
            "an altered thought",
            |body| {
                body["messages"][1]["content"][0]["reasoningContent"]["reasoningText"]["text"] = json!("hm");
            },
            "Invalid `signature` in `thinking` block",
        ),
        (
            "a thought without signature",
            |body| {
                body["messages"][1]["content"][0]["reasoningContent"]["reasoningText"] =
                    json!({"text": "hm"});
            },
            "signature: Field required",
        ),
        (
            "no thought",
            |body| {
                body["messages"][1]["content"].as_array_mut().unwrap().remove(0);
            },
            "Expected `thinking` or `redacted_thinking`",
        ),
    ];
    for (name, change, words) in cases {
        let mut body = body(&said);
        change(&mut body);
        let answer = converse(&cloud, CLAUDE, "converse", &body).await;
        let status = answer.status;
        let answer = answer.json().await;
        if words.is_empty() {
            assert_eq!(status, 200, "{name}: {answer}");
        } else {
            assert!(status == 400 && answer["message"].as_str().unwrap().contains(words), "{name}: {answer}");
        }
    }
}

#[tokio::test]
async fn streams_fold_to_the_whole_answer() {
    let cloud = cloud().await;
    let asked = json!({"messages": [user("Use get_rain and get_wind for Oslo")], "toolConfig": tools(),
        "additionalModelRequestFields": thinking(), "inferenceConfig": {"maxTokens": 4000}});
    let stopped = json!({"inferenceConfig": {"stopSequences": ["me of"]},
        "additionalModelResponseFieldPaths": ["/stop_sequence"]});
    let reasons = json!({"additionalModelRequestFields": {"reasoning_effort": "low"}});
    for (model, body) in
        [(CLAUDE, request(json!({}))), (CLAUDE, asked), (NOVA, request(stopped)), (OTHER, request(reasons))]
    {
        let whole = converse(&cloud, model, "converse", &body).await.json().await;
        let answer = converse(&cloud, model, "converse-stream", &body).await;
        assert_eq!(answer.headers["content-type"], "application/vnd.amazon.eventstream");
        let frames = frames(&answer.bytes().await.unwrap());
        assert!(frames.iter().all(|(kind, _, payload)| kind == "event" && payload["p"].is_string()));
        let ends = |at: usize| frames[at].1.as_str();
        assert_eq!(
            (ends(0), ends(frames.len() - 2), ends(frames.len() - 1)),
            ("messageStart", "messageStop", "metadata")
        );
        let mut blocks: Vec<Value> = Vec::new();
        let mut inputs = String::new();
        for (_, name, payload) in &frames {
            let at = payload["contentBlockIndex"].as_u64().unwrap_or_default() as usize;
            match name.as_str() {
                "contentBlockStart" => {
                    assert_eq!(at, blocks.len());
                    blocks.push(payload["start"].clone());
                    inputs.clear();
                }
                "contentBlockDelta" => {
                    let delta = &payload["delta"];
                    if at == blocks.len() {
                        blocks.push(json!({}));
                    }
                    let block = &mut blocks[at];
                    let append = |to: &mut Value, more: &Value| {
                        *to = json!(to.as_str().unwrap_or_default().to_owned() + more.as_str().unwrap());
                    };
                    if delta.get("text").is_some() {
                        append(&mut block["text"], &delta["text"]);
                    } else if let Some(fields) = delta["reasoningContent"].as_object() {
                        for (key, more) in fields {
                            append(&mut block["reasoningContent"]["reasoningText"][key], more);
                        }
                    } else {
                        inputs.push_str(delta["toolUse"]["input"].as_str().unwrap());
                    }
                }
                "contentBlockStop" => {
                    assert_eq!(at + 1, blocks.len());
                    if blocks[at].get("toolUse").is_some() {
                        blocks[at]["toolUse"]["input"] = serde_json::from_str(&inputs).unwrap();
                    }
                }
                _ => {}
            }
        }
        assert_eq!(json!(blocks), whole["output"]["message"]["content"], "{model}");
        let (stop, bill) = (&frames[frames.len() - 2].2, &frames[frames.len() - 1].2);
        assert_eq!(stop["stopReason"], whole["stopReason"]);
        assert_eq!(stop.get("additionalModelResponseFields"), whole.get("additionalModelResponseFields"));
        assert_eq!(bill["usage"], whole["usage"]);
    }
}

#[tokio::test]
async fn marked_prompts_are_cached() {
    let cloud = cloud().await;
    let long = "harbor ".repeat(1500);
    let point = json!({"cachePoint": {"type": "default"}});
    for (content, read, written) in [
        (json!([{"text": long}]), 0, 0),
        (json!([{"text": long}, point]), 0, 1408),
        (json!([{"text": long}, point]), 1408, 0),
    ] {
        let body = json!({"messages": [{"role": "user", "content": content}]});
        let usage = converse(&cloud, CLAUDE, "converse", &body).await.json().await["usage"].clone();
        assert_eq!(
            (&usage["cacheReadInputTokens"], &usage["cacheWriteInputTokens"]),
            (&json!(read), &json!(written))
        );
        assert_eq!(usage["inputTokens"], json!(1503 - read - written));
    }
}

#[tokio::test]
async fn unhappy_paths_are_told_in_the_dialect() {
    let cloud = cloud().await;
    let asked = |demand: &str| json!({"messages": [user(&format!("simulate:{demand}"))]});
    for (demand, status, class) in [
        ("rate-limit", 429, "ThrottlingException"),
        ("overload", 503, "ServiceUnavailableException"),
        ("crash", 500, "InternalServerException"),
    ] {
        let answer = converse(&cloud, NOVA, "converse-stream", &asked(demand)).await;
        assert_eq!(answer.status, status, "{demand}");
        assert!(answer.headers["x-amzn-errortype"].to_str().unwrap().starts_with(class));
    }
    let answer = converse(&cloud, NOVA, "converse-stream", &asked("break")).await;
    let frames = frames(&answer.bytes().await.unwrap());
    let (kind, name, payload) = frames.last().unwrap();
    assert_eq!((kind.as_str(), name.as_str()), ("exception", "internalServerException"));
    assert!(payload["message"].is_string() && frames.iter().any(|frame| frame.1 == "contentBlockDelta"));
    let refused = converse(&cloud, NOVA, "converse", &asked("refusal")).await.json().await;
    assert_eq!(refused["stopReason"], "content_filtered");
}
