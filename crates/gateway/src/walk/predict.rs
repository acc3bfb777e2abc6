//! Predictions: jobs that are made with one request and read with others. The answer to the first becomes the
//! answer to the call here, so that the rest of the walk need not know.

use super::answer::{collect, in_words};
use super::failure::{Failure, broken, error_answer, unanswered, unreadable};
use super::forward::{self, Credential};
use super::plan::Plan;
use super::settle::{Ledger, Outcome};
use super::verdict::{Again, Mishap};
use crate::config::Config;
use crate::fleet::worker::Worker;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::response;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderValue, Method, header};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;
use trunkline_core::{Dialect, Fault, FaultKind, Kind, Usage};
use trunkline_dialect::provider;
use trunkline_dialect::replicate::{Prediction, read_reply};
use trunkline_dialect::rope::Rope;
use trunkline_upstream::{Answer, AnswerBody, Endpoint, Pool, UpstreamError};

/// The dialect whose calls are jobs.
const OURS: Dialect = Dialect::ReplicatePredictions;
/// Pauses between looking at a prediction, the first and the longest: short ones for short answers.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];
/// How long calling a prediction off may take.
const CANCEL: Duration = Duration::from_secs(10);
/// How long a prediction that nobody waits for may still take to be made: its maker holds the answer for up to ten
/// seconds, as it is asked to.
const MAKING: Duration = Duration::from_secs(20);
/// How long the end of a stream may wait for what the prediction has used.
const TALLY: Duration = Duration::from_secs(2);
/// Bytes of the largest prediction that is read for what it has used.
const LARGEST_TALLY: usize = 16 << 20;

/// The account a prediction is made with.
#[derive(Debug, Clone)]
struct Account {
    pool: Arc<Pool>,
    worker: Arc<Worker>,
    headers: HeaderMap,
    runtime: Handle,
}

/// A prediction under way. Dropped before its end, because the client left or the attempt failed, it is called
/// off: nobody would read what is paid for.
#[derive(Debug)]
pub(crate) struct Job {
    account: Account,
    /// Where it is.
    path: PathAndQuery,
    is_over: bool,
}

/// Makes a prediction. Until its answer has come nobody knows what it is called, so that whoever drops this
/// earlier leaves a task behind that waits for the answer and calls the prediction off.
pub(super) async fn make(
    ledger: &Ledger,
    worker: &Arc<Worker>,
    path: &PathAndQuery,
    headers: HeaderMap,
    body: &Rope,
    config: &Config,
) -> Result<Answer, UpstreamError> {
    let (idle, most, patience) =
        (config.timeouts.idle, config.limits.reply_bytes, config.timeouts.first_byte);
    let account = Account {
        pool: Arc::clone(&ledger.local.pool),
        worker: Arc::clone(worker),
        headers: calm(headers.clone()),
        runtime: Handle::current(),
    };
    let (to, path, body) = (account.clone(), path.clone(), body.clone());
    let exchange = async move {
        let (endpoint, late) = (&to.worker.endpoint, patience + MAKING);
        let answer = to.pool.send(endpoint, Method::POST, &path, || headers.clone(), &body, late).await?;
        Ok((answer.head, collect(answer.body, idle, most).await?))
    };
    let mut making = Making { account, exchange: Some(exchange.boxed()) };
    let made = tokio::time::timeout(patience, poll_fn(|cx| making.poll(cx))).await;
    let (head, bytes) = made.unwrap_or(Err(UpstreamError::FirstByteTimeout(patience)))?;
    Ok(Answer { head, body: AnswerBody::whole(bytes) })
}

/// A prediction that is being made.
struct Making {
    account: Account,
    /// Taken when it is over.
    exchange: Option<BoxFuture<'static, Result<(response::Parts, Bytes), UpstreamError>>>,
}

impl Making {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(response::Parts, Bytes), UpstreamError>> {
        let Some(exchange) = &mut self.exchange else { return Poll::Pending };
        let made = std::task::ready!(exchange.poll_unpin(cx));
        self.exchange = None;
        Poll::Ready(made)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let Some(exchange) = self.exchange.take() else { return };
        let account = self.account.clone();
        // Owned by the thread's runtime, which ends it at a stop; bounded by its own timeouts otherwise.
        self.account.runtime.spawn(async move {
            let Ok(Ok((_, bytes))) = tokio::time::timeout(MAKING, exchange).await else { return };
            let made = Prediction::read(&bytes).filter(|made| !made.is_over);
            if let Some(path) = made.and_then(|made| account.path(&made.id)) {
                account.call_off(&path).await;
            }
        });
    }
}

