//! Stopping, reloading and TLS: what happens to those who are being served meanwhile.

use crate::client::{self, Line, get};
use crate::rig::{CHAT, Rig, STREAMING, engine, pieces, settings, until};
use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::CertifiedKey;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use trunkline_gateway::config::{Config, Layout, Sources};
use trunkline_testkit::engine::{Engine, EngineConfig};
use trunkline_testkit::script::{Reply, Then, Upstream};

/// A folder for one test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left among the build's own files does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A stream that takes its time.
fn slow(pause: Duration) -> Reply {
    let [begin, content, end] = CHAT.stream;
    let mut reply = Reply::events(pieces(&[begin, content, content, content, content, end]), pause);
    reply.pieces[0].0 = Duration::ZERO;
    reply
}

#[tokio::test]
async fn a_stop_breaks_none_of_200_streams() {
    for (layout, threads) in [(Layout::PerCore, 2), (Layout::Shared, 2), (Layout::PerCore, 1)] {
        let upstream = Upstream::directed(|_, _| slow(Duration::from_millis(60))).await.unwrap();
        let mut config = settings([CHAT.worker(upstream.url())]);
        (config.runtime.layout, config.runtime.threads) = (layout, threads);
        let rig = Rig::start(config).await;
        let address = rig.address();
        let mut lines = Vec::new();
        for _ in 0..200 {
            let mut line = Line::open(address).await;
            line.write(&CHAT.ask(true).bytes()).await.unwrap();
            lines.push(line);
        }
        let begun = lines.into_iter().map(|mut line| async move {
            let mut head = line.head().await.unwrap();
            let first = line.see(&mut head, "assistant").await;
            (line, head, first)
        });
        let begun = join_all(begun).await;
        let stopping = tokio::spawn(rig.stop());
        until("nobody new is let in", async || TcpStream::connect(address).await.is_err()).await;
        let ended = begun.into_iter().map(|(mut line, mut head, mut body)| async move {
            body.extend(line.rest(&mut head).await.unwrap());
            assert!(line.is_closed().await, "a connection ends with its last answer");
            body
        });
        for body in join_all(ended).await {
            assert!(String::from_utf8(body).unwrap().ends_with("data: [DONE]\n\n"));
        }
        stopping.await.unwrap();
    }
}

#[tokio::test]
async fn a_stop_breaks_no_stream_of_http2() {
    let upstream = Upstream::directed(|_, _| slow(Duration::from_millis(60))).await.unwrap();
    let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
    let address = rig.address();
    let send = http2(TcpStream::connect(address).await.unwrap()).await;
    let begun = (0..50).map(|_| {
        let mut send = send.clone();
        async move { send.send_request(http2_ask(CHAT.path, &CHAT.body("m", true))).await.unwrap() }
    });
    let begun = join_all(begun).await;
    let stopping = tokio::spawn(rig.stop());
    until("nobody new is let in", async || TcpStream::connect(address).await.is_err()).await;
    for response in begun {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.ends_with(b"data: [DONE]\n\n"));
    }
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_stop_waits_no_longer_than_it_may() {
    let stalled = || Reply::events(pieces(&CHAT.stream[..1]), Duration::ZERO).then(Then::Hang);
    let upstream = Upstream::directed(move |_, _| stalled()).await.unwrap();
    let mut config = settings([CHAT.worker(upstream.url())]);
    config.listen.shutdown_grace = Duration::from_millis(200);
    let rig = Rig::start(config).await;
    let mut line = Line::open(rig.address()).await;
    let mut head = line.begin(&CHAT.ask(true)).await;
    line.see(&mut head, "assistant").await;
    let began = Instant::now();
    rig.stop().await;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(3), "{took:?}");
    assert!(line.rest(&mut head).await.is_err(), "a stream that did not end must not look complete");
    upstream.aborted().await;
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_a_stop() {
    let rig = Rig::start(settings([])).await;
    let mut idle = Line::open(rig.address()).await;
    assert_eq!(idle.ask(&get("/health")).await.status, 200);
    let _silent = Line::open(rig.address()).await;
    let began = Instant::now();
    rig.stop().await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(idle.is_closed().await);
}

#[tokio::test]
async fn half_a_request_does_not_hold_up_a_stop() {
    let upstream = Upstream::directed(|_, _| CHAT.answer(false)).await.unwrap();
    let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
    let mut fresh = Line::open(rig.address()).await;
    let mut used = Line::open(rig.address()).await;
    assert_eq!(used.ask(&CHAT.ask(false)).await.status, 200);
    for line in [&mut fresh, &mut used] {
        line.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-le").await.unwrap();
    }
    let began = Instant::now();
    rig.stop().await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(fresh.is_closed().await && used.is_closed().await);
}

