//! Every row of the providers, and of what is set up like one: what an upstream of it is asked for, and what its client
//! gets.
//!
//! A row has a fixture, `fixtures/ID.json`, with one entry for each of the things that clients ask for; a row without
//! one is refused. `UPDATE_FIXTURES=1` writes them anew, to be read before they are committed. The page of providers is
//! made of rows and fixtures; `UPDATE_DOCS=1` writes it.

mod page;

use crate::client::{Answer, Ask, post};
use crate::rig::{CHAT, EMBEDDINGS, Rig, settings};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use trunkline_core::{Dialect, Secret};
use trunkline_dialect::provider::{
    AuthStyle, ENGINE_DIALECTS, OLLAMA, OLLAMA_DIALECTS, PROVIDERS, Provider, VERTEX, VERTEX_CLAUDE,
};
use trunkline_gateway::config::{Aws, ModelCard, RuntimeName, WorkerSpec};
use trunkline_testkit::Received;
use trunkline_testkit::cloud::{self, Cloud, CloudConfig};
use trunkline_testkit::script::{Reply, Upstream};

/// The key of every account.
const KEY: &str = "key-of-the-account";

/// What every provider is asked for, in order.
pub(super) const ASKS: [&str; 10] =
    ["chat", "stream", "tools", "error", "embeddings", "images", "edits", "speech", "transcripts", "rerank"];

/// Whatever speaks OpenAI's dialect, at an address that the operator writes down.
pub(super) const COMPATIBLE: &str = "openai-compatible";

/// No providers, but servers of the operator's own that are set up like one.
static SERVERS: [Provider; 2] =
    [Provider { id: OLLAMA, dialects: OLLAMA_DIALECTS, ..SERVER }, Provider { id: COMPATIBLE, ..SERVER }];

const SERVER: Provider = Provider {
    id: "",
    aliases: &[],
    base_url: None,
    models_path: Some("/v1/models"),
    domains: &[],
    model_prefixes: &[],
    key_prefixes: &[],
    key_variables: &[],
    url_variables: &[],
    dialects: ENGINE_DIALECTS,
    auth: AuthStyle::Bearer,
    versioned: true,
};

pub(super) fn is_server(row: &Provider) -> bool {
    SERVERS.iter().any(|server| server.id == row.id)
}

/// The providers, and what is set up like one.
pub(super) fn rows() -> impl Iterator<Item = &'static Provider> {
    PROVIDERS.iter().chain(&SERVERS)
}

/// An account of one row, simulated.
enum Account {
    /// Answers in OpenAI's dialect wherever it is asked.
    Like(Upstream),
    /// One of the providers that have a dialect of their own.
    Own(Cloud, Models),
}

impl Account {
    async fn of(row: &Provider) -> Self {
        let Some((provider, models)) = own_dialect(row) else {
            return Self::Like(Upstream::directed(|request, _| like_openai(request)).await.unwrap());
        };
        let mut config = CloudConfig::new(provider);
        config.api_key = KEY.to_owned();
        let served = models.iter().filter(|model| !model.is_empty());
        config.models = served.map(|model| (*model).to_owned()).collect();
        Self::Own(Cloud::start(provider, config).await.unwrap(), models)
    }

    fn url(&self) -> String {
        match self {
            Self::Like(upstream) => upstream.url(),
            Self::Own(cloud, _) => cloud.url(),
        }
    }

    /// The model that is asked for.
    fn model(&self, what: &str) -> &'static str {
        match (self, what) {
            (Self::Like(_), _) => "some-model",
            // It has the owner that Replicate's have.
            (Self::Own(..), "error") => "nobody/absent",
            (Self::Own(_, models), _) => {
                let [chat, vectors, ranks, pictures, speaks] = models;
                let own = match what {
                    "embeddings" => vectors,
                    "rerank" => ranks,
                    "images" | "edits" => pictures,
                    "speech" => speaks,
                    _ => chat,
                };
                if own.is_empty() { chat } else { own }
            }
        }
    }

    /// What it was asked to do.
    fn asked(&self) -> Vec<Received> {
        let all = match self {
            Self::Like(upstream) => upstream.requests(),
            Self::Own(cloud, _) => cloud.requests(),
        };
        all.into_iter().filter(|request| request.method == http::Method::POST).collect()
    }
}

