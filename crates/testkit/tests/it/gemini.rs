//! The simulated Gemini API.

use crate::client::{Answer, Event, send};
use serde_json::{Value, json};
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider, Turns};

const KEY: &[(&str, &str)] = &[("x-goog-api-key", "sk-test")];
const NEW: &str = "gemini-3-pro-preview";
const OLD: &str = "gemini-2.5-flash";

async fn cloud() -> Cloud {
    Cloud::start(Provider::Gemini, CloudConfig::new(Provider::Gemini)).await.unwrap()
}

async fn generate(cloud: &Cloud, model: &str, verb: &str, body: &Value) -> Answer {
    send(&cloud.url(), &format!("/v1beta/models/{model}:{verb}"), KEY, body).await.unwrap()
}

fn user(text: &str) -> Value {
    json!({"role": "user", "parts": [{"text": text}]})
}

fn request(more: Value) -> Value {
    let mut body = json!({"contents": [user("Tell me of lighthouses")]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn tools() -> Value {
    let city = json!({"type": "OBJECT", "properties": {"city": {"type": "STRING"}}});
    json!([{"functionDeclarations": [
        {"name": "get_rain", "description": "Rain", "parameters": city},
        {"name": "get_wind", "parametersJsonSchema": {"type": "object", "properties": {"city": {"type": "string"}}}},
        {"name": "get_tide"},
    ]}])
}

/// The parts of a candidate.
fn parts(answer: &Value) -> Vec<Value> {
    answer["candidates"][0]["content"]["parts"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn keys_paths_and_models() {
    let cloud = cloud().await;
    let path = format!("/v1beta/models/{OLD}:generateContent");
    let elsewhere = "/v1beta/models/gemini-9:generateContent";
    let bearer: &[_] = &[("authorization", "Bearer sk-test")];
    for (path, headers, status, name) in [
        (path.as_str(), &[][..], 403, "PERMISSION_DENIED"),
        (&path, &[("x-goog-api-key", "no")], 400, "INVALID_ARGUMENT"),
        (&path, bearer, 401, "UNAUTHENTICATED"),
        (elsewhere, KEY, 404, "NOT_FOUND"),
        ("/v1beta/models/gemini-2.5-flash:predict", KEY, 404, "NOT_FOUND"),
        ("/v2/models/gemini-2.5-flash:generateContent", KEY, 404, "NOT_FOUND"),
    ] {
        let answer = send(&cloud.url(), path, headers, &request(json!({}))).await.unwrap();
        assert_eq!(answer.status, status, "{path} {headers:?}");
        let error = answer.json().await["error"].clone();
        assert_eq!((&error["code"], &error["status"]), (&json!(status), &json!(name)), "{error}");
    }
    let encoded = format!("/v1beta/models/{OLD}%3AgenerateContent");
    assert_eq!(send(&cloud.url(), &encoded, KEY, &request(json!({}))).await.unwrap().status, 200);
    let by_query = format!("/v1/models/{OLD}:generateContent?key=sk-test");
    assert_eq!(send(&cloud.url(), &by_query, &[], &request(json!({}))).await.unwrap().status, 200);
    let models = send(&cloud.url(), "/v1beta/models", KEY, &Value::Null).await.unwrap().json().await;
    assert_eq!(models["models"][0]["name"], format!("models/{OLD}"));
    let one = send(&cloud.url(), &format!("/v1beta/models/{NEW}"), KEY, &Value::Null).await.unwrap();
    assert_eq!(one.json().await["thinking"], true);
    let counted = generate(&cloud, OLD, "countTokens", &request(json!({}))).await.json().await;
    let inner = json!({"generateContentRequest": request(json!({}))});
    assert_eq!(generate(&cloud, OLD, "countTokens", &inner).await.json().await, counted);
    let whole = generate(&cloud, OLD, "generateContent", &request(json!({}))).await.json().await;
    assert_eq!(whole["usageMetadata"]["promptTokenCount"], counted["totalTokens"]);
}

#[tokio::test]
async fn refusals_name_the_field() {
    let cloud = cloud().await;
    let declared = |more: Value| {
        let mut function = json!({"name": "f"});
        function.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"tools": [{"functionDeclarations": [function]}]})
    };
    let said = |parts: Value| json!({"contents": [{"role": "user", "parts": parts}]});
    let config = |config: Value| json!({"generationConfig": config});
    for (model, more, words) in [
        (OLD, json!({"contents": []}), "contents is not specified"),
        (OLD, json!({"user": "u"}), "Unknown name \"user\": Cannot find field"),
        (OLD, config(json!({"max_tokens": 1})), "Unknown name \"maxTokens\" at 'generation_config'"),
        (OLD, config(json!({"temperature": 3})), "generation_config.temperature"),
        (OLD, config(json!({"maxOutputTokens": 0})), "generation_config.max_output_tokens"),
        (OLD, config(json!({"stopSequences": ["1", "2", "3", "4", "5", "6"]})), "stop_sequences"),
        (OLD, config(json!({"responseSchema": {"type": "OBJECT"}})), "response mime type"),
        (
            OLD,
            config(json!({"thinkingConfig": {"thinkingLevel": "HIGH"}})),
            "Thinking level is not supported",
        ),
        (
            OLD,
            config(json!({"thinkingConfig": {"thinkingBudget": 99_999}})),
            "thinking budget 99999 is invalid",
        ),
        (
            NEW,
            config(json!({"thinkingConfig": {"thinkingBudget": 200, "thinkingLevel": "LOW"}})),
            "only one of thinking budget and thinking level",
        ),
        (NEW, config(json!({"thinkingConfig": {"thinkingBudget": 0}})), "Budget 0 is invalid"),
        (OLD, json!({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}), "valid role"),
        (OLD, said(json!([])), "contents[0].parts"),
        (OLD, said(json!([{"thought": true}])), "contents[0].parts[0].data"),
        (
            OLD,
            said(json!([{"text": "x", "inlineData": {"mimeType": "image/png", "data": "AAAA"}}])),
            "oneof field 'data' is already set",
        ),
        (
            OLD,
            said(json!([{"inlineData": {"mimeType": "image/png", "data": "!"}}])),
            "Base64 decoding failed",
        ),
        (
            OLD,
            said(json!([{"type": "text", "text": "x"}])),
            "Unknown name \"type\" at 'contents[0].parts[0]'",
        ),
        (OLD, declared(json!({"name": "a b"})), "Invalid function name"),
        (
            OLD,
            declared(json!({"strict": true})),
            "Unknown name \"strict\" at 'tools[0].function_declarations[0]'",
        ),
        (
            OLD,
            declared(json!({"parameters": {"type": "OBJECT", "properties": {}}})),
            "parameters.properties: should be non-empty for OBJECT type",
        ),
        (
            OLD,
            declared(json!({"parameters": {"type": "OBJECT", "additionalProperties": false}})),
            "Unknown name \"additionalProperties\" at 'tools[0].function_declarations[0].parameters'",
        ),
        (
            OLD,
            declared(json!({"parameters": {"type": "OBJECT"}, "parametersJsonSchema": {}})),
            "only one of parameters",
        ),
        (
            OLD,
            json!({"tools": [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}]}),
            "Tool use with function calling is unsupported",
        ),
        (
            OLD,
            json!({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}),
            "without function_declarations",
        ),
        (
            OLD,
            json!({"tools": tools(),
                "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["get_rain"]}}}),
            "allowed_function_names should only be set",
        ),
        (
            OLD,
            json!({"tools": tools(),
                "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["nope"]}}}),
            "unknown function nope",
        ),
    ] {
        let answer = generate(&cloud, model, "generateContent", &request(more.clone())).await;
        assert_eq!(answer.status, 400, "{more}");
        let error = answer.json().await["error"].clone();
        assert_eq!(error["status"], "INVALID_ARGUMENT");
        assert!(error["message"].as_str().unwrap().contains(words), "{words}: {error}");
    }
    let snake = json!({"system_instruction": {"parts": [{"text": "s"}]},
        "generation_config": {"max_output_tokens": 5}});
    let answer = generate(&cloud, OLD, "generateContent", &request(snake)).await.json().await;
    assert_eq!(answer["candidates"][0]["finishReason"], "MAX_TOKENS");
    let in_array = generate(&cloud, OLD, "streamGenerateContent", &json!({})).await.json().await;
    assert_eq!(in_array[0]["error"]["code"], 400);
    let config = CloudConfig { turns: Turns::Alternating, ..CloudConfig::new(Provider::Gemini) };
    let strict = Cloud::start(Provider::Gemini, config).await.unwrap();
    let twice = json!({"contents": [user("a"), user("b")]});
    assert_eq!(generate(&strict, OLD, "generateContent", &twice).await.status, 400);
    assert_eq!(generate(&cloud, OLD, "generateContent", &twice).await.status, 200);
}

/// Asks for three calls and returns the conversation with the model's turn.
async fn called(cloud: &Cloud, model: &str) -> Vec<Value> {
    let question = user("Use get_rain, get_wind and get_tide for Oslo");
    let body = json!({"contents": [question], "tools": tools()});
    let answer = generate(cloud, model, "generateContent", &body).await.json().await;
    assert_eq!(answer["candidates"][0]["finishReason"], "STOP");
    vec![question, answer["candidates"][0]["content"].clone()]
}

/// The user's turn that answers every call of `turn`.
fn results(turn: &Value) -> Value {
    let calls = turn["parts"].as_array().unwrap().iter().filter_map(|part| part.get("functionCall"));
    let results = calls.map(|call| {
        let mut result = json!({"name": call["name"], "response": {"result": "42 degrees"}});
        if let Some(id) = call.get("id") {
            result["id"] = id.clone();
        }
        json!({"functionResponse": result})
    });
    json!({"role": "user", "parts": results.collect::<Vec<_>>()})
}

#[tokio::test]
async fn calls_come_back_with_their_signatures() {
    let cloud = cloud().await;
    let mut said = called(&cloud, NEW).await;
    let names: Vec<_> =
        said[1]["parts"].as_array().unwrap().iter().map(|p| p["functionCall"]["name"].clone()).collect();
    assert_eq!(names, ["get_rain", "get_wind", "get_tide"]);
    assert_eq!(said[1]["parts"][0]["functionCall"]["args"], json!({"city": "Oslo"}));
    let signed: Vec<_> =
        said[1]["parts"].as_array().unwrap().iter().map(|p| p["thoughtSignature"].is_string()).collect();
    assert_eq!(signed, [true, false, false], "the first of a group is enough");
    said.push(results(&said[1]));
    type Change = fn(&mut Vec<Value>);
    let cases: [(&str, Change, &str); 10] = [
        ("as it was", |_| {}, ""),
        (
            "placeholder",
            |said| {
                said[1]["parts"][0]["thoughtSignature"] =
                    json!("c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=");
            },
            "",
        ),
        (
            "a turn that is over needs none",
            |said| {
                said[1]["parts"][0].as_object_mut().unwrap().remove("thoughtSignature");
                said.push(json!({"role": "model", "parts": [{"text": "42"}]}));
                said.push(user("thanks"));
            },
            "",
        ),
        (
            "no signature",
            |said| {
                said[1]["parts"][0].as_object_mut().unwrap().remove("thoughtSignature");
            },
            "missing a thought_signature in functionCall parts",
        ),
        (
            "an altered signature",
            |said| {
                said[1]["parts"][0]["thoughtSignature"] = json!("AAAAAAAAAAAAAAAAAAAAAA==");
            },
            "contents[1].parts[0].thought_signature",
        ),
        (
            "a response too few",
            |said| {
                said[2]["parts"].as_array_mut().unwrap().pop();
            },
            "is equal to the number",
        ),
        ("no response", |said| said[2] = user("never mind"), "is equal to the number"),
        (
            "another order",
            |said| said[2]["parts"].as_array_mut().unwrap().swap(0, 1),
            "function_response.name",
        ),
        (
            "another id",
            |said| said[2]["parts"][1]["functionResponse"]["id"] = json!("x"),
            "function_response.id",
        ),
        (
            "responses to nothing",
            |said| {
                said.remove(1);
            },
            "immediately after a function call turn",
        ),
    ];
    for (name, change, words) in cases {
        let mut said = said.clone();
        change(&mut said);
        let answer =
            generate(&cloud, NEW, "generateContent", &json!({"contents": said, "tools": tools()})).await;
        let status = answer.status;
        let body = answer.json().await;
        if words.is_empty() {
            assert_eq!(status, 200, "{name}: {body}");
        } else {
            let told = body["error"].to_string();
            assert!(status == 400 && told.contains(words), "{name}: {told}");
        }
    }
    let answer = generate(&cloud, NEW, "generateContent", &json!({"contents": said, "tools": tools()})).await;
    let text = parts(&answer.json().await)[0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("The tools answered: 42 degrees; 42 degrees"), "{text}");
}

#[tokio::test]
async fn older_models_know_no_ids_and_no_signatures() {
    let cloud = cloud().await;
    let mut said = called(&cloud, OLD).await;
    assert!(
        said[1]["parts"].as_array().unwrap().iter().all(|part| {
            part.get("thoughtSignature").is_none() && part["functionCall"].get("id").is_none()
        })
    );
    said.push(results(&said[1]));
    assert_eq!(generate(&cloud, OLD, "generateContent", &json!({"contents": said})).await.status, 200);
    said[1]["parts"][0]["functionCall"]["id"] = json!("call_1");
    let answer = generate(&cloud, OLD, "generateContent", &json!({"contents": said})).await.json().await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("Unknown name \"id\""), "{answer}");
}

#[tokio::test]
async fn streams_fold_to_the_whole_answer() {
    let cloud = cloud().await;
    let thinking = json!({"generationConfig": {"thinkingConfig": {"includeThoughts": true}}});
    let asked = json!({"contents": [user("Use get_rain and get_wind for Oslo")], "tools": tools(),
        "generationConfig": {"thinkingConfig": {"includeThoughts": true}}});
    for (model, body) in
        [(OLD, request(thinking.clone())), (NEW, request(thinking)), (NEW, asked), (OLD, request(json!({})))]
    {
        let whole = generate(&cloud, model, "generateContent", &body).await.json().await;
        let events = generate(&cloud, model, "streamGenerateContent?alt=sse", &body).await.events().await;
        let fragments: Vec<Value> = events.iter().map(Event::json).collect();
        let array = generate(&cloud, model, "streamGenerateContent", &body).await;
        assert_eq!(array.headers["content-type"], "application/json; charset=UTF-8");
        let array = array.json().await;
        assert_eq!(array.as_array().unwrap().len(), fragments.len());
        assert!(fragments.iter().all(|fragment| fragment["usageMetadata"]["promptTokenCount"].is_number()));
        let text = |answers: &[Value], thought: bool| -> String {
            let all = answers.iter().flat_map(parts);
            let mine = all.filter(|part| part.get("thought").is_some() == thought);
            mine.filter_map(|part| Some(part["text"].as_str()?.to_owned())).collect()
        };
        let one = [whole.clone()];
        for thought in [true, false] {
            assert_eq!(text(&fragments, thought), text(&one, thought), "{model}");
        }
        let calls = |answers: &[Value]| -> Vec<Value> {
            let all = answers.iter().flat_map(parts).filter(|part| part.get("functionCall").is_some());
            all.map(|part| json!([part["functionCall"]["name"], part["functionCall"]["args"]])).collect()
        };
        assert_eq!(calls(&fragments), calls(&one));
        let last = fragments.last().unwrap();
        assert_eq!(last["usageMetadata"], whole["usageMetadata"]);
        assert_eq!(last["candidates"][0]["finishReason"], whole["candidates"][0]["finishReason"]);
        let signature = |answers: &[Value]| {
            answers.iter().flat_map(parts).filter(|part| part.get("thoughtSignature").is_some()).count()
        };
        assert_eq!((signature(&fragments), signature(&one)), if model == NEW { (1, 1) } else { (0, 0) });
    }
}

#[tokio::test]
async fn unhappy_paths_are_told_in_the_dialect() {
    let cloud = cloud().await;
    for (demand, status, name) in [
        ("rate-limit", 429, "RESOURCE_EXHAUSTED"),
        ("overload", 503, "UNAVAILABLE"),
        ("crash", 500, "INTERNAL"),
    ] {
        let body = json!({"contents": [user(&format!("simulate:{demand}"))]});
        let answer = generate(&cloud, OLD, "streamGenerateContent?alt=sse", &body).await;
        assert_eq!(answer.status, status, "{demand}");
        let error = answer.json().await["error"].clone();
        assert_eq!(error["status"], name);
        assert_eq!(error["details"][0]["retryDelay"].is_string(), status == 429);
    }
    let body = json!({"contents": [user("simulate:break")]});
    let events = generate(&cloud, OLD, "streamGenerateContent?alt=sse", &body).await.events().await;
    assert!(events.len() > 1 && events.last().unwrap().json()["error"]["status"] == "INTERNAL");
    let array = generate(&cloud, OLD, "streamGenerateContent", &body).await.json().await;
    assert_eq!(array.as_array().unwrap().last().unwrap()["error"]["code"], 500);
    let refused = json!({"contents": [user("simulate:refusal")]});
    let answer = generate(&cloud, OLD, "generateContent", &refused).await.json().await;
    assert_eq!(answer["candidates"][0]["finishReason"], "SAFETY");
    let cut = json!({"contents": [user("get_rain for Oslo")], "tools": tools(),
        "generationConfig": {"maxOutputTokens": 2, "thinkingConfig": {"thinkingBudget": 0}}});
    let answer = generate(&cloud, OLD, "generateContent", &cut).await.json().await;
    assert_eq!(answer["candidates"][0]["finishReason"], "MALFORMED_FUNCTION_CALL");
    assert_eq!(parts(&answer), Vec::<Value>::new());
}

#[tokio::test]
async fn contents_are_embedded() {
    let cloud = cloud().await;
    let model = "gemini-embedding-001";
    let content = |text: &str| json!({"content": {"parts": [{"text": text}]}, "output_dimensionality": 3});
    let one = generate(&cloud, model, "embedContent", &content("a")).await.json().await;
    assert_eq!(one["embedding"]["values"].as_array().unwrap().len(), 3);
    let mut named = content("a");
    named["model"] = json!(format!("models/{model}"));
    let batch = generate(&cloud, model, "batchEmbedContents", &json!({"requests": [named, named]})).await;
    assert_eq!(batch.json().await["embeddings"], json!([one["embedding"], one["embedding"]]));
    for (model, verb, body, status, words) in [
        (model, "embedContent", json!({}), 400, "EmbedContentRequest.content"),
        (model, "embedContent", json!({"input": "x"}), 400, "Unknown name \"input\""),
        (model, "batchEmbedContents", json!({"requests": [content("a")]}), 400, "requests[0].model"),
        (model, "generateContent", request(json!({})), 404, "not supported for generateContent"),
        (OLD, "embedContent", content("a"), 404, "not supported for embedContent"),
    ] {
        let answer = generate(&cloud, model, verb, &body).await;
        assert_eq!(answer.status, status, "{verb} {body}");
        let error = answer.json().await["error"].clone();
        assert!(error["message"].as_str().unwrap().contains(words), "{words}: {error}");
    }
}
