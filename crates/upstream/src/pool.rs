//! Connections kept for the next call. One pool per serving thread, so that a call never wakes another
//! core and the lock below is never contended.

use crate::connect::{Connector, Dialled};
use crate::gate::{Gate, Turn};
use crate::http1::{Home, Http1, write_head};
use crate::http2::{self, Line, Missed, Seat};
use crate::streamed::Streamed;
use crate::{Answer, Endpoint, UpstreamError};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use trunkline_dialect::rope::Rope;

/// How often a request is sent that the upstream certainly did nothing with, before that is a failure.
const TRIES: u32 = 3;
/// How soon after a request began to be sent an idle connection shows that the other side was closing it just then: its
/// farewell was under way, which takes no longer than one way between two continents. A request that is lost later may
/// have been worked on, and whether to ask again is the caller's to decide. Go and nginx never send a POST again that was
/// written; here that would fail calls whenever an upstream's idle timeout is about as long as ours.
const IDLE_CLOSE: Duration = Duration::from_millis(300);

/// How connections are kept.
#[derive(Debug, Clone, Copy)]
pub struct PoolSettings {
    /// Most idle connections per endpoint.
    pub idle: usize,
    /// Longest idleness.
    pub idle_timeout: Duration,
}

/// Connections towards all upstreams, over all pools that share it.
#[derive(Debug, Default)]
pub struct ConnectionCounts {
    open: AtomicU64,
    opened: AtomicU64,
    reused: AtomicU64,
}

impl ConnectionCounts {
    /// Open now.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    /// Ever opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// Calls that found a connection standing.
    #[must_use]
    pub fn reused(&self) -> u64 {
        self.reused.load(Relaxed)
    }
}

/// Counts one open connection while it lives.
#[derive(Debug)]
pub(crate) struct Counted(Arc<ConnectionCounts>);