#[tokio::test]
async fn readiness_says_no_while_draining() {
    let rig = Rig::start(settings([engine("http://127.0.0.1:9", "m")])).await;
    assert_eq!(rig.get("/readiness").await.status, 200);
    rig.shared().drain();
    let answer = rig.get("/readiness").await;
    assert_eq!((answer.status, &answer.json()["reason"]), (503, &"draining".into()));
    for alive in ["/health", "/liveness"] {
        assert_eq!(rig.get(alive).await.status, 200, "{alive}");
    }
}

#[tokio::test]
async fn a_delayed_stop_says_no_before_it_closes_the_door() {
    let upstream = Upstream::directed(|_, _| CHAT.answer(false)).await.unwrap();
    let mut config = settings([CHAT.worker(upstream.url())]);
    // Long enough for a slow machine to look meanwhile.
    config.listen.shutdown_delay = Duration::from_secs(3);
    let rig = Rig::start(config).await;
    let address = rig.address();
    let stopping = tokio::spawn(rig.stop());
    until("readiness says no", async || client::ask(address, &get("/readiness")).await.status == 503).await;
    assert_eq!(client::ask(address, &CHAT.ask(false)).await.status, 200, "requests are still let in");
    until("nobody new is let in", async || TcpStream::connect(address).await.is_err()).await;
    stopping.await.unwrap();
}

/// A configuration file like [`settings`], with these workers and more.
fn yaml(workers: &[(&str, u8)], more: &str) -> String {
    let workers: String = workers
        .iter()
        .map(|(url, priority)| format!("  - {{url: '{url}', models: [m], priority: {priority}}}\n"))
        .collect();
    format!(
        "igw: true\nlisten: {{host: 127.0.0.1, port: 0}}\nmetrics: {{port: 0}}\nruntime: {{threads: 2}}\n\
         health: {{enabled: false}}\nworkers:\n{workers}{more}"
    )
}

fn sources(file: &Path) -> Sources {
    Sources { file: Some(file.to_owned()), ..Sources::default() }
}

