//! Cohere's `/v2/embed`. It demands to know what the vectors are for.

use super::unsent::{Lacks, record};
use super::vector;
use crate::json::{Fields, Writer, array, invalid, string};
use serde_json::value::RawValue;
use trunkline_core::{
    Dialect, EmbedCall, EmbedInput, EmbedReply, Fault, FaultKind, Json, Losses, Purpose, Surface, Truncate,
    Vector, VectorForm,
};

const SURFACE: Surface = Surface::CohereEmbed;
/// Most texts of one request.
pub(super) const MOST: usize = 96;

pub(super) fn read_call(mut fields: Fields<'_>) -> Result<EmbedCall, Fault> {
    let model = fields.string("model")?.unwrap_or_default().into_owned();
    if fields.array("images")?.is_some_and(|images| !images.is_empty()) {
        return Err(no_text("images"));
    }
    let texts = match fields.array("texts")? {
        Some(texts) => super::list_of(&texts, "texts")?,
        None => inputs(&mut fields)?,
    };
    let mut call = super::plain(SURFACE, &model, EmbedInput::Texts(texts));
    call.purpose = fields.string("input_type")?.map(|purpose| match purpose.as_ref() {
        "search_query" => Purpose::Query,
        "search_document" => Purpose::Document,
        "classification" => Purpose::Classification,
        "clustering" => Purpose::Clustering,
        other => Purpose::Other(other.into()),
    });
    call.truncate = match fields.string("truncate")?.as_deref() {
        None => None,
        Some("NONE") => Some(Truncate::Never),
        Some("START") => Some(Truncate::Start),
        Some("END") => Some(Truncate::End),
        Some(_) => return Err(invalid("truncate", "must be NONE, START or END")),
    };
    call.dimensions = fields.u64("output_dimension")?;
    if let Some(types) = fields.array("embedding_types")?.filter(|types| !types.is_empty()) {
        call.forms = super::list_of(&types, "embedding_types")?.into_iter().map(form).collect();
    }
    call.extra = fields.rest(Dialect::Surface(SURFACE));
    Ok(call)
}

fn form(name: String) -> VectorForm {
    match name.as_str() {
        "float" => VectorForm::Float,
        "base64" => VectorForm::Base64,
        _ => VectorForm::Other(name.into()),
    }
}

/// `inputs`: each a list of contents, of which texts can be sent elsewhere.
fn inputs(fields: &mut Fields<'_>) -> Result<Vec<String>, Fault> {
    let inputs = fields.array("inputs")?.ok_or_else(|| fields.missing("texts"))?;
    let read = |(at, input): (usize, &RawValue)| {
        let mut input = Fields::read(input, format!("inputs[{at}]"))?;
        let path = input.path("content");
        let mut text = String::new();
        for (at, content) in input.array("content")?.unwrap_or_default().into_iter().enumerate() {
            let mut content = Fields::read(content, format!("{path}[{at}]"))?;
            let here = content.here().to_owned();
            text.push_str(&content.string("text")?.ok_or_else(|| no_text(&here))?);
        }
        Ok(text)
    };
    inputs.into_iter().enumerate().map(read).collect()
}

fn no_text(path: &str) -> Fault {
    let message = format!("{path} holds pictures, which the chosen target does not embed; send texts");
    Fault::new(FaultKind::Unsupported, message).at(path).code("unsupported_content")
}

pub(super) fn write_call(
    call: &EmbedCall,
    texts: &[String],
    model: &str,
    losses: &mut Losses,
) -> Vec<Vec<u8>> {
    let settings = Settings::of(call, losses);
    let body = |texts: &&[String]| {
        let mut body = Vec::with_capacity(512);
        Writer::new(&mut body).object(|w| {
            w.key("model").string(model);
            settings.write(w, texts, Ends::Order);
            w.key("embedding_types").array(|w| w.string("float"));
            w.opt_u64("output_dimension", call.dimensions);
        });
        body
    };
    super::groups(texts, MOST).iter().map(body).collect()
}

