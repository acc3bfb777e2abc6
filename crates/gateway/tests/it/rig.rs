//! A whole gateway for one test, and what tests ask of it.

use crate::client::{self, Answer, Ask};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use trunkline_core::Secret;
use trunkline_gateway::app::{self, Running};
use trunkline_gateway::config::{self, Config, ModelCard, Sources, WorkerSpec};
use trunkline_gateway::log::LogSink;
use trunkline_testkit::script::Reply;

/// Longest a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway that serves while this lives.
pub(crate) struct Rig {
    running: Option<Running>,
    sink: Arc<LogSink>,
    logged: Logged,
}

/// Takes what is logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Settings of a gateway on loopback that asks nothing of its workers: they are ready at once.
pub(crate) fn settings(workers: impl IntoIterator<Item = WorkerSpec>) -> Config {
    let mut config = Config { workers: workers.into_iter().collect(), igw: true, ..Config::default() };
    config.listen.host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    config.listen.port = 0;
    config.listen.shutdown_grace = PATIENCE;
    config.metrics.port = 0;
    config.runtime.threads = 1;
    config.health.enabled = false;
    config.health.startup_interval = Duration::from_millis(20);
    config.retry.initial_backoff = Duration::from_millis(1);
    config
}

/// An engine at `url` that serves `model`.
pub(crate) fn engine(url: impl Into<String>, model: &str) -> WorkerSpec {
    WorkerSpec { models: vec![ModelCard::Name(model.to_owned())], ..WorkerSpec::new(url) }
}

/// An account with `provider` at `url` that serves `model`.
pub(crate) fn cloud(url: impl Into<String>, provider: &str, model: &str, key: Option<&str>) -> WorkerSpec {
    WorkerSpec { provider: Some(provider.to_owned()), api_key: key.map(Secret::new), ..engine(url, model) }
}

impl Rig {
    /// Starts one and waits until all its workers are ready.
    pub(crate) async fn start(config: Config) -> Self {
        let rig = Self::start_unready(config).await;
        until("all workers are ready", async || {
            rig.shared().fleet.snapshot().workers.iter().all(|w| w.load.health().name() == "ready")
        })
        .await;
        rig
    }

    /// Starts one.
    pub(crate) async fn start_unready(config: Config) -> Self {
        Self::start_of(config, Sources::default()).await
    }

    /// Starts one with what `sources` say, and may say later.
    pub(crate) async fn start_from(sources: Sources) -> Self {
        Self::start_of(config::load(&sources).unwrap(), sources).await
    }

    async fn start_of(config: Config, sources: Sources) -> Self {
        let logged = Logged::default();
        let sink = LogSink::start_into(config.runtime.threads, Box::new(logged.clone()));
        let running = app::start(config, sources, Arc::clone(&sink)).await.unwrap();
        Self { running: Some(running), sink, logged }
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(crate) fn shared(&self) -> &trunkline_gateway::shared::Shared {
        &self.running().shared
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running().address()
    }

    /// Stops it and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.running.take().unwrap().stop().await;
    }

    /// Asks on a connection of its own.
    pub(crate) async fn ask(&self, ask: &Ask) -> Answer {
        client::ask(self.address(), ask).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&client::get(path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.ask(&client::post(path, body)).await
    }

    /// `GET /workers`, the workers alone.
    pub(crate) async fn workers(&self) -> Vec<Value> {
        self.get("/workers").await.json()["workers"].as_array().unwrap().clone()
    }

    /// Sum of all samples of a metric that have all of `labels`.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let answer = self.get("/metrics").await;
        let samples = answer.text().lines().filter(|line| {
            let rest = line.strip_prefix(name).unwrap_or_default();
            rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label))
        });
        samples.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> String {
        // Closed or not, what is in its buffers is written.
        self.sink.close();
        String::from_utf8(self.logged.0.lock().unwrap().clone()).unwrap()
    }

    /// The access lines so far.
    pub(crate) fn access(&self) -> Vec<String> {
        self.log().lines().filter(|line| line.contains(" access ")).map(str::to_owned).collect()
    }

    /// Waits for the access line that has `mark`.
    pub(crate) async fn access_line(&self, mark: &str) -> String {
        let find = || self.access().into_iter().find(|line| line.contains(mark));
        until(&format!("an access line with {mark}"), async || find().is_some()).await;
        find().unwrap()
    }

    /// Waits until nothing is in flight: every slot, every place and every gauge was given back.
    pub(crate) async fn at_rest(&self) {
        until("nothing is in flight", async || {
            let loads =
                self.shared().fleet.snapshot().workers.iter().map(|w| w.load.in_flight()).sum::<u64>();
            loads == 0 && self.shared().metrics.in_flight.get() == 0
        })
        .await;
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // Threads of a gateway that was not waited for end with their connections.
        if let Some(running) = &self.running {
            running.shared.stopping.send_replace(true);
            running.shared.fleet.close();
            self.sink.close();
        }
    }
}

