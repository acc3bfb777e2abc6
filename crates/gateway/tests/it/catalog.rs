//! Newer lists of models and prices, fetched while the gateway serves.

use crate::rig::{CHAT, Rig, cloud, settings, until};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trunkline_gateway::config::{Config, RefreshSettings};
use trunkline_testkit::script::{Reply, Upstream};

const REFRESHES: &str = "trunkline_catalog_refreshes_total";

/// Two models, one of them of no other list.
fn list(dollars: u64) -> String {
    let line = |name: &str| {
        let id = format!("openai/{name}\t\tchat\tchat/completions\ttext>text");
        format!("{id}{}input {dollars}; output {dollars}{}", "\t".repeat(7), "\t".repeat(4))
    };
    format!("# newer\n{}\n{}\n", line("gpt-4o"), line("gpt-of-tomorrow"))
}

/// What a place of lists has.
#[derive(Clone)]
struct Shelf(Arc<Mutex<(String, Option<String>)>>);

impl Shelf {
    fn put(&self, list: impl Into<String>, signed_by: Option<&Ed25519KeyPair>) {
        let list = list.into();
        let signature = signed_by.map(|pair| BASE64_STANDARD.encode(pair.sign(list.as_bytes())) + "\n");
        *self.0.lock().unwrap() = (list, signature);
    }

    fn get(&self) -> (String, Option<String>) {
        self.0.lock().unwrap().clone()
    }
}

async fn place() -> (Shelf, Upstream) {
    let shelf = Shelf(Arc::default());
    let on = shelf.clone();
    let upstream = Upstream::directed(move |request, _| {
        let (list, signature) = on.get();
        let tag = format!("\"{}\"", list.len());
        match request.path() {
            "/models.tsv" if request.header("if-none-match") == Some(&*tag) => {
                Reply::new(304, "text/plain", "")
            }
            "/models.tsv" => Reply::new(200, "text/plain", list).header("etag", &tag),
            "/models.tsv.sig" if signature.is_some() => Reply::new(200, "text/plain", signature.unwrap()),
            _ => Reply::new(404, "text/plain", "no"),
        }
    });
    (shelf, upstream.await.unwrap())
}

fn pair() -> Ed25519KeyPair {
    let random = ring::rand::SystemRandom::new();
    Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap()
}

fn refreshed(engine: &Upstream, lists: &Upstream, pair: &Ed25519KeyPair) -> Config {
    let mut config = settings([cloud(engine.url(), "openai", "gpt-4o", Some("k"))]);
    config.catalog.refresh = RefreshSettings {
        url: Some(format!("{}/models.tsv", lists.url())),
        public_key: Some(BASE64_STANDARD.encode(pair.public_key())),
        interval: Duration::from_secs(1),
        ..RefreshSettings::default()
    };
    config
}

/// Three tokens in and two out, in millionths of a dollar for each million's dollar.
async fn cost(rig: &Rig) -> String {
    let answer = rig.post(CHAT.path, &format!(r#"{{"model":"gpt-4o",{}}}"#, CHAT.prompt)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-trunkline-cost-usd").to_owned()
}

#[tokio::test]
async fn newer_prices_count_and_worse_lists_do_not() {
    let engine = Upstream::directed(|_, _| CHAT.answer(false)).await.unwrap();
    let (shelf, lists) = place().await;
    let (pair, stranger) = (pair(), pair());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("models.tsv");
    shelf.put(list(100), Some(&stranger));
    let mut config = refreshed(&engine, &lists, &pair);
    config.catalog.refresh.file = Some(file.clone());
    let rig = Rig::start(config.clone()).await;
    let count = async |outcome: &str| rig.metric(REFRESHES, &[outcome]).await;

    until("the stranger's list is refused", async || count("failed").await > 0.5).await;
    assert_eq!(cost(&rig).await, "0.0000275", "what is built in counts");
    assert!(!file.exists());
    shelf.put(list(200), Some(&pair));
    until("the list is taken", async || count("taken").await > 0.5).await;
    assert_eq!(cost(&rig).await, "0.001");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), list(200));
    until("it is the same", async || count("unchanged").await > 0.5).await;
    shelf.put("<html>", Some(&pair));
    until("no list is refused", async || count("failed").await > 1.5).await;
    shelf.put(list(3000), None);
    until("what is not signed is refused", async || count("failed").await > 2.5).await;
    assert_eq!(cost(&rig).await, "0.001", "the last good one stays");
    rig.stop().await;

    // The next start begins with it, though its place is gone and reading it takes a while.
    drop(lists);
    std::fs::write(&file, list(200) + &"# older\n".repeat(1 << 20)).unwrap();
    let rig = Rig::start_unready(config).await;
    assert_eq!(cost(&rig).await, "0.001", "what was kept counts from the first call on");
}

/// Models of a newer list are listed and its names lead to their provider; without a place, nothing is fetched.
#[tokio::test]
async fn newer_models_are_listed() {
    let engine = Upstream::directed(|request, _| match request.path() {
        "/v1/models" => Reply::new(500, "text/plain", "no"),
        _ => CHAT.answer(false),
    });
    let engine = engine.await.unwrap();
    let (shelf, lists) = place().await;
    let pair = pair();
    shelf.put(list(1), Some(&pair));
    let mut config = refreshed(&engine, &lists, &pair);
    config.workers[0].models.clear();
    let rig = Rig::start_unready(config).await;
    until("its models are listed", async || rig.get("/v1/models").await.text().contains("gpt-of-tomorrow"))
        .await;
    assert!(!rig.get("/v1/models").await.text().contains("gpt-4.1"), "what the newer list has not is gone");
    assert!(lists.requests().iter().all(|request| request.header("authorization").is_none()));
}
