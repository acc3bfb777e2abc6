//! Forms, which carry files: passed on while they arrive, never held whole.
//!
//! Nothing can be sent before the `model` is known, and clients may send their file first. What comes before
//! the model is held: a little in memory, more of it in a file that has no name and goes with the request.
//! What comes behind it waits in the client's connection until the upstream takes it. A call can be tried on
//! another worker as long as nobody has taken any of that.

use super::accept::{content_length, too_large};
use super::read::{is_too_slow, next_piece, too_slow};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use hyper::body::Incoming;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;
use trunkline_core::{Fault, FaultKind};
use trunkline_dialect::form::{FormError, FormModel, FormScan, LONGEST_MODEL};
use trunkline_dialect::rope::Rope;
use trunkline_dialect::scan::Scanned;
use trunkline_upstream::Streamed;

/// Bytes held in memory while the model is looked for; more go into a file.
const IN_MEMORY: usize = 1 << 20;
/// Bytes that stay in memory when the others go: the model's name may have begun in them.
const KEPT: usize = 2 * LONGEST_MODEL;
/// Bytes read from the file at once.
const AT_ONCE: usize = 64 << 10;

/// A form on its way.
pub(crate) struct Form {
    /// With the boundary.
    pub(crate) content_type: HeaderValue,
    /// What came before what is in memory.
    spool: Option<Arc<File>>,
    /// Bytes in memory, as they came.
    held: usize,
    /// Bytes in all, where the client said.
    length: Option<u64>,
    rest: Arc<Mutex<Rest>>,
}

/// What has not arrived yet.
enum Rest {
    /// Nobody asked for it.
    Waiting(Box<Arriving>),
    /// There is no more.
    Over,
    /// An upstream took it, or some of it.
    Taken,
    /// It will not come.
    Failed(Fault),
}

/// The limits of a body.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Most bytes.
    pub(super) bytes: usize,
    /// Longest wait for the next of them.
    pub(super) patience: Duration,
}

struct Arriving {
    body: Incoming,
    scan: FormScan,
    seen: u64,
    began: Instant,
    bounds: Bounds,
}

impl Arriving {
    /// The next piece, looked at.
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        let Bounds { bytes, patience } = self.bounds;
        if is_too_slow(self.seen, self.began.elapsed(), patience) {
            return Err(too_slow());
        }
        let Some(piece) = next_piece(&mut self.body, patience).await? else { return Ok(None) };
        self.seen += piece.len() as u64;
        if self.seen > bytes as u64 {
            return Err(too_large(bytes));
        }
        self.scan.push(&piece).map_err(malformed)?;
        Ok(Some(piece))
    }
}

/// Whether a content type is that of a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).and_then(|kind| FormScan::new(kind.to_str().ok()?).ok()).is_some()
}

/// Reads a form up to its model: what of it is in memory, what routing needs of that, and the rest.
///
/// # Errors
/// 400, also for a form without a model; 413.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Incoming,
    bounds: Bounds,
) -> Result<(Rope, Scanned, Form), Fault> {
    let content_type = headers.get(header::CONTENT_TYPE).cloned().unwrap_or(HeaderValue::from_static(""));
    let scan = FormScan::new(content_type.to_str().unwrap_or_default()).map_err(malformed)?;
    let mut arriving = Arriving { body, scan, seen: 0, began: Instant::now(), bounds };
    let mut rope = Rope::default();
    let mut spool: Option<Spool> = None;
    let model = loop {
        if let Some(model) = &arriving.scan.model {
            break model.clone();
        }
        let piece = if arriving.scan.ended { None } else { arriving.next().await? };
        let Some(piece) = piece else { return Err(no_model()) };
        rope.push(piece);
        if rope.len() > IN_MEMORY {
            let full = rope.len() - KEPT;
            let spool = match &mut spool {
                Some(spool) => spool,
                none => none.insert(Spool::new()?),
            };
            spool.write(&rope.slice(0..full))?;
            rope = Rope::from(rope.slice(full..rope.len()));
        }
    };
    let spooled = spool.as_ref().map_or(0, |spool| spool.len);
    let FormModel { name, range } = model;
    let range = range.start.saturating_sub(spooled)..range.end.saturating_sub(spooled);
    let scanned = Scanned { model: Some((name, range)), ..Scanned::default() };
    let length = content_length(headers);
    let is_over = length == Some(arriving.seen);
    let rest = if is_over { Rest::Over } else { Rest::Waiting(Box::new(arriving)) };
    let form = Form {
        content_type,
        spool: spool.map(|spool| Arc::new(spool.file)),
        held: rope.len(),
        length,
        rest: Arc::new(Mutex::new(rest)),
    };
    Ok((rope, scanned, form))
}

/// What was moved out of memory.
struct Spool {
    file: File,
    len: usize,
}

impl Spool {
    fn new() -> Result<Self, Fault> {
        let file = tempfile::tempfile().map_err(|error| unheld(&error))?;
        Ok(Self { file, len: 0 })
    }

