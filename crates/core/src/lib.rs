//! The vocabulary every other crate speaks: the neutral [`Call`], the streamed [`Event`], the whole
//! [`Reply`], what both cost ([`Usage`]), what a translation could not carry ([`Losses`]), why an
//! answer is an error ([`Fault`]) and what routing chooses from ([`Candidate`]).
//!
//! Nothing here does I/O, reads a clock or the environment, or knows a vendor.

mod backlog;
mod breaker;
mod calendar;
mod call;
mod candidate;
mod dialect;
mod embed;
mod event;
mod fault;
mod fold;
mod gauge;
mod id;
mod image;
mod item;
mod json;
mod loss;
mod part;
mod quota;
mod recent;
mod reply;
mod rerank;
mod speech;
mod surface;
mod tool;
mod transcript;
mod trusted;
mod upload;
mod usage;

pub use backlog::Backlog;
pub use breaker::{
    Breaker, BreakerRules, CooldownRules, Entry, Figures, Finding, Moves, Phase, Rules, Turn, Why, Witness,
};
pub use calendar::{Utc, read_rfc3339};
pub use call::{
    CachePlan, Call, Effort, Identity, Instruction, Limits, Local, OriginRole, Output, OutputFormat,
    Reasoning, ReasoningMode, Sampling, Service, State, StreamOptions,
};
pub use candidate::{Allotted, Candidate, Health, Load, LoadGuard, Price, Prompt};
pub use dialect::{Dialect, Kind};
pub use embed::{EmbedCall, EmbedInput, EmbedReply, Purpose, Truncate, Vector, VectorForm};
pub use event::{Delta, Event, Open};
pub use fault::{Fault, FaultKind, Origin, Repeat};
pub use fold::{Fold, unfold};
pub use gauge::{Gauge, Sample};
pub use id::{Model, RequestId, Secret, TenantId, WorkerId};
pub use image::{Delivery, ImageCall, ImageReply, Picture, PictureData, Pixels};
pub use item::{
    Item, ItemKind, Message, ReasoningItem, Role, ServerTool, ToolCall, ToolCallKind, ToolResult,
};
pub use json::{Json, Number};
pub use loss::{Action, Class, Loss, Losses, OnUnsupported};
pub use part::{
    Audio, CacheKind, CacheMark, Citation, Document, DocumentSource, Image, MediaSource, OffsetUnit, Part,
    PartKind, SearchResult, Video,
};
pub use quota::{Allowance, Quota, Remaining, Told};
pub use recent::{Attempt, Metric, Ranking, Recent, Standing, Times};
pub use reply::{Choice, Finish, FinishReason, Reply};
pub use rerank::{Rank, RankedDocument, RerankCall, RerankReply};
pub use speech::{SpeechCall, SpeechReply};
pub use surface::Surface;
pub use tool::{AllowedMode, Tool, ToolChoice, ToolKind};
pub use transcript::{TranscriptCall, TranscriptForm, TranscriptReply};
pub use trusted::trusted;
pub use upload::Upload;
pub use usage::{Absurdity, Usage};

/// Fields a dialect sent that the model has no name for, in the order they came, each under the
/// dialect that sent it; only ever written back to that same dialect.
pub type Extra = Vec<ExtraField>;

/// One unknown field.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtraField {
    /// Whose field it is.
    pub dialect: Dialect,
    /// Its key as spelled on the wire.
    pub key: Box<str>,
    /// Its value, verbatim.
    pub value: Json,
}
