//! A prediction: how far it is, and what came of it.

use super::OURS;
use crate::codec::upstream;
use crate::json::{Fields, array, string};
use crate::redact::redact;
use crate::status;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{
    Choice, Fault, FaultKind, Finish, FinishReason, Item, ItemKind, Message, Origin, Part, Reply, Role, Usage,
};

/// What whoever follows a prediction needs of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// Its id.
    pub id: String,
    /// Whether it has come to its end, good or bad.
    pub is_over: bool,
    /// Where its output can be read as it comes, for models that stream.
    pub stream: Option<String>,
}

impl Prediction {
    /// Reads one; `None` when `body` is none.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let mut fields = Fields::body(body).ok()?;
        let id = fields.string("id").ok()??.into_owned();
        // It becomes part of a path.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if id.is_empty() || !id.bytes().all(is_plain) {
            return None;
        }
        let status = fields.string("status").ok()??;
        let mut urls = fields.object("urls").ok().flatten();
        let stream = urls.as_mut().and_then(|urls| Some(urls.string("stream").ok()??.into_owned()));
        let is_over = matches!(&*status, "succeeded" | "failed" | "canceled" | "aborted");
        Some(Self { id, is_over, stream })
    }
}

/// The members of a prediction that is over.
fn succeeded(body: &[u8]) -> Result<Fields<'_>, Fault> {
    let mut fields = Fields::body(body).map_err(|_| not_ours())?;
    let status = fields.string("status").ok().flatten().ok_or_else(not_ours)?;
    if status != "succeeded" {
        let said = fields.string("error").ok().flatten();
        return Err(failed(&status, said.as_deref()));
    }
    Ok(fields)
}

/// Reads what a prediction that is over has put out: the texts of its output, which for files are their addresses.
///
/// # Errors
/// [`FaultKind::Upstream`] when `body` is none, and what the prediction failed of.
pub(crate) fn read_output(body: &[u8]) -> Result<Vec<String>, Fault> {
    let mut fields = succeeded(body)?;
    let output = fields.raw("output").ok_or_else(not_ours)?;
    let one = |raw: &RawValue| string(raw).map(Cow::into_owned);
    let all = match array(output) {
        Some(list) => list.into_iter().map(one).collect(),
        None => one(output).map(|only| vec![only]),
    };
    all.ok_or_else(not_ours)
}

/// Reads a prediction that is over.
///
/// # Errors
/// [`FaultKind::Upstream`] when `body` is none, and what the prediction failed of.
pub fn read_reply(body: &[u8]) -> Result<Reply, Fault> {
    let mut fields = succeeded(body)?;
    let text = fields.raw("output").map(text).unwrap_or_default();
    let message = Message { role: Role::Assistant, name: None, id: None, parts: vec![Part::text(text)] };
    let usage = fields.object("metrics").ok().flatten().map(|mut metrics| {
        let mut count = |key: &str| metrics.u64(key).ok().flatten();
        let (input_total, output_total) = (count("input_token_count"), count("output_token_count"));
        Box::new(Usage { input_total, output_total, ..Usage::default() })
    });
    Ok(Reply {
        id: fields.string("id").ok().flatten().map(Into::into),
        model: fields.string("model").ok().flatten().map(Into::into),
        choices: vec![Choice {
            index: 0,
            items: vec![Item::new(ItemKind::Message(message))],
            finish: Some(finish()),
            logprobs: None,
        }],
        usage: usage.filter(|usage| usage.input_total.is_some() || usage.output_total.is_some()),
        ..Reply::default()
    })
}

/// Output is a text, pieces of one, or whatever else a model gives.
fn text(output: &RawValue) -> String {
    if let Some(text) = string(output) {
        return text.into_owned();
    }
    match array(output) {
        Some(pieces) => pieces.iter().filter_map(|piece| string(piece)).collect(),
        None if output.get() == "null" => String::new(),
        None => output.get().to_owned(),
    }
}

/// A prediction does not say why its text ended.
pub(super) fn finish() -> Finish {
    Finish { native: Some((OURS, "succeeded".to_owned())), ..Finish::new(FinishReason::Stop) }
}

/// The fault of a prediction that did not succeed.
pub(super) fn failed(status: &str, said: Option<&str>) -> Fault {
    match (status, said.filter(|said| !said.trim().is_empty())) {
        (_, Some(said)) => upstream(redact(said.trim())),
        ("canceled" | "aborted", None) => upstream("the prediction was cancelled; try again"),
        (_, None) => upstream("the prediction failed without saying why"),
    }
}

fn not_ours() -> Fault {
    upstream("upstream's answer is not a prediction")
}

/// Reads an error answer, `{"title","detail","status"}` (RFC 7807). Never quotes a body it does not recognise.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> Fault {
    let said = Fields::body(body).ok().and_then(|mut fields| {
        let detail = fields.string("detail").ok().flatten().or(fields.string("title").ok().flatten())?;
        Some(detail.into_owned()).filter(|detail| !detail.trim().is_empty())
    });
    let kind = status::kind(status);
    let message = match said {
        Some(said) => redact(said.trim()),
        None => format!("upstream answered {status} without a readable error"),
    };
    let fault = Fault { origin: Origin::Upstream(status), ..Fault::new(kind, message) };
    if kind == FaultKind::NotFound { fault.code("model_not_found") } else { fault }
}
