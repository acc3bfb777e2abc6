//! Neutral to upstream: the body of `/converse` and `/converse-stream`. The path is the caller's to make.
//!
//! Bedrock refuses fields it does not know, so the body is built from what it lists and never from what the
//! client sent; unknown fields go back only when they came in this dialect.

use super::betas;
use super::block::{Block, BlockKind, Marks, write_all};
use super::family::{Choices, Family, TopK};
use super::metadata::{Metadata, tier};
use super::prepare::Prepare;
use super::reasoning::{self, Plan};
use super::turn::{self, Conversation};
use super::write_tool::{self, Needs, Tools};
use crate::claude::{self, schema};
use crate::codec::{Target, Written, fan_out};
use crate::json::Writer;
use crate::names::{Alphabet, Names};
use crate::restore::{self, Restore};
use crate::turns::{self, Speaker};
use trunkline_core::{Call, Dialect, Fault, Json, Losses, Number, OutputFormat};

const DIALECT: Dialect = Dialect::BedrockConverse;

/// Most cache marks in one request.
const MARKS: usize = 4;

/// Inner objects whose unknown members go back into them.
const KEPT: [&str; 3] = ["inferenceConfig", "outputConfig", "additionalModelRequestFields"];

/// Writes a request body for `target`. What it cannot take goes into `losses`.
///
/// # Errors
/// [`FaultKind::Unsupported`](trunkline_core::FaultKind::Unsupported) naming the content that the model
/// would not see; [`FaultKind::InvalidRequest`](trunkline_core::FaultKind::InvalidRequest) for tool
/// arguments that are not JSON when the target is strict about them, and for too many answers.
pub fn write_call(call: &Call, target: &Target<'_>, losses: &mut Losses) -> Result<Written, Fault> {
    super::unsent::record(call, losses);
    let family = Family::of(target);
    let names = Names::new(Alphabet::BEDROCK_NAME);
    let mut prepare = Prepare { call, target, family, names, documents: 0, losses };
    let mut conversation = turn::conversation(&mut prepare)?;
    let format = format(&mut prepare, &mut conversation);
    let obstacle = |form| match (form, &format) {
        (_, Format::Tool(_)) => {
            Some("the answer's JSON schema needs a forced tool call, which excludes thinking")
        }
        (claude::Thinks::Budget, _) if conversation.calls_lack_thoughts() => {
            Some("the tool calls being answered carry no thoughts of this model")
        }
        (
            claude::Thinks::Never
            | claude::Thinks::Budget
            | claude::Thinks::Either
            | claude::Thinks::Adaptive,
            _,
        ) => None,
    };
    let plan = reasoning::plan(call, family, obstacle, prepare.losses);
    let thinks = plan.is_on(family);
    let needs = Needs {
        json_tool: if let Format::Tool(schema) = format { Some(schema) } else { None },
        history: conversation.has_tool_blocks(),
        thinks,
    };
    let tools = write_tool::plan(&mut prepare, needs)?;
    let refuses = family.claude.is_some_and(|traits| thinks || !traits.prefill);
    if let Some(path) = conversation.prefill().filter(|_| refuses) {
        prepare.losses.dropped(path.to_owned(), "target cannot go on from an assistant message here");
        conversation.turns.pop();
    }
    let sampling = sampling(&mut prepare, &plan);
    let stop = stop(&mut prepare);
    cache_automatically(&mut prepare, &mut conversation);
    let metadata = Metadata::of(call, target.user_ids, prepare.losses);
    let mut names = prepare.names;
    let free_text = restore::free_text(call, &mut names);
    let betas = betas::plan(call, family, losses);
    let parts =
        Parts { call, family, conversation, format: &format, plan, tools, sampling, betas, stop, metadata };
    let body = parts.body(losses);
    Ok(Written {
        body,
        headers: Vec::new(),
        restore: Restore::new(names, matches!(format, Format::Tool(_)), free_text),
        fan_out: fan_out(call, losses)?,
    })
}

/// How the form of the answer is asked for.
enum Format<'c> {
    Free,
    /// `outputConfig.textFormat`.
    Schema {
        schema: String,
        name: Option<&'c str>,
        description: Option<&'c str>,
    },
    /// A forced tool call, on models without the former.
    Tool(&'c Json),
}

