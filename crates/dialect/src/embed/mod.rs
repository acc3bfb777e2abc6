//! Vectors: one file per wire form, each reading and writing it and knowing no other; this one is their
//! door. An answer's numbers keep their spelling where they are shown as numbers, and are exact to the bit of
//! an `f32` where they are shown as base64.

mod bedrock;
mod cohere;
mod gemini;
mod habits;
mod ollama;
mod openai;
mod tei;
mod unsent;
mod vector;
mod vertex;

pub use habits::{Habits, habits};
pub(crate) use vertex::is_newer;

use crate::codec::untranslated;
use crate::json::{Fields, invalid, string};
use serde_json::value::RawValue;
use trunkline_core::{
    EmbedCall, EmbedInput, EmbedReply, Extra, Fault, FaultKind, Losses, Model, OnUnsupported, Surface, Usage,
    VectorForm,
};

/// A form that clients speak.
struct ClientForm {
    surface: Surface,
    read: fn(Fields<'_>) -> Result<EmbedCall, Fault>,
    write: fn(&EmbedCall, &EmbedReply, &str, &mut Vec<u8>) -> Result<(), Fault>,
}

static CLIENTS: [ClientForm; 6] = [
    ClientForm {
        surface: Surface::OpenaiEmbeddings,
        read: openai::read_call,
        write: |call, reply, _, out| openai::write_reply(call, reply, out),
    },
    ClientForm {
        surface: Surface::GeminiEmbed,
        read: gemini::read_one,
        write: |_, reply, _, out| gemini::write_one(reply, out),
    },
    ClientForm {
        surface: Surface::GeminiBatchEmbed,
        read: gemini::read_batch,
        write: |_, reply, _, out| gemini::write_batch(reply, out),
    },
    ClientForm {
        surface: Surface::OllamaEmbed,
        read: ollama::read_call,
        write: |call, reply, _, out| ollama::write_reply(call, reply, out),
    },
    ClientForm {
        surface: Surface::OllamaEmbeddings,
        read: ollama::read_older,
        write: |_, reply, _, out| ollama::write_older(reply, out),
    },
    ClientForm { surface: Surface::CohereEmbed, read: cohere::read_call, write: cohere::write_reply },
];

/// What a call is written for.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The model, as the upstream calls it.
    pub model: &'a str,
    /// How the upstream deviates from its form.
    pub habits: &'static Habits,
}

/// Writes the requests for texts.
type WriteCall = fn(&EmbedCall, &[String], Target<'_>, &mut Losses) -> Vec<Vec<u8>>;

/// A form that upstreams speak.
struct UpstreamForm {
    surface: Surface,
    write: WriteCall,
    read: fn(&[u8]) -> Option<EmbedReply>,
}

static UPSTREAMS: [UpstreamForm; 8] = [
    UpstreamForm { surface: Surface::OpenaiEmbeddings, write: openai::write_call, read: openai::read_reply },
    UpstreamForm {
        surface: Surface::GeminiBatchEmbed,
        write: |call, texts, to, losses| gemini::write_call(call, texts, to.model, losses),
        read: gemini::read_reply,
    },
    UpstreamForm {
        surface: Surface::OllamaEmbed,
        write: |call, texts, to, losses| ollama::write_call(call, texts, to.model, losses),
        read: ollama::read_reply,
    },
    UpstreamForm {
        surface: Surface::CohereEmbed,
        write: |call, texts, to, losses| cohere::write_call(call, texts, to.model, losses),
        read: cohere::read_reply,
    },
    UpstreamForm { surface: Surface::TeiEmbed, write: tei::write_call, read: tei::read_reply },
    UpstreamForm {
        surface: Surface::BedrockEmbed,
        write: |call, texts, to, losses| bedrock::write_call(call, texts, to.model, losses),
        read: bedrock::read_reply,
    },
    UpstreamForm {
        surface: Surface::VertexEmbed,
        write: |call, texts, _, losses| vertex::write_predict(call, texts, losses),
        read: vertex::read_predicted,
    },
    UpstreamForm {
        surface: Surface::VertexBatchEmbed,
        write: |call, texts, _, losses| vertex::write_batch(call, texts, losses),
        read: gemini::read_reply,
    },
];

fn client(surface: Surface) -> Result<&'static ClientForm, Fault> {
    CLIENTS.iter().find(|form| form.surface == surface).ok_or_else(|| untranslated(surface.into()))
}

