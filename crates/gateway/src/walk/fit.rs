//! Who of a lane can serve a call at all, as far as anybody knows: the prompt is not longer than the model's context,
//! and what the call holds or asks for is not something that the model is known not to have.
//!
//! What is not known is never a reason to leave somebody out, and nobody is left out unless another remains: an
//! upstream says best itself what is wrong with a call that nobody can serve. The call is read only where somebody's
//! limits make it matter.

use super::plan::of_nobody;
use crate::fleet::worker::Worker;
use crate::snapshot::aside::Aside;
use crate::snapshot::{Lane, Passage, passage};
use std::cell::OnceCell;
use std::sync::Arc;
use trunkline_core::{
    Call, Dialect, DocumentSource, ItemKind, Kind, Losses, MediaSource, OutputFormat, Part, PartKind, Prompt,
};
use trunkline_dialect::catalog::{Capability, Entry, Limits};
use trunkline_dialect::profile::{Disposition, Parameter, Rest};
use trunkline_dialect::rope::Rope;
use trunkline_dialect::{count, read_call};

/// Bytes that are no more than a token, taken over a whole call in whatever script.
const FEWEST: u64 = 2;
/// What an estimate may be over a window by before anybody is left out for it: a tenth of the window. Estimates are
/// about that far off, and whoever is asked in vain says so, while whoever is left out cannot.
const MARGIN: u64 = 10;

/// A call, asked what it takes to serve it.
pub(super) struct Demand<'r> {
    dialect: Dialect,
    body: &'r Rope,
    /// What policies may go by of it.
    pub(super) prompt: Prompt<'static>,
    /// What it holds; `None` for one that cannot be read, which its upstream will say.
    needs: OnceCell<Option<Needs>>,
}

/// What a call holds and asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Needs {
    /// About how many tokens it is.
    tokens: u64,
    /// Most tokens that the answer may have, where the client says.
    answer: Option<u64>,
    images: bool,
    audio: bool,
    video: bool,
    documents: bool,
    tools: bool,
    schema: bool,
}

/// What a call may need of a model.
struct Need {
    /// What the catalogue calls it.
    of: Capability,
    /// Words of which every body that needs it has one, as some have that do not.
    words: &'static [&'static str],
    is_needed: fn(&Needs) -> bool,
    /// What is said of a model without it.
    aside: Aside,
}

const NEEDED: [Need; 6] = [
    Need { of: Capability::Vision, words: &["image"], is_needed: |needs| needs.images, aside: Aside::Images },
    Need { of: Capability::AudioIn, words: &["audio"], is_needed: |needs| needs.audio, aside: Aside::Audio },
    Need { of: Capability::VideoIn, words: &["video"], is_needed: |needs| needs.video, aside: Aside::Video },
    Need {
        of: Capability::Pdf,
        words: &["pdf"],
        is_needed: |needs| needs.documents,
        aside: Aside::Documents,
    },
    Need {
        of: Capability::Tools,
        words: &["tools", "functions"],
        is_needed: |needs| needs.tools,
        aside: Aside::Tools,
    },
    Need {
        of: Capability::Schema,
        words: &["chema", "format"],
        is_needed: |needs| needs.schema,
        aside: Aside::Schema,
    },
];

/// Puts those aside that cannot serve a call for `model`, by what is `known` of theirs.
pub(super) fn fitting(
    lane: Arc<Lane>,
    model: &str,
    demand: &Demand<'_>,
    known: impl Fn(&Worker) -> Option<Arc<Entry>>,
) -> Arc<Lane> {
    if demand.dialect.kind() != Kind::Generate || are_alike(&lane, model) {
        return lane;
    }
    let mut aside = Vec::new();
    for candidate in &lane.candidates {
        let Some(worker) = lane.workers.get(candidate.slot) else { continue };
        let why = known(worker).and_then(|entry| demand.beyond(worker, model, &entry));
        aside.extend(why.map(|why| (candidate.slot, why)));
    }
    let is_left = |slot: usize| aside.iter().all(|(out, _)| *out != slot);
    let remains = lane.candidates.iter().any(|candidate| candidate.may_serve() && is_left(candidate.slot));
    if aside.is_empty() || !remains { lane } else { Arc::new(Lane::clone(&lane).without(aside)) }
}

/// Whether everybody who may serve it is known to take shorter calls alone.
pub(super) fn is_too_long(
    lane: &Lane,
    demand: &Demand<'_>,
    known: impl Fn(&Worker) -> Option<Arc<Entry>>,
) -> bool {
    let mut able = lane.candidates.iter().filter(|candidate| candidate.may_serve()).peekable();
    demand.dialect.kind() == Kind::Generate
        && able.peek().is_some()
        && able.all(|candidate| {
            let worker = lane.workers.get(candidate.slot);
            let entry = worker.and_then(|worker| known(worker));
            entry.is_some_and(|entry| demand.overflows(&entry.limits).is_some())
        })
}

