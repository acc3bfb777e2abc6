//! The `response` object, as lifecycle events and whole answers hold it.

use super::{OURS, error, usage};
use crate::codec::Context;
use crate::json::{Fields, Writer, array};
use crate::seal::mint;
use serde_json::value::RawValue;
use trunkline_core::{Extra, ExtraField, Fault, Json, Usage};

/// What stays the same over an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) id: String,
    model: String,
    created: u64,
    pub(super) service_tier: Option<String>,
    /// Members that repeat the request.
    pub(super) extra: Extra,
}

/// Where an answer stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Status<'a> {
    InProgress,
    Completed,
    /// Cut, and by what.
    Incomplete(&'a str),
    Failed(&'a Fault),
}

/// Members that clients demand and that repeat the request, as they are when it said nothing.
const ECHO: [(&str, &str); 18] = [
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("store", "false"),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "null"),
    ("truncation", "\"disabled\""),
];

/// What of a request its answer repeats, verbatim but for what is presented to MCP servers. Settings of OpenAI's own
/// tools may hold secrets, too; no other target takes such tools, so that their answers are never written here.
#[must_use]
pub fn echo(body: &[u8]) -> Extra {
    let Ok(mut fields) = Fields::body(body) else { return Extra::new() };
    let said = ECHO.iter().filter_map(|(key, _)| {
        let raw = fields.raw(key)?;
        let value = if *key == "tools" { without_secrets(raw) } else { Json::from_raw(raw) };
        Some(ExtraField { dialect: OURS, key: (*key).into(), value })
    });
    said.collect()
}

/// What is presented to MCP servers.
const PRESENTED: [&str; 2] = ["authorization", "headers"];

fn without_secrets(tools: &RawValue) -> Json {
    let Some(list) = array(tools) else { return Json::from_raw(tools) };
    let presents = |tool: &&RawValue| {
        Fields::read(tool, "").is_ok_and(|fields| PRESENTED.iter().any(|key| fields.has(key)))
    };
    if !list.iter().any(presents) {
        return Json::from_raw(tools);
    }
    let mut out = Vec::with_capacity(tools.get().len());
    Writer::new(&mut out).array(|w| {
        for tool in list {
            let Ok(fields) = Fields::read(tool, "") else {
                w.raw(tool.get());
                continue;
            };
            let kept = fields.left().into_iter().filter(|(key, _)| !PRESENTED.contains(&&**key));
            w.object(|w| kept.for_each(|(key, value)| w.member(&key).raw(value.get())));
        }
    });
    let text = std::str::from_utf8(&out).ok();
    text.and_then(|text| Json::parse(text).ok()).unwrap_or_else(Json::object)
}

impl Head {
    pub(super) fn new(context: &Context, service_tier: Option<String>, extra: Extra) -> Self {
        let mut head = Self { id: String::new(), model: String::new(), created: 0, service_tier, extra };
        head.begin(context, None, None, None);
        head
    }

    /// Takes over what the upstream says of its answer.
    pub(super) fn begin(
        &mut self,
        context: &Context,
        id: Option<&str>,
        model: Option<&str>,
        created: Option<u64>,
    ) {
        self.id = match id.filter(|id| id.starts_with("resp_")) {
            Some(id) => id.to_owned(),
            None => format!("resp_{}", stem(&context.id)),
        };
        context.model.as_deref().or(model).unwrap_or_default().clone_into(&mut self.model);
        self.created = created.unwrap_or(context.created);
    }

    /// The id of the `at`th output item, whose kind `prefix` tells.
    pub(super) fn item_id(&self, prefix: &str, at: u64) -> String {
        mint(prefix, &format!("{}_{at}", stem(&self.id)))
    }

    /// Writes the object; `output` is the items so far, separated by commas.
    pub(super) fn write(
        &self,
        w: &mut Writer<'_>,
        status: Status<'_>,
        output: &[u8],
        counts: Option<&Usage>,
    ) {
        w.object(|w| {
            w.key("id").string(&self.id);
            w.key("object").string("response");
            w.key("created_at").u64(self.created);
            w.key("status").string(match status {
                Status::InProgress => "in_progress",
                Status::Completed => "completed",
                Status::Incomplete(_) => "incomplete",
                Status::Failed(_) => "failed",
            });
            match status {
                Status::Failed(fault) => w.key("error").object(|w| error::write(w, fault)),
                Status::InProgress | Status::Completed | Status::Incomplete(_) => w.key("error").null(),
            }
            match status {
                Status::Incomplete(cut) => {
                    w.key("incomplete_details").object(|w| w.key("reason").string(cut));
                }
                Status::InProgress | Status::Completed | Status::Failed(_) => {
                    w.key("incomplete_details").null()
                }
            }
            w.key("model").string(&self.model);
            w.key("output").array(|w| {
                if let Some(items) = std::str::from_utf8(output).ok().filter(|items| !items.is_empty()) {
                    w.raw(items);
                }
            });
            match counts {
                Some(counts) => usage::write(w.key("usage"), counts),
                None => w.key("usage").null(),
            }
            // `standard` is what others call the tier named `default` here.
            let tier =
                self.service_tier.as_deref().map(|tier| if tier == "standard" { "default" } else { tier });
            w.opt_string("service_tier", tier);
            for (key, value) in ECHO {
                if !self.extra.iter().any(|field| field.dialect == OURS && *field.key == *key) {
                    w.key(key).raw(value);
                }
            }
            w.extra(&self.extra, OURS);
        });
    }
}

/// What of an id is its own.
fn stem(id: &str) -> &str {
    id.strip_prefix("resp_").or_else(|| id.strip_prefix("resp-")).unwrap_or(id)
}