fn upstream(surface: Surface) -> Result<&'static UpstreamForm, Fault> {
    UPSTREAMS.iter().find(|form| form.surface == surface).ok_or_else(|| untranslated(surface.into()))
}

/// Client to neutral: reads a request body. Where the path names the model, the caller puts it in.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] naming the field.
pub fn read_call(surface: Surface, body: &[u8]) -> Result<EmbedCall, Fault> {
    let call = (client(surface)?.read)(Fields::body(body)?)?;
    match call.input.texts() {
        Some([]) => Err(invalid(spelled(surface, "input"), "must hold at least one text")),
        Some(_) | None => Ok(call),
    }
}

/// Neutral to upstream: the request bodies that together ask for all vectors of `call`, in order. What the
/// target cannot take goes into `losses`.
///
/// # Errors
/// [`FaultKind::Unsupported`] naming what the target cannot embed or spell.
pub fn write_call(
    surface: Surface,
    call: &EmbedCall,
    target: Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<Vec<u8>>, Fault> {
    let known = losses.len();
    let mut unsent = Losses::default();
    let Some(texts) = call.input.texts() else {
        return Err(unsupported(
            call,
            "input",
            "holds token ids, which the chosen target does not take; send text",
        ));
    };
    if let Some(VectorForm::Other(form)) = call.forms.iter().find(|form| matches!(form, VectorForm::Other(_)))
    {
        let what = format!("asks for `{form}`, which the chosen target does not make; ask for float");
        return Err(unsupported(call, "encoding_format", &what));
    }
    let bodies = (upstream(surface)?.write)(call, texts, target, &mut unsent);
    // In its own form a call keeps what we do not understand.
    if call.surface != surface {
        for field in &call.extra {
            unsent.dropped(field.key.to_string(), "the target has no field for it");
        }
    }
    unsent.into_iter().for_each(|loss| losses.push(loss));
    losses.respell(known, |path| {
        let own = spelled(call.surface, path);
        (own != path).then(|| own.to_owned())
    });
    Ok(bodies)
}

/// The fault when `losses` hold what `setting` refuses.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] naming the parameter.
pub fn check(losses: &Losses, setting: OnUnsupported) -> Result<(), Fault> {
    let Some(loss) = losses.refused(setting) else { return Ok(()) };
    let message = format!("{} cannot be sent to this model's provider: {}", loss.path, loss.reason);
    Err(Fault::new(FaultKind::InvalidRequest, message)
        .at(loss.path.to_string())
        .code("unsupported_parameter"))
}

/// Upstream to neutral: reads an answer.
///
/// # Errors
/// [`FaultKind::Upstream`] when it is none.
pub fn read_reply(surface: Surface, body: &[u8]) -> Result<EmbedReply, Fault> {
    (upstream(surface)?.read)(body).ok_or_else(|| {
        let message = "the upstream's answer is no list of vectors";
        crate::codec::upstream(message).code("upstream_unreadable")
    })
}

/// Puts the answers to the requests of [`write_call`] together.
///
/// # Errors
/// [`FaultKind::Upstream`] when there are not as many vectors as texts.
pub fn merge(call: &EmbedCall, replies: Vec<EmbedReply>) -> Result<EmbedReply, Fault> {
    let mut whole = EmbedReply::default();
    for reply in replies {
        whole.vectors.extend(reply.vectors);
        whole.model = whole.model.or(reply.model);
        if let Some(usage) = reply.usage {
            whole.usage.get_or_insert_default().add(&usage);
        }
    }
    let wanted = call.input.texts().map_or(whole.vectors.len(), <[_]>::len);
    if whole.vectors.len() != wanted {
        let message = format!("the upstream made {} vectors of {wanted} texts", whole.vectors.len());
        return Err(crate::codec::upstream(message).code("upstream_unreadable"));
    }
    Ok(whole)
}

/// Neutral to client: writes the answer to `call`.
///
/// # Errors
/// [`FaultKind::Upstream`] for vectors that are none.
pub fn write_reply(call: &EmbedCall, reply: &EmbedReply, id: &str) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(1 << 14);
    (client(call.surface)?.write)(call, reply, id, &mut out)?;
    Ok(out)
}