#[tokio::test]
async fn a_hundred_reloads_under_load_drop_nothing() {
    let answer = |streams| if streams { slow(Duration::from_millis(1)) } else { CHAT.answer(false) };
    let upstream = || Upstream::directed(move |request, _| answer(request.json()["stream"] == true));
    let (a, b, c) = (upstream().await.unwrap(), upstream().await.unwrap(), upstream().await.unwrap());
    let (a, b, c) = (a.url(), b.url(), c.url());
    let folder = Folder::new("reloads");
    let variants = [
        yaml(&[(&a, 50), (&b, 50)], "policy: random\n"),
        yaml(&[(&a, 50), (&b, 60), (&c, 50)], "aliases: {fast: m}\nlimits: {concurrent_requests: 50}\n"),
        yaml(&[(&a, 50), (&c, 50)], "policy: power_of_two\nlimits: {concurrent_requests: 60}\n"),
        yaml(&[(&a, 70)], "retry: {attempts: 3}\n"),
    ];
    let file = folder.write("trunkline.yaml", &variants[0]);
    let sources = sources(&file);
    let rig = Arc::new(Rig::start_from(sources).await);
    let (over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients = (0..8).map(|nth| {
        let (address, over, served) = (rig.address(), Arc::clone(&over), Arc::clone(&served));
        tokio::spawn(async move {
            let mut line = Line::open(address).await;
            while !over.load(Relaxed) {
                let streams = nth % 2 == 0;
                let answer = line.ask(&CHAT.ask(streams)).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                assert!(!streams || answer.text().ends_with("[DONE]\n\n"), "{}", answer.text());
                served.fetch_add(1, Relaxed);
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    for round in 1..=100 {
        folder.write("trunkline.yaml", &variants[round % variants.len()]);
        rig.running().reload().unwrap();
        let before = served.load(Relaxed);
        until("requests were served since", async || served.load(Relaxed) > before).await;
    }
    over.store(true, Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!((rig.metric("trunkline_config_reloads_total", &["taken"]).await - 100.0).abs() < 0.1);
    rig.at_rest().await;
    // The last variant is the first again: its workers are left, and nobody else.
    let mut want = vec![a, b];
    want.sort_unstable();
    until("its workers are left", async || {
        let workers = rig.workers().await;
        let mut urls: Vec<_> =
            workers.iter().map(|worker| worker["url"].as_str().unwrap().to_owned()).collect();
        urls.sort_unstable();
        urls == want && workers.iter().all(|worker| worker["status"] == "ready")
    })
    .await;
}

#[tokio::test]
async fn a_reload_changes_what_it_says_and_keeps_the_rest() {
    let upstream = Upstream::directed(|_, _| CHAT.answer(false)).await.unwrap();
    let folder = Folder::new("reload");
    let file = folder.write("trunkline.yaml", &yaml(&[(&upstream.url(), 50)], ""));
    let sources = sources(&file);
    let rig = Rig::start_from(sources).await;
    let id = rig.workers().await[0]["id"].clone();
    let added = rig.post("/workers", "{\"url\":\"http://127.0.0.1:9\",\"model_id\":\"other\"}").await;
    assert_eq!(added.status, 202);
    let ask = |model: &str| CHAT.body(model, false);
    assert_eq!(rig.post(CHAT.path, &ask("fast")).await.status, 404);
    folder.write(
        "trunkline.yaml",
        &yaml(&[(&upstream.url(), 80)], "aliases: {fast: m}\nauth: {api_key: secret}\n"),
    );
    rig.running().reload().unwrap();
    assert_eq!(rig.post(CHAT.path, &ask("fast")).await.status, 401, "the new key is in force");
    let keyed = |path: &str| get(path).header("authorization", "Bearer secret");
    let workers = rig.ask(&keyed("/workers")).await.json()["workers"].as_array().unwrap().clone();
    assert_eq!((workers.len(), &workers[0]["id"], &workers[0]["priority"]), (2, &id, &80.into()));
    let fast = crate::client::post(CHAT.path, ask("fast")).header("authorization", "Bearer secret");
    assert_eq!(rig.ask(&fast).await.status, 200);
}

#[tokio::test]
async fn a_bad_reload_changes_nothing_and_says_why() {
    let upstream = Upstream::directed(|_, _| CHAT.answer(false)).await.unwrap();
    let folder = Folder::new("bad-reload");
    let good = yaml(&[(&upstream.url(), 50)], "");
    let file = folder.write("trunkline.yaml", &good);
    let sources = sources(&file);
    let rig = Rig::start_from(sources).await;
    for (what, text, says) in [
        ("an unknown key", good.clone() + "polcy: random\n", "policy"),
        ("a wrong value", good.clone() + "policy: fairest\n", "fairest"),
        ("no YAML", "igw: [".to_owned(), "trunkline.yaml"),
        ("a bad worker", yaml(&[("ftp://x", 50)], ""), "url"),
    ] {
        folder.write("trunkline.yaml", &text);
        let told = rig.running().reload().unwrap_err().to_string();
        assert!(told.contains(says), "{what}: {told}");
        assert_eq!(rig.ask(&CHAT.ask(false)).await.status, 200, "{what}");
    }
    std::fs::remove_file(&file).unwrap();
    assert!(rig.running().reload().is_err());
    assert!((rig.metric("trunkline_config_reloads_total", &["refused"]).await - 5.0).abs() < 0.1);
    folder.write("trunkline.yaml", &good);
    rig.running().reload().unwrap();
    assert_eq!(rig.ask(&CHAT.ask(false)).await.status, 200);
}

/// A certificate for loopback that vouches for itself.
fn certificate() -> CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap()
}

async fn dial(address: SocketAddr, trusted: CertificateDer<'static>, alpn: &str) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await
        .unwrap()
}

async fn http2(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> SendRequest<Full<Bytes>> {
    let (send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    send
}

fn http2_ask(path: &str, body: &str) -> Request<Full<Bytes>> {
    let request = Request::post(format!("http://localhost{path}")).header("content-type", "application/json");
    request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

async fn http2_whole(send: &mut SendRequest<Full<Bytes>>, ask: Request<Full<Bytes>>) -> (u16, Bytes) {
    let response = send.send_request(ask).await.unwrap();
    (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn tls_clients_are_served_over_both_protocols() {
    let own = certificate();
    let folder = Folder::new("tls");
    let mut config = settings([]);
    config.listen.tls_cert = Some(folder.write("cert.pem", &own.cert.pem()));
    config.listen.tls_key = Some(folder.write("key.pem", &own.signing_key.serialize_pem()));
    for speech in STREAMING {
        let upstream = Upstream::directed(move |request, _| speech.answer(request.json()["stream"] == true));
        let upstream = upstream.await.unwrap();
        let workers = vec![speech.worker(upstream.url())];
        let rig = Rig::start_unready(Config { workers, ..config.clone() }).await;
        until("its worker is ready", async || {
            rig.shared().fleet.snapshot().workers.iter().all(|w| w.load.health().name() == "ready")
        })
        .await;
        let mut line = Line::over(dial(rig.address(), own.cert.der().clone(), "http/1.1").await);
        let mut send = http2(dial(rig.address(), own.cert.der().clone(), "h2").await).await;
        for streams in [false, true, false] {
            let want = if streams { speech.stream.concat() } else { speech.reply.to_owned() };
            let answer = line.ask(&speech.ask(streams)).await;
            assert_eq!((answer.status, answer.text()), (200, want.as_str()), "{}", speech.path);
            let ask = http2_ask(speech.path, &speech.body("m", streams));
            assert_eq!(http2_whole(&mut send, ask).await, (200, Bytes::from(want)), "{}", speech.path);
        }
        let (status, body) = http2_whole(&mut send, http2_ask(speech.path, "{")).await;
        assert_eq!(status, 400);
        speech.error(&serde_json::from_slice(&body).unwrap());
        // What is no TLS gets no answer and does no harm.
        let mut plain = Line::open(rig.address()).await;
        assert!(plain.try_ask(&get("/health")).await.is_err());
    }
}

#[tokio::test]
async fn http2_without_tls_is_served_and_its_clients_may_leave() {
    let stalled = || Reply::events(pieces(&CHAT.stream[..2]), Duration::ZERO).then(Then::Hang);
    let upstream =
        Upstream::directed(
            move |request, _| {
                if request.json()["stream"] == true { stalled() } else { CHAT.answer(false) }
            },
        );
    let upstream = upstream.await.unwrap();
    let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
    let mut send = http2(TcpStream::connect(rig.address()).await.unwrap()).await;
    let asks = (0..20).map(|_| {
        let mut send = send.clone();
        async move { http2_whole(&mut send, http2_ask(CHAT.path, &CHAT.body("m", false))).await }
    });
    for (status, body) in join_all(asks).await {
        assert_eq!((status, body.as_ref()), (200, CHAT.reply.as_bytes()));
    }
    let mut response = send.send_request(http2_ask(CHAT.path, &CHAT.body("m", true))).await.unwrap();
    assert!(response.body_mut().frame().await.unwrap().unwrap().is_data());
    // One stream ends, its connection goes on.
    drop(response);
    tokio::time::timeout(Duration::from_millis(500), upstream.aborted()).await.unwrap();
    rig.at_rest().await;
    assert_eq!(http2_whole(&mut send, http2_ask(CHAT.path, &CHAT.body("m", false))).await.0, 200);
    let large = http2_ask(CHAT.path, &CHAT.body("m", false));
    let (mut parts, body) = large.into_parts();
    parts.headers.insert("x-large", "y".repeat(70 << 10).parse().unwrap());
    let (status, told) = http2_whole(&mut send, Request::from_parts(parts, body)).await;
    assert_eq!(status, 431);
    CHAT.error(&serde_json::from_slice(&told).unwrap());
}

/// Speaks TLS and passes on to `to` what it hears.
async fn tls_in_front_of(to: SocketAddr, own: &CertifiedKey<rcgen::KeyPair>, alpn: &str) -> SocketAddr {
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A handshake that fails is what one of the tests is about.
                let Ok(mut outer) = acceptor.accept(stream).await else { return };
                let mut inner = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn workers_are_reached_over_tls_with_a_private_authority() {
    let own = certificate();
    let folder = Folder::new("ca");
    let trusted = vec![folder.write("ca.pem", &own.cert.pem())];
    let config =
        EngineConfig { models: vec!["m".into()], time_scale: 0.0, record: 100, ..EngineConfig::default() };
    let simulated = Engine::start(config).await.unwrap();
    for alpn in ["http/1.1", "h2"] {
        let address = tls_in_front_of(simulated.address(), &own, alpn).await;
        let mut config = settings([engine(format!("https://localhost:{}", address.port()), "m")]);
        config.upstream.ca_certs.clone_from(&trusted);
        let rig = Rig::start(config).await;
        let mut line = Line::open(rig.address()).await;
        for streams in [false, true, false] {
            let answer = line.ask(&CHAT.ask(streams)).await;
            assert_eq!(answer.status, 200, "{alpn}: {}", answer.text());
            assert!(!streams || answer.text().ends_with("[DONE]\n\n"), "{alpn}");
        }
        assert_eq!(rig.shared().counts.opened(), 1, "{alpn}: one connection serves all");
        rig.at_rest().await;
    }

    let address = tls_in_front_of(simulated.address(), &own, "http/1.1").await;
    let mut config = settings([engine(format!("https://localhost:{}", address.port()), "m")]);
    config.retry.attempts = 2;
    let rig = Rig::start(config).await;
    let answer = rig.ask(&CHAT.ask(false)).await;
    assert_eq!(answer.status, 502, "an unknown authority is not trusted");
    CHAT.error(&answer.json());
    assert!((rig.metric("trunkline_attempts_total", &["outcome=\"tls\""]).await - 2.0).abs() < 0.1);
}
