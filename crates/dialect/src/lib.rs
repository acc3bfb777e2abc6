//! Bytes to meaning and back, without I/O, clock or runtime: codecs between each wire dialect and the
//! neutral model of `trunkline-core`, the framers they stand on, and the scan and splice that let
//! same-dialect traffic pass untouched.

pub mod anthropic_messages;
mod arguments;
pub mod bedrock;
pub mod catalog;
mod claude;
pub mod codec;
pub mod cohere;
pub mod cost;
pub mod count;
mod data_url;
pub mod embed;
pub mod fields;
pub mod form;
pub mod framing;
mod free_text;
pub mod gemini;
pub mod image;
mod inline;
pub mod json;
mod media;
pub mod names;
mod ndjson;
pub mod nesting;
pub mod ollama;
mod openai;
pub mod openai_chat;
pub mod openai_completions;
pub mod openai_responses;
mod place;
pub mod profile;
pub mod provider;
pub mod ratelimit;
mod redact;
pub mod region;
pub mod rename;
pub mod replicate;
pub mod rerank;
pub mod restore;
pub mod rope;
pub mod scan;
pub mod seal;
mod serial;
pub mod speech;
pub mod sse;
mod status;
pub mod stop;
mod stored;
pub mod stream_usage;
pub mod surface;
pub mod tap;
#[cfg(test)]
mod testing;
pub mod transcript;
mod turns;
mod unsent;
mod user;
mod waiting;

pub use codec::{
    Context, StreamReader, StreamWriter, Target, UserIds, Vendor, Written, echo, read_call, read_error,
    read_reply, read_reply_of, reads, speaks, streams_by_default, translates, write_call, write_error,
    write_reply, write_stream_error, writes,
};
pub use inline::{inline, named_at, needs_inlining};
