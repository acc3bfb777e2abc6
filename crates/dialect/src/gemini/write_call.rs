//! Neutral to upstream: the body of `:generateContent`; model and streaming stand in the path.
//!
//! Gemini refuses fields it does not know, so the body is built from what it lists; unknown fields go back
//! only when they came in this dialect.

use super::DIALECT;
use super::prepare::Prepare;
use super::think::{self, Thinking};
use super::traits::Traits;
use super::turn::{self, Conversation, Speaker};
use super::wire::Wire;
use super::write_tool::{self, Tools};
use super::{schema, unsent};
use crate::codec::{Target, Written};
use crate::json::{Fields, Writer};
use crate::names::{Alphabet, Names};
use crate::restore::{self, Restore};
use crate::stop::Stops;
use trunkline_core::{Call, Fault, Json, Losses, Number, OutputFormat, ToolKind};

/// Most stop texts in one request.
const MOST_STOPS: usize = 5;

/// Writes a request body for `target`. What it cannot take goes into `losses`.
///
/// # Errors
/// [`FaultKind::Unsupported`](trunkline_core::FaultKind::Unsupported) naming the content that the model
/// would not see; [`FaultKind::InvalidRequest`](trunkline_core::FaultKind::InvalidRequest) for tool
/// arguments that are not JSON when the target is strict about them.
pub fn write_call(call: &Call, target: &Target<'_>, losses: &mut Losses) -> Result<Written, Fault> {
    unsent::record(call, losses);
    let mut prepare = Prepare {
        call,
        target,
        traits: Traits::of(target.model),
        names: Names::new(Alphabet::GEMINI_NAME).letter_first(),
        losses,
    };
    let mut conversation = turn::conversation(&mut prepare)?;
    let format = format(&mut prepare, &mut conversation);
    let answer = if let Format::Tool(schema) = &format { Some(*schema) } else { None };
    let tools = write_tool::plan(&mut prepare, answer)?;
    let thinking = think::plan(call, prepare.traits, prepare.losses);
    let seed = seed(&mut prepare);
    let stop = stop(&mut prepare);
    let voice = voice(&mut prepare);
    let mut names = prepare.names;
    let free_text = restore::free_text(call, &mut names);
    let json_tool = answer.is_some();
    let body = Parts { call, conversation, format, tools, thinking, seed, stop, voice }.body();
    let mut restore = Restore::new(names, json_tool, free_text);
    restore.stops = Stops::new(call.sampling.stop.iter().skip(MOST_STOPS).cloned());
    Ok(Written { body, headers: Vec::new(), restore, fan_out: 1 })
}

/// How the form of the answer is asked for.
enum Format<'c> {
    Free,
    /// Any JSON.
    Json,
    /// `responseJsonSchema`.
    JsonSchema(&'c Json),
    /// `responseSchema`.
    Openapi(String),
    /// A forced call, on models that take functions or JSON but not both.
    Tool(&'c Json),
}

fn format<'c>(prepare: &mut Prepare<'c, '_>, conversation: &mut Conversation<'c>) -> Format<'c> {
    let call = prepare.call;
    let functions = call.tools.iter().any(|tool| !matches!(tool.kind, ToolKind::Server { .. }));
    let refused = functions && !prepare.traits.mixes_tools;
    match &call.output.format {
        OutputFormat::Text => Format::Free,
        OutputFormat::JsonObject if refused => {
            let why = "this model takes functions or JSON, not both; it is told to answer in JSON";
            prepare.losses.emulated("response_format", why);
            conversation.system.push(Wire::text("Answer with one JSON object and nothing else."));
            Format::Free
        }
        OutputFormat::JsonObject => Format::Json,
        OutputFormat::JsonSchema { description, schema, .. } => {
            if description.is_some() {
                let path = "response_format.json_schema.description";
                prepare.losses.hint(path, "target describes a schema in the schema itself");
            }
            if refused {
                let why = "this model takes functions or a schema, not both; a forced call stands in";
                prepare.losses.emulated("response_format", why);
                return Format::Tool(schema);
            }
            if prepare.traits.json_schema {
                return Format::JsonSchema(schema);
            }
            let converted = schema::to_openapi(schema);
            if converted.weaker {
                let path = "response_format.json_schema.schema";
                let why = "this model takes part of JSON Schema only; the rest is left out";
                prepare.losses.degraded(path, why);
            }
            Format::Openapi(converted.schema)
        }
        OutputFormat::Grammar { .. } => {
            prepare.losses.dropped("response_format", "target has no grammars");
            Format::Free
        }
    }
}