/// What Cohere's models want to know wherever they run.
pub(super) struct Settings {
    input_type: &'static str,
    truncate: Option<Truncate>,
}

/// What the two ends of a text are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// `START` and `END`.
    Order,
    /// `LEFT` and `RIGHT`, in the fourth version on Bedrock.
    Side,
}

impl Settings {
    pub(super) fn of(call: &EmbedCall, losses: &mut Losses) -> Self {
        record(call, &[Lacks::User, Lacks::Title], losses);
        let input_type = match &call.purpose {
            Some(Purpose::Query) => "search_query",
            Some(Purpose::Document) => "search_document",
            Some(Purpose::Classification) => "classification",
            Some(Purpose::Clustering) => "clustering",
            Some(Purpose::Similarity | Purpose::Other(_)) => {
                losses.degraded("input_type", "the target knows no such purpose; sent as search_document");
                "search_document"
            }
            None => {
                losses.invented("input_type", "the target demands one; sent as search_document");
                "search_document"
            }
        };
        Self { input_type, truncate: call.truncate }
    }

    pub(super) fn write(&self, w: &mut Writer<'_>, texts: &[String], ends: Ends) {
        w.key("texts").array(|w| texts.iter().for_each(|text| w.string(text)));
        w.key("input_type").string(self.input_type);
        let truncate = self.truncate.map(|truncate| match (truncate, ends) {
            (Truncate::Never, _) => "NONE",
            (Truncate::Start, Ends::Order) => "START",
            (Truncate::Start, Ends::Side) => "LEFT",
            (Truncate::End, Ends::Order) => "END",
            (Truncate::End, Ends::Side) => "RIGHT",
        });
        w.opt_string("truncate", truncate);
    }
}

pub(super) fn read_reply(body: &[u8]) -> Option<EmbedReply> {
    let mut fields = Fields::body(body).ok()?;
    let vectors = vectors(fields.raw("embeddings")?)?;
    let billed = fields.object("meta").ok()?.and_then(|mut meta| meta.object("billed_units").ok()?);
    let tokens = billed.and_then(|mut billed| billed.u64("input_tokens").ok()?);
    Some(EmbedReply { vectors, model: None, usage: super::input_tokens(tokens) })
}

/// The vectors by their type, or, where none was named, alone.
pub(super) fn vectors(raw: &RawValue) -> Option<Vec<Vector>> {
    let float = |raw: &RawValue| array(raw).map(|_| Vector::Float(Json::from_raw(raw)));
    if let Some(list) = array(raw) {
        return list.into_iter().map(float).collect();
    }
    let mut by_type = Fields::read(raw, "").ok()?;
    if let Some(list) = by_type.array("float").ok()? {
        return list.into_iter().map(float).collect();
    }
    let packed = |raw: &RawValue| string(raw).map(|text| Vector::Base64(text.into_owned()));
    by_type.array("base64").ok()??.into_iter().map(packed).collect()
}

pub(super) fn write_reply(
    call: &EmbedCall,
    reply: &EmbedReply,
    id: &str,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let mut written = Ok(());
    Writer::new(out).object(|w| {
        w.key("id").string(id);
        w.key("response_type").string("embeddings_by_type");
        w.key("embeddings").object(|w| {
            for form in &call.forms {
                let name = match form {
                    VectorForm::Float => "float",
                    VectorForm::Base64 => "base64",
                    VectorForm::Other(name) => name,
                };
                w.member(name).array(|w| {
                    let all = reply.vectors.iter().try_for_each(|one| vector::write(w, one, form));
                    written = std::mem::replace(&mut written, Ok(())).and(all);
                });
            }
        });
        w.key("texts").array(|w| {
            call.input.texts().unwrap_or_default().iter().for_each(|text| w.string(text));
        });
        w.key("meta").object(|w| {
            w.key("api_version").object(|w| w.key("version").string("2"));
            if let Some(tokens) = super::tokens_of(reply) {
                w.key("billed_units").object(|w| w.key("input_tokens").u64(tokens));
            }
        });
    });
    written
}
