//! Fragments to events. One machine reads streamed and whole answers, so both mean the same.
//!
//! The dialect has no last event, and a fragment says `STOP` behind function calls too; so finishes and
//! usage wait until the upstream closes.

use super::fragment::{Candidate, Feedback, Fragment, FunctionCall, Part, filled};
use super::partial::Partial;
use super::words::Words;
use super::{DIALECT, error, finish, ground, usage};
use crate::codec::{MOST_TRACKED, too_many};
use crate::json::{self, Fields};
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{
    Citation, Delta, Event, Fault, FaultKind, Finish, FinishReason, Json, Open, Origin, ToolCallKind,
};

/// Where one answer's reading stands.
#[derive(Debug, Default)]
pub(super) struct Machine {
    started: bool,
    over: bool,
    next_part: u32,
    answers: Vec<Answer>,
    /// Why the prompt got no answer.
    blocked: Option<Finish>,
    /// The last usage object seen; every fragment has one.
    usage: String,
    /// Makes call ids for upstreams that give none.
    id: String,
}

type Each<'e> = &'e mut dyn FnMut(Event<'_>);

/// Hands out events and part numbers.
struct Out<'o> {
    next_part: &'o mut u32,
    each: Each<'o>,
}

impl Out<'_> {
    fn open(&mut self, choice: u32, open: Open<'_>) -> u32 {
        let part = *self.next_part;
        *self.next_part = part.wrapping_add(1);
        (self.each)(Event::Open { part, choice, open });
        part
    }

    fn delta(&mut self, part: u32, delta: Delta<'_>) {
        (self.each)(Event::Delta { part, delta });
    }

    fn close(&mut self, part: u32) {
        (self.each)(Event::Close { part });
    }
}

impl Machine {
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes one fragment, or a whole answer.
    pub(super) fn payload(&mut self, data: &[u8], each: Each<'_>) {
        // Proxies that speak another dialect too may end a stream in its way.
        if self.over || data.is_empty() || data == b"[DONE]" {
            return;
        }
        match Fragment::read(data) {
            Ok(fragment) if fragment.error.is_some() => self.fail(error::read_error(200, data), each),
            Ok(fragment) => self.fragment(fragment, each),
            Err(_) => self.fail(upstream("upstream sent something that is no Gemini answer"), each),
        }
    }

    /// Takes the last payload, which had no blank line behind it: what is cut in two says nothing.
    pub(super) fn tail(&mut self, data: &[u8], each: Each<'_>) {
        if Fragment::read(data).is_ok() {
            self.payload(data, each);
        }
    }

    fn fragment(&mut self, fragment: Fragment<'_>, each: Each<'_>) {
        if let Some(raw) = fragment.usage_metadata {
            self.usage.clear();
            self.usage.push_str(raw.get());
        }
        let candidates = fragment.candidates.unwrap_or_default();
        let blocked = fragment.prompt_feedback.and_then(blocked);
        if !self.started && (!candidates.is_empty() || blocked.is_some()) {
            self.started = true;
            let id = filled(fragment.response_id);
            self.id = id.as_deref().unwrap_or_default().to_owned();
            each(Event::Start { id, model: filled(fragment.model_version), created: None });
        }
        self.blocked = blocked.or(self.blocked.take());
        for candidate in candidates {
            let index = candidate.index.unwrap_or(0);
            let known = self.answers.iter().position(|answer| answer.index == index);
            let at = known.unwrap_or(self.answers.len());
            if known.is_none() {
                if at >= MOST_TRACKED {
                    return self.fail(too_many("candidates"), each);
                }
                self.answers.push(Answer { index, ..Answer::default() });
            }
            let mut out = Out { next_part: &mut self.next_part, each };
            let read = self.answers.get_mut(at).map(|answer| answer.candidate(candidate, &self.id, &mut out));
            if let Some(Err(fault)) = read {
                return self.fail(fault, each);
            }
        }
    }