/// Whether what one of them can do for `model` all of them can, since it is the same model of the same owner.
fn are_alike(lane: &Lane, model: &str) -> bool {
    let Some((first, others)) = lane.workers.split_first() else { return true };
    others.iter().all(|other| {
        other.owner() == first.owner()
            && other.name_for(model) == first.name_for(model)
            && other.spec.base_model == first.spec.base_model
    })
}

impl<'r> Demand<'r> {
    pub(super) fn new(dialect: Dialect, body: &'r Rope, tokens: u64) -> Self {
        Self { dialect, body, prompt: of_nobody(tokens), needs: OnceCell::new() }
    }

    /// Why `worker`, of whose model this is known, cannot serve it.
    fn beyond(&self, worker: &Worker, model: &str, entry: &Entry) -> Option<Aside> {
        self.overflows(&entry.limits).or_else(|| {
            let lacks = |capability| entry.capabilities.has(capability) == Some(false);
            NEEDED.iter().find_map(|Need { of, words, is_needed, aside }| {
                let is_missed = lacks(*of)
                    && words.iter().any(|word| self.body.holds(word.as_bytes()))
                    && self.needs().is_some_and(is_needed)
                    && !(*of == Capability::Schema && is_emulated(self.dialect, worker, model));
                is_missed.then(|| aside.clone())
            })
        })
    }

    /// Whether it is longer than a model takes, by [`MARGIN`].
    fn overflows(&self, limits: &Limits) -> Option<Aside> {
        [(limits.input, false), (limits.context, true)].into_iter().find_map(|(window, with_answer)| {
            let window = window.filter(|window| *window > 0)?;
            let most = window.saturating_add(window / MARGIN);
            let answer = if with_answer { self.longest_answer(limits, window) } else { 0 };
            // Most calls are so short that nobody need count.
            if (self.body.len() as u64 / FEWEST).saturating_add(answer) <= most {
                return None;
            }
            let needs = self.needs()?;
            let answer = needs.answer.filter(|_| with_answer).unwrap_or(0).min(answer);
            let wanted = needs.tokens.saturating_add(answer);
            (wanted > most).then_some(Aside::ContextWindow { wanted, window })
        })
    }

    /// Most tokens that a client can mean its answer to have, before it was looked at what it says.
    fn longest_answer(&self, limits: &Limits, window: u64) -> u64 {
        // Every dialect's word for it.
        let says_most = || self.body.holds(b"max") || self.body.holds(b"num_predict");
        limits.output.unwrap_or_else(|| if says_most() { window } else { 0 })
    }

    fn needs(&self) -> Option<&Needs> {
        let read = || {
            let mut losses = Losses::default();
            read_call(self.dialect, &self.body.joined(), &mut losses).ok().map(|call| Needs::of(&call))
        };
        self.needs.get_or_init(read).as_ref()
    }
}

/// Whether the answer is made to follow a schema on the way to `worker`, whatever its model takes.
fn is_emulated(client: Dialect, worker: &Worker, model: &str) -> bool {
    let by_profile = || {
        let sheet = worker.profile().sheet(worker.name_for(model), Rest::Unasked);
        sheet.of(Parameter::JsonSchema) == Disposition::Emulated
    };
    match passage(client, worker) {
        Passage::Splice => client == Dialect::OpenaiChat && by_profile(),
        Passage::Translate(Dialect::OpenaiChat) => by_profile(),
        Passage::Translate(Dialect::OpenaiResponses | Dialect::OpenaiCompletions) => false,
        // Their codecs tell a model without schemas what to answer in, or have it call a tool.
        Passage::Translate(_) => true,
        Passage::Estimate | Passage::Closed => false,
    }
}

impl Needs {
    fn of(call: &Call) -> Self {
        let mut needs = Self {
            // Who has it cut to size can have it of any length.
            tokens: match call.limits.truncation.as_deref() {
                Some("auto") => 0,
                Some(_) | None => count::estimate(call, &mut Losses::default()),
            },
            answer: call.limits.max_output_tokens,
            tools: !call.tools.is_empty(),
            schema: matches!(call.output.format, OutputFormat::JsonSchema { .. }),
            ..Self::default()
        };
        for item in &call.items {
            match &item.kind {
                ItemKind::Message(message) => needs.parts(&message.parts),
                ItemKind::ToolResult(result) => needs.parts(&result.parts),
                ItemKind::ToolCall(_)
                | ItemKind::Reasoning(_)
                | ItemKind::ServerTool(_)
                | ItemKind::Reference(_)
                | ItemKind::Unknown { .. } => {}
            }
        }
        needs
    }

