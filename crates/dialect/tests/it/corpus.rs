//! Answers as real upstreams give them, whole and streamed: what the laws and the mutations start from.

/// Anthropic: thoughts, words, two calls, cache counts.
pub(crate) const CLAUDE_REPLY: &str = r#"{
  "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
  "type": "message",
  "role": "assistant",
  "model": "claude-sonnet-4-5-20250929",
  "content": [
    {"type": "thinking", "thinking": "The user wants weather in two cities.", "signature": "EqQBCkYICxgCKkBzaWc="},
    {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3p"},
    {"type": "text", "text": "Let me look at Zürich and Łódź 🌧."},
    {"type": "tool_use", "id": "toolu_01A", "name": "weather", "input": {"city": "Zürich", "id": 12345678901234567890, "ratio": 1.0}},
    {"type": "tool_use", "id": "toolu_01B", "name": "weather", "input": {}}
  ],
  "stop_reason": "tool_use",
  "stop_sequence": null,
  "usage": {
    "input_tokens": 10,
    "cache_read_input_tokens": 5,
    "cache_creation_input_tokens": 3,
    "output_tokens": 42
  }
}"#;

/// The same, streamed with the pauses and cuts of a real answer.
pub(crate) const CLAUDE_STREAM: &[&str] = &[
    r#"{"type":"message_start","message":{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":3,"output_tokens":1}}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"The user wants "}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"weather in two cities."}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQBCkYICxgCKkBzaWc="}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"EmwKAhgBEgy3va3p"}}"#,
    r#"{"type":"content_block_stop","index":1}"#,
    r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Let me look at Zürich"}}"#,
    r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":" and Łódź 🌧."}}"#,
    r#"{"type":"content_block_stop","index":2}"#,
    r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_01A","name":"weather","input":{}}}"#,
    r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":""}}"#,
    r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"city\": \"Zür"}}"#,
    r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"ich\", \"id\": 12345678901234567890,"}}"#,
    r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":" \"ratio\": 1.0}"}}"#,
    r#"{"type":"content_block_stop","index":3}"#,
    r#"{"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"toolu_01B","name":"weather","input":{}}}"#,
    r#"{"type":"content_block_stop","index":4}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":3,"output_tokens":42}}"#,
    r#"{"type":"message_stop"}"#,
];

/// An engine: reasoning, words, two calls.
pub(crate) const ENGINE_REPLY: &str = r#"{"id":"chatcmpl-8f2","object":"chat.completion","created":1763700000,"model":"qwen3-32b","choices":[{"index":0,"message":{"role":"assistant","reasoning_content":"Two cities.","content":"Let me look at Zürich and Łódź 🌧.","tool_calls":[{"id":"call_a","type":"function","function":{"name":"weather","arguments":"{\"city\": \"Zürich\", \"id\": 12345678901234567890, \"ratio\": 1.0}"}},{"id":"call_b","type":"function","function":{"name":"weather","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":18,"completion_tokens":42,"total_tokens":60,"prompt_tokens_details":{"cached_tokens":5}}}"#;

/// The same, streamed.
pub(crate) const ENGINE_STREAM: &[&str] = &[
    r#"{"id":"chatcmpl-8f2","object":"chat.completion.chunk","created":1763700000,"model":"qwen3-32b","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-8f2","object":"chat.completion.chunk","created":1763700000,"model":"qwen3-32b","choices":[{"index":0,"delta":{"reasoning_content":"Two "},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-8f2","object":"chat.completion.chunk","created":1763700000,"model":"qwen3-32b","choices":[{"index":0,"delta":{"reasoning_content":"cities."},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-8f2","object":"chat.completion.chunk","created":1763700000,"model":"qwen3-32b","choices":[{"index":0,"delta":{"content":"Let me look at Zürich"},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-8f2","object":"chat.completion.chunk","created":1763700000,"model":"qwen3-32b","choices":[{"index":0,"delta":{"content":" and Łódź 🌧."},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-8f2","object":"chat.completion.chunk","created":1763700000,"model":"qwen3-32b","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"weather","arguments":""}}]},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-8f2","object":"chat.completion.chunk","created":1763700000,"model":"qwen3-32b","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\": \"Zür"}}]},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-8f2","object":"chat.completion.chunk","created":1763700000,"model":"qwen3-32b","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"ich\", \"id\": 12345678901234567890, \"ratio\": 1.0}"}}]},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-8f2","object":"chat.completion.chunk","created":1763700000,"model":"qwen3-32b","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"weather","arguments":"{}"}}]},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-8f2","object":"chat.completion.chunk","created":1763700000,"model":"qwen3-32b","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
    r#"{"id":"chatcmpl-8f2","object":"chat.completion.chunk","created":1763700000,"model":"qwen3-32b","choices":[],"usage":{"prompt_tokens":18,"completion_tokens":42,"total_tokens":60,"prompt_tokens_details":{"cached_tokens":5}}}"#,
];