    /// The upstream closed the stream: it says no more than a finish reason for each answer.
    pub(super) fn closed(&mut self, each: Each<'_>) {
        if self.over {
            return;
        }
        let done = self.answers.iter().all(|answer| answer.finish.is_some());
        if done && (!self.answers.is_empty() || self.blocked.is_some()) {
            self.end(each);
        } else {
            self.fail(upstream("upstream closed the stream early, before a finish reason; try again"), each);
        }
    }

    /// The body was the whole answer.
    pub(super) fn whole(&mut self, each: Each<'_>) {
        if self.over {
            return;
        }
        if self.started {
            self.end(each);
        } else {
            self.fail(upstream("upstream's answer has neither candidates nor a reason why"), each);
        }
    }

    fn end(&mut self, each: Each<'_>) {
        if let Some(word) = self.answers.iter().find_map(Answer::gave_nothing) {
            let message = format!("upstream's model gave an answer that cannot be used: {word}");
            return self.fail(upstream(&message).code("malformed_answer"), each);
        }
        let blocked = self.blocked.take().filter(|_| self.answers.is_empty());
        for answer in &mut self.answers {
            let mut out = Out { next_part: &mut self.next_part, each };
            answer.close(&mut out);
            each(Event::Finish { choice: answer.index, finish: answer.finished() });
        }
        if let Some(finish) = blocked {
            each(Event::Finish { choice: 0, finish });
        }
        self.over = true;
        self.tell_usage(each);
        each(Event::End);
    }

    /// The answer is lost.
    pub(super) fn fail(&mut self, fault: Fault, each: Each<'_>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        self.tell_usage(each);
        each(Event::Error(fault));
    }

    fn tell_usage(&mut self, each: Each<'_>) {
        if let Some(usage) = usage::read(&self.usage) {
            each(Event::Usage(Box::new(usage)));
        }
    }
}

/// A fault of the upstream inside a 200.
pub(super) fn upstream(message: &str) -> Fault {
    Fault { origin: Origin::Upstream(200), ..Fault::new(FaultKind::Upstream, message) }
}

/// The text of a part that says nothing else, as nearly all do: cutting it out is cheaper than reading it again.
fn text_alone(raw: &RawValue) -> Option<Cow<'_, str>> {
    let (mut members, mut text) = (0, None);
    json::each(raw.get(), |key, value| {
        members += 1;
        text = (key == "text").then_some(value);
    })?;
    text.filter(|_| members == 1).and_then(json::string_of)
}

/// A prompt that a filter kept from the model.
fn blocked(feedback: Feedback<'_>) -> Option<Finish> {
    let reason = filled(feedback.block_reason)?;
    Some(Finish {
        native: Some((DIALECT, reason.into_owned())),
        explanation: filled(feedback.block_reason_message).map(Cow::into_owned),
        ..Finish::new(FinishReason::ContentFilter)
    })
}

/// Where one of the answers stands.
#[derive(Debug, Default)]
struct Answer {
    index: u32,
    open: Option<Growing>,
    /// A call whose arguments come piece by piece, and its part.
    partial: Option<(Partial, u32)>,
    calls: u32,
    words: Words,
    grounding: Option<Json>,
    sources: Option<Json>,
    /// Whether it said anything.
    spoke: bool,
    finish: Option<(String, Option<String>)>,
}

/// The part that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growing {
    Text(u32),
    Thought(u32),
    /// A call stays open for a signature that comes behind it.
    Call {
        part: u32,
        signed: bool,
    },
}

