//! Gemini's `:embedContent` for one content and `:batchEmbedContents` for many.

use super::unsent::{Lacks, record};
use super::vector;
use crate::json::{Fields, Writer, array, invalid};
use serde_json::value::RawValue;
use trunkline_core::{
    Dialect, EmbedCall, EmbedInput, EmbedReply, Fault, FaultKind, Json, Losses, Purpose, Surface, Vector,
    VectorForm,
};

/// Most contents of one batch.
const MOST: usize = 100;

pub(super) fn read_one(fields: Fields<'_>) -> Result<EmbedCall, Fault> {
    let (text, call) = read(Surface::GeminiEmbed, fields)?;
    Ok(EmbedCall { input: EmbedInput::Text(text), ..call })
}

pub(super) fn read_batch(fields: Fields<'_>) -> Result<EmbedCall, Fault> {
    const SURFACE: Surface = Surface::GeminiBatchEmbed;
    let mut fields = fields.camel();
    let requests = fields.array("requests")?.ok_or_else(|| fields.missing("requests"))?;
    let mut texts = Vec::with_capacity(requests.len());
    let mut first: Option<EmbedCall> = None;
    for (at, request) in requests.into_iter().enumerate() {
        let path = format!("requests[{at}]");
        let (text, call) = read(SURFACE, Fields::read(request, path.as_str())?)?;
        texts.push(text);
        match &first {
            None => first = Some(call),
            // One call has one setting for all its texts.
            Some(known) if *known != call => {
                let message = format!(
                    "{path} has other settings than requests[0], which the chosen target cannot tell apart in one \
                     batch; send them apart"
                );
                return Err(Fault::new(FaultKind::Unsupported, message)
                    .at(path)
                    .code("unsupported_parameter"));
            }
            Some(_) => {}
        }
    }
    let empty = || super::plain(SURFACE, "", EmbedInput::Texts(Vec::new()));
    Ok(EmbedCall { input: EmbedInput::Texts(texts), ..first.unwrap_or_else(empty) })
}

/// The text of one request, and its settings.
fn read(surface: Surface, fields: Fields<'_>) -> Result<(String, EmbedCall), Fault> {
    let mut fields = fields.camel();
    // The path names it.
    fields.raw("model");
    let mut call = super::plain(surface, "", EmbedInput::Texts(Vec::new()));
    let mut content = fields.object("content")?.ok_or_else(|| fields.missing("content"))?.camel();
    let path = content.path("parts");
    let mut text = String::new();
    for (at, part) in content.array("parts")?.unwrap_or_default().into_iter().enumerate() {
        let mut part = Fields::read(part, format!("{path}[{at}]"))?.camel();
        let here = part.here().to_owned();
        let Some(more) = part.string("text")? else {
            let message = format!("{here} is no text, which is all the chosen target embeds");
            return Err(Fault::new(FaultKind::Unsupported, message).at(here).code("unsupported_content"));
        };
        text.push_str(&more);
    }
    if text.is_empty() {
        return Err(invalid(&path, "must hold text"));
    }
    call.dimensions = fields.u64("outputDimensionality")?;
    call.title = fields.string("title")?.map(Into::into);
    call.purpose = fields.string("taskType")?.and_then(|task| match task.as_ref() {
        "TASK_TYPE_UNSPECIFIED" => None,
        "RETRIEVAL_QUERY" => Some(Purpose::Query),
        "RETRIEVAL_DOCUMENT" => Some(Purpose::Document),
        "CLASSIFICATION" => Some(Purpose::Classification),
        "CLUSTERING" => Some(Purpose::Clustering),
        "SEMANTIC_SIMILARITY" => Some(Purpose::Similarity),
        other => Some(Purpose::Other(other.into())),
    });
    call.extra = fields.rest(Dialect::Surface(surface));
    Ok((text, call))
}

pub(super) fn write_call(
    call: &EmbedCall,
    texts: &[String],
    model: &str,
    losses: &mut Losses,
) -> Vec<Vec<u8>> {
    if call.truncate.is_some() {
        losses.dropped("truncate", "the target cuts off the end of texts that are too long");
    }
    record(call, &[Lacks::User], losses);
    if call.dimensions.is_some() {
        losses.emulated("dimensions", "vectors cut short are brought to the length of one again");
    }
    let task = task(call.purpose.as_ref(), losses);
    let name = if model.contains('/') { model.to_owned() } else { format!("models/{model}") };
    let body = |texts: &&[String]| {
        let mut body = Vec::with_capacity(512);
        Writer::new(&mut body).object(|w| {
            w.key("requests").array(|w| {
                for text in *texts {
                    w.object(|w| {
                        w.key("model").string(&name);
                        w.key("content").object(|w| {
                            w.key("parts").array(|w| w.object(|w| w.key("text").string(text)));
                        });
                        w.opt_string("taskType", task);
                        w.opt_string("title", call.title.as_deref());
                        w.opt_u64("outputDimensionality", call.dimensions);
                    });
                }
            });
        });
        body
    };
    super::groups(texts, MOST).iter().map(body).collect()
}

pub(super) fn task<'c>(purpose: Option<&'c Purpose>, losses: &mut Losses) -> Option<&'c str> {
    match purpose? {
        Purpose::Query => Some("RETRIEVAL_QUERY"),
        Purpose::Document => Some("RETRIEVAL_DOCUMENT"),
        Purpose::Classification => Some("CLASSIFICATION"),
        Purpose::Clustering => Some("CLUSTERING"),
        Purpose::Similarity => Some("SEMANTIC_SIMILARITY"),
        Purpose::Other(_) => {
            losses.dropped("input_type", "the target knows no such purpose");
            None
        }
    }
}

pub(super) fn read_reply(body: &[u8]) -> Option<EmbedReply> {
    let mut fields = Fields::body(body).ok()?.camel();
    let vector = |raw: &RawValue| {
        let values = Fields::read(raw, "").ok()?.raw("values")?;
        array(values).map(|_| Vector::Float(Json::from_raw(values)))
    };
    let vectors = fields.array("embeddings").ok()??.into_iter().map(vector).collect::<Option<Vec<_>>>()?;
    // Those of fewer dimensions than the model has are not of length one; those that are stay as they came.
    let vectors = vectors.into_iter().map(|vector| vector::normalised(&vector).unwrap_or(vector)).collect();
    let usage = fields.object("usageMetadata").ok()?;
    let tokens = usage.and_then(|mut usage| usage.u64("promptTokenCount").ok()?);
    Some(EmbedReply { vectors, model: None, usage: super::input_tokens(tokens) })
}

pub(super) fn write_one(reply: &EmbedReply, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut written = Ok(());
    Writer::new(out).object(|w| {
        w.key("embedding");
        if let Some(first) = reply.vectors.first() {
            written = values(w, first);
        } else {
            w.null();
        }
    });
    written
}

pub(super) fn write_batch(reply: &EmbedReply, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut written = Ok(());
    Writer::new(out).object(|w| {
        w.key("embeddings").array(|w| {
            written = reply.vectors.iter().try_for_each(|vector| values(w, vector));
        });
    });
    written
}

fn values(w: &mut Writer<'_>, vector: &Vector) -> Result<(), Fault> {
    let mut written = Ok(());
    w.object(|w| {
        w.key("values");
        written = vector::write(w, vector, &VectorForm::Float);
    });
    written
}
