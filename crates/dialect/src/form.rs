//! Forms of several parts (RFC 7578), as files are uploaded in: finds the `model` among the parts while they
//! pass, and keeps no more of them than a delimiter's length.
//!
//! A part that carries a file may be any number of bytes, and may come first. The scan goes on behind the
//! model: a second one is refused, because an upstream might read that.

mod parts;

pub(crate) use parts::{Parts, mime_of};

use memchr::memmem;
use std::ops::{ControlFlow, Range};
use trunkline_core::{Fault, FaultKind};

/// Longest head of one part.
const LONGEST_HEAD: usize = 8 << 10;
/// Longest model name.
pub const LONGEST_MODEL: usize = 512;
/// Most parts before the model: no endpoint has as many fields.
const MOST_BEFORE: usize = 1000;
/// Longest boundary (RFC 2046).
const LONGEST_BOUNDARY: usize = 70;

/// Bytes of the line break behind a head.
const HEAD_END: usize = 2;

/// Why a form was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// The content type names no boundary, or one that cannot be.
    #[error("content-type is not multipart/form-data with a boundary; send the form's own")]
    NoBoundary,
    /// A part's head does not end.
    #[error("a part's head is over {LONGEST_HEAD} bytes")]
    LongHead,
    /// A header goes on in the next line.
    #[error("a part's head has a header that goes on in the next line; write each header on one")]
    FoldedHead,
    /// A line of a head does not end as lines do here.
    #[error("a part's head has a line break that is not CR LF; end every line of it with both")]
    BareBreak,
    /// The model's name does not end.
    #[error("`model` must be a name of at most {LONGEST_MODEL} bytes")]
    LongModel,
    /// The model's name is no text.
    #[error("`model` must be text")]
    ModelNotText,
    /// The model does not come.
    #[error("the form has over {MOST_BEFORE} parts before its `model`; send `model` first")]
    ManyParts,
    /// There are two models.
    #[error("`model` is given twice; send it once")]
    Duplicate,
    /// The last delimiter does not come.
    #[error("the form breaks off before its end; send all of it")]
    Unfinished,
}

impl FormError {
    /// What the client is told.
    #[must_use]
    pub fn fault(self) -> Fault {
        let fault = Fault::new(FaultKind::InvalidRequest, self.to_string());
        match self {
            Self::NoBoundary => Fault { kind: FaultKind::MediaType, ..fault },
            Self::LongHead | Self::FoldedHead | Self::BareBreak | Self::ManyParts | Self::Unfinished => fault,
            Self::LongModel | Self::ModelNotText | Self::Duplicate => fault.at("model"),
        }
    }
}

/// The model, and where its name stands in the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormModel {
    /// Its name.
    pub name: String,
    /// Byte offsets of it.
    pub range: Range<usize>,
}

/// The scan. Feed it with [`FormScan::push`].
#[derive(Debug)]
pub struct FormScan {
    delimiter: Vec<u8>,
    /// Bytes not yet decided about.
    held: Vec<u8>,
    /// Offset in the body of the first held byte, and of the line break that every delimiter but the first
    /// has before it.
    base: usize,
    state: State,
    /// Parts seen before the model.
    before: usize,
    /// What was found so far.
    pub model: Option<FormModel>,
    /// Whether the form's end has been seen.
    pub ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Inside a part that does not matter, or before the first.
    Skip,
    /// Behind a delimiter.
    Head,
    /// Inside the part that is the model.
    Model,
    Over,
}

/// How much of what is held a step is done with; `Break` when more must come before another.
type Step = ControlFlow<usize, usize>;

/// The boundary a content type names.
fn boundary(content_type: &str) -> Option<&str> {
    let (essence, parameters) = content_type.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let named = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim())
    })?;
    let bare = named.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(named);
    (!bare.is_empty() && bare.len() <= LONGEST_BOUNDARY).then_some(bare)
}