/// Seeds have 32 bits.
fn seed(prepare: &mut Prepare<'_, '_>) -> Option<Number> {
    let seed = prepare.call.sampling.seed.clone()?;
    if seed.as_str().parse::<i32>().is_err() {
        prepare.losses.dropped("seed", "target takes whole numbers of 32 bits");
        return None;
    }
    Some(seed)
}

fn stop<'c>(prepare: &mut Prepare<'c, '_>) -> &'c [String] {
    let all = prepare.call.sampling.stop.as_slice();
    let kept = all.get(..MOST_STOPS).unwrap_or(all);
    if kept.len() < all.len() {
        prepare.losses.emulated("stop", "the target takes five stop texts; the gateway looks for the others");
    }
    kept
}

/// The voice that other dialects name in `audio`; sound comes in one format only.
fn voice(prepare: &mut Prepare<'_, '_>) -> Option<String> {
    let audio = prepare.call.output.audio.as_ref()?;
    let mut fields = Fields::read(audio.raw(), "").ok()?;
    if fields.has("format") {
        prepare.losses.dropped("audio.format", "target's sound has one format");
    }
    fields.string("voice").ok().flatten().map(Into::into)
}

/// Everything the body is made of; writing it can no longer fail.
struct Parts<'c> {
    call: &'c Call,
    conversation: Conversation<'c>,
    format: Format<'c>,
    tools: Tools<'c>,
    thinking: Thinking,
    seed: Option<Number>,
    stop: &'c [String],
    voice: Option<String>,
}

