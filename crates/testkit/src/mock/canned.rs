//! The mock's answers, made once: heads, bodies and chunks as they go on the wire.

use super::Says;
use crate::clock;
use serde_json::{Value, json};

const TEXT: &str = "A message leaves the coast before dawn and crosses three exchanges on its way inland; \
                    at each one a clerk reads the tape, keys it again and wishes the next clerk a good \
                    morning. By noon it has become a telegram, a headline and a rumour, and only the \
                    first of them is exact. In the evening an answer starts back along the same wire. It \
                    is shorter, it is better spelled, and nobody keys it twice, because by then every \
                    exchange has learned to pass on what it does not have to read. The last clerk of the \
                    day counts the slips, closes the book and writes underneath how many words went out, \
                    how many came home, and what was owed for each of them. ";

/// The content type of streams that both dialects known here have.
const EVENTS: &str = "text/event-stream; charset=utf-8";

/// Input and output tokens of every answer.
const USAGE: (u64, u64) = (57, 96);

/// When every answer was made, in seconds since the Unix epoch.
const CREATED: u64 = 1_790_000_000;

/// Everything the mock can say.
#[derive(Debug)]
pub(super) struct Canned {
    pub(super) chat: Vec<u8>,
    pub(super) messages: Vec<u8>,
    pub(super) models: Vec<u8>,
    pub(super) health: Vec<u8>,
    pub(super) info: Vec<u8>,
    pub(super) not_found: Vec<u8>,
    pub(super) chat_stream: Script,
    pub(super) messages_stream: Script,
    pub(super) said: Option<(Vec<u8>, Script)>,
}

/// A stream in parts.
#[derive(Debug)]
pub(super) struct Script {
    /// Response head and the events before the text.
    pub(super) opening: Vec<u8>,
    /// One text chunk.
    pub(super) chunk: Vec<u8>,
    /// Where in it the stamp's digits are, if it has any.
    pub(super) stamp_at: Option<usize>,
    /// The events after the text and the end of the body.
    pub(super) closing: Vec<u8>,
}

impl Script {
    fn new(opening: &[impl AsRef<[u8]>], chunk: &[u8], closing: &[impl AsRef<[u8]>], kind: &str) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncache-control: no-cache\r\n\
             transfer-encoding: chunked\r\n\r\n"
        );
        let chunk = frame(chunk);
        let stamp = memchr::memmem::find(&chunk, blank_stamp().as_bytes());
        Self {
            opening: [head.into_bytes(), frames(opening)].concat(),
            chunk,
            stamp_at: stamp.map(|at| at + clock::MARK.len()),
            closing: [frames(closing), b"0\r\n\r\n".to_vec()].concat(),
        }
    }

    /// The stream of `events`, of which the longest run of equal ones is the text.
    fn of(events: &[Vec<u8>], kind: &str) -> Self {
        let mut at = 0;
        let mut text = 0..0;
        for run in events.chunk_by(|one, next| one == next) {
            if run.len() > text.len() {
                text = at..at + run.len();
            }
            at += run.len();
        }
        let (opening, rest) = events.split_at(text.start);
        let (text, closing) = rest.split_at(text.len());
        Self::new(opening, text.first().map_or(&[], Vec::as_slice), closing, kind)
    }
}

impl Canned {
    pub(super) fn new(model: &str, says: Option<&Says>) -> Self {
        let (input, output) = USAGE;
        let total = input + output;
        let openai_usage =
            json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": total});
        let chat = json!({
            "id": "chatcmpl-mock", "object": "chat.completion", "created": CREATED, "model": model,
            "choices": [{
                "index": 0, "message": {"role": "assistant", "content": TEXT}, "logprobs": null,
                "finish_reason": "stop",
            }],
            "usage": openai_usage, "system_fingerprint": "fp_mock",
        });
        let messages = json!({
            "id": "msg_mock", "type": "message", "role": "assistant", "model": model,
            "content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn",
            "stop_sequence": null, "usage": {"input_tokens": input, "output_tokens": output},
        });
        let entry = json!({
            "id": model, "object": "model", "created": CREATED, "owned_by": "mock", "max_model_len": 262_144,
        });
        let info = json!({
            "model_path": model, "tokenizer_path": model, "served_model_name": model,
            "model_type": "llama", "is_generation": true, "tp_size": 1, "dp_size": 1, "pp_size": 1,
            "version": "0.0.0", "context_length": 262_144, "max_total_num_tokens": 1_000_000,
            "disaggregation_mode": "null", "internal_states": [{}],
        });
        let missing = json!({"error": {"message": "not found", "type": "invalid_request_error"}});
        Self {
            chat: answer("200 OK", &chat),
            messages: answer("200 OK", &messages),
            models: answer("200 OK", &json!({"object": "list", "data": [entry]})),
            health: answer("200 OK", &json!({"status": "ok"})),
            info: answer("200 OK", &info),
            not_found: answer("404 Not Found", &missing),
            chat_stream: chat_stream(model, &openai_usage),
            messages_stream: messages_stream(model),
            said: says
                .map(|says| (answer_of("200 OK", &says.whole), Script::of(&says.stream, &says.stream_type))),
        }
    }
}

fn chat_stream(model: &str, usage: &Value) -> Script {
    let envelope = |choices: Value, usage: &Value| {
        let chunk = json!({
            "id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": CREATED,
            "model": model, "choices": choices, "usage": usage, "system_fingerprint": "fp_mock",
        });
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, finish: Value| {
        envelope(
            json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]),
            &Value::Null,
        )
    };
    Script::new(
        &[delta(json!({"role": "assistant", "content": ""}), Value::Null)],
        delta(json!({"content": format!("{} ", blank_stamp())}), Value::Null).as_bytes(),
        &[delta(json!({}), json!("stop")), envelope(json!([]), usage), "data: [DONE]\n\n".to_owned()],
        EVENTS,
    )
}

fn messages_stream(model: &str) -> Script {
    let (input, output) = USAGE;
    let event = |kind: &str, more: Value| {
        let mut event = more;
        if let Some(fields) = event.as_object_mut() {
            fields.insert("type".to_owned(), kind.into());
        }
        format!("event: {kind}\ndata: {event}\n\n")
    };
    let message = json!({
        "id": "msg_mock", "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": input, "output_tokens": 1},
    });
    let text = format!("{} ", blank_stamp());
    Script::new(
        &[
            event("message_start", json!({"message": message})),
            event("content_block_start", json!({"index": 0, "content_block": {"type": "text", "text": ""}})),
            event("ping", json!({})),
        ],
        event("content_block_delta", json!({"index": 0, "delta": {"type": "text_delta", "text": text}}))
            .as_bytes(),
        &[
            event("content_block_stop", json!({"index": 0})),
            event(
                "message_delta",
                json!({
                    "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                    "usage": {"output_tokens": output},
                }),
            ),
            event("message_stop", json!({})),
        ],
        EVENTS,
    )
}

/// A whole response in JSON.
pub(super) fn answer(status: &str, body: &Value) -> Vec<u8> {
    answer_of(status, body.to_string().as_bytes())
}

fn answer_of(status: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// One chunk of a chunked body.
fn frame(event: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", event.len()).as_bytes(), event, b"\r\n"].concat()
}

fn frames(events: &[impl AsRef<[u8]>]) -> Vec<u8> {
    events.iter().flat_map(|event| frame(event.as_ref())).collect()
}

fn blank_stamp() -> String {
    format!("{}{:0width$}", String::from_utf8_lossy(clock::MARK), 0, width = clock::DIGITS)
}
