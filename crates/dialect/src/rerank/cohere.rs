//! Cohere's `/v2/rerank`, and what its older version took beside it.

use crate::json::{Fields, Writer};
use trunkline_core::{Dialect, Fault, Losses, RerankCall, RerankReply, Surface, Usage};

const SURFACE: Surface = Surface::CohereRerank;

pub(super) fn read_call(mut fields: Fields<'_>) -> Result<RerankCall, Fault> {
    let model = fields.string("model")?.unwrap_or_default().into_owned();
    let query = fields.need_string("query")?.into_owned();
    let mut call = super::plain(SURFACE, &model, query, super::documents(&mut fields, "documents")?);
    call.top_n = fields.positive("top_n")?;
    call.return_documents = fields.bool("return_documents")?;
    call.max_tokens_per_document = fields.u64("max_tokens_per_doc")?;
    call.extra = fields.rest(Dialect::Surface(SURFACE));
    Ok(call)
}

pub(super) fn write_call(call: &RerankCall, model: &str, losses: &mut Losses) -> Vec<Vec<u8>> {
    if call.raw_scores == Some(true) {
        losses.dropped("raw_scores", "the target's scores are between 0 and 1");
    }
    let mut body = Vec::with_capacity(1024);
    Writer::new(&mut body).object(|w| {
        w.key("model").string(model);
        w.key("query").string(&call.query);
        w.key("documents").array(|w| call.documents.iter().for_each(|document| w.string(&document.text)));
        w.opt_u64("top_n", call.top_n);
        w.opt_u64("max_tokens_per_doc", call.max_tokens_per_document);
    });
    vec![body]
}

pub(super) fn read_reply(body: &[u8]) -> Option<RerankReply> {
    let mut fields = Fields::body(body).ok()?;
    let results = fields.array("results").ok()??;
    let ranks = results.into_iter().map(|raw| super::rank(raw, "relevance_score")).collect::<Option<_>>()?;
    let billed = fields.object("meta").ok()?.and_then(|mut meta| meta.object("billed_units").ok()?);
    let units = billed.and_then(|mut billed| billed.u64("search_units").ok()?);
    let usage = units.map(|units| Box::new(Usage { search_units: Some(units), ..Usage::default() }));
    Some(RerankReply { id: fields.string("id").ok()?.map(Into::into), model: None, ranks, usage })
}

pub(super) fn write_reply(call: &RerankCall, reply: &RerankReply, id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    Writer::new(&mut out).object(|w| {
        w.key("id").string(reply.id.as_deref().unwrap_or(id));
        w.key("results").array(|w| {
            for rank in &reply.ranks {
                w.object(|w| {
                    w.key("index").u64(rank.index);
                    w.key("relevance_score").raw(rank.score.as_str());
                    if call.return_documents == Some(true)
                        && let Some(document) = super::document(call, rank)
                    {
                        w.key("document").object(|w| w.key("text").string(&document.text));
                    }
                });
            }
        });
        w.key("meta").object(|w| {
            w.key("api_version").object(|w| w.key("version").string("2"));
            if let Some(units) = reply.usage.as_ref().and_then(|usage| usage.search_units) {
                w.key("billed_units").object(|w| w.key("search_units").u64(units));
            }
        });
    });
    out
}
