//! Predictions: jobs that are made with one request and read with others. The answer to the first becomes the
//! answer to the call here, so that the rest of the walk need not know.

use super::answer::collect;
use super::failure::{Failure, broken, error_answer, unanswered};
use super::forward::{self, Credential};
use super::plan::Plan;
use super::settle::{Ledger, Outcome};
use crate::config::Config;
use crate::fleet::worker::Worker;
use bytes::Bytes;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderValue, Method, header};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;
use trunkline_core::{Dialect, Fault, FaultKind};
use trunkline_dialect::provider;
use trunkline_dialect::replicate::Prediction;
use trunkline_dialect::rope::Rope;
use trunkline_upstream::{Answer, AnswerBody, Endpoint, Pool};

/// The dialect whose calls are jobs.
const OURS: Dialect = Dialect::ReplicatePredictions;
/// Pauses between looking at a prediction, the first and the longest: short ones for short answers.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];
/// How long calling a prediction off may take.
const CANCEL: Duration = Duration::from_secs(10);

/// A prediction under way. Dropped before its end, because the client left or the attempt failed, it is called
/// off: nobody would read what is paid for.
#[derive(Debug)]
pub(crate) struct Job {
    pool: Arc<Pool>,
    worker: Arc<Worker>,
    headers: HeaderMap,
    /// Where it is.
    path: String,
    runtime: Handle,
    is_over: bool,
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
    let credential = forward::credential(worker, plan.question.caller_key.as_ref());
    let Answer { head, body } = created;
    let mut bytes = read(body, config).await?;
    let mut latest = Prediction::read(&bytes).ok_or_else(not_one)?;
    let mut job = Job::new(ledger, plan, worker, credential, &latest.id);
    let end = Instant::now() + config.timeouts.first_byte;
    let desk = Desk { ledger, credential, config, end };
    if plan.question.stream
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
            Err(failure) if failure.retry => {
                pause = failure.wait.unwrap_or(pause).max(pause);
                continue;
            }
            Err(failure) => return Err(failure),
        }
        latest = Prediction::read(&bytes).ok_or_else(|| Failure { retry: false, ..not_one() })?;
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
    fn new(ledger: &Ledger, plan: &Plan, worker: &Arc<Worker>, credential: Credential<'_>, id: &str) -> Self {
        let client = &plan.question.head.headers;
        let dialects = (ledger.endpoint.dialect, OURS);
        let mut headers = forward::request_headers(client, worker, dialects, credential, &ledger.id, &[]);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        Self {
            pool: Arc::clone(&ledger.local.pool),
            worker: Arc::clone(worker),
            headers,
            // Made of the id, not taken from the answer: whoever wrote it must not have the key sent elsewhere.
            path: worker.endpoint.path(&format!("/v1/predictions/{id}")),
            runtime: Handle::current(),
            is_over: false,
        }
    }

    /// It came to its end.
    pub(crate) fn over(&mut self) {
        self.is_over = true;
    }

    /// How far it is.
    async fn look(&self, desk: &Desk<'_>) -> Result<Bytes, Failure> {
        let path = PathAndQuery::try_from(self.path.as_str()).map_err(|_| not_one())?;
        let (headers, none) = (|| self.headers.clone(), Rope::default());
        let patience = desk.patience();
        let sent = self.pool.send(&self.worker.endpoint, Method::GET, &path, headers, &none, patience).await;
        read(self.checked(desk, sent).await?.body, desk.config).await
    }

    /// Its output as it comes; `None` where `url` is not the provider's.
    async fn stream(&self, desk: &Desk<'_>, url: &str) -> Result<Option<Answer>, Failure> {
        let Some(place) = Place::of(url, &self.worker) else { return Ok(None) };
        let headers = || {
            let mut headers = self.headers.clone();
            headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
            headers.remove(header::CONTENT_TYPE);
            headers
        };
        let (none, patience) = (Rope::default(), desk.patience());
        let sent = match place {
            Place::Worker(path) => {
                let to = &self.worker.endpoint;
                self.pool.send(to, Method::GET, &path, headers, &none, patience).await
            }
            Place::Other(to, path) => {
                // The address says all that host needs to know.
                let bare = || {
                    HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("text/event-stream"))])
                };
                self.pool.send_once(&to, Method::GET, &path, bare, patience).await
            }
        };
        self.checked(desk, sent).await.map(Some)
    }

    async fn checked(
        &self,
        desk: &Desk<'_>,
        sent: Result<Answer, trunkline_upstream::UpstreamError>,
    ) -> Result<Answer, Failure> {
        let mut answer = sent.map_err(|error| unanswered(desk.ledger, &self.worker, &error))?;
        forward::clean(&mut answer.head.headers, desk.credential.is_ours);
        if answer.head.status.is_success() {
            return Ok(answer);
        }
        let idle = desk.config.timeouts.idle;
        Err(error_answer(desk.ledger, &self.worker, OURS, desk.credential, answer, idle).await)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let Ok(path) = PathAndQuery::try_from(format!("{}/cancel", self.path)) else { return };
        let (pool, worker) = (Arc::clone(&self.pool), Arc::clone(&self.worker));
        let headers = std::mem::take(&mut self.headers);
        // Owned by the thread's runtime, which ends it at a stop; bounded by its own timeout otherwise.
        self.runtime.spawn(async move {
            let (none, headers) = (Rope::default(), || headers.clone());
            let sent = pool.send(&worker.endpoint, Method::POST, &path, headers, &none, CANCEL).await;
            if let Err(error) = sent {
                tracing::debug!(worker = %worker.id, %error, "a prediction could not be called off");
            }
        });
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

async fn read(body: AnswerBody, config: &Config) -> Result<Bytes, Failure> {
    collect(body, config.timeouts.idle, config.limits.reply_bytes).await.map_err(|error| broken(&error))
}

fn not_one() -> Failure {
    let fault =
        Fault::new(FaultKind::Upstream, "the model's worker answered something that is no prediction")
            .code("upstream_unreadable");
    Failure { outcome: Some(Outcome::Failed("unreadable")), retry: true, wait: None, last: Err(fault) }
}

fn too_slow(after: Duration) -> Failure {
    let message = format!("the prediction was not over after {} s (`timeouts.first_byte`)", after.as_secs());
    let fault = Fault::new(FaultKind::Timeout, message).code("upstream_timeout");
    Failure {
        outcome: Some(Outcome::Failed("first_byte_timeout")),
        retry: false,
        wait: None,
        last: Err(fault),
    }
}
