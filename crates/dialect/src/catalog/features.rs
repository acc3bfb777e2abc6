//! What a model takes, makes and can do.

use trunkline_core::Kind;

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each name is its own description")]
pub enum Mode {
    Chat,
    Completion,
    Embedding,
    Image,
    ImageEdit,
    Transcription,
    Speech,
    Video,
    Realtime,
    Rerank,
    Search,
    Ocr,
    Moderation,
    #[default]
    Other,
}

impl Mode {
    /// What a model for this does, where that is something of this build.
    #[must_use]
    pub const fn kind(self) -> Option<Kind> {
        match self {
            Self::Chat | Self::Completion => Some(Kind::Generate),
            Self::Embedding => Some(Kind::Embed),
            Self::Image | Self::ImageEdit => Some(Kind::Image),
            Self::Transcription => Some(Kind::Transcribe),
            Self::Speech => Some(Kind::Speak),
            Self::Rerank => Some(Kind::Rerank),
            Self::Moderation => Some(Kind::Moderate),
            Self::Video | Self::Realtime | Self::Search | Self::Ocr | Self::Other => None,
        }
    }
}

/// A form of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each name is its own description")]
pub enum Modality {
    Text,
    Image,
    Audio,
    Video,
    Pdf,
}

/// Something a model can or cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "where a name is not its own description it has one")]
pub enum Capability {
    Tools,
    ParallelTools,
    ToolChoice,
    /// Can be made to call a tool.
    ForcedTools,
    /// Finds tools by a search of the provider's.
    ToolSearch,
    /// Sees pictures.
    Vision,
    /// Reads PDF files.
    Pdf,
    AudioIn,
    AudioOut,
    VideoIn,
    /// Answers by a JSON schema.
    Schema,
    /// Does so without a tool's detour.
    NativeSchema,
    /// Takes a system prompt.
    System,
    /// Takes system messages between others.
    LateSystem,
    /// Has a prompt cache.
    Cache,
    Reasoning,
    /// Decides by itself how long to think.
    AdaptiveThinking,
    /// Takes a budget of thinking in tokens.
    BudgetedThinking,
    /// Cannot be told not to think.
    AlwaysThinks,
    EffortNone,
    EffortMinimal,
    EffortLow,
    EffortXhigh,
    EffortMax,
    /// Continues an answer begun for it.
    Prefill,
    /// Takes temperature and the like.
    Sampling,
    Streaming,
    WebSearch,
    /// Reads addresses by itself.
    UrlContext,
    ComputerUse,
}

/// What is known of a model's capabilities; each is had, not had, or not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    has: u32,
    lacks: u32,
}

/// Bounds, in tokens unless the name says otherwise; `None` where nobody says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Prompt and answer together.
    pub context: Option<u64>,
    /// The prompt.
    pub input: Option<u64>,
    /// The answer.
    pub output: Option<u64>,
    /// The shortest prompt that is cached.
    pub cache_min: Option<u64>,
    /// Numbers in a vector.
    pub dimensions: Option<u64>,
    /// Calls in a minute.
    pub rpm: Option<u64>,
    /// Tokens in a minute.
    pub tpm: Option<u64>,
}

impl Mode {
    const NAMES: [(&'static str, Self); 14] = [
        ("chat", Self::Chat),
        ("completion", Self::Completion),
        ("embedding", Self::Embedding),
        ("image", Self::Image),
        ("image_edit", Self::ImageEdit),
        ("transcription", Self::Transcription),
        ("speech", Self::Speech),
        ("video", Self::Video),
        ("realtime", Self::Realtime),
        ("rerank", Self::Rerank),
        ("search", Self::Search),
        ("ocr", Self::Ocr),
        ("moderation", Self::Moderation),
        ("other", Self::Other),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        among(&Self::NAMES, name)
    }
}

impl Modality {
    const NAMES: [(&'static str, Self); 5] = [
        ("text", Self::Text),
        ("image", Self::Image),
        ("audio", Self::Audio),
        ("video", Self::Video),
        ("pdf", Self::Pdf),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        among(&Self::NAMES, name)
    }
}

impl Capability {
    const NAMES: [(&'static str, Self); 30] = [
        ("tools", Self::Tools),
        ("parallel_tools", Self::ParallelTools),
        ("tool_choice", Self::ToolChoice),
        ("forced_tools", Self::ForcedTools),
        ("tool_search", Self::ToolSearch),
        ("vision", Self::Vision),
        ("pdf", Self::Pdf),
        ("audio_in", Self::AudioIn),
        ("audio_out", Self::AudioOut),
        ("video_in", Self::VideoIn),
        ("schema", Self::Schema),
        ("native_schema", Self::NativeSchema),
        ("system", Self::System),
        ("late_system", Self::LateSystem),
        ("cache", Self::Cache),
        ("reasoning", Self::Reasoning),
        ("adaptive_thinking", Self::AdaptiveThinking),
        ("budgeted_thinking", Self::BudgetedThinking),
        ("always_thinks", Self::AlwaysThinks),
        ("effort_none", Self::EffortNone),
        ("effort_minimal", Self::EffortMinimal),
        ("effort_low", Self::EffortLow),
        ("effort_xhigh", Self::EffortXhigh),
        ("effort_max", Self::EffortMax),
        ("prefill", Self::Prefill),
        ("sampling", Self::Sampling),
        ("streaming", Self::Streaming),
        ("web_search", Self::WebSearch),
        ("url_context", Self::UrlContext),
        ("computer_use", Self::ComputerUse),
    ];

    /// The one called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        among(&Self::NAMES, name)
    }

