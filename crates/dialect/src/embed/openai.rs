//! OpenAI's `/v1/embeddings`, which engines and most vendors share.

use super::unsent::{Lacks, record};
use super::{Target, vector};
use crate::json::{Fields, Writer, array, invalid, string};
use serde_json::value::RawValue;
use trunkline_core::{
    Dialect, EmbedCall, EmbedInput, EmbedReply, Fault, Json, Losses, Purpose, Surface, Truncate, Vector,
    VectorForm,
};

const OURS: Dialect = Dialect::Surface(Surface::OpenaiEmbeddings);
pub(super) fn read_call(mut fields: Fields<'_>) -> Result<EmbedCall, Fault> {
    let model = fields.string("model")?.unwrap_or_default().into_owned();
    let Some(raw) = fields.raw("input") else { return Err(fields.missing("input")) };
    let mut call = super::plain(Surface::OpenaiEmbeddings, &model, input(raw)?);
    call.dimensions = fields.u64("dimensions")?;
    call.forms = match fields.string("encoding_format")?.as_deref() {
        None | Some("float") => vec![VectorForm::Float],
        Some("base64") => vec![VectorForm::Base64],
        Some(_) => return Err(invalid("encoding_format", "must be float or base64")),
    };
    call.user = fields.string("user")?.map(Into::into);
    // Vendors whose models tell questions from documents take this beside OpenAI's fields.
    call.purpose = fields.string("input_type")?.map(|purpose| match purpose.as_ref() {
        "query" | "search_query" => Purpose::Query,
        "passage" | "document" | "search_document" => Purpose::Document,
        "classification" => Purpose::Classification,
        "clustering" => Purpose::Clustering,
        other => Purpose::Other(other.into()),
    });
    call.extra = fields.rest(OURS);
    Ok(call)
}

fn input(raw: &RawValue) -> Result<EmbedInput, Fault> {
    const HERE: &str = "input";
    let wrong = || invalid(HERE, "must be a string, a list of strings, token ids or lists of token ids");
    if let Some(text) = string(raw) {
        return Ok(EmbedInput::Text(text.into_owned()));
    }
    let list = array(raw).ok_or_else(wrong)?;
    let is_id = |raw: &&RawValue| raw.get().parse::<u64>().is_ok();
    match list.first() {
        None => Err(invalid(HERE, "must not be empty")),
        Some(first) if is_id(first) && list.iter().all(is_id) => {
            Ok(EmbedInput::Tokens(vec![Json::from_raw(raw)]))
        }
        Some(first) if first.get().starts_with('[') => {
            let ids =
                |raw: &&RawValue| array(raw).is_some_and(|ids| !ids.is_empty() && ids.iter().all(is_id));
            let all = list.iter().all(ids);
            all.then(|| EmbedInput::Tokens(list.iter().map(|raw| Json::from_raw(raw)).collect()))
                .ok_or_else(wrong)
        }
        Some(_) => super::list_of(&list, HERE).map(EmbedInput::Texts),
    }
}

pub(super) fn write_call(
    call: &EmbedCall,
    texts: &[String],
    target: Target<'_>,
    losses: &mut Losses,
) -> Vec<Vec<u8>> {
    let Target { model, habits } = target;
    record(call, &[Lacks::Title], losses);
    if !habits.purpose {
        record(call, &[Lacks::Purpose, Lacks::Truncation], losses);
    }
    if !habits.user {
        record(call, &[Lacks::User], losses);
    }
    if habits.dimensions.is_none() && call.dimensions.is_some() {
        losses.dropped("dimensions", "the model makes vectors of one length");
    }
    let purpose = habits.purpose.then(|| side(call.purpose.as_ref(), losses));
    let packed = habits.base64 && call.forms == [VectorForm::Base64];
    let body = |texts: &&[String]| {
        let mut body = Vec::with_capacity(512);
        Writer::new(&mut body).object(|w| {
            w.key("model").string(model);
            w.key("input").array(|w| texts.iter().for_each(|text| w.string(text)));
            if let Some(name) = habits.dimensions {
                w.opt_u64(name, call.dimensions);
            }
            w.opt_string("user", call.user.as_deref().filter(|_| habits.user));
            if packed {
                w.key("encoding_format").string("base64");
            }
            if let Some(purpose) = purpose {
                w.key("input_type").string(purpose);
                w.opt_string("truncate", call.truncate.map(cut));
            }
            w.extra(&call.extra, OURS);
        });
        body
    };
    super::groups(texts, habits.most).iter().map(body).collect()
}

/// The side of a search that vectors are for, which is all that vendors of this form tell apart.
fn side(purpose: Option<&Purpose>, losses: &mut Losses) -> &'static str {
    match purpose {
        Some(Purpose::Query) => "query",
        Some(Purpose::Document) => "passage",
        Some(Purpose::Classification | Purpose::Clustering | Purpose::Similarity | Purpose::Other(_)) => {
            losses.degraded("input_type", "the target knows no such purpose; sent as passage");
            "passage"
        }
        None => {
            losses.invented("input_type", "the target demands one; sent as passage");
            "passage"
        }
    }
}

const fn cut(truncate: Truncate) -> &'static str {
    match truncate {
        Truncate::Never => "NONE",
        Truncate::Start => "START",
        Truncate::End => "END",
    }
}

pub(super) fn read_reply(body: &[u8]) -> Option<EmbedReply> {
    let mut fields = Fields::body(body).ok()?;
    let mut vectors = Vec::new();
    for (at, entry) in fields.array("data").ok()??.into_iter().enumerate() {
        let mut entry = Fields::read(entry, "").ok()?;
        let place = entry.u64("index").ok()?.unwrap_or(at as u64);
        let raw = entry.raw("embedding")?;
        let vector = match string(raw) {
            Some(text) => Vector::Base64(text.into_owned()),
            None => Vector::Float(array(raw).map(|_| Json::from_raw(raw))?),
        };
        vectors.push((place, vector));
    }
    vectors.sort_by_key(|(place, _)| *place);
    let model = fields.string("model").ok()?.map(Into::into);
    let tokens = fields.object("usage").ok()?.and_then(|mut usage| usage.u64("prompt_tokens").ok()?);
    let vectors = vectors.into_iter().map(|(_, vector)| vector).collect();
    Some(EmbedReply { vectors, model, usage: super::input_tokens(tokens) })
}

pub(super) fn write_reply(call: &EmbedCall, reply: &EmbedReply, out: &mut Vec<u8>) -> Result<(), Fault> {
    let form = call.forms.first().unwrap_or(&VectorForm::Float);
    let mut written = Ok(());
    Writer::new(out).object(|w| {
        w.key("object").string("list");
        w.key("data").array(|w| {
            for (at, vector) in reply.vectors.iter().enumerate() {
                w.object(|w| {
                    w.key("object").string("embedding");
                    w.key("index").u64(at as u64);
                    w.key("embedding");
                    written = std::mem::replace(&mut written, Ok(())).and(vector::write(w, vector, form));
                });
            }
        });
        w.key("model").string(reply.model.as_deref().unwrap_or(call.model.as_str()));
        let tokens = super::tokens_of(reply).unwrap_or(0);
        w.key("usage").object(|w| {
            w.key("prompt_tokens").u64(tokens);
            w.key("total_tokens").u64(tokens);
        });
    });
    written
}
