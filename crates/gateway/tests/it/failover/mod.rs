//! The table of failures, walked row by row: each is made to happen, to whole answers and to streams, in every kind
//! of fleet and between dialects, and what follows is what the table says.

mod page;
mod scripts;

use crate::client::{Answer, Ask};
use crate::rig::{CHAT, MESSAGES, Rig, Speech, cloud, settings};
use futures_util::future::join_all;
use scripts::{Bad, PATIENCE, bad, body, is_callers};
use std::time::Duration;
use trunkline_core::{Dialect, Fault, Origin};
use trunkline_gateway::config::{Config, Cooldown, Fallbacks, MemberSpec, PoolSpec, RouteSpec, WorkerSpec};
use trunkline_gateway::fault::status;
use trunkline_gateway::walk::verdict::{Again, Counts, Mishap, Row, Told};
use trunkline_testkit::script::{Reply, Upstream};

/// The model that answers in place of one with a fallback.
const OTHER: &str = "another";
/// Attempts in all.
const ATTEMPTS: usize = 3;

/// Who there is besides the worker that fails. All workers of a fleet are called `FLEET-bad` and `FLEET-good`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fleet {
    /// Nobody.
    One,
    /// Another worker of the model.
    Two,
    /// A pool without fallback, with another backend.
    Without,
    /// A pool with fallback, with another backend of the model.
    Same,
    /// A pool with fallback, with a backend that answers with another model.
    StandIn,
    /// Nobody who serves the model, which has another model as its fallback.
    Elsewhere,
}

const FLEETS: [Fleet; 6] =
    [Fleet::One, Fleet::Two, Fleet::Without, Fleet::Same, Fleet::StandIn, Fleet::Elsewhere];

impl Fleet {
    /// The model that is asked for, and the beginning of all names.
    fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Two => "two",
            Self::Without => "without",
            Self::Same => "same",
            Self::StandIn => "stand-in",
            Self::Elsewhere => "elsewhere",
        }
    }

    fn worker(self, speech: Speech, url: &str, role: &str, model: &str) -> WorkerSpec {
        let (provider, key) =
            if speech.is_messages() { ("anthropic", "sk-ant-ours") } else { ("openai", "sk-ours") };
        let name = Some(format!("{}-{role}", self.name()));
        WorkerSpec { name, ..cloud(url, provider, model, Some(key)) }
    }

    /// Its workers, the failing one first.
    fn workers(self, mishap: Mishap, speech: Speech, bad: &str, good: &str) -> Vec<WorkerSpec> {
        let mut first = WorkerSpec { priority: 90, ..self.worker(speech, bad, "bad", self.name()) };
        if is_callers(mishap) {
            first.api_key = None;
        }
        if matches!(mishap, Mishap::StalledBeforeHead | Mishap::DripBeforeContent) {
            first.timeout = Some(PATIENCE);
        }
        let model = match self {
            Self::StandIn => "other",
            Self::Elsewhere => OTHER,
            Self::One | Self::Two | Self::Without | Self::Same => self.name(),
        };
        let second =
            WorkerSpec { default_model: Some(model.into()), ..self.worker(speech, good, "good", model) };
        if self == Self::One { vec![first] } else { vec![first, second] }
    }

    fn pool(self) -> Option<(PoolSpec, RouteSpec)> {
        let fallback = match self {
            Self::One | Self::Two | Self::Elsewhere => return None,
            Self::Without => false,
            Self::Same | Self::StandIn => true,
        };
        let name = format!("{}-pool", self.name());
        let members = ["bad", "good"].map(|role| MemberSpec::new(format!("{}-{role}", self.name())));
        let route =
            RouteSpec { models: vec![self.name().into()], backend: name.clone(), ..RouteSpec::default() };
        Some((PoolSpec { fallback, ..PoolSpec::new(name, members.into()) }, route))
    }

    /// How often the failing worker is asked, and whether the other one answers in the end.
    fn expected(self, again: Again) -> (usize, bool) {
        let least = match self {
            // Whoever is left of the model goes first.
            Self::Elsewhere if again == Again::Everyone => return (ATTEMPTS, true),
            Self::Elsewhere => return (1, again >= Again::StandIns),
            Self::One | Self::Without => None,
            Self::Two | Self::Same => Some(Again::Others),
            Self::StandIn => Some(Again::StandIns),
        };
        match least {
            Some(least) => (1, again >= least),
            None if again == Again::Everyone => (ATTEMPTS, false),
            None => (1, false),
        }
    }
}