/// A chat client's call that uses most of the dialect.
pub(crate) const CHAT_CALL: &str = r#"{"model":"m","messages":[{"role":"system","content":"be brief"},{"role":"user","name":"bob","content":[{"type":"text","text":"hé 🌧","prompt_cache_breakpoint":{"mode":"explicit"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"low"}},{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}]},{"role":"assistant","content":null,"reasoning_content":"t","thinking_blocks":[{"type":"thinking","thinking":"t","signature":"c2ln"}],"tool_calls":[{"id":"call:1","type":"function","function":{"name":"files.read","arguments":"{\"n\":12345678901234567890,\"r\":1.0}"}},{"id":"c2","type":"custom","custom":{"name":"patch","input":"*** Begin\n\"x\""}}]},{"role":"tool","tool_call_id":"c2","content":"ok"},{"role":"tool","tool_call_id":"call:1","content":[{"type":"text","text":"r"}]},{"role":"developer","content":"note"},{"role":"user","content":"and?"}],"tools":[{"type":"function","function":{"name":"files.read","description":"d","parameters":{"type":"object","properties":{"n":{"type":"integer","maximum":12345678901234567890},"r":{"enum":[1.0]}}},"strict":true}},{"type":"custom","custom":{"name":"patch","description":"p","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"start: /a/"}}}}],"tool_choice":"auto","parallel_tool_calls":true,"max_completion_tokens":9000,"reasoning_effort":"low","stop":["END"],"temperature":1.0,"seed":9007199254740993,"logit_bias":{"1":2.5},"response_format":{"type":"json_schema","json_schema":{"name":"o","schema":{"type":"object","properties":{"x":{"const":1.0}},"additionalProperties":false}}},"stream":true,"stream_options":{"include_usage":true},"user":"u-1","metadata":{"k":"v"},"unknown":{"deep":[1.0]}}"#;

/// The same for an Anthropic client.
pub(crate) const MESSAGES_CALL: &str = r#"{"model":"m","max_tokens":9000,"system":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral","ttl":"1h"}}],"messages":[{"role":"user","content":[{"type":"text","text":"hé 🌧"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}},{"type":"document","title":"a.pdf","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"c2ln"},{"type":"redacted_thinking","data":"ZA=="},{"type":"text","text":"look"},{"type":"tool_use","id":"toolu_1","name":"read","input":{"n":12345678901234567890,"r":1.0}},{"type":"tool_use","id":"toolu_2","name":"read","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"r"},{"type":"image","source":{"type":"url","url":"https://x/a.png"}}]},{"type":"tool_result","tool_use_id":"toolu_2","is_error":true,"content":"no"},{"type":"text","text":"and?","cache_control":{"type":"ephemeral"}}]}],"tools":[{"name":"read","description":"d","input_schema":{"type":"object","properties":{"n":{"type":"integer","maximum":12345678901234567890},"r":{"enum":[1.0]}}},"cache_control":{"type":"ephemeral"}}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true},"thinking":{"type":"enabled","budget_tokens":2048},"stop_sequences":["END"],"temperature":1.0,"top_k":40,"metadata":{"user_id":"u-1"},"service_tier":"auto","stream":true,"unknown":{"deep":[1.0]}}"#;
