//! Jina's form, which vLLM and SGLang speak at `/v1/rerank`. Documents are repeated unless that is declined.

use crate::json::{Fields, Writer, array};
use serde_json::value::RawValue;
use trunkline_core::{Dialect, Fault, Losses, RerankCall, RerankReply, Surface, Usage};

const SURFACE: Surface = Surface::JinaRerank;

pub(super) fn read_call(mut fields: Fields<'_>) -> Result<RerankCall, Fault> {
    let model = fields.string("model")?.unwrap_or_default().into_owned();
    let query = fields.need_string("query")?.into_owned();
    let mut call = super::plain(SURFACE, &model, query, super::documents(&mut fields, "documents")?);
    let older = fields.positive("top_k")?;
    call.top_n = fields.positive("top_n")?.or(older);
    call.return_documents = fields.bool("return_documents")?;
    call.max_tokens_per_document = fields.u64("max_tokens_per_doc")?;
    call.extra = fields.rest(Dialect::Surface(SURFACE));
    Ok(call)
}

pub(super) fn write_call(call: &RerankCall, model: &str, losses: &mut Losses) -> Vec<Vec<u8>> {
    if call.max_tokens_per_document.is_some() {
        losses.dropped("max_tokens_per_doc", "the target looks at as much of a document as its model takes");
    }
    if call.raw_scores == Some(true) {
        losses.dropped("raw_scores", "the target has one kind of score");
    }
    let mut body = Vec::with_capacity(1024);
    Writer::new(&mut body).object(|w| {
        w.key("model").string(model);
        w.key("query").string(&call.query);
        w.key("documents").array(|w| call.documents.iter().for_each(|document| w.string(&document.text)));
        w.opt_u64("top_n", call.top_n);
        w.key("return_documents").bool(false);
    });
    vec![body]
}

pub(super) fn read_reply(body: &[u8]) -> Option<RerankReply> {
    // SGLang answers with the list alone, and calls the score so.
    if let Ok(list) = serde_json::from_slice::<Vec<&RawValue>>(body) {
        let ranks = list.into_iter().map(|raw| super::rank(raw, "score")).collect::<Option<_>>()?;
        return Some(RerankReply { ranks, ..RerankReply::default() });
    }
    let mut fields = Fields::body(body).ok()?;
    let results = array(fields.raw("results")?)?;
    let rank = |raw| super::rank(raw, "relevance_score").or_else(|| super::rank(raw, "score"));
    let ranks = results.into_iter().map(rank).collect::<Option<_>>()?;
    let tokens = fields.object("usage").ok()?.and_then(|mut usage| usage.u64("total_tokens").ok()?);
    let usage = tokens.map(|tokens| Box::new(Usage { input_total: Some(tokens), ..Usage::default() }));
    let id = fields.string("id").ok()?.map(Into::into);
    Some(RerankReply { id, model: fields.string("model").ok()?.map(Into::into), ranks, usage })
}

pub(super) fn write_reply(call: &RerankCall, reply: &RerankReply, id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    Writer::new(&mut out).object(|w| {
        w.key("id").string(reply.id.as_deref().unwrap_or(id));
        w.key("model").string(reply.model.as_deref().unwrap_or(call.model.as_str()));
        w.key("results").array(|w| {
            for rank in &reply.ranks {
                w.object(|w| {
                    w.key("index").u64(rank.index);
                    w.key("relevance_score").raw(rank.score.as_str());
                    if call.return_documents != Some(false)
                        && let Some(document) = super::document(call, rank)
                    {
                        w.key("document");
                        match &document.object {
                            Some(object) => w.raw(object.as_str()),
                            None => w.object(|w| w.key("text").string(&document.text)),
                        }
                    }
                });
            }
        });
        let tokens = reply.usage.as_ref().and_then(|usage| usage.input_total).unwrap_or(0);
        w.key("usage").object(|w| w.key("total_tokens").u64(tokens));
    });
    out
}
