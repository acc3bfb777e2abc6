//! Content blocks on their way to Bedrock: what they hold, and how they are written.

use super::opaque;
use crate::json::Writer;
use crate::names::{Alphabet, Names};
use crate::turns;
use std::borrow::Cow;
use trunkline_core::{Citation, Dialect, Json};

const DIALECT: Dialect = Dialect::BedrockConverse;

/// One block, and the cache mark behind it.
#[derive(Debug, Clone)]
pub(super) struct Block<'c> {
    pub kind: BlockKind<'c>,
    pub mark: Option<Mark>,
}

/// A cache mark, and what it stands behind in the client's request.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub ttl: Option<&'static str>,
    pub path: String,
}

/// What a block holds.
#[derive(Debug, Clone)]
pub(super) enum BlockKind<'c> {
    Text(Cow<'c, str>),
    Cited {
        text: &'c str,
        citations: Vec<&'c Citation>,
    },
    /// An image, video or sound, under this key.
    Media {
        key: &'static str,
        format: &'c str,
        source: Source<'c>,
    },
    Document {
        format: &'c str,
        name: Cow<'c, str>,
        source: Source<'c>,
        context: Option<&'c str>,
        citations: Option<bool>,
    },
    SearchResult {
        source: &'c str,
        title: &'c str,
        content: Vec<&'c str>,
        citations: Option<bool>,
    },
    Json(&'c Json),
    ToolUse {
        id: Cow<'c, str>,
        name: Cow<'c, str>,
        input: Cow<'c, str>,
    },
    ToolResult {
        id: Cow<'c, str>,
        content: Vec<Block<'c>>,
        status: Option<&'static str>,
    },
    Reasoning {
        text: Cow<'c, str>,
        signature: Option<&'c str>,
    },
    Redacted(Cow<'c, str>),
    /// A whole block of this dialect.
    Native(&'c Json),
    /// One member of this dialect, under its key.
    Member(&'static str, &'c Json),
}

/// Where media comes from.
#[derive(Debug, Clone)]
pub(super) enum Source<'c> {
    Bytes(Cow<'c, str>),
    Stored { uri: &'c str, owner: Option<&'c Json> },
    Text(&'c str),
    Content(Vec<&'c str>),
}

/// Which cache marks are written: the last that Bedrock takes.
#[derive(Debug, Default)]
pub(super) struct Marks {
    skip: usize,
    pub seen: usize,
    pub skipped: Vec<String>,
}

impl Marks {
    /// All but the first `skip`.
    pub(super) fn skipping(skip: usize) -> Self {
        Self { skip, ..Self::default() }
    }

    /// Writes the block that `mark` is.
    pub(super) fn write(&mut self, w: &mut Writer<'_>, mark: Option<&Mark>) {
        let Some(mark) = mark else { return };
        self.seen += 1;
        if self.seen <= self.skip {
            return self.skipped.push(mark.path.clone());
        }
        w.object(|w| {
            w.key("cachePoint").object(|w| {
                w.key("type").string("default");
                w.opt_string("ttl", mark.ttl);
            });
        });
    }
}

impl<'c> Block<'c> {
    /// A block without a mark.
    pub(super) fn new(kind: BlockKind<'c>) -> Self {
        Self { kind, mark: None }
    }

    /// Writes the block.
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        match &self.kind {
            BlockKind::Native(raw) => w.raw(raw.as_str()),
            BlockKind::Text(_)
            | BlockKind::Cited { .. }
            | BlockKind::Media { .. }
            | BlockKind::Document { .. }
            | BlockKind::SearchResult { .. }
            | BlockKind::Json(_)
            | BlockKind::ToolUse { .. }
            | BlockKind::ToolResult { .. }
            | BlockKind::Reasoning { .. }
            | BlockKind::Redacted(_)
            | BlockKind::Member(..) => w.object(|w| self.kind.write(w)),
        }
    }
}

/// Writes blocks and the marks behind them.
pub(super) fn write_all(blocks: &[Block<'_>], w: &mut Writer<'_>, marks: &mut Marks) {
    w.array(|w| {
        for block in blocks {
            block.write(w);
            marks.write(w, block.mark.as_ref());
        }
    });
}

impl BlockKind<'_> {
    fn write(&self, w: &mut Writer<'_>) {
        match self {
            Self::Text(text) => w.key("text").string(text),
            Self::Cited { text, citations } => w.key("citationsContent").object(|w| {
                w.key("content").array(|w| w.object(|w| w.key("text").string(text)));
                w.key("citations")
                    .array(|w| citations.iter().for_each(|citation| write_citation(citation, w)));
            }),
            Self::Media { key, format, source } => w.key(key).object(|w| {
                w.key("format").string(format);
                source.write(w);
            }),
            Self::Document { format, name, source, context, citations } => w.key("document").object(|w| {
                w.key("format").string(format);
                w.key("name").string(name);
                source.write(w);
                w.opt_string("context", *context);
                write_enabled(w, *citations);
            }),
            Self::SearchResult { source, title, content, citations } => w.key("searchResult").object(|w| {
                w.key("source").string(source);
                w.key("title").string(title);
                write_texts(content, w.key("content"));
                write_enabled(w, *citations);
            }),
            Self::Json(json) => w.key("json").raw(json.as_str()),
            Self::ToolUse { id, name, input } => w.key("toolUse").object(|w| {
                w.key("toolUseId").string(id);
                w.key("name").string(name);
                w.key("input").raw(input);
            }),
            Self::ToolResult { id, content, status } => w.key("toolResult").object(|w| {
                w.key("toolUseId").string(id);
                w.key("content").array(|w| content.iter().for_each(|block| block.write(w)));
                w.opt_string("status", *status);
            }),
            Self::Reasoning { text, signature } => w.key("reasoningContent").object(|w| {
                w.key("reasoningText").object(|w| {
                    w.key("text").string(text);
                    w.opt_string("signature", *signature);
                });
            }),
            Self::Redacted(data) => {
                w.key("reasoningContent").object(|w| w.key("redactedContent").string(&opaque::wrap(data)));
            }
            Self::Member(key, json) => w.key(key).raw(json.as_str()),
            // Written whole by `Block::write`.
            Self::Native(_) => {}
        }
    }
}

impl Source<'_> {
    fn write(&self, w: &mut Writer<'_>) {
        w.key("source").object(|w| match self {
            Self::Bytes(data) => w.key("bytes").string(data),
            Self::Stored { uri, owner } => w.key("s3Location").object(|w| {
                w.key("uri").string(uri);
                w.opt_json("bucketOwner", *owner);
            }),
            Self::Text(text) => w.key("text").string(text),
            Self::Content(texts) => write_texts(texts, w.key("content")),
        });
    }
}

fn write_texts(texts: &[&str], w: &mut Writer<'_>) {
    w.array(|w| texts.iter().for_each(|text| w.object(|w| w.key("text").string(text))));
}

fn write_enabled(w: &mut Writer<'_>, enabled: Option<bool>) {
    if let Some(enabled) = enabled {
        w.key("citations").object(|w| w.key("enabled").bool(enabled));
    }
}

/// Writes a citation.
pub(super) fn write_citation(citation: &Citation, w: &mut Writer<'_>) {
    match citation {
        Citation::Url { url, title, cited_text, .. } => w.object(|w| {
            w.opt_string("title", title.as_deref());
            if let Some(text) = cited_text {
                write_texts(&[text], w.key("sourceContent"));
            }
            w.key("location").object(|w| w.key("web").object(|w| w.key("url").string(url)));
        }),
        Citation::Native { raw, .. } => w.raw(raw.as_str()),
    }
}

/// Whether Bedrock and its clients can read a citation at all.
pub(super) fn is_readable(citation: &Citation) -> bool {
    match citation {
        Citation::Url { .. } => true,
        Citation::Native { dialect, .. } => *dialect == DIALECT,
    }
}

/// The id of a call as a client sees it.
pub(super) fn shown_id(id: &str) -> Cow<'_, str> {
    Names::new(Alphabet::BEDROCK_ID.of_any_length()).target(id)
}

impl turns::Block for Block<'_> {
    const IDS: Alphabet = Alphabet::BEDROCK_ID;

    fn text(text: &str) -> Self {
        Self::new(BlockKind::Text(Cow::Owned(text.to_owned())))
    }

    fn tagged(blocks: Vec<Self>) -> Self {
        let mark = blocks.iter().rev().find_map(|block| block.mark.clone());
        let text = format!("<system>{}</system>", joined(&blocks));
        Self { mark, ..turns::Block::text(&text) }
    }

    fn no_result(id: &str) -> Self {
        Self::new(BlockKind::ToolResult {
            id: Cow::Owned(id.to_owned()),
            content: vec![turns::Block::text("Error: no result provided")],
            status: Some("error"),
        })
    }

    fn set_id(&mut self, own: &str) {
        if let BlockKind::ToolUse { id, .. } | BlockKind::ToolResult { id, .. } = &mut self.kind {
            *id = Cow::Owned(own.to_owned());
        }
    }

    fn orphan(id: &str, result: Self) -> Vec<Self> {
        let BlockKind::ToolResult { content, .. } = result.kind else { return vec![result] };
        let is_media = |block: &Block<'_>| {
            matches!(
                block.kind,
                BlockKind::Media { .. } | BlockKind::Document { .. } | BlockKind::SearchResult { .. }
            )
        };
        let (media, words): (Vec<_>, Vec<_>) = content.into_iter().partition(is_media);
        let mut out: Vec<Self> =
            vec![turns::Block::text(&format!("[tool result for {id}] {}", joined(&words)))];
        out.extend(media);
        out
    }
}

fn joined(blocks: &[Block<'_>]) -> String {
    let texts = blocks.iter().filter_map(|block| match &block.kind {
        BlockKind::Text(text) => Some(text.as_ref()),
        BlockKind::Cited { text, .. } => Some(*text),
        BlockKind::Json(json) => Some(json.as_str()),
        BlockKind::Media { .. }
        | BlockKind::Document { .. }
        | BlockKind::SearchResult { .. }
        | BlockKind::ToolUse { .. }
        | BlockKind::ToolResult { .. }
        | BlockKind::Reasoning { .. }
        | BlockKind::Redacted(_)
        | BlockKind::Native(_)
        | BlockKind::Member(..) => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}
