//! A stream that passes untouched, for a client that asked for no server-sent events: its fragments, byte for
//! byte, as the elements of one array.

use super::error;
use super::frames::Frames;
use super::stream_write::Framing;
use crate::sse::EventTooLong;
use trunkline_core::Fault;

/// Puts the fragments of a stream into an array.
#[derive(Debug)]
pub struct Array {
    frames: Frames,
    framing: Framing,
}

impl Array {
    /// For a stream whose fragments are up to `limit` bytes long.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { frames: Frames::new(limit), framing: Framing::Array { begun: false } }
    }

    /// Takes more of the stream and appends the elements it completes.
    ///
    /// # Errors
    /// When a fragment is over the limit; nothing can be made of the stream from there on.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), EventTooLong> {
        let Self { frames, framing } = self;
        frames.push(bytes, |fragment| element(framing, fragment, out))
    }

    /// The stream is complete, and so is the array.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        let Self { frames, framing } = self;
        frames.finish(|fragment| element(framing, fragment, out));
        framing.end(out);
    }

    /// The stream broke off: the last element says so.
    pub fn fail(&mut self, fault: &Fault, request_id: &str, out: &mut Vec<u8>) {
        self.framing.frame(out, |w| error::write_object(w, fault, request_id));
        self.framing.end(out);
    }
}

/// What is no JSON at all is left out: an array that cannot be read would be worth nothing.
fn element(framing: &mut Framing, fragment: &[u8], out: &mut Vec<u8>) {
    if let Ok(fragment) = serde_json::from_slice::<&serde_json::value::RawValue>(fragment) {
        framing.frame(out, |w| w.raw(fragment.get()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use trunkline_core::FaultKind;

    const STREAM: &str = "data: {\"n\": 1.0}\r\n\r\ndata: nonsense\r\n\r\ndata: {\"n\":2}\r\n\r\n";

    fn array(pieces: &[&str], fault: Option<&Fault>) -> String {
        let mut array = Array::new(100);
        let mut out = Vec::new();
        pieces.iter().for_each(|piece| array.push(piece.as_bytes(), &mut out).unwrap());
        match fault {
            None => array.end(&mut out),
            Some(fault) => array.fail(fault, "req-1", &mut out),
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fragments_become_elements_however_they_are_cut() {
        let whole = array(&[STREAM], None);
        assert_eq!(whole, "[{\"n\": 1.0}\n,\r\n{\"n\":2}\n]");
        for at in 0..STREAM.len() {
            assert_eq!(array(&[&STREAM[..at], &STREAM[at..]], None), whole);
        }
        assert_eq!(serde_json::from_str::<Value>(&array(&[], None)).unwrap(), json!([]));
    }

    #[test]
    fn a_stream_that_breaks_off_is_an_array_that_says_so() {
        let fault = Fault::new(FaultKind::Upstream, "gone");
        for pieces in [&[STREAM][..], &[], &[&STREAM[..20]]] {
            let told: Vec<Value> = serde_json::from_str(&array(pieces, Some(&fault))).unwrap();
            assert_eq!(told.last().unwrap()["error"]["message"], "gone", "{told:?}");
        }
        assert!(Array::new(5).push(STREAM.as_bytes(), &mut Vec::new()).is_err());
    }
}