    fn parts(&mut self, parts: &[Part]) {
        for part in parts {
            match &part.kind {
                PartKind::Image(_) => self.images = true,
                PartKind::Audio(_) => self.audio = true,
                PartKind::Video(_) => self.video = true,
                PartKind::Document(document) => match &document.source {
                    DocumentSource::Media(source) => self.documents |= is_pdf(source),
                    DocumentSource::Parts(parts) => self.parts(parts),
                    DocumentSource::Text(_) => {}
                },
                PartKind::Text { .. }
                | PartKind::Refusal(_)
                | PartKind::SearchResult(_)
                | PartKind::ToolReference(_)
                | PartKind::ExecutableCode { .. }
                | PartKind::CodeResult { .. }
                | PartKind::Json(_)
                | PartKind::Unknown { .. } => {}
            }
        }
    }
}

/// Whether a file is one that the catalogue speaks of; of one that is given by its address or id nobody knows.
fn is_pdf(source: &MediaSource) -> bool {
    match source {
        MediaSource::Base64 { mime, .. } => mime == "application/pdf",
        MediaSource::Url(_) | MediaSource::File(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_dialect::catalog::Capabilities;

    /// Why a worker with this of a chat is put aside.
    fn beyond(dialect: Dialect, body: &str, entry: &Entry) -> Option<&'static str> {
        use crate::config::{Config, WorkerSpec};
        let spec = WorkerSpec::new("http://engine:8000");
        let id = trunkline_core::WorkerId::new("w");
        let worker = Worker::new(id, spec, &Config::default(), Arc::default()).unwrap();
        let rope = Rope::from(body.as_bytes().to_vec());
        Demand::new(dialect, &rope, 0).beyond(&worker, "m", entry).map(|why| why.name())
    }

    fn lacking(of: Capability) -> Entry {
        Entry { capabilities: Capabilities::new(&[], &[of]), ..Entry::default() }
    }

    #[test]
    fn what_a_call_holds_is_asked_of_the_model() {
        use Capability::{AudioIn, Pdf, Schema, Tools, Vision};
        let chat = |content: &str| {
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{content}]}}]}}"#)
        };
        let picture = chat(r#"{"type":"image_url","image_url":{"url":"https://example.org/a.png"}}"#);
        let sound = chat(r#"{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}"#);
        let pdf = chat(
            r#"{"type":"file","file":{"file_data":"data:application/pdf;base64,AAAA","filename":"a.pdf"}}"#,
        );
        let word = chat(r#"{"type":"text","text":"an image, audio, a pdf, tools, a schema"}"#);
        let with =
            |more: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":"Hi"}}],{more}}}"#);
        let tools = with(r#""tools":[{"type":"function","function":{"name":"f"}}]"#);
        let functions = with(r#""functions":[{"name":"f"}]"#);
        let schema =
            with(r#""response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{}}}"#);
        for (body, of, why) in [
            (&picture, Vision, Some("images")),
            (&picture, Tools, None),
            (&sound, AudioIn, Some("audio")),
            (&pdf, Pdf, Some("documents")),
            (&tools, Tools, Some("tools")),
            (&functions, Tools, Some("tools")),
            (&schema, Schema, Some("schema")),
            (&word, Vision, None),
            (&word, Schema, None),
        ] {
            assert_eq!(beyond(Dialect::OpenaiChat, body, &lacking(of)), why, "{of:?} {body}");
            assert_eq!(beyond(Dialect::OpenaiChat, body, &Entry::default()), None, "{of:?}: not known");
        }
        let gemini = r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}]}"#;
        assert_eq!(beyond(Dialect::GeminiGenerate, gemini, &lacking(Vision)), Some("images"));
    }

    #[test]
    fn calls_that_are_plainly_too_long_are_put_aside() {
        let words = |many: usize| "word ".repeat(many);
        let body = |many: usize, more: &str| {
            let text = words(many);
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]{more}}}"#)
        };
        let of = |context, input, output| Entry {
            limits: Limits { context, input, output, ..Limits::default() },
            ..Entry::default()
        };
        let too_long = Some("context_window");
        for (what, body, entry, why) in [
            ("short", body(10, ""), of(Some(1000), None, None), None),
            ("over", body(2000, ""), of(Some(1000), None, None), too_long),
            ("within the margin", body(1050, ""), of(Some(1000), None, None), None),
            ("of unknown length", body(2000, ""), of(None, None, Some(10)), None),
            ("over what it takes", body(2000, ""), of(Some(9000), Some(1000), None), too_long),
            ("with its answer", body(600, r#","max_tokens":900"#), of(Some(1000), None, None), too_long),
            (
                "an answer that is cut",
                body(600, r#","max_tokens":900"#),
                of(Some(1000), None, Some(100)),
                None,
            ),
        ] {
            assert_eq!(beyond(Dialect::OpenaiChat, &body, &entry), why, "{what}");
        }
        let cut = format!(r#"{{"model":"m","input":"{}","truncation":"auto"}}"#, words(2000));
        assert_eq!(beyond(Dialect::OpenaiResponses, &cut, &of(Some(1000), None, None)), None);
        // A picture's bytes are not text.
        let picture = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}]}}]}}"#,
            "A".repeat(40_000)
        );
        assert_eq!(beyond(Dialect::OpenaiChat, &picture, &of(Some(4000), None, None)), None);
    }
}
