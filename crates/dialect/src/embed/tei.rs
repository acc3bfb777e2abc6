//! `/embed` of Hugging Face's text-embeddings-inference, which the feature extraction of its router shares: texts
//! in, a bare list of vectors out. The body does not name the model: there is but one, or the path names it.

use super::Target;
use super::unsent::{Lacks, record};
use crate::json::{Writer, array};
use serde_json::value::RawValue;
use trunkline_core::{EmbedCall, EmbedReply, Json, Losses, Truncate, Vector};

/// Most texts of one request, as it is started unless told otherwise.
const MOST: usize = 32;

pub(super) fn write_call(
    call: &EmbedCall,
    texts: &[String],
    target: Target<'_>,
    losses: &mut Losses,
) -> Vec<Vec<u8>> {
    record(call, &[Lacks::Purpose, Lacks::Title, Lacks::User], losses);
    let dimensions = call.dimensions.filter(|_| target.habits.dimensions.is_some());
    if call.dimensions.is_some() && dimensions.is_none() {
        losses.dropped("dimensions", "the model makes vectors of one length");
    }
    let body = |texts: &&[String]| {
        let mut body = Vec::with_capacity(512);
        Writer::new(&mut body).object(|w| {
            w.key("inputs").array(|w| texts.iter().for_each(|text| w.string(text)));
            w.opt_u64("dimensions", dimensions);
            if let Some(truncate) = call.truncate {
                w.key("truncate").bool(truncate != Truncate::Never);
                if truncate == Truncate::Start {
                    w.key("truncation_direction").string("Left");
                }
            }
        });
        body
    };
    super::groups(texts, MOST).iter().map(body).collect()
}

/// The router may answer one text with its vector alone. Models that are not made for whole texts give a vector for
/// each token; how to make one of those is not said anywhere, and a guess would be another model's vector.
pub(super) fn read_reply(body: &[u8]) -> Option<EmbedReply> {
    let list: &RawValue = serde_json::from_slice(body).ok()?;
    let vectors = match vector(list) {
        Some(vector) => vec![vector],
        None => array(list)?.into_iter().map(vector).collect::<Option<_>>()?,
    };
    Some(EmbedReply { vectors, model: None, usage: None })
}

/// A list of numbers.
fn vector(raw: &RawValue) -> Option<Vector> {
    let is_number = array(raw)?.first()?.get().parse::<f64>().is_ok();
    is_number.then(|| Vector::Float(Json::from_raw(raw)))
}