fn config(mishap: Mishap, speech: Speech, bad: &Bad, good: &Upstream) -> Config {
    let workers = FLEETS.iter().flat_map(|fleet| fleet.workers(mishap, speech, &bad.url, &good.url()));
    let (pools, routes) = FLEETS.iter().filter_map(|fleet| fleet.pool()).unzip();
    let mut config = Config { pools, routes, ..settings(workers) };
    let elsewhere = Fallbacks { default: vec![OTHER.into()], ..Fallbacks::default() };
    config.fallbacks.insert(Fleet::Elsewhere.name().into(), elsewhere);
    config.retry.attempts = u32::try_from(ATTEMPTS).unwrap();
    config.health.unreached_threshold = 0;
    // What stands against a worker is for the requests after; here each is to meet what the others met.
    (config.breaker.failure_threshold, config.breaker.minimum_calls) = (1000, 1000);
    (config.cooldown.busy, config.cooldown.credentials) = (Duration::ZERO, Duration::ZERO);
    config.timeouts.heartbeat = Duration::ZERO;
    if matches!(mishap, Mishap::StalledBeforeContent | Mishap::StalledInside) {
        config.timeouts.idle = PATIENCE;
    }
    if mishap == Mishap::ConnectTimeout {
        config.timeouts.connect = PATIENCE;
    }
    config
}

/// What `mishap` is of an answer that may be a stream; `None` where there is no such thing.
fn seen(mishap: Mishap, streams: bool) -> Option<Mishap> {
    use Mishap::{
        CutBeforeContent, CutInside, DripBeforeContent, Dropped, ErrorFirst, ErrorInside, Excess,
        InvalidEvents, StalledBeforeContent, StalledInside, Unfit,
    };
    // What one answer cannot show is tested elsewhere.
    let is_shown = !matches!(mishap, Dropped | Excess | Unfit);
    let of_streams = matches!(mishap, DripBeforeContent | InvalidEvents | ErrorFirst | ErrorInside);
    // The client gets nothing of a whole answer before it has all.
    let seen = if streams {
        mishap
    } else if mishap == StalledInside {
        StalledBeforeContent
    } else if mishap == CutInside {
        CutBeforeContent
    } else {
        mishap
    };
    (is_shown && (streams || !of_streams)).then_some(seen)
}

fn ask(fleet: Fleet, client: Speech, upstream: Speech, streams: bool, id: &str, mishap: Mishap) -> Ask {
    let mut ask =
        crate::client::post(client.path, client.body(fleet.name(), streams)).header("x-request-id", id);
    if mishap == Mishap::Impatient {
        ask = ask.header("x-trunkline-timeout", &PATIENCE.as_secs_f64().to_string());
    }
    if !is_callers(mishap) {
        return ask;
    }
    let key = if upstream.is_messages() { "sk-ant-mine" } else { "sk-mine" };
    ask.header("authorization", &format!("Bearer {key}"))
}

fn check_told(what: &str, told: Told, answer: &Answer, client: Speech, upstream: Speech, mishap: Mishap) {
    let dialect = if client.is_messages() { Dialect::AnthropicMessages } else { Dialect::OpenaiChat };
    let passes = client.path == upstream.path;
    let text = answer.text();
    match told {
        Told::Ours(kind, code) => {
            assert_eq!(answer.status, status(&Fault::new(kind, ""), dialect).as_u16(), "{what}: {text}");
            client.error(&answer.json());
            if mishap != Mishap::InvalidEvents {
                assert_eq!(answer.header("x-trunkline-error-code"), code, "{what}: {text}");
            }
        }
        Told::Said(said, _) if passes => {
            assert_eq!(answer.status, said, "{what}: {text}");
            // A page is never passed on.
            if let Some(body) = body(mishap, upstream).filter(|body| body.starts_with(b"{")) {
                assert_eq!(answer.body, body, "{what}");
            } else if said != 200 {
                client.error(&answer.json());
            } else {
                assert!(text.contains("as the upstream says"), "{what}: {text}");
            }
        }
        Told::Said(said, kind) => {
            let fault = Fault { origin: Origin::Upstream(said), ..Fault::new(kind, "") };
            assert_eq!(answer.status, status(&fault, dialect).as_u16(), "{what}: {text}");
            client.error(&answer.json());
        }
        Told::Event(code) => {
            assert_eq!(answer.status, 200, "{what}: {text}");
            assert!(text.contains("hello"), "{what}: {text}");
            let last = answer.events().pop().unwrap().json();
            client.error(&last);
            if let Some(code) = code.filter(|_| !client.is_messages()) {
                assert_eq!(last["error"]["code"], code, "{what}: {text}");
            }
        }
    }
}

