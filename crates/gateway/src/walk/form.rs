//! Forms, which carry files: passed on while they arrive, never held whole.
//!
//! Nothing can be sent before the `model` is known, and clients may send their file first. What comes before
//! the model is held: a little in memory, more of it in a file that has no name and goes with the request.
//! What comes behind it waits in the client's connection until the upstream takes it. A call can be tried on
//! another worker as long as nobody has taken any of that. For targets that take no forms, all of it is read into memory:
//! what they are sent instead holds files in base64, behind what is said of them.

use super::accept::{content_length, too_large};
use super::read::{is_too_slow, next_piece, too_slow};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, header};
use hyper::body::Incoming;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
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
    /// Bytes before what had not arrived when the form was read.
    before: usize,
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
    /// It came, and was kept for a target that takes no forms.
    Kept(Bytes),
    /// An upstream took it, or some of it.
    Taken,
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
    /// The same number, for the books: they may be closed while this is with an upstream.
    received: Arc<AtomicU64>,
    /// How long the client let us wait. What an upstream, a dial or a pause between attempts took is not its doing.
    waited: Duration,
    bounds: Bounds,
}

impl Arriving {
    /// The next piece, looked at.
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        let Bounds { bytes, patience } = self.bounds;
        if is_too_slow(self.seen, self.waited, patience) {
            return Err(too_slow());
        }
        let asked = Instant::now();
        let piece = next_piece(&mut self.body, patience).await?;
        self.waited += asked.elapsed();
        let Some(piece) = piece else { return Ok(None) };
        self.seen += piece.len() as u64;
        self.received.store(self.seen, Relaxed);
        if self.seen > bytes as u64 {
            return Err(too_large(bytes));
        }
        self.scan.push(&piece).map_err(FormError::fault)?;
        Ok(Some(piece))
    }
}

/// Whether a content type is that of a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).and_then(|kind| FormScan::new(kind.to_str().ok()?).ok()).is_some()
}

/// Reads a form up to its model: what of it is in memory, what routing needs of that, and the rest. `received` is
/// kept at the number of its bytes that have come, now and later.
///
/// # Errors
/// 400, also for a form without a model; 413.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Incoming,
    bounds: Bounds,
    received: Arc<AtomicU64>,
) -> Result<(Rope, Scanned, Form), Fault> {
    let content_type = headers.get(header::CONTENT_TYPE).cloned().unwrap_or(HeaderValue::from_static(""));
    let scan = FormScan::new(content_type.to_str().unwrap_or_default()).map_err(FormError::fault)?;
    let mut arriving = Arriving { body, scan, seen: 0, received, waited: Duration::ZERO, bounds };
    let mut rope = Rope::default();
    let mut spool: Option<Spool> = None;
    let model = loop {
        if let Some(model) = &arriving.scan.model {
            break model.clone();
        }
        let piece = if arriving.scan.ended { None } else { arriving.next().await? };
        let Some(piece) = piece else { return Err(no_model()) };
        rope.push(piece);
        // The piece that brought the model stays whole: its name is put right in memory.
        if rope.len() > IN_MEMORY && arriving.scan.model.is_none() {
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
        before: spooled + rope.len(),
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
        matches!(*self.rest.lock().unwrap_or_else(PoisonError::into_inner), Rest::Taken)
    }

    /// All of it in memory, for a target that takes no forms, of which `held` is what is in memory already. What had not
    /// arrived is kept, so that another attempt finds it.
    ///
    /// # Errors
    /// What is wrong with the rest of it.
    pub(super) async fn whole(&self, held: &Rope) -> Result<Bytes, Fault> {
        let mut whole = BytesMut::new();
        let mut pieces = self.send(held).pieces;
        while let Some(piece) = pieces.next().await {
            whole.extend_from_slice(&piece.map_err(|error| fault(&error))?);
        }
        let whole = whole.freeze();
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*rest, Rest::Taken) {
            *rest = Rest::Kept(whole.slice(self.before.min(whole.len())..));
        }
        Ok(whole)
    }

    /// All of it, with `held` in place of what is in memory.
    pub(crate) fn send(&self, held: &Rope) -> Streamed {
        let length = self.length.map(|length| length.saturating_sub(self.held as u64) + held.len() as u64);
        let phase = match &self.spool {
            Some(file) => Phase::Spooled { file: Arc::clone(file), at: 0, held: held.clone() },
            None => Phase::Held(held.clone().into_iter()),
        };
        let pieces = stream::unfold((phase, Arc::clone(&self.rest)), |(phase, rest)| async move {
            let (piece, phase) = phase.next(&rest).await?;
            Some((piece, (phase, rest)))
        });
        Streamed { length, pieces: Box::pin(pieces) }
    }
}

/// How far the sending is.
enum Phase {
    /// The file is being read, next at this offset.
    Spooled {
        file: Arc<File>,
        at: u64,
        held: Rope,
    },
    /// What is in memory.
    Held(<Rope as IntoIterator>::IntoIter),
    /// What arrives.
    Arriving(Box<Arriving>),
    /// What arrived for an earlier attempt.
    Kept(Bytes),
    Over,
}

