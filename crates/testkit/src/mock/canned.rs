//! The mock's answers, made once: heads, bodies and chunks as they go on the wire.

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
}

/// A stream in parts.
#[derive(Debug)]
pub(super) struct Script {
    /// Response head and the events before the text.
    pub(super) opening: Vec<u8>,
    /// One text chunk.
    pub(super) chunk: Vec<u8>,
    /// Where in it the stamp's digits are.
    pub(super) stamp_at: usize,
    /// The events after the text and the end of the body.
    pub(super) closing: Vec<u8>,
}

impl Script {
    fn new(opening: &[String], chunk: &str, closing: &[String]) -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
                    cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
        let framed = |events: &[String]| events.iter().map(|event| frame(event)).collect::<String>();
        let chunk = frame(chunk).into_bytes();
        let stamp_at =
            memchr::memmem::find(&chunk, blank_stamp().as_bytes()).unwrap_or_default() + clock::MARK.len();
        Self {
            opening: format!("{head}{}", framed(opening)).into_bytes(),
            chunk,
            stamp_at,
            closing: format!("{}0\r\n\r\n", framed(closing)).into_bytes(),
        }
    }
}

impl Canned {
    pub(super) fn new(model: &str) -> Self {
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
        &delta(json!({"content": format!("{} ", blank_stamp())}), Value::Null),
        &[delta(json!({}), json!("stop")), envelope(json!([]), usage), "data: [DONE]\n\n".to_owned()],
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
        &event("content_block_delta", json!({"index": 0, "delta": {"type": "text_delta", "text": text}})),
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
    )
}

/// A whole response in JSON.
pub(super) fn answer(status: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// One chunk of a chunked body.
fn frame(event: &str) -> String {
    format!("{:x}\r\n{event}\r\n", event.len())
}

fn blank_stamp() -> String {
    format!("{}{:0width$}", String::from_utf8_lossy(clock::MARK), 0, width = clock::DIGITS)
}
