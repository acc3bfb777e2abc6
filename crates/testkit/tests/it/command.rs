//! The simulated servers from the command line.

use crate::client::send;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use trunkline_testkit::cloud::Provider;
use trunkline_testkit::engine::Flavour;

/// A server that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `testkit` and reads the line that says it listens.
fn start(arguments: &[&str]) -> (Running, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testkit"));
    let mut running = Running(command.args(arguments).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (running, serde_json::from_str(&line).unwrap())
}

#[tokio::test]
async fn every_provider_and_flavour_starts() {
    let keys = [("authorization", "Bearer k"), ("anthropic-version", "2023-06-01"), ("x-goog-api-key", "k")];
    for provider in Provider::ALL {
        let name = provider.name();
        let (_running, ready) = start(&["cloud", "--provider", name, "--api-key", "k"]);
        assert_eq!(ready["provider"], name);
        let models = match provider {
            Provider::OpenAi | Provider::Anthropic | Provider::Cohere | Provider::Replicate => "/v1/models",
            Provider::Gemini => "/v1beta/models",
            Provider::Bedrock => "/foundation-models",
            Provider::Vertex => "/v1beta1/publishers/google/models",
        };
        // Google takes a bearer token for OAuth's, but looks at its own header first.
        let answer = send(ready["urls"][0].as_str().unwrap(), models, &keys, &Value::Null).await.unwrap();
        assert_eq!(answer.status, 200, "{name}");
        let listed = answer.text().await;
        assert!(listed.contains(ready["models"][0].as_str().unwrap()), "{listed}");
    }
    for flavour in Flavour::ALL {
        let (_running, ready) = start(&["engine", "--flavour", flavour.name()]);
        let url = ready["urls"][0].as_str().unwrap();
        assert_eq!(send(url, "/v1/models", &[], &Value::Null).await.unwrap().status, 200, "{flavour:?}");
    }
}

#[tokio::test]
async fn requests_are_written_down() {
    let file = std::env::temp_dir().join(format!("testkit-record-{}.jsonl", std::process::id()));
    let path = file.to_str().unwrap();
    for server in [&["engine"][..], &["cloud", "--provider", "openai"]] {
        let (_running, ready) = start(&[server, &["--record", path]].concat());
        let body = serde_json::json!({"model": "m", "messages": []});
        let headers = [("content-type", "application/json")];
        send(ready["urls"][0].as_str().unwrap(), "/v1/chat/completions?x=1", &headers, &body).await.unwrap();
        let mut line: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let headers = line.as_object_mut().unwrap().remove("headers").unwrap();
        let types = headers.as_array().unwrap().iter().filter(|header| header[0] == "content-type");
        assert_eq!(types.map(|header| header[1].as_str().unwrap()).collect::<Vec<_>>(), ["application/json"]);
        let expected = serde_json::json!({"method": "POST", "target": "/v1/chat/completions?x=1", "body": body,
            "text": body.to_string()});
        assert_eq!(line, expected);
        std::fs::remove_file(&file).unwrap();
    }
}

#[test]
fn help_names_what_can_be_started() {
    let help = Command::new(env!("CARGO_BIN_EXE_testkit")).arg("help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let names = Provider::ALL.map(Provider::name).into_iter().chain(Flavour::ALL.map(Flavour::name));
    for name in names {
        assert!(help.contains(name), "{name}");
    }
    let unknown =
        Command::new(env!("CARGO_BIN_EXE_testkit")).args(["cloud", "--provider", "x"]).output().unwrap();
    let told = String::from_utf8(unknown.stderr).unwrap();
    assert!(!unknown.status.success() && told.contains("unknown provider `x`; known: openai"), "{told}");
}
