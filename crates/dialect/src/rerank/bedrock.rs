//! Rankers on Bedrock, by InvokeModel: Cohere's and Amazon's take the same but for the version that Cohere's has to be told.

use super::unranking;
use crate::json::Writer;
use trunkline_core::{Fault, Losses, RerankCall};

/// The version of Cohere's API, of which its models there speak two.
const COHERE_VERSION: u64 = 2;

pub(super) fn write_call(call: &RerankCall, model: &str, losses: &mut Losses) -> Result<Vec<Vec<u8>>, Fault> {
    // The name of a profile of the operator's own says nothing.
    if !model.contains("rerank") && !model.starts_with("arn:") {
        return Err(unranking(model, "cohere.rerank-v3-5:0 or amazon.rerank-v1:0"));
    }
    if call.max_tokens_per_document.is_some() {
        losses.dropped("max_tokens_per_doc", "the target looks at as much of a document as its model takes");
    }
    if call.raw_scores == Some(true) {
        losses.dropped("raw_scores", "the target's scores are between 0 and 1");
    }
    let mut body = Vec::with_capacity(1024);
    Writer::new(&mut body).object(|w| {
        w.key("query").string(&call.query);
        w.key("documents").array(|w| call.documents.iter().for_each(|document| w.string(&document.text)));
        w.opt_u64("top_n", call.top_n);
        w.opt_u64("api_version", model.contains("cohere.").then_some(COHERE_VERSION));
    });
    Ok(vec![body])
}