/// One row, at one rig that has every fleet.
async fn check(mishap: Mishap, client: Speech, upstream: Speech) {
    let failing = bad(mishap, upstream).await;
    let good = Upstream::directed(move |request, _| match request.path() {
        "/v1/models" => Reply::json(404, "{}"),
        _ => upstream.answer(request.json()["stream"] == true),
    });
    let good = good.await.unwrap();
    let rig = Rig::start(config(mishap, upstream, &failing, &good)).await;
    let cells = FLEETS.into_iter().flat_map(|fleet| [(fleet, false), (fleet, true)]);
    let cells: Vec<_> =
        cells.filter_map(|(fleet, streams)| Some((fleet, streams, seen(mishap, streams)?.row()))).collect();
    let id = |fleet: Fleet, streams: bool| format!("{}-{streams}", fleet.name());
    let asks = cells.iter().map(async |(fleet, streams, _)| {
        let id = id(*fleet, *streams);
        rig.ask(&ask(*fleet, client, upstream, *streams, &id, mishap)).await
    });
    let answers = join_all(asks).await;
    rig.at_rest().await;
    for ((fleet, streams, row), answer) in cells.iter().zip(&answers) {
        let what = format!(
            "{mishap:?} of {} to {} stream {streams} in {fleet:?}: {}",
            upstream.path,
            client.path,
            answer.text()
        );
        let (times, rescued) = fleet.expected(row.again);
        let name = fleet.name();
        let mut workers = vec![format!("{name}-bad"); times];
        workers.extend(rescued.then(|| format!("{name}-good")));
        let line = rig.access_line(&format!("request_id={} ", id(*fleet, *streams))).await;
        let list = line.split("attempts=").nth(1).unwrap().split(' ').next().unwrap();
        let asked: Vec<_> = list.split(',').map(|attempt| attempt.split(':').next().unwrap()).collect();
        assert_eq!(asked, workers, "{what}: {line}");
        if rescued {
            assert_eq!(answer.status, 200, "{what}");
            assert!(answer.text().contains("hello") && !answer.text().contains("error"), "{what}");
            let other = match fleet {
                Fleet::StandIn => "other",
                Fleet::Elsewhere => OTHER,
                Fleet::One | Fleet::Two | Fleet::Without | Fleet::Same => "",
            };
            assert_eq!(answer.header("x-trunkline-model-substituted"), other, "{what}");
        } else {
            check_told(&what, row.told, answer, client, upstream, mishap);
        }
    }
    for fleet in FLEETS {
        let of_fleet = cells.iter().filter(|(of, _, row)| *of == fleet && row.counts != Counts::No);
        let expected: usize = of_fleet.map(|(fleet, _, row)| fleet.expected(row.again).0).sum();
        let worker = format!("worker=\"{}-bad\"", fleet.name());
        let counted = rig.metric("trunkline_worker_faults_total", &[&worker]).await;
        assert!((counted - expected as f64).abs() < 0.1, "{mishap:?} in {fleet:?}: {counted} of {expected}");
        let breakers = |row: &Row| matches!(row.counts, Counts::Fault | Counts::Unreached);
        let of_breaker = cells.iter().filter(|(of, _, row)| *of == fleet && breakers(row));
        let expected: usize = of_breaker.map(|(fleet, _, row)| fleet.expected(row.again).0).sum();
        let labels = [worker.as_str(), "outcome=\"failure\""];
        let counted = rig.metric("trunkline_worker_cb_outcomes_total", &labels).await;
        assert!((counted - expected as f64).abs() < 0.1, "{mishap:?} in {fleet:?}: {counted} of {expected}");
    }
    assert!(rig.metric("trunkline_worker_faults_total", &["-good\""]).await < 0.1, "{mishap:?}");
}

async fn check_all(client: Speech, upstream: Speech) {
    let rows = Mishap::ALL.into_iter();
    for mishap in rows.filter(|mishap| seen(*mishap, true).is_some()) {
        check(mishap, client, upstream).await;
    }
}

#[tokio::test]
async fn every_row_holds_where_openai_passes() {
    check_all(CHAT, CHAT).await;
}

#[tokio::test]
async fn every_row_holds_where_anthropic_passes() {
    check_all(MESSAGES, MESSAGES).await;
}

#[tokio::test]
async fn every_row_holds_for_openais_clients_of_anthropic() {
    check_all(CHAT, MESSAGES).await;
}