impl Parts<'_> {
    fn body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        let call = self.call;
        let own = call.dialect == DIALECT;
        Writer::new(&mut out).object(|w| {
            if !self.conversation.system.is_empty() {
                w.key("systemInstruction").object(|w| write_parts(&self.conversation.system, w));
            }
            w.key("contents").array(|w| self.write_contents(w));
            self.tools.write(w);
            member("toolConfig", w, |w| {
                self.tools.write_config(w);
                if self.tools.are_mixed() && !self.keeps("toolConfig", "includeServerSideToolInvocations") {
                    w.key("includeServerSideToolInvocations").bool(true);
                }
                self.write_kept("toolConfig", w);
            });
            for field in call.safety.iter().filter(|field| field.dialect == DIALECT) {
                w.member(&field.key).raw(field.value.as_str());
            }
            member("generationConfig", w, |w| self.write_generation(w));
            w.opt_string("cachedContent", call.cache.resource.as_deref());
            w.opt_string("serviceTier", unsent::tier(call));
            if own {
                w.opt_json("labels", call.identity.metadata.as_ref());
                w.opt_bool("store", call.state.store);
                let inner = ["toolConfig", "generationConfig", "thinkingConfig"];
                let kept = call.extra.iter().filter(|field| field.dialect == DIALECT);
                for field in kept.filter(|field| !inner.contains(&field.key.as_ref())) {
                    w.member(&field.key).raw(field.value.as_str());
                }
            }
        });
        out
    }

    fn write_contents(&self, w: &mut Writer<'_>) {
        for turn in &self.conversation.turns {
            w.object(|w| {
                w.key("role").string(match turn.speaker {
                    Speaker::User => "user",
                    Speaker::Model => "model",
                });
                write_parts(&turn.parts, w);
                if let Some(extra) = turn.extra {
                    w.extra(extra, DIALECT);
                }
            });
        }
    }

    fn write_generation(&self, w: &mut Writer<'_>) {
        let (call, sampling) = (self.call, &self.call.sampling);
        w.opt_number("temperature", sampling.temperature.as_ref());
        w.opt_number("topP", sampling.top_p.as_ref());
        w.opt_number("topK", sampling.top_k.as_ref());
        w.opt_u64("candidateCount", sampling.n);
        w.opt_u64("maxOutputTokens", call.limits.max_output_tokens);
        if !self.stop.is_empty() {
            w.key("stopSequences").array(|w| self.stop.iter().for_each(|text| w.string(text)));
        }
        w.opt_number("presencePenalty", sampling.presence_penalty.as_ref());
        w.opt_number("frequencyPenalty", sampling.frequency_penalty.as_ref());
        w.opt_number("seed", self.seed.as_ref());
        w.opt_bool("responseLogprobs", sampling.logprobs.or(sampling.top_logprobs.map(|_| true)));
        w.opt_u64("logprobs", sampling.top_logprobs);
        self.write_format(w);
        let modalities = &call.output.modalities;
        if modalities.iter().any(|name| name != "text") {
            w.key("responseModalities").array(|w| {
                modalities.iter().for_each(|name| w.string(&name.to_ascii_uppercase()));
            });
        }
        if let Some(voice) = &self.voice {
            w.key("speechConfig").object(|w| {
                w.key("voiceConfig").object(|w| {
                    w.key("prebuiltVoiceConfig").object(|w| w.key("voiceName").string(voice));
                });
            });
        }
        if call.dialect == DIALECT {
            w.opt_json("imageConfig", call.output.image.as_ref());
        }
        member("thinkingConfig", w, |w| {
            w.opt_bool("includeThoughts", self.thinking.shown);
            if let Some(budget) = self.thinking.budget {
                w.key("thinkingBudget").raw(&budget.to_string());
            }
            w.opt_string("thinkingLevel", self.thinking.level);
            self.write_kept("thinkingConfig", w);
        });
        self.write_kept("generationConfig", w);
    }

    fn write_format(&self, w: &mut Writer<'_>) {
        let (key, schema) = match &self.format {
            Format::Free | Format::Tool(_) => return,
            Format::Json => ("", ""),
            Format::JsonSchema(schema) => ("responseJsonSchema", schema.as_str()),
            Format::Openapi(schema) => ("responseSchema", schema.as_str()),
        };
        w.key("responseMimeType").string("application/json");
        if !key.is_empty() {
            w.key(key).raw(schema);
        }
    }

    /// Writes back what was left of an inner object of the client's.
    fn write_kept(&self, key: &str, w: &mut Writer<'_>) {
        for field in self.call.extra.iter().filter(|field| field.dialect == DIALECT && *field.key == *key) {
            w.extra(&members(&field.value), DIALECT);
        }
    }

    /// Whether what was left of an inner object has this member.
    fn keeps(&self, key: &str, inner: &str) -> bool {
        let own = self.call.extra.iter().filter(|field| field.dialect == DIALECT && *field.key == *key);
        own.flat_map(|field| members(&field.value)).any(|field| *field.key == *inner)
    }
}

/// The members of a kept object.
fn members(object: &Json) -> trunkline_core::Extra {
    let fields = Fields::read(object.raw(), "").ok();
    fields.map(|fields| fields.rest(DIALECT)).unwrap_or_default()
}

fn write_parts(parts: &[Wire<'_>], w: &mut Writer<'_>) {
    w.key("parts").array(|w| parts.iter().for_each(|part| part.write(w)));
}

/// Writes an object member that `fill` may leave empty, and is then left out.
fn member(key: &str, w: &mut Writer<'_>, fill: impl FnOnce(&mut Writer<'_>)) {
    let mut inner = Vec::new();
    Writer::new(&mut inner).object(fill);
    if let Ok(text) = std::str::from_utf8(&inner)
        && text != "{}"
    {
        w.member(key).raw(text);
    }
}