impl FormScan {
    /// Scans a body of this content type.
    ///
    /// # Errors
    /// When it is not that of a form.
    pub fn new(content_type: &str) -> Result<Self, FormError> {
        let boundary = boundary(content_type).ok_or(FormError::NoBoundary)?;
        Ok(Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            // The first delimiter has no line break before it, the others have; this one is ours.
            held: b"\r\n".to_vec(),
            base: 0,
            state: State::Skip,
            before: 0,
            model: None,
            ended: false,
        })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// As soon as they cannot be those of a form with one model.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), FormError> {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        // A piece may hold thousands of parts: what was looked at is let go once, behind the last of them.
        let mut done = 0;
        loop {
            match self.step(held.get(done..).unwrap_or_default(), self.base + done)? {
                Step::Continue(seen) => done += seen,
                Step::Break(seen) => {
                    done += seen;
                    break;
                }
            }
        }
        held.drain(..done);
        self.base += done;
        self.held = held;
        Ok(())
    }

    /// Goes one step further into `left`, which begins at `base` of the body; how much of it is done with.
    fn step(&mut self, left: &[u8], base: usize) -> Result<Step, FormError> {
        match self.state {
            State::Over => Ok(Step::Break(left.len())),
            State::Skip => {
                let Some(end) = memmem::find(left, &self.delimiter) else {
                    return Ok(Step::Break(left.len().saturating_sub(self.delimiter.len())));
                };
                self.state = State::Head;
                Ok(Step::Continue(end + self.delimiter.len()))
            }
            State::Head => self.head(left),
            State::Model => self.named(left, base),
        }
    }

    fn head(&mut self, left: &[u8]) -> Result<Step, FormError> {
        if left.starts_with(b"--") {
            self.state = State::Over;
            self.ended = true;
            return Ok(Step::Continue(0));
        }
        let Some(end) = memmem::find(beginning(left, LONGEST_HEAD), b"\r\n\r\n") else {
            return if left.len() > LONGEST_HEAD { Err(FormError::LongHead) } else { Ok(Step::Break(0)) };
        };
        let head = beginning(left, end);
        check_lines(head)?;
        let is_model = is_model(head);
        if !is_model && self.model.is_none() {
            self.before += 1;
            if self.before > MOST_BEFORE {
                return Err(FormError::ManyParts);
            }
        }
        self.state = if is_model { State::Model } else { State::Skip };
        // The line break at the end of the head may be the one before an empty part's delimiter.
        Ok(Step::Continue(end + HEAD_END))
    }

    fn named(&mut self, left: &[u8], base: usize) -> Result<Step, FormError> {
        let longest = HEAD_END + LONGEST_MODEL + self.delimiter.len();
        let Some(end) = memmem::find(beginning(left, longest), &self.delimiter) else {
            return if left.len() >= longest { Err(FormError::LongModel) } else { Ok(Step::Break(0)) };
        };
        // Behind the line break that ends the head; an empty name has none of its own.
        let value = left.get(HEAD_END..end).unwrap_or_default();
        let name = std::str::from_utf8(value).map_err(|_| FormError::ModelNotText)?.to_owned();
        let range = base..base + name.len();
        if self.model.replace(FormModel { name, range }).is_some() {
            return Err(FormError::Duplicate);
        }
        self.state = State::Head;
        Ok(Step::Continue(end + self.delimiter.len()))
    }
}

/// At most `most` bytes of the beginning.
fn beginning(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(..most).unwrap_or(bytes)
}

/// Refuses the heads that parsers read in different ways: an upstream might see a model where this one sees
/// none, or another.
fn check_lines(head: &[u8]) -> Result<(), FormError> {
    let mut rest = head;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
        rest = match rest.get(at..).unwrap_or_default() {
            [b'\r', b'\n', b' ' | b'\t', ..] => return Err(FormError::FoldedHead),
            [b'\r', b'\n', next @ ..] => next,
            _ => return Err(FormError::BareBreak),
        };
    }
    Ok(())
}

