//! Rankings: one file per wire form, none knowing another; this one is their door.
//!
//! Scores keep their spelling. What a form repeats of the documents comes from the client's own request, so
//! no target is asked to send them back.

mod bedrock;
mod cohere;
mod jina;
mod tei;
mod vertex;

use crate::codec::{untranslated, upstream};
use crate::json::{Fields, invalid, string};
use serde_json::value::RawValue;
use trunkline_core::{
    Fault, FaultKind, Json, Losses, Model, Number, Rank, RankedDocument, RerankCall, RerankReply, Surface,
};

/// A form that clients speak.
struct Client {
    surface: Surface,
    /// The member that holds the documents.
    list: &'static str,
    read_call: fn(Fields<'_>) -> Result<RerankCall, Fault>,
    write_reply: fn(&RerankCall, &RerankReply, &str) -> Vec<u8>,
}

/// Writes the requests for a call to a model.
type WriteCall = fn(&RerankCall, &str, &mut Losses) -> Result<Vec<Vec<u8>>, Fault>;

/// A form that upstreams speak.
struct Form {
    surface: Surface,
    /// How many documents each request holds, where a later one's numbers begin anew.
    step: u64,
    write_call: WriteCall,
    read_reply: fn(&[u8]) -> Option<RerankReply>,
}

static CLIENTS: [Client; 3] = [
    Client {
        surface: Surface::CohereRerank,
        list: "documents",
        read_call: cohere::read_call,
        write_reply: cohere::write_reply,
    },
    Client {
        surface: Surface::JinaRerank,
        list: "documents",
        read_call: jina::read_call,
        write_reply: jina::write_reply,
    },
    Client {
        surface: Surface::TeiRerank,
        list: "texts",
        read_call: tei::read_call,
        write_reply: |call, reply, _| tei::write_reply(call, reply),
    },
];

static FORMS: [Form; 5] = [
    Form {
        surface: Surface::CohereRerank,
        step: 0,
        write_call: |call, model, losses| Ok(cohere::write_call(call, model, losses)),
        read_reply: cohere::read_reply,
    },
    Form {
        surface: Surface::JinaRerank,
        step: 0,
        write_call: |call, model, losses| Ok(jina::write_call(call, model, losses)),
        read_reply: jina::read_reply,
    },
    Form {
        surface: Surface::TeiRerank,
        step: tei::MOST as u64,
        write_call: |call, _, losses| Ok(tei::write_call(call, losses)),
        read_reply: tei::read_reply,
    },
    Form {
        surface: Surface::BedrockRerank,
        step: 0,
        write_call: bedrock::write_call,
        // Both families answer as Cohere does.
        read_reply: cohere::read_reply,
    },
    Form {
        surface: Surface::VertexRerank,
        step: 0,
        write_call: vertex::write_call,
        read_reply: vertex::read_reply,
    },
];

fn client(surface: Surface) -> Result<&'static Client, Fault> {
    CLIENTS.iter().find(|client| client.surface == surface).ok_or_else(|| untranslated(surface.into()))
}

fn form(surface: Surface) -> Result<&'static Form, Fault> {
    FORMS.iter().find(|form| form.surface == surface).ok_or_else(|| untranslated(surface.into()))
}

/// Client to neutral: reads a request body.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] naming the field.
pub fn read_call(surface: Surface, body: &[u8]) -> Result<RerankCall, Fault> {
    let client = client(surface)?;
    let call = (client.read_call)(Fields::body(body)?)?;
    if call.query.trim().is_empty() {
        return Err(invalid("query", "must not be blank"));
    }
    if call.documents.is_empty() {
        return Err(invalid(client.list, "must hold at least one document"));
    }
    Ok(call)
}

/// Whether a body sent to the path that Jina's form and text-embeddings-inference share is of the latter.
#[must_use]
pub fn is_tei(body: &[u8]) -> bool {
    Fields::body(body).is_ok_and(|fields| fields.has("texts"))
}

/// Neutral to upstream: the request bodies that together ask for the ranking. What the target cannot take
/// goes into `losses`.
///
/// # Errors
/// [`FaultKind::Unsupported`] without a codec, or for a model that ranks nothing.
pub fn write_call(
    surface: Surface,
    call: &RerankCall,
    model: &str,
    losses: &mut Losses,
) -> Result<Vec<Vec<u8>>, Fault> {
    let bodies = (form(surface)?.write_call)(call, model, losses)?;
    for field in &call.extra {
        losses.dropped(field.key.to_string(), "the target has no field for it");
    }
    Ok(bodies)
}

