//! `/rerank` of Hugging Face's text-embeddings-inference: a bare list, best first. It serves one model and is
//! not told which.

use crate::json::{Fields, Writer};
use serde_json::value::RawValue;
use trunkline_core::{Dialect, Fault, Losses, RerankCall, RerankReply, Surface};

const SURFACE: Surface = Surface::TeiRerank;
/// Most texts of one request, as it is started unless told otherwise.
pub(super) const MOST: usize = 32;

pub(super) fn read_call(mut fields: Fields<'_>) -> Result<RerankCall, Fault> {
    let model = fields.string("model")?.unwrap_or_default().into_owned();
    let query = fields.need_string("query")?.into_owned();
    let mut call = super::plain(SURFACE, &model, query, super::documents(&mut fields, "texts")?);
    call.raw_scores = fields.bool("raw_scores")?;
    call.return_documents = fields.bool("return_text")?;
    call.extra = fields.rest(Dialect::Surface(SURFACE));
    Ok(call)
}

/// A text's score does not depend on the others, so that the texts of several requests can be ranked together.
pub(super) fn write_call(call: &RerankCall, losses: &mut Losses) -> Vec<Vec<u8>> {
    if call.max_tokens_per_document.is_some() {
        losses.dropped("max_tokens_per_doc", "the target looks at as much of a document as its model takes");
    }
    if call.top_n.is_some() {
        losses.emulated("top_n", "the target ranks them all; the best are picked here");
    }
    let body = |documents: &[trunkline_core::RankedDocument]| {
        let mut body = Vec::with_capacity(1024);
        Writer::new(&mut body).object(|w| {
            w.key("query").string(&call.query);
            w.key("texts").array(|w| documents.iter().for_each(|document| w.string(&document.text)));
            if let Some(raw) = call.raw_scores {
                w.key("raw_scores").bool(raw);
            }
        });
        body
    };
    call.documents.chunks(MOST).map(body).collect()
}

pub(super) fn read_reply(body: &[u8]) -> Option<RerankReply> {
    let list: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
    let ranks = list.into_iter().map(|raw| super::rank(raw, "score")).collect::<Option<_>>()?;
    Some(RerankReply { ranks, ..RerankReply::default() })
}

pub(super) fn write_reply(call: &RerankCall, reply: &RerankReply) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    Writer::new(&mut out).array(|w| {
        for rank in &reply.ranks {
            w.object(|w| {
                w.key("index").u64(rank.index);
                w.key("score").raw(rank.score.as_str());
                if call.return_documents == Some(true)
                    && let Some(document) = super::document(call, rank)
                {
                    w.key("text").string(&document.text);
                }
            });
        }
    });
    out
}