fn format<'c>(prepare: &mut Prepare<'c, '_>, conversation: &mut Conversation<'c>) -> Format<'c> {
    let path = "response_format";
    let mut instruct = |words: &str| conversation.system.push(turns::Block::text(words));
    match &prepare.call.output.format {
        OutputFormat::Text => Format::Free,
        OutputFormat::JsonObject => {
            prepare.losses.emulated(path, "the model is told to answer in JSON");
            instruct("Answer with one JSON object and nothing else.");
            Format::Free
        }
        OutputFormat::JsonSchema { schema, name, description, .. }
            if prepare.family.schema || prepare.is_own() =>
        {
            let schema = match prepare.family.claude.filter(|_| !prepare.is_own()) {
                None => schema.as_str().to_owned(),
                Some(_) => {
                    let rewritten = schema::for_output(schema);
                    if rewritten.weaker {
                        let reason = "limits the target does not enforce moved into descriptions";
                        prepare.losses.degraded("response_format.json_schema.schema", reason);
                    }
                    rewritten.schema
                }
            };
            Format::Schema { schema, name: name.as_deref(), description: description.as_deref() }
        }
        OutputFormat::JsonSchema { schema, .. } if prepare.family.choice > Choices::None => {
            prepare.losses.emulated(path, "this model takes no schema; a forced tool call stands in");
            Format::Tool(schema)
        }
        OutputFormat::JsonSchema { schema, .. } => {
            prepare.losses.emulated(path, "this model takes no schema; it is told to follow it");
            instruct(&format!(
                "Answer with JSON that follows this schema and nothing else:\n{}",
                schema.as_str()
            ));
            Format::Free
        }
        OutputFormat::Grammar { .. } => {
            prepare.losses.dropped(path, "target has no grammars");
            Format::Free
        }
    }
}

fn sampling(prepare: &mut Prepare<'_, '_>, plan: &Plan<'_>) -> claude::Sampling {
    let wanted = &prepare.call.sampling;
    if let Some(traits) = prepare.family.claude {
        return claude::sampling(wanted, traits, plan.is_on(prepare.family), None, prepare.losses);
    }
    let losses = &mut *prepare.losses;
    let mut sampling = claude::Sampling {
        temperature: wanted.temperature.clone(),
        top_p: wanted.top_p.clone(),
        top_k: wanted.top_k.clone(),
    };
    if prepare.family.top_k.is_none() && sampling.top_k.take().is_some() {
        losses.dropped("top_k", "this model has no top_k");
    }
    for (path, number) in [("temperature", &mut sampling.temperature), ("top_p", &mut sampling.top_p)] {
        if plan.is_free() && number.take().is_some() {
            losses.dropped(path, reasoning::FREE);
        }
    }
    if sampling.temperature.as_ref().is_some_and(|number| number.as_f64() > 1.0) {
        losses.degraded("temperature", "1 is the highest the target takes");
        sampling.temperature = Some(Number::from(1));
    }
    sampling
}

/// Stop texts. Those of nothing but white space are refused.
fn stop<'c>(prepare: &mut Prepare<'c, '_>) -> Vec<&'c str> {
    let all = &prepare.call.sampling.stop;
    let kept: Vec<_> = all.iter().map(String::as_str).filter(|text| !text.trim().is_empty()).collect();
    if kept.len() < all.len() {
        prepare.losses.dropped("stop", "target takes no stop text of white space alone");
    }
    kept
}

/// Bedrock marks nothing by itself; a mark at the end is what marks the longest prefix.
fn cache_automatically(prepare: &mut Prepare<'_, '_>, conversation: &mut Conversation<'_>) {
    let path = || "cache_control".to_owned();
    let mark = prepare.mark(prepare.call.cache.automatic.as_ref(), &path);
    let last = conversation.turns.last_mut().and_then(|turn| turn.blocks.last_mut());
    let free = |block: &&mut Block<'_>| {
        block.mark.is_none() && !matches!(block.kind, BlockKind::Reasoning { .. } | BlockKind::Redacted(_))
    };
    if let (Some(mark), Some(block)) = (mark, last.filter(free)) {
        prepare.losses.emulated(path(), "the end of the conversation is marked");
        block.mark = Some(mark);
    }
}

/// Everything the body is made of; writing it can no longer fail.
struct Parts<'c, 'f> {
    call: &'c Call,
    family: Family,
    conversation: Conversation<'c>,
    format: &'f Format<'c>,
    plan: Plan<'c>,
    tools: Tools<'c>,
    sampling: claude::Sampling,
    betas: Vec<&'c str>,
    stop: Vec<&'c str>,
    metadata: Metadata,
}

