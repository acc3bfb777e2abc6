//! Google's ranking service: records with ids of the caller's choosing, which here are the documents' places.

use super::unranking;
use crate::json::{Fields, Writer};
use trunkline_core::{Fault, Losses, Rank, RankedDocument, RerankCall, RerankReply};

/// Most records of one request.
const MOST: usize = 200;

/// A record's score does not depend on the others, so that those of several requests can be ranked together.
pub(super) fn write_call(call: &RerankCall, model: &str, losses: &mut Losses) -> Result<Vec<Vec<u8>>, Fault> {
    if !model.contains("ranker") {
        return Err(unranking(model, "semantic-ranker-default@latest"));
    }
    if call.max_tokens_per_document.is_some() {
        losses.dropped("max_tokens_per_doc", "the target looks at as much of a document as its model takes");
    }
    if call.raw_scores == Some(true) {
        losses.dropped("raw_scores", "the target's scores are between 0 and 1");
    }
    let body = |(nth, documents): (usize, &[RankedDocument])| {
        let mut body = Vec::with_capacity(1024);
        Writer::new(&mut body).object(|w| {
            w.key("model").string(model);
            w.opt_u64("topN", call.top_n);
            w.key("query").string(&call.query);
            w.key("records").array(|w| {
                for (at, document) in documents.iter().enumerate() {
                    w.object(|w| {
                        w.key("id").string(&(nth * MOST + at).to_string());
                        w.key("content").string(&document.text);
                    });
                }
            });
            w.key("ignoreRecordDetailsInResponse").bool(true);
        });
        body
    };
    Ok(call.documents.chunks(MOST).enumerate().map(body).collect())
}

pub(super) fn read_reply(body: &[u8]) -> Option<RerankReply> {
    let records = Fields::body(body).ok()?.array("records").ok()??;
    let rank = |raw| {
        let mut record = Fields::read(raw, "").ok()?;
        Some(Rank { index: record.string("id").ok()??.parse().ok()?, score: record.number("score").ok()?? })
    };
    let ranks = records.into_iter().map(rank).collect::<Option<_>>()?;
    Some(RerankReply { ranks, ..RerankReply::default() })
}
