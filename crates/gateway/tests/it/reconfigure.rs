//! The configuration of a running gateway: put, rolled back, watched, and what stays as it is meanwhile.

use crate::client::{Answer, Ask, Line, get, post};
use crate::rig::{CHAT, Rig, pieces, settings, until};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;
use trunkline_gateway::config::Sources;
use trunkline_testkit::script::{Reply, Upstream};

const CONFIG: &str = "/admin/v1/config";
const HISTORY: &str = "/admin/v1/config/history";

/// A configuration with one worker at `url` and `more`.
fn yaml(url: &str, more: &str) -> String {
    format!(
        "igw: true\nlisten: {{host: 127.0.0.1, port: 0}}\nmetrics: {{port: 0}}\nruntime: {{threads: 2}}\n\
         health: {{enabled: false}}\nworkers:\n  - {{url: '{url}', models: [m]}}\n{more}"
    )
}

/// Looked at often.
const WATCHED: &str = "admin: {watch_interval: 20ms}\n";

fn sources(file: &Path) -> Sources {
    Sources { file: Some(file.to_owned()), ..Sources::default() }
}

/// A gateway that read `text` from `trunkline.yaml` in `folder`.
async fn started(folder: &Path, text: &str) -> (Rig, PathBuf) {
    let file = folder.join("trunkline.yaml");
    std::fs::write(&file, text).unwrap();
    let rig = Rig::start_from(sources(&file)).await;
    (rig, file)
}

fn put(body: impl Into<Vec<u8>>) -> Ask {
    post(CONFIG, body).method("PUT")
}

async fn chatting() -> Upstream {
    Upstream::directed(|_, _| CHAT.answer(false)).await.unwrap()
}

fn paths(entry: &Value) -> Vec<&str> {
    entry["changes"].as_array().unwrap().iter().map(|change| change["path"].as_str().unwrap()).collect()
}

/// The newest entry of the history.
async fn newest(rig: &Rig) -> Value {
    rig.get(HISTORY).await.json()["history"][0].clone()
}

async fn version(rig: &Rig) -> u64 {
    rig.get(CONFIG).await.json()["version"].as_u64().unwrap()
}

/// Whether the alias `fast` is known.
async fn has_alias(rig: &Rig) -> bool {
    rig.post(CHAT.path, &CHAT.body("fast", false)).await.status == 200
}

