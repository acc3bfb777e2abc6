//! Neutral to upstream: the body of `POST /v1/messages`.
//!
//! Anthropic refuses fields it does not know, so the body is built from what it lists and never from
//! what the client sent; unknown fields go back only when they came in this dialect.

use super::block::{Block, Marks, write_all};
use super::prepare::Prepare;
use super::turn::{self, Conversation};
use super::unsent::tier;
use super::write_tool::{self, Needs, Tools};
use crate::claude::think::{self, Plan, Thinking};
use crate::claude::{Sampling, Thinks, Traits, sampling, schema};
use crate::codec::{Target, Written, fan_out, spelling};
use crate::json::Writer;
use crate::names::{Alphabet, Names};
use crate::restore::{self, Restore};
use crate::turns::Speaker;
use crate::user::user_id;
use trunkline_core::{Call, Dialect, Fault, Json, Losses, OutputFormat};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Longest `user_id`, in characters.
const LONGEST_USER_ID: usize = 512;

/// Most cache marks in one request.
const MARKS: usize = 4;

/// `max_tokens` when neither client nor operator named one.
const MAX_TOKENS: u64 = 4096;

/// Writes a request body for `target`. What it cannot take goes into `losses`.
///
/// # Errors
/// [`FaultKind::Unsupported`](trunkline_core::FaultKind::Unsupported) naming the content that the model
/// would not see; [`FaultKind::InvalidRequest`](trunkline_core::FaultKind::InvalidRequest) for tool
/// arguments that are not JSON when the target is strict about them, and for too many answers.
pub fn write_call(call: &Call, target: &Target<'_>, losses: &mut Losses) -> Result<Written, Fault> {
    super::unsent::record(call, losses);
    let mut prepare = Prepare {
        call,
        target,
        traits: Traits::of(target),
        names: Names::new(Alphabet::ANTHROPIC_NAME),
        losses,
    };
    let mut conversation = turn::conversation(&mut prepare)?;
    let format = format(&mut prepare, &mut conversation);
    let traits = prepare.traits;
    let obstacle = |form| match (form, &format) {
        (_, Format::Tool(_)) => {
            Some("the answer's JSON schema needs a forced tool call, which excludes thinking")
        }
        (Thinks::Budget, _) if conversation.calls_lack_thoughts() => {
            Some("the tool calls being answered carry no thoughts of this model")
        }
        (Thinks::Never | Thinks::Budget | Thinks::Either | Thinks::Adaptive, _) => None,
    };
    let plan = think::plan(
        call,
        traits,
        Some(target.default_max_tokens.unwrap_or(MAX_TOKENS)),
        obstacle,
        prepare.losses,
    );
    let thinks = plan.is_on(traits);
    let needs = Needs {
        json_tool: if let Format::Tool(schema) = format { Some(schema) } else { None },
        history: conversation.has_tool_blocks(),
        thinks,
    };
    let tools = write_tool::plan(&mut prepare, needs)?;
    if let Some(path) = conversation.prefill().filter(|_| thinks || !traits.prefill) {
        let why = "target cannot go on from an assistant message here";
        prepare.losses.dropped(path.to_owned(), why);
        conversation.turns.pop();
    }
    let closed = prepare.is_new_version().then_some("this API version takes no sampling parameters");
    let sampling = sampling(&call.sampling, traits, thinks, closed, prepare.losses);
    let stop = stop(&mut prepare);
    let user_id = user_id(call, target.user_ids, LONGEST_USER_ID, prepare.losses);
    let parts = Parts { call, target, conversation, format: &format, plan, tools, sampling, stop, user_id };
    let mut names = prepare.names;
    let free_text = restore::free_text(call, &mut names);
    let body = parts.body(losses);
    let fan_out = fan_out(call, losses)?;
    Ok(Written {
        body,
        headers: vec![("anthropic-version", target.anthropic_version.to_owned())],
        restore: Restore::new(names, matches!(format, Format::Tool(_)), free_text),
        fan_out,
    })
}

