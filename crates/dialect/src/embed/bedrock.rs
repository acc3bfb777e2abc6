//! Embedding models on Bedrock, by InvokeModel: each vendor's models have a form of their own there, told by
//! the model's name. Amazon's take one text at a time.

use super::cohere::{self, Ends, Settings};
use super::unsent::{Lacks, record};
use crate::json::{Fields, Writer, array};
use trunkline_core::{EmbedCall, EmbedReply, Json, Losses, Vector};

pub(super) fn write_call(
    call: &EmbedCall,
    texts: &[String],
    model: &str,
    losses: &mut Losses,
) -> Vec<Vec<u8>> {
    if model.contains("cohere.") {
        return write_cohere(call, texts, model, losses);
    }
    record(call, &[Lacks::Purpose, Lacks::Truncation, Lacks::Title, Lacks::User], losses);
    // The first version takes a text and nothing else.
    let dimensions = call.dimensions.filter(|_| !model.contains("titan-embed-text-v1"));
    if call.dimensions.is_some() && dimensions.is_none() {
        losses.dropped("dimensions", "the model makes vectors of one length");
    }
    if texts.len() > 1 {
        losses.emulated("input", "the target takes one text; each is sent in a request of its own");
    }
    let body = |text: &String| {
        let mut body = Vec::with_capacity(64 + text.len());
        Writer::new(&mut body).object(|w| {
            w.key("inputText").string(text);
            w.opt_u64("dimensions", dimensions);
        });
        body
    };
    texts.iter().map(body).collect()
}

fn write_cohere(call: &EmbedCall, texts: &[String], model: &str, losses: &mut Losses) -> Vec<Vec<u8>> {
    let is_fourth = model.contains("embed-v4");
    let dimensions = call.dimensions.filter(|_| is_fourth);
    if call.dimensions.is_some() && dimensions.is_none() {
        losses.dropped("dimensions", "the model makes vectors of one length");
    }
    let ends = if is_fourth { Ends::Side } else { Ends::Order };
    let settings = Settings::of(call, losses);
    let body = |texts: &&[String]| {
        let mut body = Vec::with_capacity(512);
        Writer::new(&mut body).object(|w| {
            settings.write(w, texts, ends);
            w.key("embedding_types").array(|w| w.string("float"));
            w.opt_u64("output_dimension", dimensions);
        });
        body
    };
    super::groups(texts, cohere::MOST).iter().map(body).collect()
}

pub(super) fn read_reply(body: &[u8]) -> Option<EmbedReply> {
    let mut fields = Fields::body(body).ok()?;
    let vectors = match fields.raw("embeddings") {
        Some(raw) => cohere::vectors(raw)?,
        None => {
            let raw = fields.raw("embedding")?;
            vec![array(raw).map(|_| Vector::Float(Json::from_raw(raw)))?]
        }
    };
    let usage = super::input_tokens(fields.u64("inputTextTokenCount").ok()?);
    Some(EmbedReply { vectors, model: None, usage })
}
