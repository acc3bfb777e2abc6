//! Ollama's `/api/embed`, and `/api/embeddings` for one text as it was before.

use super::unsent::{Lacks, record};
use super::vector;
use crate::json::{Fields, Writer, array};
use trunkline_core::{
    Dialect, EmbedCall, EmbedInput, EmbedReply, Fault, Json, Losses, Surface, Truncate, Vector, VectorForm,
};

pub(super) fn read_call(mut fields: Fields<'_>) -> Result<EmbedCall, Fault> {
    const SURFACE: Surface = Surface::OllamaEmbed;
    let model = fields.string("model")?.unwrap_or_default().into_owned();
    let mut call = super::plain(SURFACE, &model, super::texts(&mut fields, "input")?);
    call.dimensions = fields.u64("dimensions")?;
    call.truncate = truncate(&mut fields)?;
    call.extra = fields.rest(Dialect::Surface(SURFACE));
    Ok(call)
}

/// To cut texts short is what Ollama does unasked, and so is no wish of the client's.
fn truncate(fields: &mut Fields<'_>) -> Result<Option<Truncate>, Fault> {
    Ok(fields.bool("truncate")?.filter(|cut| !cut).map(|_| Truncate::Never))
}

pub(super) fn read_older(mut fields: Fields<'_>) -> Result<EmbedCall, Fault> {
    const SURFACE: Surface = Surface::OllamaEmbeddings;
    let model = fields.string("model")?.unwrap_or_default().into_owned();
    let text = fields.need_string("prompt")?.into_owned();
    let mut call = super::plain(SURFACE, &model, EmbedInput::Text(text));
    call.extra = fields.rest(Dialect::Surface(SURFACE));
    Ok(call)
}

pub(super) fn write_call(
    call: &EmbedCall,
    texts: &[String],
    model: &str,
    losses: &mut Losses,
) -> Vec<Vec<u8>> {
    record(call, &[Lacks::Purpose, Lacks::Title, Lacks::User], losses);
    if call.truncate == Some(Truncate::Start) {
        losses.degraded("truncate", "the target cuts off the end of texts that are too long");
    }
    let mut body = Vec::with_capacity(512);
    Writer::new(&mut body).object(|w| {
        w.key("model").string(model);
        w.key("input").array(|w| texts.iter().for_each(|text| w.string(text)));
        w.opt_u64("dimensions", call.dimensions);
        if let Some(truncate) = call.truncate {
            w.key("truncate").bool(truncate != Truncate::Never);
        }
    });
    vec![body]
}

pub(super) fn read_reply(body: &[u8]) -> Option<EmbedReply> {
    let mut fields = Fields::body(body).ok()?;
    let list = fields.array("embeddings").ok()??;
    let vectors = list.into_iter().map(|raw| array(raw).map(|_| Vector::Float(Json::from_raw(raw))));
    let vectors = vectors.collect::<Option<_>>()?;
    let model = fields.string("model").ok()?.map(Into::into);
    let usage = super::input_tokens(fields.u64("prompt_eval_count").ok()?);
    Some(EmbedReply { vectors, model, usage })
}

pub(super) fn write_reply(call: &EmbedCall, reply: &EmbedReply, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut written = Ok(());
    Writer::new(out).object(|w| {
        w.key("model").string(reply.model.as_deref().unwrap_or(call.model.as_str()));
        w.key("embeddings").array(|w| {
            written = reply.vectors.iter().try_for_each(|one| vector::write(w, one, &VectorForm::Float));
        });
        w.opt_u64("prompt_eval_count", super::tokens_of(reply));
    });
    written
}

pub(super) fn write_older(reply: &EmbedReply, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut written = Ok(());
    Writer::new(out).object(|w| {
        w.key("embedding");
        match reply.vectors.first() {
            Some(first) => written = vector::write(w, first, &VectorForm::Float),
            None => w.array(|_| {}),
        }
    });
    written
}