/// How the form of the answer is asked for.
enum Format<'c> {
    Free,
    /// `output_config.format`.
    Schema(String),
    /// A forced tool call, on models without the former.
    Tool(&'c Json),
}

fn format<'c>(prepare: &mut Prepare<'c, '_>, conversation: &mut Conversation<'c>) -> Format<'c> {
    let call = prepare.call;
    if let OutputFormat::JsonSchema { description: Some(_), .. } = &call.output.format {
        let path = "response_format.json_schema.description";
        prepare.losses.hint(path, "target describes a schema in the schema itself");
    }
    match &call.output.format {
        OutputFormat::Text => Format::Free,
        OutputFormat::JsonObject => {
            prepare.losses.emulated("response_format", "the model is told to answer in JSON");
            conversation.system.push(Block::text("Answer with one JSON object and nothing else."));
            Format::Free
        }
        OutputFormat::JsonSchema { schema, .. } if !prepare.traits.schema => {
            let path = "response_format";
            prepare.losses.emulated(path, "this model takes no schema; a forced tool call stands in");
            Format::Tool(schema)
        }
        // Anthropic's own clients know what it takes.
        OutputFormat::JsonSchema { schema, .. } if call.dialect == DIALECT => {
            Format::Schema(schema.as_str().to_owned())
        }
        OutputFormat::JsonSchema { schema, .. } => {
            let rewritten = schema::for_output(schema);
            if rewritten.weaker {
                let path = "response_format.json_schema.schema";
                prepare.losses.degraded(path, "limits the target does not enforce moved into descriptions");
            }
            Format::Schema(rewritten.schema)
        }
        OutputFormat::Grammar { .. } => {
            prepare.losses.dropped("response_format", "target has no grammars");
            Format::Free
        }
    }
}

/// Stop texts. Anthropic refuses those of nothing but white space.
fn stop<'c>(prepare: &mut Prepare<'c, '_>) -> Vec<&'c str> {
    let all = &prepare.call.sampling.stop;
    let kept: Vec<_> = all.iter().map(String::as_str).filter(|text| !text.trim().is_empty()).collect();
    if kept.len() < all.len() {
        let path = "stop";
        prepare.losses.dropped(path, "target takes no stop text of white space alone");
    }
    kept
}

/// Everything the body is made of; writing it can no longer fail.
struct Parts<'c, 'f> {
    call: &'c Call,
    target: &'f Target<'f>,
    conversation: Conversation<'c>,
    format: &'f Format<'c>,
    plan: Plan<'c>,
    tools: Tools<'c>,
    sampling: Sampling,
    stop: Vec<&'c str>,
    user_id: Option<String>,
}

impl Parts<'_, '_> {
    /// The body with at most as many cache marks as Anthropic takes; the top-level mark is one of them.
    fn body(&self, losses: &mut Losses) -> Vec<u8> {
        let room = MARKS - usize::from(self.call.cache.automatic.is_some());
        let mut out = Vec::with_capacity(1024);
        let mut marks = Marks::default();
        self.write(&mut Writer::new(&mut out), &mut marks);
        if marks.seen > room {
            out.clear();
            marks = Marks::skipping(marks.seen - room);
            self.write(&mut Writer::new(&mut out), &mut marks);
        }
        let mark = spelling(self.call.dialect).mark;
        for path in marks.skipped {
            losses.hint(format!("{path}{mark}"), "target takes four cache marks; the last are kept");
        }
        for path in marks.shortened {
            losses.hint(format!("{path}{mark}"), "cached for 5m: no longer mark may follow a short one");
        }
        out
    }