    /// Writes into the page cache, a megabyte at a time, so that the thread is not kept.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.file.write_all(bytes).map_err(|error| unheld(&error))?;
        self.len += bytes.len();
        Ok(())
    }
}

impl Form {
    /// Whether it cannot be sent again, because somebody has taken some of it.
    pub(crate) fn is_spent(&self) -> bool {
        matches!(*self.rest(), Rest::Taken | Rest::Failed(_))
    }

    /// Why it did not come to its end.
    pub(crate) fn fault(&self) -> Option<Fault> {
        if let Rest::Failed(fault) = &*self.rest() { Some(fault.clone()) } else { None }
    }

    /// All of it, with `held` in place of what is in memory.
    pub(crate) fn send(&self, held: &Rope) -> Streamed {
        let length = self.length.map(|length| length.saturating_sub(self.held as u64) + held.len() as u64);
        let spool = self.spool.as_ref().map(Arc::clone);
        let phase = match spool {
            Some(file) => Phase::Open(file, held.clone()),
            None => Phase::Held(held.clone().into_iter()),
        };
        let pieces = stream::unfold((phase, Arc::clone(&self.rest)), |(phase, rest)| async move {
            let (piece, phase) = phase.next(&rest).await?;
            Some((piece, (phase, rest)))
        });
        Streamed { length, pieces: Box::pin(pieces) }
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far the sending is.
enum Phase {
    /// The file is to be read from its start.
    Open(Arc<File>, Rope),
    /// The file is being read.
    Spooled(tokio::fs::File, Rope),
    /// What is in memory.
    Held(<Rope as IntoIterator>::IntoIter),
    /// What arrives.
    Arriving(Box<Arriving>),
    Over,
}

impl Phase {
    /// The next piece, and how far it is then; `None` at the end.
    async fn next(mut self, rest: &Mutex<Rest>) -> Option<(io::Result<Bytes>, Self)> {
        loop {
            self = match self {
                Self::Open(file, held) => match reopened(&file) {
                    Ok(file) => Self::Spooled(file, held),
                    Err(error) => return Some((Err(error), Self::Over)),
                },
                Self::Spooled(mut file, held) => {
                    let mut piece = vec![0; AT_ONCE];
                    match file.read(&mut piece).await {
                        Ok(0) => Self::Held(held.into_iter()),
                        Ok(read) => {
                            piece.truncate(read);
                            return Some((Ok(piece.into()), Self::Spooled(file, held)));
                        }
                        Err(error) => return Some((Err(error), Self::Over)),
                    }
                }
                Self::Held(mut pieces) => match pieces.next() {
                    Some(piece) => return Some((Ok(piece), Self::Held(pieces))),
                    None => taken(rest),
                },
                Self::Arriving(mut arriving) => match arriving.next().await {
                    Ok(Some(piece)) => return Some((Ok(piece), Self::Arriving(arriving))),
                    Ok(None) => return None,
                    Err(fault) => {
                        let error = io::Error::other(fault.message.clone());
                        *rest.lock().unwrap_or_else(PoisonError::into_inner) = Rest::Failed(fault);
                        return Some((Err(error), Self::Over));
                    }
                },
                Self::Over => return None,
            };
        }
    }
}

/// Takes what has not arrived; from here on the form is spent.
fn taken(rest: &Mutex<Rest>) -> Phase {
    let mut rest = rest.lock().unwrap_or_else(PoisonError::into_inner);
    match std::mem::replace(&mut *rest, Rest::Taken) {
        Rest::Waiting(arriving) => Phase::Arriving(arriving),
        Rest::Over => {
            *rest = Rest::Over;
            Phase::Over
        }
        Rest::Taken => Phase::Over,
        Rest::Failed(fault) => {
            *rest = Rest::Failed(fault);
            Phase::Over
        }
    }
}

fn reopened(file: &File) -> io::Result<tokio::fs::File> {
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(0))?;
    Ok(tokio::fs::File::from_std(file))
}

fn malformed(error: FormError) -> Fault {
    let fault = Fault::new(FaultKind::InvalidRequest, error.to_string());
    match error {
        FormError::NoBoundary => Fault { kind: FaultKind::MediaType, ..fault },
        FormError::LongHead => fault,
        FormError::LongModel | FormError::ModelNotText | FormError::Duplicate => fault.at("model"),
    }
}

fn no_model() -> Fault {
    let message = "`model` is missing; send it as a field of the form (GET /v1/models lists them)";
    Fault::new(FaultKind::InvalidRequest, message).at("model").code("missing_required_parameter")
}

fn unheld(error: &io::Error) -> Fault {
    tracing::error!(%error, "a form cannot be held in a temporary file");
    let message = "the form's file could not be held until its `model` came; send `model` before the file";
    Fault::new(FaultKind::Internal, message).at("model")
}