impl Phase {
    /// The next piece, and how far it is then; `None` at the end.
    async fn next(mut self, rest: &Mutex<Rest>) -> Option<(io::Result<Bytes>, Self)> {
        loop {
            self = match self {
                Self::Spooled { file, at, held } => match read_at(Arc::clone(&file), at).await {
                    Ok(piece) if piece.is_empty() => Self::Held(held.into_iter()),
                    Ok(piece) => {
                        let at = at + piece.len() as u64;
                        return Some((Ok(piece), Self::Spooled { file, at, held }));
                    }
                    Err(error) => return Some((Err(unsent(unread(&error))), Self::Over)),
                },
                Self::Held(mut pieces) => match pieces.next() {
                    Some(piece) => return Some((Ok(piece), Self::Held(pieces))),
                    None => taken(rest),
                },
                Self::Arriving(mut arriving) => match arriving.next().await {
                    Ok(Some(piece)) => return Some((Ok(piece), Self::Arriving(arriving))),
                    Ok(None) => return None,
                    Err(fault) => return Some((Err(unsent(fault)), Self::Over)),
                },
                Self::Kept(bytes) => return Some((Ok(bytes), Self::Over)),
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
        Rest::Kept(bytes) => {
            *rest = Rest::Kept(bytes.clone());
            Phase::Kept(bytes)
        }
        Rest::Over => {
            *rest = Rest::Over;
            Phase::Over
        }
        Rest::Taken => Phase::Over,
    }
}

/// The next bytes of the file behind `at`; none at its end. All attempts share the file, and one that was given up
/// may still be reading: none of them may depend on the file's own position.
async fn read_at(file: Arc<File>, at: u64) -> io::Result<Bytes> {
    let read = tokio::task::spawn_blocking(move || {
        let mut piece = vec![0; AT_ONCE];
        let read = file.read_at(&mut piece, at)?;
        piece.truncate(read);
        Ok(piece.into())
    });
    read.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Why a form does not come to its end, on its way through the connection it was sent on.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
struct Unsent(Fault);

fn unsent(fault: Fault) -> io::Error {
    io::Error::other(Unsent(fault))
}

/// What the client is told when its form did not come to its end.
pub(super) fn fault(error: &io::Error) -> Fault {
    match error.get_ref().and_then(|error| error.downcast_ref::<Unsent>()) {
        Some(Unsent(fault)) => fault.clone(),
        None => Fault::new(FaultKind::InvalidRequest, "the request's body broke off before its end"),
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

fn unread(error: &io::Error) -> Fault {
    tracing::error!(%error, "a form's temporary file cannot be read");
    Fault::new(FaultKind::Internal, "what was held of the form could not be read again; send it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of which `spool` is in a file, and nothing is to come.
    fn form(spool: File) -> Form {
        Form {
            content_type: HeaderValue::from_static("multipart/form-data; boundary=x"),
            spool: Some(Arc::new(spool)),
            held: 4,
            before: 0,
            length: None,
            rest: Arc::new(Mutex::new(Rest::Over)),
        }
    }

    fn held() -> Rope {
        Rope::from(Bytes::from_static(b"held"))
    }

    async fn joined(pieces: impl StreamExt<Item = io::Result<Bytes>>) -> Vec<u8> {
        pieces.map(Result::unwrap).collect::<Vec<_>>().await.concat()
    }

    #[tokio::test]
    async fn attempts_do_not_move_each_others_place_in_the_file() {
        let mut dice = fastrand::Rng::with_seed(7);
        let spooled: Vec<u8> = std::iter::repeat_with(|| dice.u8(..)).take(3 * AT_ONCE).collect();
        let mut spool = Spool::new().unwrap();
        spool.write(&spooled).unwrap();
        let form = form(spool.file);
        let whole = [spooled.as_slice(), b"held"].concat();
        let mut first = form.send(&held()).pieces;
        let begun = first.next().await.unwrap().unwrap();
        assert!(joined(form.send(&held()).pieces).await == whole);
        assert!([begun.to_vec(), joined(first).await].concat() == whole);
    }

    /// What came for a target that takes no forms is there for the next one, whether that takes them or not.
    #[tokio::test]
    async fn what_was_read_whole_can_be_sent_again() {
        let mut spool = Spool::new().unwrap();
        spool.write(b"spooled ").unwrap();
        let (before, rest) = (12, Arc::new(Mutex::new(Rest::Kept(Bytes::from_static(b" kept")))));
        let form = Form { before, rest, ..form(spool.file) };
        for _ in 0..2 {
            assert_eq!(form.whole(&held()).await.unwrap(), "spooled held kept");
            assert_eq!(
                joined(form.send(&Rope::from(Bytes::from_static(b"other"))).pieces).await,
                b"spooled other kept"
            );
            assert!(!form.is_spent());
        }
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_our_fault() {
        let named = tempfile::NamedTempFile::new().unwrap();
        let form = form(File::options().write(true).open(named.path()).unwrap());
        let pieces: Vec<_> = form.send(&held()).pieces.collect().await;
        assert_eq!(pieces.len(), 1);
        let fault = fault(pieces[0].as_ref().unwrap_err());
        assert_eq!(fault.kind, FaultKind::Internal, "{}", fault.message);
    }
}