    fn write(&self, w: &mut Writer<'_>, marks: &mut Marks) {
        let call = self.call;
        w.object(|w| {
            w.key("model").string(self.target.model);
            w.opt_u64("max_tokens", self.plan.max_tokens);
            if call.stream.on {
                w.key("stream").bool(true);
            }
            // Marks are counted in the order in which Anthropic caches: tools, system, messages.
            self.tools.write(w, call.parallel_tool_calls, marks);
            if !self.conversation.system.is_empty() {
                write_all(&self.conversation.system, w.key("system"), marks);
            }
            self.write_messages(w, marks);
            self.write_thinking(w);
            self.write_output_config(w);
            w.opt_number("temperature", self.sampling.temperature.as_ref());
            w.opt_number("top_p", self.sampling.top_p.as_ref());
            w.opt_number("top_k", self.sampling.top_k.as_ref());
            if !self.stop.is_empty() {
                w.key("stop_sequences").array(|w| self.stop.iter().for_each(|text| w.string(text)));
            }
            self.write_metadata(w);
            w.opt_string("service_tier", tier(call));
            if call.dialect == DIALECT {
                self.write_own(w);
            }
        });
    }

    fn write_messages(&self, w: &mut Writer<'_>, marks: &mut Marks) {
        w.key("messages").array(|w| {
            for turn in &self.conversation.turns {
                w.object(|w| {
                    w.key("role").string(match turn.speaker {
                        Speaker::User => "user",
                        Speaker::Assistant => "assistant",
                        Speaker::System => "system",
                    });
                    write_all(&turn.blocks, w.key("content"), marks);
                    if let Some(extra) = turn.extra {
                        w.extra(extra, DIALECT);
                    }
                });
            }
        });
    }

    fn write_thinking(&self, w: &mut Writer<'_>) {
        let (kind, tokens, display) = match &self.plan.thinking {
            Thinking::Unsaid => return,
            Thinking::Disabled => ("disabled", None, None),
            Thinking::Budget { tokens, display } => ("enabled", Some(*tokens), *display),
            Thinking::Free { kind, display } => (*kind, None, *display),
        };
        w.key("thinking").object(|w| {
            w.key("type").string(kind);
            w.opt_u64("budget_tokens", tokens);
            w.opt_string("display", display);
            self.write_kept("thinking", w);
        });
    }

    fn write_output_config(&self, w: &mut Writer<'_>) {
        let kept =
            self.call.extra.iter().any(|field| field.dialect == DIALECT && &*field.key == "output_config");
        let schema = if let Format::Schema(schema) = self.format { Some(schema) } else { None };
        if !kept && schema.is_none() && self.plan.effort.is_none() {
            return;
        }
        w.key("output_config").object(|w| {
            w.opt_string("effort", self.plan.effort.as_deref());
            if let Some(schema) = schema {
                w.key("format").object(|w| {
                    w.key("type").string("json_schema");
                    w.key("schema").raw(schema);
                });
            }
            self.write_kept("output_config", w);
        });
    }

    fn write_metadata(&self, w: &mut Writer<'_>) {
        let own = self.call.identity.metadata.as_ref().filter(|_| self.call.dialect == DIALECT);
        if own.is_none() && self.user_id.is_none() {
            return;
        }
        w.key("metadata").object(|w| {
            w.opt_string("user_id", self.user_id.as_deref());
            if let Some(own) = own {
                w.members(own);
            }
        });
    }

    /// Fields that only Anthropic's own clients send.
    fn write_own(&self, w: &mut Writer<'_>) {
        let call = self.call;
        w.opt_string("speed", call.service.speed.as_deref());
        w.opt_string("inference_geo", call.service.geo.as_deref());
        w.opt_json("container", call.state.container.as_ref());
        w.opt_json("context_management", call.state.context_management.as_ref());
        if let Some(mark) = &call.cache.automatic {
            w.key("cache_control").object(|w| {
                w.key("type").string("ephemeral");
                w.opt_string("ttl", mark.ttl.as_deref());
            });
        }
        for field in call.extra.iter().filter(|field| field.dialect == DIALECT) {
            // Leftovers of these two went back into their objects.
            if !matches!(field.key.as_ref(), "thinking" | "output_config") {
                w.member(&field.key).raw(field.value.as_str());
            }
        }
    }

    /// Writes back what was left of an inner object of the client's.
    fn write_kept(&self, key: &str, w: &mut Writer<'_>) {
        for field in self.call.extra.iter().filter(|field| field.dialect == DIALECT && *field.key == *key) {
            w.members(&field.value);
        }
    }
}