impl Answer {
    fn candidate(&mut self, candidate: Candidate<'_>, id: &str, out: &mut Out<'_>) -> Result<(), Fault> {
        for raw in candidate.content.and_then(|content| content.parts).unwrap_or_default() {
            self.part(raw, id, out)?;
        }
        if let Some(raw) = candidate.logprobs_result {
            let raw = Json::from_raw(raw);
            (out.each)(Event::Logprobs { choice: self.index, dialect: DIALECT, raw });
        }
        self.grounding = candidate.grounding_metadata.map(Json::from_raw).or(self.grounding.take());
        self.sources = candidate.citation_metadata.map(Json::from_raw).or(self.sources.take());
        let word = filled(candidate.finish_reason).filter(|word| word != "FINISH_REASON_UNSPECIFIED");
        if let Some(word) = word {
            let message = filled(candidate.finish_message).map(Cow::into_owned);
            self.finish = Some((word.into_owned(), message));
            self.close(out);
        }
        Ok(())
    }

    fn part(&mut self, raw: &RawValue, id: &str, out: &mut Out<'_>) -> Result<(), Fault> {
        if let Some(text) = text_alone(raw) {
            self.say(false, text, out);
            return Ok(());
        }
        let Ok(part) = serde_json::from_str::<Part<'_>>(raw.get()) else {
            return Err(upstream("upstream sent a part that cannot be read"));
        };
        let signature = filled(part.thought_signature);
        if let Some(call) = part.function_call {
            return self.call(call, signature, id, out);
        }
        let text = part.text.map(|text| text.0);
        if text.is_none() && self.native(raw, out) {
            return Ok(());
        }
        let text = text.unwrap_or_default();
        let is_thought = part.thought == Some(true);
        let is_empty = text.is_empty();
        self.say(is_thought, text, out);
        if let Some(signature) = signature {
            self.sign(signature, is_thought, is_empty, out);
        }
        Ok(())
    }

    fn say(&mut self, is_thought: bool, text: Cow<'_, str>, out: &mut Out<'_>) {
        if text.is_empty() {
            return;
        }
        self.spoke = true;
        if !is_thought {
            self.words.push(&text);
        }
        let part = if is_thought { self.thoughts(out) } else { self.text(out) };
        out.delta(part, Delta::Text(text));
    }

    fn text(&mut self, out: &mut Out<'_>) -> u32 {
        if let Some(Growing::Text(part)) = self.open {
            return part;
        }
        self.hush(out);
        let part = out.open(self.index, Open::Text);
        self.open = Some(Growing::Text(part));
        part
    }

    fn thoughts(&mut self, out: &mut Out<'_>) -> u32 {
        if let Some(Growing::Thought(part)) = self.open {
            return part;
        }
        self.hush(out);
        let part = out.open(self.index, Open::Reasoning);
        self.open = Some(Growing::Thought(part));
        part
    }

    /// A signature belongs to the part it stands on, and on an empty one to the part before. That behind
    /// words has no words to prove, and is kept as thoughts without any.
    fn sign(&mut self, proof: Cow<'_, str>, is_thought: bool, is_empty: bool, out: &mut Out<'_>) {
        let delta = Delta::Signature { proof, stamp: Some(DIALECT) };
        match self.open {
            Some(Growing::Call { part, signed: false }) if is_empty => {
                self.open = Some(Growing::Call { part, signed: true });
                return out.delta(part, delta);
            }
            Some(Growing::Thought(_)) if is_thought || is_empty => {}
            Some(Growing::Text(_) | Growing::Thought(_) | Growing::Call { .. }) | None => self.hush(out),
        }
        let part = self.thoughts(out);
        out.delta(part, delta);
        self.hush(out);
    }

    fn call(
        &mut self,
        call: FunctionCall<'_>,
        signature: Option<Cow<'_, str>>,
        id: &str,
        out: &mut Out<'_>,
    ) -> Result<(), Fault> {
        let goes_on = call.will_continue == Some(true);
        let name = filled(call.name);
        let mut whole = None;
        if name.is_some() || self.partial.is_none() {
            self.hush(out);
            let call_id = match filled(call.id) {
                Some(id) => id,
                None => Cow::Owned(self.invent_id(id)),
            };
            let name = name.unwrap_or_default();
            let open = Open::ToolCall { call_id, name, kind: ToolCallKind::Function };
            let part = out.open(self.index, open);
            self.calls += 1;
            self.spoke = true;
            self.open = Some(Growing::Call { part, signed: false });
            if goes_on || call.partial_args.is_some() {
                self.partial = Some((Partial::default(), part));
            } else {
                whole = Some((part, call.args.map_or("{}", RawValue::get)));
            }
        }
        // Ahead of the arguments: a client may have no place for it but the head of the call.
        if let Some(proof) = signature
            && let Some(Growing::Call { part, signed: false }) = self.open
        {
            self.open = Some(Growing::Call { part, signed: true });
            out.delta(part, Delta::Signature { proof, stamp: Some(DIALECT) });
        }
        if let Some((part, args)) = whole {
            out.delta(part, Delta::Arguments(Cow::Borrowed(args)));
        }
        if let Some((partial, _)) = &mut self.partial {
            for piece in call.partial_args.unwrap_or_default() {
                partial
                    .take(piece)
                    .ok_or_else(|| upstream("upstream sent arguments that cannot be placed"))?;
            }
        }
        if !goes_on {
            self.complete(out);
        }
        Ok(())
    }

    /// The arguments that came piece by piece are all there.
    fn complete(&mut self, out: &mut Out<'_>) {
        if let Some((partial, part)) = self.partial.take() {
            out.delta(part, Delta::Arguments(Cow::Owned(partial.finish())));
        }
    }

    fn invent_id(&self, answer_id: &str) -> String {
        let mut id = "call_".to_owned();
        id.extend(answer_id.chars().filter(char::is_ascii_alphanumeric).take(40));
        if !id.ends_with('_') {
            id.push('_');
        }
        format!("{id}{}_{}", self.index, self.calls)
    }

    /// A part only Gemini's clients understand: code that it ran, a picture it made. False for none at all.
    fn native(&mut self, raw: &RawValue, out: &mut Out<'_>) -> bool {
        let members = Fields::read(raw, "").map(Fields::camel).map(Fields::left).unwrap_or_default();
        let about = |key: &str| matches!(key, "thought" | "thoughtSignature" | "text");
        let Some((kind, _)) = members.into_iter().find(|(key, _)| !about(key)) else { return false };
        self.hush(out);
        self.spoke = true;
        let open = Open::Native { dialect: DIALECT, native_type: kind, raw: Json::from_raw(raw) };
        let part = out.open(self.index, open);
        out.close(part);
        true
    }

    /// Closes the open part.
    fn hush(&mut self, out: &mut Out<'_>) {
        self.complete(out);
        match self.open.take() {
            Some(Growing::Text(part) | Growing::Thought(part) | Growing::Call { part, .. }) => {
                out.close(part)
            }
            None => {}
        }
    }

    /// Says what the words refer to, and closes the open part.
    fn close(&mut self, out: &mut Out<'_>) {
        let mut citations: Vec<Citation> = Vec::new();
        for (json, read) in [
            (self.grounding.take(), ground::read as fn(&RawValue, &mut Words) -> Vec<Citation>),
            (self.sources.take(), ground::read_sources),
        ] {
            let raw = json.as_ref().map(Json::raw);
            citations.extend(raw.map(|raw| read(raw, &mut self.words)).unwrap_or_default());
        }
        if !citations.is_empty() {
            let part = self.text(out);
            citations.into_iter().for_each(|one| out.delta(part, Delta::Citation(Box::new(one))));
        }
        self.hush(out);
    }

    /// The finish reason of an answer that went wrong before it said anything.
    fn gave_nothing(&self) -> Option<&str> {
        let (word, _) = self.finish.as_ref()?;
        (!self.spoke && finish::is_malformed(word)).then_some(word)
    }

    fn finished(&mut self) -> Finish {
        let called = self.calls > 0;
        match self.finish.take() {
            Some((word, message)) => finish::read(&word, called, message),
            None => Finish::new(if called { FinishReason::ToolCalls } else { FinishReason::Stop }),
        }
    }
}