impl Account {
    /// Where the prediction `id` is. Made of the id, not taken from an answer: whoever wrote that must not have the
    /// key sent elsewhere.
    fn path(&self, id: &str) -> Option<PathAndQuery> {
        PathAndQuery::try_from(self.worker.endpoint.path(&format!("/v1/predictions/{id}"))).ok()
    }

    async fn get(&self, path: &PathAndQuery, patience: Duration) -> Result<Answer, UpstreamError> {
        let (headers, none) = (|| self.headers.clone(), Rope::default());
        self.pool.send(&self.worker.endpoint, Method::GET, path, headers, &none, patience).await
    }

    async fn call_off(&self, path: &PathAndQuery) {
        let Ok(path) = PathAndQuery::try_from(format!("{path}/cancel")) else { return };
        let (headers, none) = (|| self.headers.clone(), Rope::default());
        let sent = self.pool.send(&self.worker.endpoint, Method::POST, &path, headers, &none, CANCEL).await;
        if let Err(error) = sent {
            tracing::debug!(worker = %self.worker.id, %error, "a prediction could not be called off");
        }
    }
}

/// What a stream does not say: what its prediction has used.
pub(crate) struct Tally(BoxFuture<'static, Option<Box<Usage>>>);

impl Tally {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Box<Usage>>> {
        self.0.poll_unpin(cx)
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tally")
    }
}

/// Follows the prediction that `created` tells of: to its end, or to its stream where the client wants one and
/// the model can give it. The job goes along with a stream, until that is over.
pub(super) async fn follow(
    ledger: &Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    created: Answer,
) -> Result<(Answer, Option<Job>), Failure> {
    let config = &*plan.question.snapshot.config;
    let credential = forward::credential(worker, plan.question.caller_keys.meant_for(worker), None);
    let Answer { head, body } = created;
    let mut bytes = read(body, config).await?;
    let mut latest = Prediction::read(&bytes).ok_or_else(not_one)?;
    let mut job = Job::new(ledger, plan, worker, credential, &latest.id).ok_or_else(not_one)?;
    let end = Instant::now() + config.timeouts.first_byte;
    let desk = Desk { ledger, credential, config, end };
    let is_said = ledger.endpoint.dialect.kind() == Kind::Generate;
    if plan.question.stream
        && is_said
        && !latest.is_over
        && let Some(url) = &latest.stream
    {
        match job.stream(&desk, url).await {
            Ok(Some(answer)) => return Ok((answer, Some(job))),
            Ok(None) => {}
            Err(failure) => {
                tracing::warn!(request_id = %ledger.id, outcome = ?failure.outcome, "no stream of a prediction; it is read whole");
            }
        }
    }
    let [mut pause, longest] = PAUSES;
    while !latest.is_over {
        let wait = pause;
        pause = (pause * 2).min(longest);
        if Instant::now() + wait > end {
            return Err(too_slow(config.timeouts.first_byte));
        }
        tokio::time::sleep(wait).await;
        match job.look(&desk).await {
            Ok(seen) => bytes = seen,
            // It goes on, whether it could be looked at this time or not.
            Err(failure) if failure.again == Again::Everyone => {
                pause = failure.wait.unwrap_or(pause).max(pause);
                continue;
            }
            Err(failure) => return Err(failure),
        }
        latest = Prediction::read(&bytes).ok_or_else(|| Failure { again: Again::Others, ..not_one() })?;
    }
    job.is_over = true;
    Ok((Answer { head, body: AnswerBody::whole(bytes) }, None))
}

/// What looking at a job takes.
struct Desk<'a> {
    ledger: &'a Ledger,
    credential: Credential<'a>,
    config: &'a Config,
    /// When it is given up.
    end: Instant,
}