/// How clients of `surface` spell a setting that has the neutral name `path`, which is OpenAI's where OpenAI
/// has it.
fn spelled(surface: Surface, path: &str) -> &str {
    match (surface, path) {
        (Surface::GeminiEmbed, "input") => "content",
        (Surface::GeminiBatchEmbed, "input") => "requests",
        (Surface::OllamaEmbeddings, "input") => "prompt",
        (Surface::CohereEmbed, "input") => "texts",
        (Surface::GeminiEmbed | Surface::GeminiBatchEmbed, "dimensions") => "outputDimensionality",
        (Surface::CohereEmbed, "dimensions") => "output_dimension",
        (Surface::GeminiEmbed | Surface::GeminiBatchEmbed, "input_type") => "taskType",
        (Surface::CohereEmbed, "encoding_format") => "embedding_types",
        (_, same) => same,
    }
}

/// A call with nothing but its texts.
fn plain(surface: Surface, model: &str, input: EmbedInput) -> EmbedCall {
    EmbedCall {
        surface,
        model: Model::new(model),
        input,
        dimensions: None,
        forms: vec![VectorForm::Float],
        purpose: None,
        truncate: None,
        title: None,
        user: None,
        extra: Extra::new(),
    }
}

/// The texts in a member that is one text or a list of them.
fn texts(fields: &mut Fields<'_>, key: &str) -> Result<EmbedInput, Fault> {
    let Some(raw) = fields.raw(key) else { return Err(fields.missing(key)) };
    if let Some(text) = string(raw) {
        return Ok(EmbedInput::Text(text.into_owned()));
    }
    let list =
        crate::json::array(raw).ok_or_else(|| fields.wrong(key, "a string or a list of strings", raw))?;
    list_of(&list, &fields.path(key)).map(EmbedInput::Texts)
}

/// The strings of a list at `path`.
fn list_of(list: &[&RawValue], path: &str) -> Result<Vec<String>, Fault> {
    let text = |(at, raw): (usize, &&RawValue)| {
        let text = string(raw).ok_or_else(|| invalid(&format!("{path}[{at}]"), "must be a string"))?;
        Ok(text.into_owned())
    };
    list.iter().enumerate().map(text).collect()
}

fn unsupported(call: &EmbedCall, path: &str, what: &str) -> Fault {
    let path = spelled(call.surface, path);
    Fault::new(FaultKind::Unsupported, format!("{path} {what}")).at(path).code("unsupported_content")
}

/// `texts` in groups that one request takes.
fn groups(texts: &[String], most: usize) -> Vec<&[String]> {
    texts.chunks(most).collect()
}

/// Usage that is nothing but a number of tokens.
fn input_tokens(tokens: Option<u64>) -> Option<Box<Usage>> {
    tokens.map(|tokens| Box::new(Usage { input_total: Some(tokens), ..Usage::default() }))
}

/// The tokens of an answer's texts.
fn tokens_of(reply: &EmbedReply) -> Option<u64> {
    reply.usage.as_ref().and_then(|usage| usage.input_total)
}

#[cfg(test)]
mod tests;
