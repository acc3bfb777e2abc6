//! Gemini's models that listen: a conversation of one turn, which asks in words for what is heard to be written down.

use crate::gemini::read_usage;
use crate::json::{Fields, Writer};
use std::fmt::Write;
use trunkline_core::{Fault, FaultKind, Losses, Surface, TranscriptCall, TranscriptReply};

/// Models whose names begin so listen, unless they say that they do something else.
const LISTENERS: &str = "gemini-";
const DEAF: [&str; 3] = ["embedding", "image", "tts"];
/// Models that think first unless they are told not to, and may be told: there is nothing to think about.
const THINKERS: &str = "2.5-flash";

pub(super) fn write_call(call: &TranscriptCall, model: &str, losses: &mut Losses) -> Result<Vec<u8>, Fault> {
    let name = model.rsplit('/').next().unwrap_or(model);
    if !name.starts_with(LISTENERS) || DEAF.iter().any(|other| name.contains(other)) {
        let message =
            format!("model `{name}` does not listen; ask for one that does, such as gemini-2.5-flash");
        return Err(Fault::new(FaultKind::Unsupported, message).at("model").code("unsupported_model"));
    }
    losses.emulated(
        "file",
        "the target has no transcripts; a model is asked in words to write down what it hears",
    );
    let mut body = Vec::with_capacity(1024 + call.sound.data.len());
    Writer::new(&mut body).object(|w| {
        w.key("contents").array(|w| {
            w.object(|w| {
                w.key("role").string("user");
                w.key("parts").array(|w| {
                    w.object(|w| w.key("text").string(&instruction(call)));
                    w.object(|w| {
                        w.key("inlineData").object(|w| {
                            w.key("mimeType").string(mime(&call.sound.mime));
                            w.key("data").string(&call.sound.data);
                        });
                    });
                });
            });
        });
        w.key("generationConfig").object(|w| {
            w.opt_number("temperature", call.temperature.as_ref());
            if name.contains(THINKERS) {
                w.key("thinkingConfig").object(|w| w.key("thinkingBudget").u64(0));
            }
        });
    });
    Ok(body)
}

/// What the model is asked for. What a client says beforehand is quoted, so that it is not taken for a wish.
fn instruction(call: &TranscriptCall) -> String {
    let what = if call.surface == Surface::OpenaiTranslations {
        "Write down in English what is said in this recording."
    } else {
        "Write down what is said in this recording, word for word, in the language that is spoken."
    };
    let mut text = what.to_owned();
    text.push_str(
        " Answer with that text alone: no introduction, no remarks, no times, no names of speakers. Where nothing is \
         said, answer with nothing.",
    );
    // Writing into a string cannot fail.
    if let Some(language) = &call.language {
        let _ = write!(text, " The language that is spoken is `{language}` (ISO 639).");
    }
    if let Some(prompt) = &call.prompt {
        let _ = write!(
            text,
            " The following came before, or shows how words in the recording are spelled; it is no part of what you \
             write:\n<context>\n{prompt}\n</context>"
        );
    }
    text
}

/// The media type as it is called there.
fn mime(mime: &str) -> &str {
    match mime.split(';').next().unwrap_or(mime).trim() {
        "audio/mpeg" | "audio/mpga" => "audio/mp3",
        "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "audio/wav",
        "audio/x-m4a" | "audio/m4a" | "video/mp4" => "audio/mp4",
        "audio/x-flac" => "audio/flac",
        "video/webm" => "audio/webm",
        other => other,
    }
}

pub(super) fn read_reply(body: &[u8]) -> Option<TranscriptReply> {
    let mut fields = Fields::body(body).ok()?.camel();
    let usage = fields.raw("usageMetadata").and_then(|raw| read_usage(raw.get())).map(Box::new);
    let mut candidate = Fields::read(fields.array("candidates").ok()??.first()?, "").ok()?.camel();
    let mut text = String::new();
    let content = candidate.object("content").ok()?;
    let parts = content.map(|mut content| content.array("parts")).transpose().ok()?.flatten();
    for part in parts.unwrap_or_default() {
        let mut part = Fields::read(part, "").ok()?;
        let is_thought = part.bool("thought").ok()? == Some(true);
        if let Some(said) = part.string("text").ok()?.filter(|_| !is_thought) {
            text.push_str(&said);
        }
    }
    // Where nothing is said there is nothing to write down; a model that was stopped has not listened to its end.
    let finish = candidate.string("finishReason").ok()?;
    let is_whole = finish.as_deref().is_none_or(|finish| finish == "STOP");
    is_whole.then(|| TranscriptReply { text: text.trim().to_owned(), usage })
}
