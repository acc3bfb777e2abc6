//! Vectors: one file per wire form, each reading and writing it and knowing no other; this one is their
//! door. An answer's numbers keep their spelling where they are shown as numbers, and are exact to the bit of
//! an `f32` where they are shown as base64.

mod bedrock;
mod cohere;
mod gemini;
mod ollama;
mod openai;
mod tei;
mod vector;

use crate::codec::untranslated;
use crate::json::{Fields, invalid, string};
use serde_json::value::RawValue;
use trunkline_core::{
    EmbedCall, EmbedInput, EmbedReply, Extra, Fault, FaultKind, Losses, Model, OnUnsupported, Surface, Usage,
    VectorForm,
};

/// Client to neutral: reads a request body. Where the path names the model, the caller puts it in.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] naming the field.
pub fn read_call(surface: Surface, body: &[u8]) -> Result<EmbedCall, Fault> {
    let fields = Fields::body(body)?;
    let call = match surface {
        Surface::OpenaiEmbeddings => openai::read_call(fields),
        Surface::GeminiEmbed => gemini::read_one(fields),
        Surface::GeminiBatchEmbed => gemini::read_batch(fields),
        Surface::OllamaEmbed => ollama::read_call(fields),
        Surface::OllamaEmbeddings => ollama::read_older(fields),
        Surface::CohereEmbed => cohere::read_call(fields),
        other => Err(untranslated(other.into())),
    }?;
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
    model: &str,
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
    let bodies = match surface {
        Surface::OpenaiEmbeddings => openai::write_call(call, texts, model, &mut unsent),
        Surface::GeminiBatchEmbed => gemini::write_call(call, texts, model, &mut unsent),
        Surface::OllamaEmbed => ollama::write_call(call, texts, model, &mut unsent),
        Surface::CohereEmbed => cohere::write_call(call, texts, model, &mut unsent),
        Surface::TeiEmbed => tei::write_call(call, texts, &mut unsent),
        Surface::BedrockEmbed => bedrock::write_call(call, texts, model, &mut unsent),
        other => return Err(untranslated(other.into())),
    };
    for field in &call.extra {
        unsent.dropped(field.key.to_string(), "the target has no field for it");
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
    let read = match surface {
        Surface::OpenaiEmbeddings => openai::read_reply(body),
        Surface::GeminiBatchEmbed => gemini::read_reply(body),
        Surface::OllamaEmbed => ollama::read_reply(body),
        Surface::CohereEmbed => cohere::read_reply(body),
        Surface::TeiEmbed => tei::read_reply(body),
        Surface::BedrockEmbed => bedrock::read_reply(body),
        other => return Err(untranslated(other.into())),
    };
    read.ok_or_else(|| {
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
    match call.surface {
        Surface::OpenaiEmbeddings => openai::write_reply(call, reply, &mut out),
        Surface::GeminiEmbed => gemini::write_one(reply, &mut out),
        Surface::GeminiBatchEmbed => gemini::write_batch(reply, &mut out),
        Surface::OllamaEmbed => ollama::write_reply(call, reply, &mut out),
        Surface::OllamaEmbeddings => ollama::write_older(reply, &mut out),
        Surface::CohereEmbed => cohere::write_reply(call, reply, id, &mut out),
        other => return Err(untranslated(other.into())),
    }?;
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