/// Whether a part's head says that it is the field `model`, and no file.
fn is_model(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    head.split("\r\n").any(|line| {
        let Some((name, value)) = line.split_once(':') else { return false };
        name.trim().eq_ignore_ascii_case("content-disposition")
            && value.split(';').any(|parameter| {
                parameter.split_once('=').is_some_and(|(key, value)| {
                    key.trim().eq_ignore_ascii_case("name") && value.trim().trim_matches('"') == "model"
                })
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KIND: &str = "multipart/form-data; boundary=XyZ";

    fn part(name: &str, value: &str) -> String {
        format!("--XyZ\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    }

    fn file(bytes: &str) -> String {
        format!(
            "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\nContent-Type: audio/wav\r\n\r\n{bytes}\r\n"
        )
    }

    fn scan(pieces: &[&[u8]]) -> Result<Option<FormModel>, FormError> {
        let mut scan = FormScan::new(KIND)?;
        for piece in pieces {
            scan.push(piece)?;
            assert!(scan.held.len() <= LONGEST_HEAD + scan.delimiter.len(), "holds {}", scan.held.len());
        }
        Ok(scan.model)
    }

    #[test]
    fn the_model_is_found_wherever_it_stands() {
        let (model, sound) = (part("model", "whisper-1"), file("\r\n--Xy almost\0\r\n--"));
        let empty = part("prompt", "");
        for body in [
            format!("{model}{sound}--XyZ--\r\n"),
            format!("{sound}{model}--XyZ--\r\n"),
            format!("a preamble\r\n{empty}{sound}{model}{empty}--XyZ--"),
        ] {
            for cut in 0..=body.len() {
                let (a, b) = body.as_bytes().split_at(cut);
                let found = scan(&[a, b]).unwrap().unwrap();
                assert_eq!(found.name, "whisper-1");
                assert_eq!(&body[found.range], "whisper-1", "cut at {cut}");
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let model = part("model", "m");
        for (body, want) in [
            (format!("{model}{model}--XyZ--"), Err(FormError::Duplicate)),
            (part("model", &"m".repeat(600)), Err(FormError::LongModel)),
            (format!("{}{model}--XyZ--", part("model", "")), Err(FormError::Duplicate)),
            (format!("--XyZ\r\n{}", "x".repeat(9000)), Err(FormError::LongHead)),
            (format!("--XyZ\r\n{}\r\n\r\n", "x".repeat(9000)), Err(FormError::LongHead)),
            (format!("{}{model}", part("x", "").repeat(1001)), Err(FormError::ManyParts)),
            (file("--XyZ"), Ok(None)),
            (format!("{}--XyZ--\r\n{model}", file("")), Ok(None)),
            ("no form at all".to_owned(), Ok(None)),
        ] {
            assert_eq!(scan(&[body.as_bytes()]), want, "{body:.80}");
        }
    }

    #[test]
    fn heads_that_parsers_disagree_on_are_refused() {
        let model = part("model", "m");
        for (head, want) in [
            ("Content-Disposition: form-data;\r\n name=\"model\"", Err(FormError::FoldedHead)),
            ("Content-Disposition: form-data;\r\n\tname=\"model\"", Err(FormError::FoldedHead)),
            ("X: y\nContent-Disposition: form-data; name=\"model\"", Err(FormError::BareBreak)),
            ("X: y\rContent-Disposition: form-data; name=\"model\"", Err(FormError::BareBreak)),
            ("Content-Disposition: form-data; name=\"x\"\n\nmodel", Err(FormError::BareBreak)),
            ("Content-Disposition: form-data; name=\"x\"", Ok("m")),
        ] {
            // Behind the delimiter there may be blanks, which begin no header.
            for padding in ["", " \t"] {
                let odd = format!("--XyZ{padding}\r\n{head}\r\n\r\nother\r\n");
                for body in [format!("{odd}{model}--XyZ--"), format!("{model}{odd}--XyZ--")] {
                    let found = scan(&[body.as_bytes()]).map(|model| model.unwrap().name);
                    assert_eq!(found, want.map(str::to_owned), "{body}");
                }
            }
        }
    }

    #[test]
    fn a_part_more_than_there_may_be_is_one_before_the_model() {
        let (model, other) = (part("model", "m"), part("x", ""));
        let most = other.repeat(MOST_BEFORE);
        for body in [format!("{most}{model}{other}"), format!("{model}{most}{most}")] {
            let found = scan(&[body.as_bytes()]).unwrap().unwrap();
            assert_eq!(&body[found.range], "m");
        }
    }

    /// If every part moved what comes behind it, this would not end in any time worth waiting for.
    #[test]
    fn a_piece_of_many_parts_is_gone_through_once() {
        let body = format!("{}{}--XyZ--", part("model", "m"), part("x", "").repeat(200_000));
        assert_eq!(scan(&[body.as_bytes()]).unwrap().unwrap().name, "m");
    }

    #[test]
    fn boundaries_are_read_as_clients_write_them() {
        for (kind, want) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"", Some("a b")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/mixed; boundary=abc", None),
            ("application/json", None),
        ] {
            assert_eq!(boundary(kind), want, "{kind}");
        }
    }

    proptest! {
        #[test]
        fn chunking_never_matters(
            bytes in prop::collection::vec(any::<u8>(), 0..200), late in any::<bool>(), step in 1usize..40,
        ) {
            let sound = file(&String::from_utf8_lossy(&bytes));
            let model = part("model", "m-1");
            let body = if late { format!("{sound}{model}--XyZ--") } else { format!("{model}{sound}--XyZ--") };
            let pieces: Vec<&[u8]> = body.as_bytes().chunks(step).collect();
            prop_assert_eq!(scan(&pieces), scan(&[body.as_bytes()]));
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = scan(&[b"--XyZ\r\n", &bytes]);
        }
    }
}