impl Parts<'_, '_> {
    /// The body with at most as many cache marks as Bedrock takes.
    fn body(&self, losses: &mut Losses) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        let mut marks = Marks::default();
        self.write(&mut Writer::new(&mut out), &mut marks);
        if marks.seen > MARKS {
            out.clear();
            marks = Marks::skipping(marks.seen - MARKS);
            self.write(&mut Writer::new(&mut out), &mut marks);
        }
        for path in marks.skipped {
            losses.hint(path, "target takes four cache marks; the last are kept");
        }
        out
    }

    fn write(&self, w: &mut Writer<'_>, marks: &mut Marks) {
        w.object(|w| {
            // Marks are counted in the order in which models cache: tools, system, messages.
            self.tools.write(w, marks);
            if !self.conversation.system.is_empty() {
                write_all(&self.conversation.system, w.key("system"), marks);
            }
            self.write_messages(w, marks);
            self.write_inference(w);
            self.write_output(w);
            self.write_additional(w);
            self.metadata.write(w);
            if let Some(tier) = tier(self.call) {
                w.key("serviceTier").object(|w| w.key("type").string(tier));
            }
            if self.call.dialect == DIALECT {
                self.write_own(w);
            } else if self.family.claude.is_some() && !self.stop.is_empty() {
                // The one way to learn which stop text was hit.
                w.key("additionalModelResponseFieldPaths").array(|w| w.string("/stop_sequence"));
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

    fn write_inference(&self, w: &mut Writer<'_>) {
        let sampling = &self.sampling;
        let said = self.plan.max_tokens.is_some()
            || sampling.temperature.is_some()
            || sampling.top_p.is_some()
            || !self.stop.is_empty();
        self.write_object("inferenceConfig", said, w, |w| {
            w.opt_u64("maxTokens", self.plan.max_tokens);
            w.opt_number("temperature", sampling.temperature.as_ref());
            w.opt_number("topP", sampling.top_p.as_ref());
            if !self.stop.is_empty() {
                w.key("stopSequences").array(|w| self.stop.iter().for_each(|text| w.string(text)));
            }
        });
    }

    fn write_output(&self, w: &mut Writer<'_>) {
        let schema = matches!(self.format, Format::Schema { .. });
        self.write_object("outputConfig", schema || self.plan.effort.is_some(), w, |w| {
            w.opt_string("effort", self.plan.effort.as_deref());
            let Format::Schema { schema, name, description } = self.format else { return };
            w.key("textFormat").object(|w| {
                w.key("type").string("json_schema");
                w.key("structure").object(|w| {
                    w.key("jsonSchema").object(|w| {
                        w.key("schema").string(schema);
                        w.opt_string("name", *name);
                        w.opt_string("description", *description);
                    });
                });
            });
        });
    }

    fn write_additional(&self, w: &mut Writer<'_>) {
        let top_k = self.sampling.top_k.as_ref().zip(self.family.top_k);
        let said = top_k.is_some() || self.plan.is_said() || self.tools.is_serial() || !self.betas.is_empty();
        self.write_object("additionalModelRequestFields", said, w, |w| {
            match top_k {
                Some((number, TopK::Field(key))) => w.key(key).raw(number.as_str()),
                Some((number, TopK::Inference)) => {
                    w.key("inferenceConfig").object(|w| w.key("topK").raw(number.as_str()));
                }
                None => {}
            }
            self.plan.write_additional(w);
            self.tools.write_additional(w);
            if !self.betas.is_empty() {
                w.key("anthropic_beta").array(|w| self.betas.iter().for_each(|name| w.string(name)));
            }
        });
    }

    /// Writes an inner object with what `fill` and this dialect's client said in it, if anything.
    fn write_object(&self, key: &str, said: bool, w: &mut Writer<'_>, fill: impl FnOnce(&mut Writer<'_>)) {
        let is_kept = |field: &&trunkline_core::ExtraField| field.dialect == DIALECT && *field.key == *key;
        let kept = self.call.extra.iter().find(is_kept);
        if !said && kept.is_none() {
            return;
        }
        w.member(key).object(|w| {
            fill(w);
            if let Some(field) = kept {
                w.members(&field.value);
            }
        });
    }

    /// Fields that only this dialect's clients send.
    fn write_own(&self, w: &mut Writer<'_>) {
        let call = self.call;
        if let Some(latency) = &call.service.speed {
            w.key("performanceConfig").object(|w| w.key("latency").string(latency));
        }
        w.extra(&call.safety, DIALECT);
        for field in call.extra.iter().filter(|field| field.dialect == DIALECT) {
            if !KEPT.contains(&field.key.as_ref()) {
                w.member(&field.key).raw(field.value.as_str());
            }
        }
    }
}