#[tokio::test]
async fn a_configuration_that_is_put_is_in_force_at_once_and_can_be_rolled_back() {
    let (upstream, folder) = (chatting().await, tempfile::tempdir().unwrap());
    let good = yaml(&upstream.url(), "");
    let (rig, _) = started(folder.path(), &good).await;
    assert!(!has_alias(&rig).await);

    let aliased = format!("{good}aliases: {{fast: m}}\ntimeouts: {{idle: 7s}}\nlisten: {{}}\n");
    let twice = rig.ask(&put(aliased.clone())).await;
    assert_eq!(twice.status, 400, "`listen` stands twice: {}", twice.text());
    let aliased = format!("{good}aliases: {{fast: m}}\ntimeouts: {{idle: 7s, connect: 3s}}\n");
    let answer = rig.ask(&put(aliased).header("user-agent", "tester/1")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let entry = answer.json();
    assert_eq!(paths(&entry), ["aliases.fast", "timeouts.connect", "timeouts.idle"]);
    assert_eq!(entry["changes"][2], json!({"path": "timeouts.idle", "before": "5m", "after": "7s"}));
    assert_eq!(entry["restart_required"], json!(["timeouts.connect"]));
    assert_eq!((&entry["version"], &entry["source"]), (&2.into(), &"api".into()));
    assert_eq!(entry["who"], "tester/1 without a key");
    assert_eq!(answer.headers["etag"], "\"2\"");
    assert!(has_alias(&rig).await);

    // The same again is no version.
    let as_json = json!({"igw": true, "listen": {"host": "127.0.0.1", "port": 0}, "metrics": {"port": 0},
        "runtime": {"threads": 2}, "health": {"enabled": false}, "aliases": {"fast": "m"},
        "timeouts": {"idle": "7s", "connect": "3s"}, "workers": [{"url": upstream.url(), "models": ["m"]}]});
    let same = rig.ask(&put(as_json.to_string())).await.json();
    assert_eq!((&same["outcome"], &same["version"]), (&"unchanged".into(), &2.into()));

    let back = rig.post("/admin/v1/config/rollback/1", "").await;
    assert_eq!((back.status, &back.json()["version"]), (200, &3.into()), "{}", back.text());
    assert_eq!(paths(&back.json()), ["aliases.fast", "timeouts.connect", "timeouts.idle"]);
    assert!(!has_alias(&rig).await);
    for (path, status) in [("rollback/17", 404), ("rollback/x", 400)] {
        assert_eq!(rig.post(&format!("/admin/v1/config/{path}"), "").await.status, status, "{path}");
    }

    let history = rig.get(HISTORY).await.json();
    let told: Vec<_> = history["history"].as_array().unwrap().iter().rev().collect();
    let told: Vec<_> = told
        .iter()
        .map(|e| (e["source"].as_str().unwrap(), e["outcome"].as_str().unwrap(), e["version"].as_u64()))
        .collect();
    assert_eq!(
        told,
        [
            ("start", "taken", Some(1)),
            ("api", "refused", None),
            ("api", "taken", Some(2)),
            ("rollback", "taken", Some(3)),
            ("rollback", "refused", None),
        ]
    );
    assert!((rig.metric("trunkline_config_version", &[]).await - 3.0).abs() < 0.1);
    let labels = ["source=\"api\"", "outcome=\"taken\""];
    assert!((rig.metric("trunkline_config_reloads_total", &labels).await - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn what_is_wrong_is_told_whole_and_changes_nothing() {
    let (upstream, folder) = (chatting().await, tempfile::tempdir().unwrap());
    let good = yaml(&upstream.url(), "aliases: {fast: m}\n");
    let (rig, _) = started(folder.path(), &good).await;
    for path in [CONFIG, "/admin/v1/config/validate"] {
        let bad = yaml(
            &upstream.url(),
            "polcy: random\nretry:\n  attempts: many\nauth: {api_key: '${NOT_SET_ANYWHERE}'}\n",
        );
        let ask = if path == CONFIG { put(bad) } else { post(path, bad) };
        let answer = rig.ask(&ask).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        let error = &answer.json()["error"];
        assert_eq!(error["code"], "invalid_config");
        let places: Vec<_> = error["problems"].as_array().unwrap().iter().collect();
        let places: Vec<_> =
            places.iter().map(|p| (p["path"].as_str().unwrap(), p["line"].as_u64())).collect();
        assert_eq!(
            places,
            [("polcy", Some(8)), ("retry.attempts", Some(10)), ("auth.api_key", Some(11))],
            "{error}"
        );
        assert_eq!(error["problems"][2]["column"], 17);
        assert!(error["message"].as_str().unwrap().contains("body:8:1: polcy"), "{error}");
    }
    assert!(has_alias(&rig).await);
    assert_eq!(version(&rig).await, 1);
    let entry = newest(&rig).await;
    assert_eq!(entry["outcome"], "refused");
    assert!(entry["why"].as_str().unwrap().contains("body:10:13: retry.attempts"), "{entry}");
}

#[tokio::test]
async fn validating_tells_what_putting_would_do_and_does_nothing() {
    let (upstream, folder) = (chatting().await, tempfile::tempdir().unwrap());
    let (rig, _) = started(folder.path(), &yaml(&upstream.url(), "")).await;
    let aliased = yaml(&upstream.url(), "aliases: {fast: m}\nupstream: {idle_connections: 3}\n");
    let answer = rig.post("/admin/v1/config/validate", &aliased).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    assert_eq!((&told["valid"], &told["version"]), (&true.into(), &1.into()));
    assert_eq!(paths(&told), ["aliases.fast", "upstream.idle_connections"]);
    assert_eq!(told["restart_required"], json!(["upstream"]));
    assert!(!has_alias(&rig).await);
    assert_eq!(rig.get(HISTORY).await.json()["history"].as_array().unwrap().len(), 1);
}

/// Of many who have seen one version and change it at once, one does, and the others are told.
#[tokio::test]
async fn of_concurrent_changes_to_one_version_one_wins() {
    let (upstream, folder) = (chatting().await, tempfile::tempdir().unwrap());
    let (rig, _) = started(folder.path(), &yaml(&upstream.url(), "")).await;
    let asks = (0..12).map(|nth| {
        let body = yaml(&upstream.url(), &format!("aliases: {{fast: m, nth-{nth}: m}}\n"));
        let (ask, rig) = (put(body).header("if-match", "\"1\""), &rig);
        async move { (nth, rig.ask(&ask).await) }
    });
    let answers: Vec<(i32, Answer)> = join_all(asks).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|(_, answer)| answer.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 11));
    for (_, answer) in lost {
        assert_eq!(answer.status, 412, "{}", answer.text());
        assert_eq!(answer.headers["etag"], "\"2\"");
        assert_eq!(answer.json()["error"]["code"], "version_mismatch");
    }
    let aliases = rig.get(CONFIG).await.json()["config"]["aliases"].clone();
    assert_eq!(aliases, json!({"fast": "m", format!("nth-{}", won[0].0): "m"}));
    for (tag, status) in [("\"2\"", 200), ("*", 200), ("\"abc\"", 400), ("1", 412)] {
        let body = yaml(&upstream.url(), &format!("aliases: {{by: '{}'}}\n", tag.trim_matches('"')));
        assert_eq!(rig.ask(&put(body).header("if-match", tag)).await.status, status, "{tag}");
    }
    let stale = post("/admin/v1/config/rollback/1", "").header("if-match", "1");
    assert_eq!(rig.ask(&stale).await.status, 412);
}

#[tokio::test]
async fn workers_and_streams_outlive_every_change() {
    let answer = || Reply::events(pieces(&CHAT.stream), Duration::from_millis(300));
    let slow = Upstream::directed(move |_, _| answer()).await.unwrap();
    let (other, folder) = (chatting().await, tempfile::tempdir().unwrap());
    let (rig, _) = started(folder.path(), &yaml(&slow.url(), "")).await;
    let added = rig.post("/workers", &json!({"url": other.url(), "model_id": "added"}).to_string()).await;
    assert_eq!(added.status, 202, "{}", added.text());
    let mut line = Line::open(rig.address()).await;
    let ask = CHAT.ask(true);
    let (streamed, changed) = tokio::join!(line.ask(&ask), async {
        until("the stream is under way", async || rig.shared().metrics.in_flight.get() > 0).await;
        // Its worker is gone from the configuration, and drains.
        let elsewhere = yaml(&other.url(), "").replace("models: [m]", "models: [n], priority: 9");
        let changed = rig.ask(&put(elsewhere)).await;
        let gone = rig.ask(&CHAT.ask(false)).await;
        (changed, gone.status)
    });
    assert_eq!((changed.0.status, changed.1), (200, 503), "{}", changed.0.text());
    assert_eq!(streamed.status, 200);
    assert!(streamed.text().ends_with("[DONE]\n\n"), "{}", streamed.text());
    let served = async |model: &str| rig.post(CHAT.path, &CHAT.body(model, false)).await.status;
    assert_eq!(served("n").await, 200);
    assert_eq!(rig.post("/admin/v1/config/rollback/1", "").await.status, 200);
    until("the old worker is back", async || served("m").await == 200).await;
}

/// A worker that came over `/workers` and is in no configuration stays through all of them.
#[tokio::test]
async fn workers_added_at_run_time_survive() {
    let (upstream, added, folder) = (chatting().await, chatting().await, tempfile::tempdir().unwrap());
    let (rig, _) = started(folder.path(), &yaml(&upstream.url(), "")).await;
    let body = json!({"url": added.url(), "model_id": "added"});
    assert_eq!(rig.post("/workers", &body.to_string()).await.status, 202);
    let is_served = async || rig.post(CHAT.path, &CHAT.body("added", false)).await.status == 200;
    until("it serves", is_served).await;
    assert_eq!(rig.ask(&put(yaml(&upstream.url(), "policy: random\n"))).await.status, 200);
    assert!(is_served().await);
    assert_eq!(rig.post("/admin/v1/config/rollback/1", "").await.status, 200);
    assert!(is_served().await);
    rig.running().reload().unwrap();
    assert!(is_served().await);
    let held = rig.get("/admin/v1/config/effective?model=added").await.json();
    assert_eq!(held["backends"][0]["from"], "api", "{held}");
}

#[tokio::test]
async fn a_file_that_is_written_replaced_or_swapped_is_read_again() {
    let (upstream, folder) = (chatting().await, tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    let text = |alias: &str| yaml(&upstream.url(), &format!("{WATCHED}aliases: {{{alias}: m}}\n"));
    // As Kubernetes mounts a map: the file is a link into a folder that is itself a link.
    for day in ["one", "two"] {
        std::fs::create_dir(path(day)).unwrap();
        std::fs::write(path(day).join("trunkline.yaml"), text(day)).unwrap();
    }
    symlink("one", path("data")).unwrap();
    symlink("data/trunkline.yaml", path("trunkline.yaml")).unwrap();
    let rig = Rig::start_from(sources(&path("trunkline.yaml"))).await;
    let knows = async |alias: &str| rig.post(CHAT.path, &CHAT.body(alias, false)).await.status == 200;
    assert!(knows("one").await);

    symlink("two", path("data.new")).unwrap();
    std::fs::rename(path("data.new"), path("data")).unwrap();
    until("the swapped link is followed", async || knows("two").await).await;
    assert_eq!(newest(&rig).await["source"], "file");

    // As editors save: another file under the same name.
    std::fs::write(path("edited"), text("three")).unwrap();
    std::fs::rename(path("edited"), path("trunkline.yaml")).unwrap();
    until("the replaced file is read", async || knows("three").await).await;

    std::fs::write(path("trunkline.yaml"), text("four")).unwrap();
    until("the written file is read", async || knows("four").await).await;

    // What is broken is told once, however often it is looked at.
    std::fs::write(path("trunkline.yaml"), "igw: [").unwrap();
    let labels = ["source=\"file\"", "outcome=\"refused\""];
    let refused = async || rig.metric("trunkline_config_reloads_total", &labels).await;
    until("the broken file is refused", async || refused().await > 0.5).await;
    std::fs::remove_file(path("trunkline.yaml")).unwrap();
    until("the missing file is refused", async || refused().await > 1.5).await;
    assert!(knows("four").await);
    assert_eq!(newest(&rig).await["outcome"], "refused");
    std::fs::write(path("trunkline.yaml"), text("five")).unwrap();
    until("the mended file is read", async || knows("five").await).await;
    assert!((refused().await - 2.0).abs() < 0.1);
    assert_eq!(version(&rig).await, 5);
}

#[tokio::test]
async fn what_was_put_stays_until_the_file_changes() {
    let (upstream, folder) = (chatting().await, tempfile::tempdir().unwrap());
    let (rig, file) = started(folder.path(), &yaml(&upstream.url(), WATCHED)).await;
    assert_eq!(
        rig.ask(&put(yaml(&upstream.url(), &format!("{WATCHED}aliases: {{fast: m}}\n")))).await.status,
        200
    );
    // Several looks at a file that is as it was.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(has_alias(&rig).await);
    std::fs::write(&file, yaml(&upstream.url(), &format!("{WATCHED}policy: random\n"))).unwrap();
    until("the file counts again", async || !has_alias(&rig).await).await;
}

#[tokio::test]
async fn secrets_may_be_references_and_are_never_shown() {
    let (upstream, folder) = (chatting().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("trunkline.yaml");
    std::fs::write(&file, yaml(&upstream.url(), "auth: {api_key: first-secret}\n")).unwrap();
    let env = [("SECOND_KEY", "second-secret"), ("OPENAI_API_KEY", "third-secret")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let rig = Rig::start_from(Sources { env, ..sources(&file) }).await;
    let keyed = |ask: Ask, key: &str| ask.header("authorization", &format!("Bearer {key}"));
    let body =
        yaml(&upstream.url(), "auth: {api_key: '${SECOND_KEY}'}\naliases: {leak: '${OPENAI_API_KEY}'}\n");
    assert_eq!(rig.ask(&put(body.clone())).await.status, 401);
    let changed = rig.ask(&keyed(put(body), "first-secret")).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let key = json!({"path": "auth.api_key", "before": "***", "after": "***"});
    assert!(changed.json()["changes"].as_array().unwrap().contains(&key), "{}", changed.text());
    assert_eq!(rig.ask(&keyed(get(CONFIG), "first-secret")).await.status, 401, "the new key counts");
    let mut told = changed.text().to_owned();
    for path in [CONFIG, HISTORY, "/admin/v1/config/effective?model=m"] {
        let answer = rig.ask(&keyed(get(path), "second-secret")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        told.push_str(answer.text());
    }
    told.push_str(&rig.log());
    assert!(!told.contains("-secret"), "{told}");
    assert!(told.contains("\"api_key\":\"***\"") && told.contains("\"leak\":\"***\""), "{told}");
}

/// Whoever may write a configuration may read variables with it, and have keys sent anywhere.
#[tokio::test]
async fn without_a_key_only_this_machine_changes_the_configuration() {
    let (upstream, folder) = (chatting().await, tempfile::tempdir().unwrap());
    let good = yaml(&upstream.url(), "");
    let (rig, _) = started(folder.path(), &good).await;
    let of_page = put(good.clone()).header("origin", "http://evil.example");
    let answer = rig.ask(&of_page).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("`Origin`") && !answer.text().contains("loopback"), "{}", answer.text());
    let wide = good.replace("127.0.0.1, port: 0", "0.0.0.0, port: 0");
    let (rig, _) = started(folder.path(), &wide).await;
    for ask in
        [put(good.clone()), post("/admin/v1/config/validate", good), post("/admin/v1/config/rollback/1", "")]
    {
        let answer = rig.ask(&ask).await;
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert!(answer.text().contains("auth.api_key"), "{}", answer.text());
    }
    assert_eq!(rig.get(CONFIG).await.status, 200);
}

#[tokio::test]
async fn versions_outlive_the_process() {
    let (upstream, folder) = (chatting().await, tempfile::tempdir().unwrap());
    let dir = folder.path().join("history");
    let kept = format!("admin: {{history_dir: '{}'}}\n", dir.display());
    let (rig, file) = started(folder.path(), &yaml(&upstream.url(), &kept)).await;
    let aliased = yaml(&upstream.url(), &format!("{kept}aliases: {{fast: m}}\n"));
    assert_eq!(rig.ask(&put(aliased)).await.json()["version"], 2);
    rig.stop().await;

    let rig = Rig::start_from(sources(&file)).await;
    assert_eq!(version(&rig).await, 3, "no number is used twice");
    assert!(!has_alias(&rig).await);
    let back = rig.post("/admin/v1/config/rollback/2", "").await;
    assert_eq!(back.status, 200, "{}", back.text());
    assert!(has_alias(&rig).await);
    let history = rig.get(HISTORY).await.json();
    assert_eq!(history["history"].as_array().unwrap().len(), 4, "{history}");
    for file in std::fs::read_dir(&dir).unwrap() {
        let rights = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(rights & 0o777, 0o600);
    }
}

#[tokio::test]
async fn what_holds_for_a_model_is_told_with_its_origin() {
    let (upstream, folder) = (chatting().await, tempfile::tempdir().unwrap());
    let more = "aliases: {fast: m}\nretry: {attempts: 2}\ntimeouts: {idle: 5m}\n";
    let text = yaml(&upstream.url(), more).replace("models: [m]", "models: [m], timeout: 9s, name: one");
    let file = folder.path().join("trunkline.yaml");
    std::fs::write(&file, text).unwrap();
    let flags = trunkline_gateway::cli::Flags { retry_max_backoff_ms: Some(100), ..Default::default() };
    let rig = Rig::start_from(Sources { flags, ..sources(&file) }).await;
    let held = rig.get("/admin/v1/config/effective?model=fast").await.json();
    for (pointer, want) in [
        ("/asked", json!("fast")),
        ("/model", json!("m")),
        ("/alias", json!({"value": "m", "from": "file"})),
        ("/policy", json!({"value": "round_robin", "from": "default"})),
        ("/retry/attempts", json!({"value": 2, "from": "file"})),
        ("/retry/max_backoff", json!({"value": "100ms", "from": "flag"})),
        ("/retry/jitter", json!({"value": 0.2, "from": "default"})),
        // Written down, though it is the default.
        ("/timeouts/idle", json!({"value": "5m", "from": "file"})),
        ("/backends/0/worker", json!("one")),
        ("/backends/0/from", json!("file")),
        ("/backends/0/first_byte", json!({"value": "9s", "from": "file"})),
        ("/backends/0/key", json!({"value": false, "from": null})),
        ("/choice", json!("one")),
    ] {
        assert_eq!(held.pointer(pointer), Some(&want), "{pointer} in {held}");
    }
    let routed = yaml(
        &upstream.url(),
        "pools: [{name: all, strategy: weighted, backends: [{name: one}]}]\nroutes: [{name: r, backend: all}]\n",
    );
    let routed = routed.replace("models: [m]", "models: [m], name: one");
    let put = rig.ask(&put(routed)).await;
    assert_eq!(put.status, 200, "{}", put.text());
    let held = rig.get("/admin/v1/config/effective?model=m").await.json();
    for (pointer, want) in [
        ("/route", json!({"value": "r", "from": "api"})),
        ("/pool", json!({"value": "all", "from": "api"})),
        ("/policy/from", json!("api")),
        ("/backends/0/from", json!("api")),
    ] {
        assert_eq!(held.pointer(pointer), Some(&want), "{pointer} in {held}");
    }
    assert_eq!(rig.get("/admin/v1/config/effective?model=nobody").await.status, 404);
}

#[tokio::test]
async fn what_holds_for_no_model_is_an_error_that_names_the_parameter() {
    let rig = Rig::start(settings([])).await;
    for (query, says) in [
        ("", "the parameter `model` is missing; write ?model=NAME"),
        ("?model=", "the parameter `model` is missing; write ?model=NAME"),
        ("?model=a&model=b", "the parameters of the address cannot be read: "),
    ] {
        let answer = rig.get(&format!("/admin/v1/config/effective{query}")).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        let message = CHAT.error(&answer.json());
        assert!(message.starts_with(says), "{message}");
    }
}
