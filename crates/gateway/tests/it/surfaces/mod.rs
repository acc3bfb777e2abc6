//! What is asked for besides conversations, in front of upstreams that have it and of those that do not.

mod costs;
mod count;
mod edits;
mod embed;
mod images;
mod openai;
mod rerank;
mod speech;
mod transcripts;
mod vertex;

use crate::client::{Answer, Ask, post};
use crate::rig::{Rig, cloud, engine, settings};
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};
use trunkline_testkit::engine::{Engine, EngineConfig, Flavour};

/// A gateway in front of a simulated account with `provider` that serves `model`.
async fn account(provider: Provider, model: &str) -> (Cloud, Rig) {
    let config = CloudConfig { models: vec![model.to_owned()], ..CloudConfig::new(provider) };
    let account = Cloud::start(provider, config).await.unwrap();
    let rig = Rig::start(settings([cloud(account.url(), provider.name(), model, Some("sk-test"))])).await;
    (account, rig)
}

/// A gateway in front of a simulated engine that serves `m`.
async fn self_hosted(flavour: Flavour) -> (Engine, Rig) {
    let config = EngineConfig {
        flavour,
        models: vec!["m".to_owned()],
        time_scale: 0.0,
        record: 100,
        ..EngineConfig::default()
    };
    let simulated = Engine::start(config).await.unwrap();
    let mut worker = engine(simulated.url(), "m");
    if flavour == Flavour::Ollama {
        worker.runtime = Some(trunkline_gateway::config::RuntimeName::Ollama);
    }
    let rig = Rig::start(settings([worker])).await;
    (simulated, rig)
}

fn ok(answer: Answer) -> Answer {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

const TRANSCRIBE: &str = "/v1/audio/transcriptions";
const KIND: &str = "multipart/form-data; boundary=frontier";

fn field(name: &str, value: &str) -> Vec<u8> {
    format!("--frontier\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").into()
}

fn file(name: &str, bytes: &[u8]) -> Vec<u8> {
    typed_file(name, "audio/wav", bytes)
}

fn typed_file(name: &str, kind: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!(
        "--frontier\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.wav\"\r\n\
         Content-Type: {kind}\r\n\r\n"
    );
    [head.as_bytes(), bytes, b"\r\n"].concat()
}

fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), b"--frontier--\r\n".to_vec()].concat()
}

fn upload(path: &str, body: Vec<u8>) -> Ask {
    post(path, body).bare().header("content-type", KIND)
}