/// Upstream to neutral: reads an answer.
///
/// # Errors
/// [`FaultKind::Upstream`] when it is none.
pub fn read_reply(surface: Surface, body: &[u8]) -> Result<RerankReply, Fault> {
    (form(surface)?.read_reply)(body)
        .ok_or_else(|| upstream("the upstream's answer is no ranking").code("upstream_unreadable"))
}

/// Puts the answers to the requests of [`write_call`] to `surface` together, best first.
///
/// # Errors
/// [`FaultKind::Upstream`] when they rank what was not sent.
pub fn merge(surface: Surface, call: &RerankCall, replies: Vec<RerankReply>) -> Result<RerankReply, Fault> {
    let step = form(surface)?.step;
    let mut whole = RerankReply::default();
    let mut offset = 0;
    for reply in replies {
        let shifted = |rank: Rank| Rank { index: rank.index.saturating_add(offset), ..rank };
        whole.ranks.extend(reply.ranks.into_iter().map(shifted));
        whole.id = whole.id.or(reply.id);
        whole.model = whole.model.or(reply.model);
        if let Some(usage) = reply.usage {
            whole.usage.get_or_insert_default().add(&usage);
        }
        offset += step;
    }
    if whole.ranks.iter().any(|rank| rank.index >= call.documents.len() as u64) {
        let message = "the upstream ranked a document that it was not sent";
        return Err(upstream(message).code("upstream_unreadable"));
    }
    // Stable, so that equals keep the upstream's order.
    whole.ranks.sort_by(|a, b| b.score.as_f64().total_cmp(&a.score.as_f64()));
    if let Some(most) = call.top_n {
        whole.ranks.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    }
    Ok(whole)
}

/// Neutral to client: writes the answer to `call`; `id` where the upstream gave none.
///
/// # Errors
/// [`FaultKind::Unsupported`] without a codec.
pub fn write_reply(call: &RerankCall, reply: &RerankReply, id: &str) -> Result<Vec<u8>, Fault> {
    Ok((client(call.surface)?.write_reply)(call, reply, id))
}

/// A call with nothing but a question and documents.
fn plain(surface: Surface, model: &str, query: String, documents: Vec<RankedDocument>) -> RerankCall {
    RerankCall {
        surface,
        model: Model::new(model),
        query,
        documents,
        top_n: None,
        return_documents: None,
        max_tokens_per_document: None,
        raw_scores: None,
        extra: Vec::new(),
    }
}

/// Documents: strings, or objects with a text.
fn documents(fields: &mut Fields<'_>, key: &str) -> Result<Vec<RankedDocument>, Fault> {
    let list = fields.array(key)?.ok_or_else(|| fields.missing(key))?;
    let path = fields.path(key);
    let read = |(at, raw): (usize, &RawValue)| {
        if let Some(text) = string(raw) {
            return Ok(RankedDocument { text: text.into_owned(), object: None });
        }
        let here = format!("{path}[{at}]");
        let mut object = Fields::read(raw, here.as_str())
            .map_err(|_| invalid(&here, "must be a string or an object with a text"))?;
        let text = object.need_string("text")?.into_owned();
        Ok(RankedDocument { text, object: Some(Json::from_raw(raw)) })
    };
    list.into_iter().enumerate().map(read).collect()
}

/// The fault when `model` is none that ranks.
fn unranking(model: &str, instead: &str) -> Fault {
    let message = format!("model `{model}` ranks nothing; ask for one that does, such as {instead}");
    Fault::new(FaultKind::Unsupported, message).at("model").code("unsupported_model")
}

/// One entry of a ranking, whose score stands under `key`.
fn rank(raw: &RawValue, key: &str) -> Option<Rank> {
    let mut fields = Fields::read(raw, "").ok()?;
    let score: Number = fields.number(key).ok()??;
    Some(Rank { index: fields.u64("index").ok()??, score })
}

/// The document an entry of a ranking is about.
fn document<'c>(call: &'c RerankCall, rank: &Rank) -> Option<&'c RankedDocument> {
    call.documents.get(usize::try_from(rank.index).ok()?)
}

#[cfg(test)]
mod tests;