    /// All names there are.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().map(|(name, _)| *name)
    }

    const fn bit(self) -> u32 {
        1 << (self as u32)
    }
}

impl Capabilities {
    /// Whether the model has it; `None` where nobody says.
    #[must_use]
    pub fn has(self, capability: Capability) -> Option<bool> {
        let bit = capability.bit();
        (self.has & bit != 0 || self.lacks & bit != 0).then_some(self.has & bit != 0)
    }

    /// Those that are `had` and those that are `lacking`.
    #[must_use]
    pub fn new(had: &[Capability], lacking: &[Capability]) -> Self {
        let bits = |all: &[Capability]| all.iter().fold(0, |bits, one| bits | one.bit());
        Self { has: bits(had), lacks: bits(lacking) }
    }

    /// These, and `others` of which nothing is said here.
    #[must_use]
    pub(super) const fn over(self, others: Self) -> Self {
        let said = self.has | self.lacks;
        Self { has: self.has | others.has & !said, lacks: self.lacks | others.lacks & !said }
    }

    /// `+tools -prefill`.
    pub(super) fn parse(cell: &str) -> Option<Self> {
        let mut known = Self::default();
        for word in cell.split(' ').filter(|word| !word.is_empty()) {
            match word.split_at_checked(1)? {
                ("+", name) => known.has |= Capability::named(name)?.bit(),
                ("-", name) => known.lacks |= Capability::named(name)?.bit(),
                _ => return None,
            }
        }
        Some(known)
    }
}

impl Limits {
    /// `input=1000 output=100`.
    pub(super) fn parse(cell: &str) -> Option<Self> {
        let mut limits = Self::default();
        for word in cell.split(' ').filter(|word| !word.is_empty()) {
            let (name, value) = word.split_once('=')?;
            let bound = match name {
                "context" => &mut limits.context,
                "input" => &mut limits.input,
                "output" => &mut limits.output,
                "cache_min" => &mut limits.cache_min,
                "dimensions" => &mut limits.dimensions,
                "rpm" => &mut limits.rpm,
                "tpm" => &mut limits.tpm,
                _ => return None,
            };
            *bound = Some(value.parse().ok()?);
        }
        Some(limits)
    }

    /// These, and `others` where there are none.
    #[must_use]
    pub(super) fn over(self, others: Self) -> Self {
        Self {
            context: self.context.or(others.context),
            input: self.input.or(others.input),
            output: self.output.or(others.output),
            cache_min: self.cache_min.or(others.cache_min),
            dimensions: self.dimensions.or(others.dimensions),
            rpm: self.rpm.or(others.rpm),
            tpm: self.tpm.or(others.tpm),
        }
    }
}

fn among<T: Copy>(names: &[(&str, T)], name: &str) -> Option<T> {
    names.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_had_not_had_or_unknown() {
        let Some(known) = Capabilities::parse("+tools -prefill +computer_use") else {
            panic!("it can be read")
        };
        assert_eq!(known.has(Capability::Tools), Some(true));
        assert_eq!(known.has(Capability::ComputerUse), Some(true));
        assert_eq!(known.has(Capability::Prefill), Some(false));
        assert_eq!(known.has(Capability::Vision), None);
        let said = Capabilities::new(&[Capability::Prefill], &[Capability::Vision]).over(known);
        let all = [Capability::Tools, Capability::Prefill, Capability::Vision, Capability::Pdf];
        assert_eq!(all.map(|one| said.has(one)), [Some(true), Some(true), Some(false), None]);
        assert_eq!(Capabilities::parse("+flying"), None);
        assert_eq!(Capabilities::parse("tools"), None);
    }
}