#[tokio::test]
async fn every_row_holds_for_anthropics_clients_of_openai() {
    check_all(MESSAGES, CHAT).await;
}

/// What one failure makes of a worker, when one is enough: the column of the table, for whole answers and streams.
#[tokio::test]
async fn what_counts_is_what_the_table_says() {
    for (mishap, streams) in Mishap::ALL.into_iter().flat_map(|mishap| [(mishap, false), (mishap, true)]) {
        let Some(shown) = seen(mishap, streams) else { continue };
        let failing = bad(mishap, CHAT).await;
        let good = Upstream::directed(|_, _| CHAT.answer(false)).await.unwrap();
        let mut config = config(mishap, CHAT, &failing, &good);
        config.workers.retain(|worker| worker.name.as_deref() == Some("one-bad"));
        (config.pools, config.routes) = (Vec::new(), Vec::new());
        config.health.unreached_threshold = 1;
        config.retry.attempts = 1;
        config.breaker.failure_threshold = 1;
        config.cooldown = Cooldown::default();
        let rig = Rig::start(config).await;
        rig.ask(&ask(Fleet::One, CHAT, CHAT, streams, "x", mishap)).await;
        rig.at_rest().await;
        let counts = shown.row().counts;
        let what = format!("{mishap:?}, stream {streams}: {counts:?}");
        let worker = rig.workers().await.remove(0);
        let state = if counts == Counts::Unreached { "unhealthy" } else { "ready" };
        assert_eq!(worker["status"], state, "{what}");
        let breaker = if counts == Counts::Fault { "open" } else { "closed" };
        assert_eq!(worker["circuit_breaker"]["state"], breaker, "{what}: {worker}");
        for (reason, of) in [("busy", Counts::Busy), ("account", Counts::Account)] {
            let label = format!("reason=\"{reason}\"");
            let counted = rig.metric("trunkline_worker_cooldowns_total", &[&label]).await;
            let expected = if counts == of { 1.0 } else { 0.0 };
            assert!((counted - expected).abs() < 0.1, "{what}: {reason} {counted}");
        }
    }
}

#[tokio::test]
async fn an_answer_beyond_the_limits_is_nobodys_fault_and_asked_for_once() {
    let long = MESSAGES.reply.replace("hello", &"hello ".repeat(2000));
    let bad = Upstream::directed(move |_, _| Reply::json(200, long.clone())).await.unwrap();
    let good = Upstream::directed(|_, _| MESSAGES.answer(false)).await.unwrap();
    let first = WorkerSpec { priority: 90, ..MESSAGES.worker(bad.url()) };
    let mut config = settings([first, MESSAGES.worker(good.url())]);
    config.limits.reply_bytes = 4 << 10;
    let rig = Rig::start(config).await;
    let answer = rig.ask(&CHAT.ask(false)).await;
    assert_eq!((answer.status, answer.header("x-trunkline-error-code")), (502, "upstream_too_large"));
    assert_eq!((bad.requests().len(), good.requests().len()), (1, 0));
    assert!(rig.metric("trunkline_worker_faults_total", &[]).await < 0.1);
}

#[tokio::test]
async fn what_cannot_be_said_to_one_is_said_to_another() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"seed":7}"#;
    let strict = crate::client::post(CHAT.path, body).header("x-trunkline-on-unsupported-param", "reject");
    let seedless = Upstream::directed(|_, _| MESSAGES.answer(false)).await.unwrap();
    let good = Upstream::directed(|_, _| CHAT.answer(false)).await.unwrap();
    let failing = Upstream::directed(|_, _| Reply::json(503, "{}")).await.unwrap();
    let last = MESSAGES.worker(seedless.url());
    let first = WorkerSpec { priority: 90, ..last.clone() };

    let rig = Rig::start(settings([first, CHAT.worker(good.url())])).await;
    assert_eq!(rig.ask(&strict).await.status, 200);
    assert!(
        (rig.metric("trunkline_attempts_total", &[]).await - 1.0).abs() < 0.1,
        "who is not asked is no attempt"
    );

    let rig = Rig::start(settings([last.clone()])).await;
    let answer = rig.ask(&strict).await;
    assert_eq!((answer.status, answer.header("x-trunkline-error-code")), (400, "unsupported_parameter"));

    // What the one that was asked came to is told, not what another one could not be asked.
    let mut config = settings([WorkerSpec { priority: 90, ..CHAT.worker(failing.url()) }, last]);
    config.retry.attempts = 2;
    let rig = Rig::start(config).await;
    assert_eq!(rig.ask(&strict).await.status, 503);
    assert!(seedless.requests().is_empty());
}
