//! Parts as they stand on the wire, in requests and in answers.

use super::DIALECT;
use super::read_part::FILE_TYPE;
use crate::json::Writer;
use std::borrow::Cow;
use trunkline_core::{Extra, Json};

/// A part, ready to be written.
#[derive(Debug, Clone)]
pub(super) struct Wire<'c> {
    pub body: Body<'c>,
    /// State of the model's that belongs to it.
    pub signature: Option<Cow<'c, str>>,
    pub extra: Option<&'c Extra>,
}

/// What a part holds.
#[derive(Debug, Clone)]
pub(super) enum Body<'c> {
    Text(Cow<'c, str>),
    Thought(Cow<'c, str>),
    Inline {
        mime: Cow<'c, str>,
        data: Cow<'c, str>,
        meta: Option<&'c Json>,
    },
    File {
        mime: Option<Cow<'c, str>>,
        uri: &'c str,
        meta: Option<&'c Json>,
    },
    Call {
        id: Option<Cow<'c, str>>,
        name: Cow<'c, str>,
        args: Cow<'c, str>,
    },
    Response {
        id: Option<Cow<'c, str>>,
        name: Cow<'c, str>,
        response: Cow<'c, str>,
        parts: Vec<Wire<'c>>,
    },
    Code {
        language: &'c str,
        code: &'c str,
    },
    CodeResult {
        outcome: &'c str,
        output: &'c str,
    },
    /// A whole part in Gemini's own form.
    Native(Cow<'c, str>),
}

impl<'c> Wire<'c> {
    pub(super) fn new(body: Body<'c>) -> Self {
        Self { body, signature: None, extra: None }
    }

    pub(super) fn text(text: impl Into<Cow<'c, str>>) -> Self {
        Self::new(Body::Text(text.into()))
    }

    /// Whether it is nothing but a signature.
    pub(super) fn is_bare(&self) -> bool {
        matches!(&self.body, Body::Text(text) if text.is_empty()) && self.signature.is_some()
    }

    /// Whether it carries state of the model's.
    pub(super) fn is_signed(&self) -> bool {
        let kept = |extra: &&Extra| {
            extra.iter().any(|field| field.dialect == DIALECT && &*field.key == "thoughtSignature")
        };
        self.signature.is_some() || self.extra.as_ref().is_some_and(kept)
    }

    /// Writes the part.
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        if let Body::Native(raw) = &self.body {
            return w.raw(raw);
        }
        w.object(|w| {
            self.body.write(w);
            w.opt_string("thoughtSignature", self.signature.as_deref());
            let kept = self.extra.into_iter().flatten().filter(|field| field.dialect == DIALECT);
            for field in kept.filter(|field| &*field.key != FILE_TYPE && self.keeps(&field.key)) {
                w.member(&field.key).raw(field.value.as_str());
            }
        });
    }

    /// Whether an unknown field may stand beside what is written.
    fn keeps(&self, key: &str) -> bool {
        !(key == "thoughtSignature" && self.signature.is_some())
    }
}

impl Body<'_> {
    fn write(&self, w: &mut Writer<'_>) {
        match self {
            Self::Text(text) => w.key("text").string(text),
            Self::Thought(text) => {
                w.key("text").string(text);
                w.key("thought").bool(true);
            }
            Self::Inline { mime, data, meta } => {
                w.key("inlineData").object(|w| {
                    w.key("mimeType").string(mime);
                    w.key("data").string(data);
                });
                w.opt_json("videoMetadata", *meta);
            }
            Self::File { mime, uri, meta } => {
                w.key("fileData").object(|w| {
                    w.opt_string("mimeType", mime.as_deref());
                    w.key("fileUri").string(uri);
                });
                w.opt_json("videoMetadata", *meta);
            }
            Self::Call { id, name, args } => w.key("functionCall").object(|w| {
                w.opt_string("id", id.as_deref());
                w.key("name").string(name);
                w.key("args").raw(args);
            }),
            Self::Response { id, name, response, parts } => w.key("functionResponse").object(|w| {
                w.opt_string("id", id.as_deref());
                w.key("name").string(name);
                w.key("response").raw(response);
                if !parts.is_empty() {
                    w.key("parts").array(|w| parts.iter().for_each(|part| part.write(w)));
                }
            }),
            Self::Code { language, code } => w.key("executableCode").object(|w| {
                w.key("language").string(language);
                w.key("code").string(code);
            }),
            Self::CodeResult { outcome, output } => w.key("codeExecutionResult").object(|w| {
                w.key("outcome").string(outcome);
                w.key("output").string(output);
            }),
            // It has no members of its own.
            Self::Native(_) => {}
        }
    }
}