impl Desk<'_> {
    fn patience(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

impl Job {
    fn new(
        ledger: &Ledger,
        plan: &Plan,
        worker: &Arc<Worker>,
        credential: Credential<'_>,
        id: &str,
    ) -> Option<Self> {
        let client = &plan.question.head.headers;
        let dialects = (ledger.endpoint.dialect, OURS);
        let headers = forward::request_headers(client, worker, dialects, credential, &ledger.id, &[]);
        let account = Account {
            pool: Arc::clone(&ledger.local.pool),
            worker: Arc::clone(worker),
            headers: calm(headers),
            runtime: Handle::current(),
        };
        Some(Self { path: account.path(id)?, account, is_over: false })
    }

    /// Its stream came to its end; what it has used is to be asked for.
    pub(crate) fn tally(&mut self) -> Tally {
        self.over();
        let (account, path) = (self.account.clone(), self.path.clone());
        // It may count as under way for a moment after its last word.
        let used = async move {
            loop {
                let answer = account.get(&path, TALLY).await.ok()?;
                let bytes = answer.body.collect(LARGEST_TALLY).await.ok()?;
                if Prediction::read(&bytes)?.is_over {
                    return read_reply(&bytes).ok()?.usage;
                }
                tokio::time::sleep(PAUSES[0]).await;
            }
        };
        Tally(tokio::time::timeout(TALLY, used).map(|used| used.ok().flatten()).boxed())
    }

    /// It came to its end.
    pub(crate) fn over(&mut self) {
        self.is_over = true;
    }

    /// How far it is.
    async fn look(&self, desk: &Desk<'_>) -> Result<Bytes, Failure> {
        let sent = self.account.get(&self.path, desk.patience()).await;
        read(self.checked(desk, sent).await?.body, desk.config).await
    }

    /// Its output as it comes; `None` where `url` is not the provider's.
    async fn stream(&self, desk: &Desk<'_>, url: &str) -> Result<Option<Answer>, Failure> {
        let Some(place) = Place::of(url, &self.account.worker) else { return Ok(None) };
        let headers = || {
            let mut headers = self.account.headers.clone();
            headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
            headers.remove(header::CONTENT_TYPE);
            headers
        };
        let (none, patience) = (Rope::default(), desk.patience());
        let sent = match place {
            Place::Worker(path) => {
                let to = &self.account.worker.endpoint;
                self.account.pool.send(to, Method::GET, &path, headers, &none, patience).await
            }
            Place::Other(to, path) => {
                // The address says all that host needs to know.
                let bare = || {
                    HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("text/event-stream"))])
                };
                self.account.pool.send_once(&to, Method::GET, &path, bare, &none, patience).await
            }
        };
        self.checked(desk, sent).await.map(Some)
    }

    async fn checked(&self, desk: &Desk<'_>, sent: Result<Answer, UpstreamError>) -> Result<Answer, Failure> {
        let mut answer = sent.map_err(|error| unanswered(desk.ledger, &self.account.worker, &error))?;
        forward::clean(&mut answer.head.headers, desk.credential);
        if answer.head.status.is_success() {
            return Ok(answer);
        }
        let idle = desk.config.timeouts.idle;
        Err(error_answer(desk.ledger, &self.account.worker, OURS, desk.credential, answer, idle).await)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (account, path) = (self.account.clone(), self.path.clone());
        // Owned and bounded as above.
        self.account.runtime.spawn(async move { account.call_off(&path).await });
    }
}

/// Where a stream is.
enum Place {
    /// At the worker itself.
    Worker(PathAndQuery),
    /// At another host of the provider's.
    Other(Endpoint, PathAndQuery),
}

impl Place {
    fn of(url: &str, worker: &Worker) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let authority = uri.authority()?;
        let path = uri.path_and_query()?.clone();
        let base = format!("{}://{authority}", uri.scheme_str()?);
        if worker.spec.url.trim_end_matches('/') == base {
            return Some(Self::Worker(path));
        }
        let is_theirs = provider::of_host(uri.host()?).map(|p| p.id) == worker.provider.as_deref();
        let to = Endpoint::parse(&base).ok().filter(|_| is_theirs && uri.scheme_str() == Some("https"))?;
        Some(Self::Other(to, path))
    }
}

/// The headers of requests that look at a prediction or call it off.
fn calm(mut headers: HeaderMap) -> HeaderMap {
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    // What a request that makes one asks for.
    headers.remove("prefer");
    // With the key of the one that makes it, calling it off would count as making it again.
    headers.remove("idempotency-key");
    headers
}

async fn read(body: AnswerBody, config: &Config) -> Result<Bytes, Failure> {
    collect(body, config.timeouts.idle, config.limits.reply_bytes).await.map_err(|error| broken(&error))
}

fn not_one() -> Failure {
    let message = "the model's worker answered something that is no prediction";
    unreadable(Fault::new(FaultKind::Upstream, message))
}

fn too_slow(after: Duration) -> Failure {
    let message = format!("the prediction was not over after {} (`timeouts.first_byte`)", in_words(after));
    let fault = Fault::new(FaultKind::Timeout, message).code("upstream_timeout");
    Failure::of(Mishap::StalledBeforeHead, Outcome::Failed("first_byte_timeout"), Err(fault))
}
