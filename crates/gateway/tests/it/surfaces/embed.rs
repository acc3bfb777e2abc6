//! Vectors: from every client's form to every upstream's.

use super::{account, ok, self_hosted};
use crate::client::post;
use crate::rig::{Rig, cloud, engine, settings};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use trunkline_gateway::config::RuntimeName;
use trunkline_testkit::cloud::Provider;
use trunkline_testkit::engine::Flavour;
use trunkline_testkit::script::{Reply, Upstream};

/// The path and the body that ask for the vector of `text`, and where the answer holds it, in each form.
fn forms(model: &str, text: &str) -> [(String, Value, &'static str); 6] {
    let content = json!({"parts": [{"text": text}]});
    let gemini = |verb: &str| format!("/v1beta/models/{}:{verb}", model.replace(':', "%3A"));
    [
        ("/v1/embeddings".to_owned(), json!({"model": model, "input": [text]}), "/data/0/embedding"),
        (gemini("embedContent"), json!({"content": content}), "/embedding/values"),
        (
            gemini("batchEmbedContents"),
            json!({"requests": [{"model": format!("models/{model}"), "content": content}]}),
            "/embeddings/0/values",
        ),
        ("/api/embed".to_owned(), json!({"model": model, "input": text}), "/embeddings/0"),
        ("/api/embeddings".to_owned(), json!({"model": model, "prompt": text}), "/embedding"),
        (
            "/v2/embed".to_owned(),
            json!({"model": model, "texts": [text], "input_type": "search_document", "embedding_types": ["float"]}),
            "/embeddings/float/0",
        ),
    ]
}

#[expect(clippy::cast_possible_truncation, reason = "vectors are made of `f32`s")]
fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

/// Asks for the same vector in every form, and checks that it is the same.
async fn all_forms(rig: &Rig, model: &str) -> Vec<f32> {
    let mut first: Option<Vec<f32>> = None;
    for (path, body, place) in forms(model, "the open sea") {
        let answer = ok(rig.post(&path, &body.to_string()).await).json();
        let vector = floats(answer.pointer(place).unwrap_or_else(|| panic!("{path}: {answer}")));
        assert_eq!(vector.len(), 64, "{path}");
        assert_eq!(*first.get_or_insert_with(|| vector.clone()), vector, "{path}");
    }
    rig.at_rest().await;
    first.unwrap()
}

#[tokio::test]
async fn every_client_reaches_every_provider() {
    let cases = [
        (Provider::OpenAi, "text-embedding-3-small"),
        (Provider::Gemini, "gemini-embedding-001"),
        (Provider::Cohere, "embed-v4.0"),
        (Provider::Bedrock, "amazon.titan-embed-text-v2:0"),
        (Provider::Bedrock, "cohere.embed-english-v3"),
    ];
    let mut vectors = Vec::new();
    for (provider, model) in cases {
        let (_account, rig) = account(provider, model).await;
        vectors.push(all_forms(&rig, model).await);
        let used = rig.metric("trunkline_tokens_total", &["direction=\"input\""]).await;
        assert_eq!(used > 0.0, provider != Provider::Gemini, "{provider:?} says what it used");
    }
    let (_ollama, rig) = self_hosted(Flavour::Ollama).await;
    vectors.push(all_forms(&rig, "m").await);
    let (_vllm, rig) = self_hosted(Flavour::Vllm).await;
    vectors.push(all_forms(&rig, "m").await);
    assert!(vectors.windows(2).all(|pair| pair[0] == pair[1]), "the simulated models all agree");
}

#[tokio::test]
async fn trap17_base64_and_float_are_the_same_bits() {
    let (cohere, rig) = account(Provider::Cohere, "embed-v4.0").await;
    let ask = |format: &str| {
        json!({"model": "embed-v4.0", "input": ["a", "b"], "encoding_format": format}).to_string()
    };
    let floats_of = ok(rig.post("/v1/embeddings", &ask("float")).await).json();
    let packed = ok(rig.post("/v1/embeddings", &ask("base64")).await);
    let packed = packed.json();
    for at in 0..2 {
        let bytes = STANDARD.decode(packed["data"][at]["embedding"].as_str().unwrap()).unwrap();
        let unpacked: Vec<f32> =
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        assert_eq!(floats(&floats_of["data"][at]["embedding"]), unpacked);
        assert_eq!(packed["data"][at]["index"], at);
    }
    assert!(packed["usage"]["prompt_tokens"].as_u64().unwrap() > 0, "{packed}");
    assert_eq!(cohere.requests().pop().unwrap().json()["input_type"], "search_document");
    // A client of another form reaches base64 too, from an upstream that makes numbers.
    let (_openai, rig) = account(Provider::OpenAi, "text-embedding-3-small").await;
    let body = json!({"model": "text-embedding-3-small", "texts": ["a"], "input_type": "search_query",
        "embedding_types": ["float", "base64"]});
    let both = ok(rig.post("/v2/embed", &body.to_string()).await);
    let warned = both.header("x-trunkline-warnings").to_owned();
    let both = both.json();
    let numbers = floats(&both["embeddings"]["float"][0]);
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    assert_eq!(both["embeddings"]["base64"][0], STANDARD.encode(bytes));
    assert!(warned.contains("input_type dropped"), "{warned}");
}

#[tokio::test]
async fn one_dialect_is_a_splice() {
    let upstream =
        Upstream::replying([Reply::json(200, r#"{"object":"list","data":[],"odd":1.0}"#)]).await.unwrap();
    let rig = Rig::start(settings([engine(upstream.url(), "m")])).await;
    let body = r#"{"model":"m", "input":[[1,2],[3]],"unknown":1.0}"#;
    let answer = ok(rig.post("/v1/embeddings", body).await);
    assert_eq!(answer.text(), r#"{"object":"list","data":[],"odd":1.0}"#);
    assert_eq!(upstream.requests().pop().unwrap().body, body.as_bytes());
}

#[tokio::test]
async fn what_takes_several_requests_is_one_answer() {
    let model = "amazon.titan-embed-text-v2:0";
    let (bedrock, rig) = account(Provider::Bedrock, model).await;
    let texts: Vec<String> = (0..20).map(|n| format!("text {n}")).collect();
    let body = json!({"model": model, "input": texts, "dimensions": 8}).to_string();
    let answer = ok(rig.post("/v1/embeddings", &body).await);
    assert!(answer.header("x-trunkline-warnings").starts_with("input emulated"));
    let many = answer.json();
    assert_eq!(bedrock.requests().len(), 20);
    for (at, text) in texts.iter().enumerate() {
        let alone = json!({"model": model, "input": text, "dimensions": 8}).to_string();
        let alone = ok(rig.post("/v1/embeddings", &alone).await).json();
        assert_eq!(many["data"][at]["embedding"], alone["data"][0]["embedding"], "{text}");
    }
    rig.at_rest().await;
}

#[tokio::test]
async fn text_embeddings_inference_is_spoken_to_in_its_own_form() {
    let upstream = Upstream::directed(|_, _| Reply::json(200, "[[0.25,-1.5]]")).await.unwrap();
    let mut worker = engine(upstream.url(), "bge");
    worker.runtime = Some(RuntimeName::Tei);
    let mut config = settings([worker]);
    config.aliases.insert("vectors".to_owned(), "bge".to_owned());
    let rig = Rig::start(config).await;
    let body = r#"{"model":"vectors","texts":["a"],"input_type":"clustering","truncate":"START"}"#;
    let answer = ok(rig.post("/v2/embed", body).await);
    assert_eq!(answer.json()["embeddings"]["float"], json!([[0.25, -1.5]]));
    assert!(answer.header("x-trunkline-warnings").contains("input_type dropped"));
    let heard = upstream.requests().pop().unwrap();
    assert_eq!(heard.path(), "/embed");
    assert_eq!(heard.json(), json!({"inputs": ["a"], "truncate": true, "truncation_direction": "Left"}));
    // OpenAI's form it speaks as well, and so nothing is translated.
    let wrong = rig.post("/v1/embeddings", r#"{"model":"bge","input":"a"}"#).await;
    assert_eq!(wrong.status, 502, "a bare list is no answer in OpenAI's form");
    assert_eq!(upstream.requests().pop().unwrap().path(), "/v1/embeddings");
}

#[tokio::test]
async fn hugging_faces_router_makes_vectors_as_a_task_of_their_model() {
    const MODEL: &str = "intfloat/e5 small";
    for (answered, want) in [
        ("[[0.25,-1.5]]", Some(json!([0.25, -1.5]))),
        ("[0.25,-1.5]", Some(json!([0.25, -1.5]))),
        // A vector for each token is none for the text.
        ("[[[0.25,-1.5],[1,2]]]", None),
    ] {
        let upstream = Upstream::directed(move |_, _| Reply::json(200, answered)).await.unwrap();
        let worker = cloud(format!("{}/v1", upstream.url()), "huggingface", MODEL, Some("hf_test"));
        let mut config = settings([worker]);
        config.retry.attempts = 1;
        let rig = Rig::start(config).await;
        let answer = rig.post("/v1/embeddings", &json!({"model": MODEL, "input": "a"}).to_string()).await;
        let heard = upstream.requests().pop().unwrap();
        assert_eq!(heard.path(), "/hf-inference/models/intfloat/e5%20small/pipeline/feature-extraction");
        assert_eq!(heard.header("authorization"), Some("Bearer hf_test"));
        assert_eq!(heard.json(), json!({"inputs": ["a"]}));
        assert_eq!(answer.status, if want.is_some() { 200 } else { 502 }, "{}", answer.text());
        assert_eq!(answer.json().pointer("/data/0/embedding"), want.as_ref(), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_vendor_that_would_misread_the_clients_bytes_is_asked_in_its_own_words() {
    for (asked, want, lost) in [
        (json!({"model": "m", "input": "a", "odd": 1}), json!({"model": "m", "input": "a", "odd": 1}), ""),
        (
            json!({"model": "m", "input": "a", "dimensions": 8, "user": "ada", "output_dtype": "float"}),
            json!({"model": "m", "input": ["a"], "output_dimension": 8, "output_dtype": "float"}),
            "user dropped",
        ),
    ] {
        let upstream = Upstream::replying([Reply::json(200, crate::rig::EMBEDDINGS.reply)]).await.unwrap();
        let rig = Rig::start(settings([cloud(upstream.url(), "mistral", "m", Some("key"))])).await;
        let answer = ok(rig.post("/v1/embeddings", &asked.to_string()).await);
        assert_eq!(upstream.requests().pop().unwrap().json(), want);
        let warned = answer.header("x-trunkline-warnings");
        assert!(warned.contains(lost) && warned.is_empty() == lost.is_empty(), "{asked}: {warned}");
    }
}

#[tokio::test]
async fn what_a_target_cannot_embed_is_refused_in_the_callers_form() {
    let (cohere, rig) = account(Provider::Cohere, "embed-v4.0").await;
    let tokens = rig.post("/v1/embeddings", r#"{"model":"embed-v4.0","input":[1,2]}"#).await;
    assert_eq!(tokens.status, 400);
    let error = tokens.json();
    assert_eq!(
        (&error["error"]["param"], &error["error"]["code"]),
        (&json!("input"), &json!("unsupported_content"))
    );
    let picture = r#"{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":""}}]}}"#;
    let picture = rig.post("/v1beta/models/embed-v4.0:embedContent", picture).await;
    assert_eq!((picture.status, &picture.json()["error"]["status"]), (400, &json!("INVALID_ARGUMENT")));
    assert!(cohere.requests().iter().all(|heard| heard.path() != "/v2/embed"), "nothing was sent");
    // The operator may refuse what others warn of.
    let strict = {
        let config = trunkline_testkit::cloud::CloudConfig {
            models: vec!["m".to_owned()],
            ..trunkline_testkit::cloud::CloudConfig::new(Provider::OpenAi)
        };
        let openai = trunkline_testkit::cloud::Cloud::start(Provider::OpenAi, config).await.unwrap();
        let mut config = settings([crate::rig::cloud(openai.url(), "openai", "m", Some("sk-test"))]);
        config.translate.on_unsupported_param = trunkline_core::OnUnsupported::Reject;
        (openai, Rig::start(config).await)
    };
    let refused = strict.1.post("/api/embed", r#"{"model":"m","input":"a","keep_alive":"5m"}"#).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.json()["error"].as_str().unwrap().contains("keep_alive"), "{}", refused.text());
}

#[tokio::test]
async fn errors_keep_their_meaning() {
    let (_account, rig) = account(Provider::Cohere, "embed-v4.0").await;
    let unknown = rig.post("/v2/embed", r#"{"model":"nobody","texts":["a"]}"#).await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.json()["message"].as_str().unwrap().contains("`nobody`"), "{}", unknown.text());
    let chat_only = self_hosted(Flavour::Generic).await;
    let (_anthropic, other) = account(Provider::Anthropic, "claude-haiku-4-5").await;
    let none = other.post("/v1/embeddings", r#"{"model":"claude-haiku-4-5","input":"a"}"#).await;
    assert_eq!(none.status, 400);
    assert_eq!(none.json()["error"]["code"], "dialect_not_supported", "{}", none.text());
    assert!(none.text().contains("GET /v1/capabilities"), "{}", none.text());
    let wrong = chat_only.1.ask(&post("/v1/embeddings", r#"{"model":"m","input":[]}"#)).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text());
}