/// Models for chats, for vectors, for ranks, for pictures and for speech; empty where there is none.
type Models = [&'static str; 5];

/// What an account with a provider that has a dialect of its own serves.
fn own_dialect(row: &Provider) -> Option<(cloud::Provider, Models)> {
    const DRAWS: &str = "gemini-2.5-flash-image";
    const SPEAKS: &str = "gemini-2.5-flash-preview-tts";
    const RANKS: &str = "semantic-ranker-default@latest";
    match row.dialects.first()? {
        Dialect::AnthropicMessages if row.id == VERTEX_CLAUDE => {
            Some((cloud::Provider::Vertex, ["claude-haiku-4-5", "", "", "", ""]))
        }
        Dialect::GeminiGenerate if row.id == VERTEX => {
            Some((cloud::Provider::Vertex, ["gemini-2.5-flash", "text-embedding-005", RANKS, DRAWS, SPEAKS]))
        }
        Dialect::AnthropicMessages => {
            Some((cloud::Provider::Anthropic, ["claude-haiku-4-5", "", "", "", ""]))
        }
        Dialect::GeminiGenerate => {
            Some((cloud::Provider::Gemini, ["gemini-2.5-flash", "gemini-embedding-001", "", DRAWS, SPEAKS]))
        }
        Dialect::BedrockConverse => Some((
            cloud::Provider::Bedrock,
            [
                "anthropic.claude-sonnet-4-20250514-v1:0",
                "amazon.titan-embed-text-v2:0",
                "cohere.rerank-v3-5:0",
                "amazon.nova-canvas-v1:0",
                "",
            ],
        )),
        Dialect::CohereChat => {
            Some((cloud::Provider::Cohere, ["command-a-03-2025", "embed-v4.0", "rerank-v3.5", "", ""]))
        }
        Dialect::ReplicatePredictions => Some((
            cloud::Provider::Replicate,
            ["meta/meta-llama-3-8b-instruct", "", "", "black-forest-labs/flux-kontext-pro", ""],
        )),
        Dialect::OpenaiChat
        | Dialect::OpenaiCompletions
        | Dialect::OpenaiResponses
        | Dialect::OllamaChat
        | Dialect::OllamaGenerate
        | Dialect::Surface(_) => None,
    }
}

fn like_openai(request: &Received) -> Reply {
    let (path, body) = (request.path(), request.json());
    if request.method == http::Method::GET {
        return Reply::json(404, "{}");
    }
    if body["messages"][0]["content"] == "fail" {
        let error =
            json!({"error": {"message": "slow down", "type": "rate_limit_error", "code": "rate_limited"}});
        return Reply::json(429, error.to_string()).header("retry-after", "0");
    }
    // Pictures as files: Fireworks's and Hugging Face's.
    if path.ends_with("/text_to_image") || (path.contains("/models/") && !path.contains("/pipeline/")) {
        return Reply::json(200, PNG);
    }
    // Hugging Face's own forms.
    if !body["inputs"].is_null() {
        return Reply::json(200, "[[0.25,-1.0]]");
    }
    if !body["texts"].is_null() {
        return Reply::json(200, r#"[{"index":1,"score":0.9},{"index":0,"score":0.1}]"#);
    }
    if path.ends_with("/embeddings") {
        return Reply::json(200, EMBEDDINGS.reply);
    }
    if path.ends_with("/audio/speech") {
        // Mistral's is inside an object, which is as good a sound as any other.
        return Reply::json(200, r#"{"audio_data":"AQID"}"#);
    }
    if path.ends_with("/audio/transcriptions") {
        return Reply::json(200, r#"{"text":"hello"}"#);
    }
    if path.contains("/images/") {
        return Reply::json(200, r#"{"created":1,"data":[{"b64_json":"aGk="}]}"#);
    }
    if path.ends_with("/rerank") {
        return Reply::json(200, r#"{"id":"r","results":[{"index":0,"relevance_score":0.5}]}"#);
    }
    if body["tools"].is_array() {
        return Reply::json(200, TOOL_CALL);
    }
    if body["stream"] == true {
        Reply::events(CHAT.stream, Duration::ZERO)
    } else {
        Reply::json(200, CHAT.reply)
    }
}

/// What makes a picture one.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

const TOOL_CALL: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Rome\"}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;

/// One of [`ASKS`].
fn ask(what: &str, model: &str) -> Ask {
    let form = |path: &str, fields: &[(&str, &str)], name: &str, kind: &str| {
        let field = |(name, value): &(&str, &str)| {
            format!("--cut\r\ncontent-disposition: form-data; name={name}\r\n\r\n{value}\r\n")
        };
        let fields: String = fields.iter().map(field).collect();
        let file = format!(
            "--cut\r\ncontent-disposition: form-data; name={name}; filename=f\r\ncontent-type: {kind}"
        );
        let body = format!("{fields}{file}\r\n\r\nbytes\r\n--cut--\r\n");
        post(path, body).bare().header("content-type", "multipart/form-data; boundary=cut")
    };
    match what {
        "edits" => {
            form("/v1/images/edits", &[("model", model), ("prompt", "make it blue")], "image", "image/png")
        }
        "transcripts" => form("/v1/audio/transcriptions", &[("model", model)], "file", "audio/wav"),
        other => {
            let (path, body) = object(other, model);
            post(path, body.to_string())
        }
    }
}

/// The path and body of one that is JSON.
fn object(what: &str, model: &str) -> (&'static str, Value) {
    let saying = |text: &str| json!({"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": text}]});
    let with = |mut body: Value, key: &str, value: Value| {
        body[key] = value;
        body
    };
    let weather = json!([{"type": "function", "function": {"name": "weather", "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]);
    match what {
        "chat" => (CHAT.path, saying("Say hello.")),
        "stream" => (CHAT.path, with(saying("Say hello."), "stream", true.into())),
        "tools" => (CHAT.path, with(saying("How is the weather in Rome?"), "tools", weather)),
        "error" => (CHAT.path, saying("fail")),
        "embeddings" => (EMBEDDINGS.path, json!({"model": model, "input": ["hello"]})),
        "images" => ("/v1/images/generations", json!({"model": model, "prompt": "a hill", "n": 1})),
        "speech" => (
            "/v1/audio/speech",
            json!({"model": model, "input": "hello", "voice": "alloy", "response_format": "wav"}),
        ),
        "rerank" => {
            ("/v1/rerank", json!({"model": model, "query": "sea", "documents": ["a hill", "the sea"]}))
        }
        other => panic!("nobody asks for {other}"),
    }
}

/// What a client got, without what differs from run to run.
fn got(answer: &Answer) -> Value {
    let body = if answer.header("content-type").starts_with("application/json") {
        answer.json()
    } else {
        Value::Null
    };
    let error = &body["error"];
    if error.is_object() {
        return json!({"status": answer.status, "code": error["code"], "type": error["type"]});
    }
    let warned = answer.header("x-trunkline-warnings");
    if warned.is_empty() {
        return json!({"status": answer.status});
    }
    json!({"status": answer.status, "warnings": warned})
}

/// What the upstream was told, its secrets by the headers they stand in.
fn told(request: &Received) -> Value {
    let keyed = request.headers.iter().filter(|(_, value)| {
        let value = value.to_str().unwrap_or_default();
        value.contains(KEY) || value.starts_with("AWS4-HMAC-SHA256")
    });
    let keys: Vec<String> = keyed
        .map(|(name, value)| match value.to_str().unwrap().split_once(' ') {
            Some((scheme, _)) => format!("{name}: {scheme}"),
            None => name.to_string(),
        })
        .collect();
    let json = request.json();
    let body = if json.is_null() { String::from_utf8_lossy(&request.body).into() } else { json };
    json!({"path": request.uri.path_and_query().unwrap().as_str(), "key": keys.join(", "), "body": body})
}

fn spec(row: &Provider, account: &Account) -> WorkerSpec {
    // What an account's address has behind its host belongs to it.
    let path = row.base_url.and_then(|url| url.split_once("://")?.1.split_once('/')).map(|(_, path)| path);
    let models = ASKS.map(|what| account.model(what).to_owned());
    let place = [VERTEX, VERTEX_CLAUDE].contains(&row.id).then(|| "acme".to_owned());
    // That of a project is made of its name.
    let path = path.filter(|path| place.is_none() && !path.contains('{'));
    let path = path.map(|path| format!("/{path}")).unwrap_or_default();
    let aws = Aws { region: Some("us-east-1".to_owned()), ..Aws::default() };
    let is_bedrock = row.dialects.first() == Some(&Dialect::BedrockConverse);
    WorkerSpec {
        project: place.clone(),
        location: place,
        provider: (!is_server(row)).then(|| row.id.to_owned()),
        runtime: (row.id == OLLAMA).then_some(RuntimeName::Ollama),
        api_key: Some(Secret::new(KEY)),
        aws: if is_bedrock { aws } else { Aws::default() },
        models: models.map(ModelCard::Name).to_vec(),
        ..WorkerSpec::new(format!("{}{path}", account.url()))
    }
}

async fn seen(row: &Provider) -> Value {
    let account = Account::of(row).await;
    let mut config = settings([spec(row, &account)]);
    config.retry.attempts = 1;
    let rig = Rig::start(config).await;
    let mut fixture = Map::new();
    for what in ASKS {
        let before = account.asked().len();
        let answer = rig.ask(&ask(what, account.model(what))).await;
        let told: Vec<Value> = account.asked().iter().skip(before).map(told).collect();
        if what == "stream" && answer.status == 200 {
            assert!(answer.text().trim_end().ends_with("data: [DONE]"), "{}: {}", row.id, answer.text());
        }
        fixture.insert(what.to_owned(), json!({"told": told, "got": got(&answer)}));
    }
    Value::Object(fixture)
}

pub(super) fn fixture_of(row: &Provider) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/rows/fixtures").join(format!("{}.json", row.id))
}

pub(super) fn read(row: &Provider) -> Value {
    let path = fixture_of(row);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| {
        panic!("provider `{}` has no fixture; UPDATE_FIXTURES=1 writes {}", row.id, path.display())
    });
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn every_provider_is_asked_as_its_fixture_says() {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    for row in rows() {
        let seen = seen(row).await;
        if update {
            std::fs::create_dir_all(fixture_of(row).parent().unwrap()).unwrap();
            std::fs::write(fixture_of(row), serde_json::to_string_pretty(&seen).unwrap() + "\n").unwrap();
        }
        let wanted = read(row);
        for what in ASKS {
            assert_eq!(seen[what], wanted[what], "{}: {what}", row.id);
        }
    }
}

#[test]
fn every_provider_chats_streams_and_reports_errors() {
    for row in rows() {
        let fixture = read(row);
        let status = |what: &str| fixture[what]["got"]["status"].as_u64().unwrap();
        assert_eq!((status("chat"), status("stream")), (200, 200), "{}", row.id);
        for what in ASKS {
            let told = fixture[what]["told"].as_array().unwrap();
            // What a provider has not is refused here, in words, and nothing is sent.
            assert!(status(what) == 200 || what == "error" || told.is_empty(), "{}: {what}", row.id);
            assert!(told.iter().all(|request| request["key"] != ""), "{}: {what} without a key", row.id);
        }
    }
    let files = std::fs::read_dir(fixture_of(&PROVIDERS[0]).parent().unwrap()).unwrap();
    for file in files {
        let name = file.unwrap().file_name().into_string().unwrap();
        let known = rows().any(|row| format!("{}.json", row.id) == name);
        assert!(known, "{name} is of no provider");
    }
}

#[tokio::test]
async fn what_capabilities_promise_is_what_fixtures_show() {
    let rig = Rig::start(settings([])).await;
    let told = rig.get("/v1/capabilities").await.json();
    for row in PROVIDERS {
        let fixture = read(row);
        for what in ASKS {
            let promised = told["accounts"][row.id].get(ask(what, "m").path()).is_some();
            let given = fixture[what]["got"]["status"] == 200;
            // Whoever converses may call no tools; an error is asked for.
            assert!(promised == given || ["tools", "error"].contains(&what), "{}: {what}", row.id);
        }
    }
}
