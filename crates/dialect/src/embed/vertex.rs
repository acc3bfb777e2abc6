//! Embedding models on Vertex AI: the older ones by `:predict`, as models of any kind are asked there, the newer ones by
//! a batch of contents, each with settings of its own.

use super::gemini::task;
use super::unsent::{Lacks, record};
use super::vector;
use crate::json::{Fields, Writer, array};
use serde_json::value::RawValue;
use trunkline_core::{EmbedCall, EmbedReply, Json, Losses, Truncate, Vector};

/// Most texts of one request.
const MOST: usize = 250;
const MOST_OF_BATCH: usize = 100;

/// Whether a model of this name is one of the newer ones.
pub(crate) fn is_newer(model: &str) -> bool {
    model.rsplit('/').next().unwrap_or(model).contains("gemini")
}

pub(super) fn write_predict(call: &EmbedCall, texts: &[String], losses: &mut Losses) -> Vec<Vec<u8>> {
    let settings = Settings::of(call, losses);
    let body = |texts: &&[String]| {
        let mut body = Vec::with_capacity(512);
        Writer::new(&mut body).object(|w| {
            w.key("instances").array(|w| {
                for text in *texts {
                    w.object(|w| {
                        w.key("content").string(text);
                        w.opt_string("task_type", settings.task);
                        w.opt_string("title", call.title.as_deref());
                    });
                }
            });
            if call.dimensions.is_some() || settings.cuts.is_some() {
                w.key("parameters").object(|w| {
                    w.opt_u64("outputDimensionality", call.dimensions);
                    w.opt_bool("autoTruncate", settings.cuts);
                });
            }
        });
        body
    };
    super::groups(texts, MOST).iter().map(body).collect()
}

pub(super) fn write_batch(call: &EmbedCall, texts: &[String], losses: &mut Losses) -> Vec<Vec<u8>> {
    let settings = Settings::of(call, losses);
    let body = |texts: &&[String]| {
        let mut body = Vec::with_capacity(512);
        Writer::new(&mut body).object(|w| {
            w.key("requests").array(|w| {
                for text in *texts {
                    w.object(|w| {
                        w.key("content").object(|w| {
                            w.key("parts").array(|w| w.object(|w| w.key("text").string(text)));
                        });
                        w.key("embedContentConfig").object(|w| {
                            w.opt_string("taskType", settings.task);
                            w.opt_string("title", call.title.as_deref());
                            w.opt_u64("outputDimensionality", call.dimensions);
                            w.opt_bool("autoTruncate", settings.cuts);
                        });
                    });
                }
            });
        });
        body
    };
    super::groups(texts, MOST_OF_BATCH).iter().map(body).collect()
}

/// What both forms are told.
struct Settings<'c> {
    task: Option<&'c str>,
    /// Whether texts that are too long lose their end rather than being refused.
    cuts: Option<bool>,
}

impl<'c> Settings<'c> {
    fn of(call: &'c EmbedCall, losses: &mut Losses) -> Self {
        record(call, &[Lacks::User], losses);
        if call.truncate == Some(Truncate::Start) {
            losses.degraded("truncate", "the target cuts off the end of texts that are too long");
        }
        if call.dimensions.is_some() {
            losses.emulated("dimensions", "vectors cut short are brought to the length of one again");
        }
        let cuts = call.truncate.map(|truncate| truncate != Truncate::Never);
        Self { task: task(call.purpose.as_ref(), losses), cuts }
    }
}

pub(super) fn read_predicted(body: &[u8]) -> Option<EmbedReply> {
    let mut fields = Fields::body(body).ok()?;
    let mut tokens = None;
    let mut vector = |raw: &RawValue| {
        let mut embeddings = Fields::read(raw, "").ok()?.object("embeddings").ok()??;
        let values = embeddings.raw("values")?;
        if let Some(mut said) = embeddings.object("statistics").ok()? {
            // Proto JSON of a value of any kind: whole numbers may come with a fraction.
            let more = said.number("token_count").ok()?.and_then(|count| count.as_u64());
            tokens = more.map(|more| tokens.unwrap_or(0_u64).saturating_add(more)).or(tokens);
        }
        let vector = array(values).map(|_| Vector::Float(Json::from_raw(values)))?;
        Some(vector::normalised(&vector).unwrap_or(vector))
    };
    let vectors = fields.array("predictions").ok()??.into_iter().map(&mut vector).collect::<Option<_>>()?;
    Some(EmbedReply { vectors, model: None, usage: super::input_tokens(tokens) })
}
