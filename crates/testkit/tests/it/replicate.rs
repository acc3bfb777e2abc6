//! The simulated Replicate API.

use crate::client::send;
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};

const KEY: (&str, &str) = ("authorization", "Bearer sk-test");
const MAKE: &str = "/v1/models/meta/meta-llama-3-70b-instruct/predictions";

async fn cloud(first: Duration) -> Cloud {
    let config = CloudConfig { first_delay: first, ..CloudConfig::new(Provider::Replicate) };
    Cloud::start(Provider::Replicate, config).await.unwrap()
}

fn input() -> Value {
    json!({"prompt": "Tell me of lighthouses"})
}

#[tokio::test]
async fn refusals_name_the_field() {
    let cloud = cloud(Duration::ZERO).await;
    for (path, body, status, words) in [
        (MAKE, json!({"input": {}}), 422, "prompt is required"),
        (MAKE, json!({"input": input(), "odd": 1}), 422, "odd"),
        ("/v1/models/a/b/predictions", json!({"input": input()}), 404, "not be found"),
        ("/v1/predictions", json!({"input": input(), "version": "0"}), 404, "version"),
        (MAKE, json!({"input": {"prompt": "simulate:rate-limit"}}), 429, "slow down"),
    ] {
        let answer = send(&cloud.url(), path, &[KEY], &body).await.unwrap();
        assert_eq!(answer.status, status, "{path} {body}");
        let refused: Value = serde_json::from_str(&answer.text().await).unwrap();
        assert_eq!(refused["status"], status);
        assert!(refused["detail"].as_str().unwrap().contains(words), "{refused}");
    }
    let answer = send(&cloud.url(), MAKE, &[], &json!({"input": input()})).await.unwrap();
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn predictions_are_waited_for_streamed_and_called_off() {
    let cloud = cloud(Duration::ZERO).await;
    let made = async |keys: &[(&str, &str)], body: Value| -> Value {
        let answer = send(&cloud.url(), MAKE, keys, &body).await.unwrap();
        assert_eq!(answer.status, 201);
        serde_json::from_str(&answer.text().await).unwrap()
    };
    let waited = made(&[KEY, ("prefer", "wait")], json!({"input": input()})).await;
    assert_eq!(waited["status"], "succeeded");
    assert!(waited["metrics"]["output_token_count"].as_u64().unwrap() > 0);
    let begun = made(&[KEY], json!({"input": input(), "stream": true})).await;
    assert_eq!(begun["status"], "starting");
    let path = begun["urls"]["stream"].as_str().unwrap().strip_prefix("http://localhost").unwrap().to_owned();
    let stream = send(&cloud.url(), &path, &[KEY], &Value::Null).await.unwrap().text().await;
    let said: String = stream
        .split("\n\n")
        .filter(|event| event.starts_with("event: output"))
        .map(|event| event.split_once("\ndata: ").unwrap().1.replace("\ndata: ", "\n"))
        .collect();
    assert_eq!(said, waited["output"][0].as_str().unwrap());
    assert!(stream.ends_with("event: done\ndata: {}\n\n"), "{stream}");
}

#[tokio::test]
async fn one_that_takes_its_time_can_be_looked_at_and_called_off() {
    let cloud = cloud(Duration::from_secs(600)).await;
    let answer = send(&cloud.url(), MAKE, &[KEY], &json!({"input": input()})).await.unwrap();
    let made: Value = serde_json::from_str(&answer.text().await).unwrap();
    let path = format!("/v1/predictions/{}", made["id"].as_str().unwrap());
    let look = async |path: &str, body: Value| -> Value {
        let answer = send(&cloud.url(), path, &[KEY], &body).await.unwrap();
        serde_json::from_str(&answer.text().await).unwrap()
    };
    assert_eq!(look(&path, Value::Null).await["status"], "processing");
    assert_eq!(look(&format!("{path}/cancel"), json!({})).await["status"], "canceled");
    assert_eq!(look(&path, Value::Null).await["status"], "canceled");
}