impl Counted {
    pub(crate) fn new(counts: &Arc<ConnectionCounts>) -> Self {
        counts.open.fetch_add(1, Relaxed);
        counts.opened.fetch_add(1, Relaxed);
        Self(Arc::clone(counts))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// The connections of one thread.
#[derive(Debug)]
pub struct Pool {
    connector: Arc<Connector>,
    settings: PoolSettings,
    counts: Arc<ConnectionCounts>,
    shelves: Mutex<HashMap<u64, Shelf>>,
}

#[derive(Debug, Default)]
struct Shelf {
    /// HTTP/1.1, last used last.
    idle: Vec<(Http1, Instant)>,
    /// HTTP/2.
    lines: Vec<Line>,
    /// Whether the endpoint chose HTTP/2 when last dialled.
    speaks_http2: Option<bool>,
    gate: Arc<Gate>,
}

/// What carries one exchange.
enum Carrier {
    One(Http1),
    Two(Seat),
}

impl Carrier {
    /// Whether it stood without any exchange, so that the other side may be closing it.
    const fn was_idle(&self) -> bool {
        match self {
            Self::One(line) => line.served,
            Self::Two(seat) => seat.was_idle,
        }
    }
}

/// A request as callers give it.
struct Ask<'a, H> {
    to: &'a Endpoint,
    method: Method,
    path: &'a PathAndQuery,
    headers: H,
    body: &'a Rope,
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub fn new(
        connector: Arc<Connector>,
        settings: PoolSettings,
        counts: Arc<ConnectionCounts>,
    ) -> Arc<Self> {
        Arc::new(Self { connector, settings, counts, shelves: Mutex::default() })
    }

    /// Sends a request and waits for the head of the answer, at most `first_byte` from now.
    ///
    /// `headers` makes the headers, without `host` and `content-length`, which are ours. A request that an idle
    /// connection lost because it was being closed, or that the upstream says it did not look at, is sent again
    /// on another.
    ///
    /// # Errors
    /// When no answer began.
    pub async fn send(
        self: &Arc<Self>,
        to: &Endpoint,
        method: Method,
        path: &PathAndQuery,
        headers: impl Fn() -> HeaderMap,
        body: &Rope,
        first_byte: Duration,
    ) -> Result<Answer, UpstreamError> {
        let ask = Ask { to, method, path, headers, body };
        tokio::time::timeout(first_byte, self.send_unbounded(&ask))
            .await
            .unwrap_or(Err(UpstreamError::FirstByteTimeout(first_byte)))
    }

    /// Whether somebody is there who takes connections; nothing is asked on the one that is opened to find out.
    pub async fn reaches(&self, to: &Endpoint) -> bool {
        self.connector.dial(to).await.is_ok()
    }

    /// Sends a request to an address that is asked this once, and waits for the head of the answer, at most
    /// `first_byte` from now.
    ///
    /// # Errors
    /// When no answer began.
    pub async fn send_once(
        self: &Arc<Self>,
        to: &Endpoint,
        method: Method,
        path: &PathAndQuery,
        headers: impl Fn() -> HeaderMap,
        body: &Rope,
        first_byte: Duration,
    ) -> Result<Answer, UpstreamError> {
        let exchange = async {
            let dialled = self.connector.dial(to).await?;
            self.send_alone(dialled, to, method, path, headers, body).await
        };
        let late = Err(UpstreamError::FirstByteTimeout(first_byte));
        tokio::time::timeout(first_byte, exchange).await.unwrap_or(late)
    }

    /// Sends a request whose body is still being uploaded, once: what an upstream has taken of it is gone. The
    /// upstream may take `first_byte` for its next step, which is to take more of the body or, once it has all, to
    /// begin its answer; how long whoever uploads takes is not its doing.
    ///
    /// # Errors
    /// When no answer began, or the body broke off.
    pub async fn send_streamed(
        self: &Arc<Self>,
        to: &Endpoint,
        method: Method,
        path: &PathAndQuery,
        headers: impl Fn() -> HeaderMap,
        body: Streamed,
        first_byte: Duration,
    ) -> Result<Answer, UpstreamError> {
        let ask = Ask { to, method, path, headers, body: &Rope::default() };
        let (body, pace) = body.paced();
        let exchange = async {
            // An idle connection may have been closed meanwhile, which would cost a body that cannot be sent again.
            match self.carrier(to, Some(&Avoid::Idle)).await? {
                Carrier::One(line) => {
                    let home = Home { pool: Arc::clone(self), shelf: to.id };
                    ask.on_line(line, Some(body), Some(home)).await
                }
                Carrier::Two(seat) => ask.on_seat(seat, Some(body)).await.map_err(|missed| missed.error),
            }
        };
        pace.bound(first_byte, exchange).await.unwrap_or(Err(UpstreamError::FirstByteTimeout(first_byte)))
    }

    /// Sends a request on a connection of its own, which is closed when the answer has been read.
    pub(crate) async fn send_alone(
        self: &Arc<Self>,
        Dialled { socket, http2 }: Dialled,
        to: &Endpoint,
        method: Method,
        path: &PathAndQuery,
        headers: impl Fn() -> HeaderMap,
        body: &Rope,
    ) -> Result<Answer, UpstreamError> {
        let counted = Counted::new(&self.counts);
        let ask = Ask { to, method, path, headers, body };
        if http2 {
            let (_, seat) = Line::open(socket, counted, None).await?;
            return ask.on_seat(seat, None).await.map_err(|missed| missed.error);
        }
        ask.on_line(Http1::new(socket, counted), None, None).await
    }

    async fn send_unbounded(
        self: &Arc<Self>,
        ask: &Ask<'_, impl Fn() -> HeaderMap>,
    ) -> Result<Answer, UpstreamError> {
        let mut avoid = None;
        let mut tries = 1;
        loop {
            let carrier = self.carrier(ask.to, avoid.as_ref()).await?;
            let (was_idle, sent) = (carrier.was_idle(), Instant::now());
            let missed = match carrier {
                Carrier::One(line) => {
                    let home = Home { pool: Arc::clone(self), shelf: ask.to.id };
                    match ask.on_line(line, None, Some(home)).await {
                        Err(error) => {
                            avoid = Some(Avoid::Idle);
                            Missed { error, unprocessed: false }
                        }
                        Ok(answer) => return Ok(answer),
                    }
                }
                Carrier::Two(seat) => {
                    avoid = Some(Avoid::Line(seat.line().clone()));
                    match ask.on_seat(seat, None).await {
                        Err(missed) => missed,
                        Ok(answer) => return Ok(answer),
                    }
                }
            };
            let crossed = was_idle
                && matches!(missed.error, UpstreamError::Closed { .. })
                && sent.elapsed() < IDLE_CLOSE;
            if tries == TRIES || !(missed.unprocessed || crossed) {
                return Err(missed.error);
            }
            tries += 1;
        }
    }

    /// A standing connection, other than those to `avoid`, or a fresh one.
    async fn carrier(&self, to: &Endpoint, avoid: Option<&Avoid>) -> Result<Carrier, UpstreamError> {
        if let Some(standing) = self.standing(to.id, avoid) {
            return Ok(standing);
        }
        let Some(gate) = self.gate(to) else { return self.open(to, None).await };
        let Some(turn) = gate.turn().await else { return self.open(to, None).await };
        // Whoever had the turn before may have opened what serves this call too, or found out that there
        // is nothing to share.
        if let Some(standing) = self.standing(to.id, avoid) {
            return Ok(standing);
        }
        if self.gate(to).is_none() {
            drop(turn);
            return self.open(to, None).await;
        }
        self.open(to, Some((turn, &gate))).await
    }

    fn standing(&self, id: u64, avoid: Option<&Avoid>) -> Option<Carrier> {
        let carrier = match avoid {
            Some(Avoid::Idle) => None,
            None | Some(Avoid::Line(_)) => self.take_idle(id).map(Carrier::One),
        };
        let carrier = carrier.or_else(|| self.take_seat(id, avoid).map(Carrier::Two))?;
        self.counts.reused.fetch_add(1, Relaxed);
        Some(carrier)
    }

    /// What to pass before dialling, where the new connection might serve many.
    fn gate(&self, to: &Endpoint) -> Option<Arc<Gate>> {
        if !to.tls && !self.connector.settings.http2_prior_knowledge {
            return None;
        }
        self.shelf(|shelves| {
            let shelf = shelves.entry(to.id).or_default();
            (shelf.speaks_http2 != Some(false)).then(|| Arc::clone(&shelf.gate))
        })
    }

    /// Opens a connection; one of HTTP/2 goes on the shelf for others too.
    async fn open(&self, to: &Endpoint, turn: Option<(Turn, &Gate)>) -> Result<Carrier, UpstreamError> {
        let (turn, gate) = turn.unzip();
        let dialled = self.connector.dial(to).await;
        if let (Err(_), Some(gate)) = (&dialled, gate) {
            gate.failed();
        }
        let Dialled { socket, http2 } = dialled?;
        let counted = Counted::new(&self.counts);
        if to.tls {
            self.shelf(|shelves| shelves.entry(to.id).or_default().speaks_http2 = Some(http2));
        }
        if !http2 {
            return Ok(Carrier::One(Http1::new(socket, counted)));
        }
        let (line, seat) = Line::open(socket, counted, turn).await?;
        self.shelf(|shelves| shelves.entry(to.id).or_default().lines.push(line));
        Ok(Carrier::Two(seat))
    }

    /// Closes what has been idle for too long. To be called now and then.
    pub fn sweep(&self) {
        let now = Instant::now();
        let limit = self.settings.idle_timeout;
        let stale = self.shelf(|shelves| {
            let mut stale = Stale::default();
            shelves.retain(|_, shelf| {
                let old = |(_, since): &mut (Http1, Instant)| now.duration_since(*since) >= limit;
                stale.ones.extend(shelf.idle.extract_if(.., old));
                stale.twos.extend(shelf.lines.extract_if(.., |line| !line.is_usable(limit)));
                let is_empty = shelf.idle.is_empty() && shelf.lines.is_empty();
                // Somebody may be dialling for it.
                !is_empty || Arc::strong_count(&shelf.gate) > 1
            });
            stale
        });
        drop(stale);
    }

    /// Closes what is idle towards an endpoint that nobody calls any more.
    pub fn forget(&self, endpoint: &Endpoint) {
        let shelf = self.shelf(|shelves| shelves.remove(&endpoint.id));
        drop(shelf);
    }

    pub(crate) fn put_back(&self, id: u64, line: Http1) {
        let now = Instant::now();
        let surplus = self.shelf(|shelves| {
            let shelf = shelves.entry(id).or_default();
            if shelf.idle.len() >= self.settings.idle {
                return Some(line);
            }
            shelf.idle.push((line, now));
            None
        });
        drop(surplus);
    }

    fn take_idle(&self, id: u64) -> Option<Http1> {
        loop {
            let (mut line, since) = self.shelf(|shelves| shelves.get_mut(&id)?.idle.pop())?;
            if since.elapsed() < self.settings.idle_timeout && line.is_usable() {
                return Some(line);
            }
        }
    }

    /// A place on the first connection that has one, so that the last ones become idle when calls get fewer.
    fn take_seat(&self, id: u64, avoid: Option<&Avoid>) -> Option<Seat> {
        let limit = self.settings.idle_timeout;
        let (stale, seat) = self.shelf(|shelves| {
            let lines = &mut shelves.get_mut(&id)?.lines;
            let stale: Vec<_> = lines.extract_if(.., |line| !line.is_usable(limit)).collect();
            let seat =
                lines.iter().filter(|line| !avoid.is_some_and(|avoid| avoid.is(line))).find_map(Line::seat);
            Some((stale, seat))
        })?;
        drop(stale);
        seat
    }

    fn shelf<T>(&self, change: impl FnOnce(&mut HashMap<u64, Shelf>) -> T) -> T {
        let mut shelves: MutexGuard<'_, _> = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut shelves)
    }
}

/// Connections to be closed outside the lock.
#[derive(Default)]
struct Stale {
    ones: Vec<(Http1, Instant)>,
    twos: Vec<Line>,
}

/// What a request must not go on.
enum Avoid {
    /// Idle connections of HTTP/1.1, each of which may have been closed by now.
    Idle,
    /// The connection of HTTP/2 it was just lost on.
    Line(Line),
}

impl Avoid {
    fn is(&self, line: &Line) -> bool {
        matches!(self, Self::Line(avoided) if avoided.is(line))
    }
}

impl<H: Fn() -> HeaderMap> Ask<'_, H> {
    async fn on_line(
        &self,
        line: Http1,
        more: Option<Streamed>,
        home: Option<Home>,
    ) -> Result<Answer, UpstreamError> {
        let length = self.length(more.as_ref());
        let head = write_head(&self.method, self.path, &self.to.authority, &(self.headers)(), length);
        let (head, reading) = line.send(head, self.body, more, home).await?;
        Ok(Answer::one(head, reading))
    }

    async fn on_seat(&self, seat: Seat, more: Option<Streamed>) -> Result<Answer, Missed> {
        let length = self.length(more.as_ref());
        let request = http2::request(self.to, self.method.clone(), self.path, (self.headers)(), length)
            .map_err(|error| Missed { error, unprocessed: false })?;
        seat.send(request, self.body, more).await
    }

    /// How long the whole body is, where that is known.
    fn length(&self, more: Option<&Streamed>) -> Option<u64> {
        match more {
            Some(more) => more.length,
            None => Some(self.body.len() as u64),
        }
    }
}
