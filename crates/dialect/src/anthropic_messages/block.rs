//! Content blocks ready to be written: checked, with names and ids the target takes. Everything that
//! can fail or be lost happens before a block exists, so writing one cannot fail.

use crate::json::{Fields, Writer};
use std::borrow::Cow;
use trunkline_core::{Citation, Dialect, Extra, Json};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// One content block.
#[derive(Debug)]
pub(super) struct Block<'c> {
    pub kind: BlockKind<'c>,
    pub mark: Option<Mark>,
    /// Unknown fields, written back when they are Anthropic's.
    pub extra: Option<&'c Extra>,
}

/// What a block holds.
#[derive(Debug)]
pub(super) enum BlockKind<'c> {
    Text {
        text: Cow<'c, str>,
        citations: Vec<&'c Citation>,
    },
    Image(Source<'c>),
    Document {
        source: Source<'c>,
        title: Option<&'c str>,
        context: Option<&'c str>,
        citations: Option<bool>,
    },
    SearchResult {
        source: &'c str,
        title: &'c str,
        content: Vec<Block<'c>>,
        citations: Option<bool>,
    },
    ToolReference(Cow<'c, str>),
    /// `input` is a JSON object.
    ToolUse {
        id: Cow<'c, str>,
        name: Cow<'c, str>,
        input: Cow<'c, str>,
    },
    ToolResult {
        id: Cow<'c, str>,
        content: Vec<Block<'c>>,
        is_error: Option<bool>,
    },
    Thinking {
        text: Cow<'c, str>,
        signature: Cow<'c, str>,
    },
    Redacted(&'c str),
    /// A block of Anthropic's own, verbatim.
    Native(&'c Json),
}

/// Where media comes from.
#[derive(Debug)]
pub(super) enum Source<'c> {
    Base64 { mime: &'c str, data: Cow<'c, str> },
    Url(&'c str),
    File(&'c str),
    Text(Cow<'c, str>),
    Content(Vec<Block<'c>>),
}

/// A cache mark in Anthropic's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub ttl: Option<&'static str>,
    /// Where the client set it.
    pub path: String,
}

/// Anthropic takes four marks in one request. The last ones cover the longest prefixes, so the first
/// ones give way: the body is written once, and again without those when there were too many.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// How many, from the front, are left out.
    skip: usize,
    /// How many there were.
    pub seen: usize,
    /// Paths of those left out.
    pub skipped: Vec<String>,
    /// Whether one of five minutes was kept: Anthropic refuses a longer one behind it.
    short: bool,
    /// Paths of those shortened for that.
    pub shortened: Vec<String>,
}

impl Marks {
    /// Leaves out the first `skip` marks.
    pub(super) fn skipping(skip: usize) -> Self {
        Self { skip, ..Self::default() }
    }

    /// Writes `mark` as a member of the current object, unless it is one of those left out.
    pub(super) fn write(&mut self, w: &mut Writer<'_>, mark: Option<&Mark>) {
        let Some(mark) = mark else { return };
        if !self.keep(&mark.path) {
            return;
        }
        let long = mark.ttl == Some("1h");
        if long && self.short {
            self.shortened.push(mark.path.clone());
        }
        self.short |= !long;
        w.key("cache_control").object(|w| {
            w.key("type").string("ephemeral");
            w.opt_string("ttl", mark.ttl.filter(|_| !long || !self.short));
        });
    }

    /// Writes a block or tool of Anthropic's own, without its mark if that is left out.
    pub(super) fn native(&mut self, w: &mut Writer<'_>, raw: &Json, path: &str) {
        let fields = Fields::read(raw.raw(), path).ok();
        match fields {
            Some(mut fields) if fields.has("cache_control") && !self.keep(path) => {
                fields.raw("cache_control");
                w.object(|w| w.extra(&fields.rest(DIALECT), DIALECT));
            }
            Some(_) | None => w.raw(raw.as_str()),
        }
    }

    fn keep(&mut self, path: &str) -> bool {
        self.seen += 1;
        if self.seen <= self.skip {
            self.skipped.push(path.to_owned());
        }
        self.seen > self.skip
    }
}

impl<'c> Block<'c> {
    /// A block with nothing but its content.
    pub(super) fn new(kind: BlockKind<'c>) -> Self {
        Self { kind, mark: None, extra: None }
    }

    /// A text block.
    pub(super) fn text(text: impl Into<Cow<'c, str>>) -> Self {
        Self::new(BlockKind::Text { text: text.into(), citations: Vec::new() })
    }

    /// Writes the block as the next value.
    pub(super) fn write(&self, w: &mut Writer<'_>, marks: &mut Marks) {
        if let BlockKind::Native(raw) = &self.kind {
            marks.native(w, raw, self.mark.as_ref().map_or("messages", |mark| &mark.path));
            return;
        }
        w.object(|w| {
            self.kind.write(w, marks);
            marks.write(w, self.mark.as_ref());
            if let Some(extra) = self.extra {
                w.extra(extra, DIALECT);
            }
        });
    }

    /// The text, when nothing but text would be lost by sending just that.
    fn as_plain_text(&self) -> Option<&str> {
        let bare =
            self.mark.is_none() && self.extra.is_none_or(|extra| extra.iter().all(|f| f.dialect != DIALECT));
        match &self.kind {
            BlockKind::Text { text, citations } if bare && citations.is_empty() => Some(text),
            BlockKind::Text { .. }
            | BlockKind::Image(_)
            | BlockKind::Document { .. }
            | BlockKind::SearchResult { .. }
            | BlockKind::ToolReference(_)
            | BlockKind::ToolUse { .. }
            | BlockKind::ToolResult { .. }
            | BlockKind::Thinking { .. }
            | BlockKind::Redacted(_)
            | BlockKind::Native(_) => None,
        }
    }
}

/// Writes blocks as an array.
pub(super) fn write_all(blocks: &[Block<'_>], w: &mut Writer<'_>, marks: &mut Marks) {
    w.array(|w| blocks.iter().for_each(|block| block.write(w, marks)));
}

impl BlockKind<'_> {
    fn write(&self, w: &mut Writer<'_>, marks: &mut Marks) {
        match self {
            Self::Text { text, citations } => {
                w.key("type").string("text");
                w.key("text").string(text);
                if !citations.is_empty() {
                    w.key("citations").array(|w| citations.iter().for_each(|c| write_citation(c, w)));
                }
            }
            Self::Image(source) => {
                w.key("type").string("image");
                source.write(w, marks);
            }
            Self::Document { source, title, context, citations } => {
                w.key("type").string("document");
                source.write(w, marks);
                w.opt_string("title", *title);
                w.opt_string("context", *context);
                write_enabled(w, *citations);
            }
            Self::SearchResult { source, title, content, citations } => {
                w.key("type").string("search_result");
                w.key("source").string(source);
                w.key("title").string(title);
                write_all(content, w.key("content"), marks);
                write_enabled(w, *citations);
            }
            Self::ToolReference(name) => {
                w.key("type").string("tool_reference");
                w.key("tool_name").string(name);
            }
            Self::ToolUse { id, name, input } => {
                w.key("type").string("tool_use");
                w.key("id").string(id);
                w.key("name").string(name);
                w.key("input").raw(input);
            }
            Self::ToolResult { id, content, is_error } => {
                w.key("type").string("tool_result");
                w.key("tool_use_id").string(id);
                match content.as_slice() {
                    [] => {}
                    [only] if only.as_plain_text().is_some() => {
                        w.opt_string("content", only.as_plain_text());
                    }
                    blocks => write_all(blocks, w.key("content"), marks),
                }
                w.opt_bool("is_error", *is_error);
            }
            Self::Thinking { text, signature } => {
                w.key("type").string("thinking");
                w.key("thinking").string(text);
                w.key("signature").string(signature);
            }
            Self::Redacted(data) => {
                w.key("type").string("redacted_thinking");
                w.key("data").string(data);
            }
            // Written whole by `Block::write`.
            Self::Native(_) => {}
        }
    }
}

impl Source<'_> {
    fn write(&self, w: &mut Writer<'_>, marks: &mut Marks) {
        w.key("source").object(|w| match self {
            Self::Base64 { mime, data } => {
                w.key("type").string("base64");
                w.key("media_type").string(mime);
                w.key("data").string(data);
            }
            Self::Url(url) => {
                w.key("type").string("url");
                w.key("url").string(url);
            }
            Self::File(id) => {
                w.key("type").string("file");
                w.key("file_id").string(id);
            }
            Self::Text(text) => {
                w.key("type").string("text");
                w.key("media_type").string("text/plain");
                w.key("data").string(text);
            }
            Self::Content(blocks) => {
                w.key("type").string("content");
                write_all(blocks, w.key("content"), marks);
            }
        });
    }
}

fn write_enabled(w: &mut Writer<'_>, enabled: Option<bool>) {
    if let Some(enabled) = enabled {
        w.key("citations").object(|w| w.key("enabled").bool(enabled));
    }
}

/// Writes a citation. Web citations of others lack the opaque index; an empty one keeps the shape that
/// clients parse.
pub(super) fn write_citation(citation: &Citation, w: &mut Writer<'_>) {
    match citation {
        Citation::Url { url, title, cited_text, encrypted_index, .. } => w.object(|w| {
            w.key("type").string("web_search_result_location");
            w.key("url").string(url);
            match title {
                Some(title) => w.key("title").string(title),
                None => w.key("title").null(),
            }
            w.key("cited_text").string(cited_text.as_deref().unwrap_or_default());
            w.key("encrypted_index").string(encrypted_index.as_deref().unwrap_or_default());
        }),
        Citation::Native { raw, .. } => w.raw(raw.as_str()),
    }
}

/// Whether Anthropic's clients can read a citation at all.
pub(super) fn is_readable(citation: &Citation) -> bool {
    match citation {
        Citation::Url { .. } => true,
        Citation::Native { dialect, .. } => *dialect == DIALECT,
    }
}