/// Looks again and again until `holds`, for as long as a test may take.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// An endpoint, and the least a client, an engine and a stream say at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speech {
    pub(crate) path: &'static str,
    /// The field of the request that holds the prompt.
    pub(crate) prompt: &'static str,
    /// A whole answer.
    pub(crate) reply: &'static str,
    /// The beginning of a stream, its content, its end; empty where there are no streams.
    pub(crate) stream: [&'static str; 3],
}

pub(crate) const CHAT: Speech = Speech {
    path: "/v1/chat/completions",
    prompt: r#""messages":[{"role":"user","content":"hi"}]"#,
    reply: r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
    stream: [
        "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
        "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"},\"finish_reason\":null}]}\n\n",
        "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    ],
};

pub(crate) const COMPLETIONS: Speech = Speech {
    path: "/v1/completions",
    prompt: r#""prompt":"hi""#,
    reply: r#"{"id":"p1","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"hello","logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
    stream: [
        "data: {\"id\":\"p1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"hel\",\"finish_reason\":null}]}\n\n",
        "data: {\"id\":\"p1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"lo\",\"finish_reason\":null}]}\n\n",
        "data: {\"id\":\"p1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n",
    ],
};

pub(crate) const EMBEDDINGS: Speech = Speech {
    path: "/v1/embeddings",
    prompt: r#""input":"hi""#,
    reply: r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.25,-1.0]}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}"#,
    stream: [""; 3],
};

pub(crate) const RESPONSES: Speech = Speech {
    path: "/v1/responses",
    prompt: r#""input":"hi""#,
    reply: r#"{"id":"r1","object":"response","status":"completed","model":"m","output":[{"type":"message","id":"m1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hello","annotations":[]}]}],"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}}"#,
    stream: [
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r1\",\"object\":\"response\",\"status\":\"in_progress\",\"model\":\"m\",\"output\":[]}}\n\n",
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"item_id\":\"m1\",\"output_index\":0,\"content_index\":0,\"delta\":\"hello\"}\n\n",
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"id\":\"r1\",\"object\":\"response\",\"status\":\"completed\",\"model\":\"m\",\"output\":[],\"usage\":{\"input_tokens\":3,\"output_tokens\":2,\"total_tokens\":5}}}\n\n",
    ],
};

pub(crate) const MESSAGES: Speech = Speech {
    path: "/v1/messages",
    prompt: r#""max_tokens":64,"messages":[{"role":"user","content":"hi"}]"#,
    reply: r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}}"#,
    stream: [
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hello\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":2}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ],
};

pub(crate) const ALL: [Speech; 5] = [CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, MESSAGES];
pub(crate) const STREAMING: [Speech; 4] = [CHAT, COMPLETIONS, RESPONSES, MESSAGES];

impl Speech {
    pub(crate) fn is_messages(&self) -> bool {
        self.path == MESSAGES.path
    }

    /// A request body for `model`.
    pub(crate) fn body(&self, model: &str, streams: bool) -> String {
        let stream = if streams { ",\"stream\":true" } else { "" };
        format!("{{\"model\":\"{model}\",{}{stream}}}", self.prompt)
    }

    /// A request for model `m`.
    pub(crate) fn ask(&self, streams: bool) -> Ask {
        client::post(self.path, self.body("m", streams))
    }

    /// The answer of an engine to [`Speech::ask`].
    pub(crate) fn answer(&self, streams: bool) -> Reply {
        if streams { Reply::events(self.stream, Duration::ZERO) } else { Reply::json(200, self.reply) }
    }

    /// A worker at `url` that serves model `m` in this dialect.
    pub(crate) fn worker(&self, url: impl Into<String>) -> WorkerSpec {
        if self.is_messages() { cloud(url, "anthropic", "m", None) } else { engine(url, "m") }
    }

    /// Checks that `body` is an error in this dialect, and gives its message.
    pub(crate) fn error(&self, body: &Value) -> String {
        let error = &body["error"];
        assert!(error["type"].is_string(), "{} expects an error with a type: {body}", self.path);
        assert_eq!(body["type"] == "error", self.is_messages(), "the shape of {}: {body}", self.path);
        error["message"].as_str().unwrap().to_owned()
    }
}

/// The values of all headers of all requests, for searching.
pub(crate) fn header_text(headers: &HeaderMap) -> String {
    headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())))
        .collect()
}

/// Body pieces of a scripted stream, each sent as a chunk of its own.
pub(crate) fn pieces(parts: &[&str]) -> Vec<Bytes> {
    parts.iter().map(|part| Bytes::copy_from_slice(part.as_bytes())).collect()
}
