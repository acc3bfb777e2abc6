//! Calls of tools, and what came of them: for the model a text, for the client an item.

use super::toolset::Exposed;
use crate::config::Mcp;
use serde_json::{Value, json};
use trunkline_core::{Item, ItemKind, Json, Part, ToolCall, ToolResult};
use trunkline_mcp::{Limits, McpError, Output, Server, Sessions};

/// What came of a call.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The tool answered.
    Said(Output),
    /// It could not be called.
    Failed(McpError),
    /// It was not called, and why.
    Not(String),
}

/// Calls a tool.
pub(super) async fn call(
    sessions: &Sessions,
    server: &Server,
    exposed: &Exposed,
    arguments: &str,
    config: &Mcp,
) -> Outcome {
    let limits = Limits { timeout: config.timeout, output_bytes: config.max_output_bytes };
    match sessions.call(server, &exposed.tool.name, arguments, limits).await {
        Ok(output) => Outcome::Said(output),
        Err(why) => Outcome::Failed(why),
    }
}

impl Outcome {
    /// What the model is told.
    pub(super) fn result(&self, call: &ToolCall) -> Item {
        let (text, is_error) = match self {
            Self::Said(output) => (output.text.clone(), output.is_error),
            Self::Failed(why) => (why.to_string(), true),
            Self::Not(why) => (why.clone(), true),
        };
        Item::new(ItemKind::ToolResult(ToolResult {
            call_id: call.call_id.clone(),
            name: None,
            parts: vec![Part::text(text)],
            is_error: Some(is_error),
            cache: None,
        }))
    }

    /// What the client is told.
    pub(super) fn members(&self) -> Json {
        let said = match self {
            Self::Said(Output { text, is_error: false }) => json!({"output": text, "error": null}),
            Self::Said(Output { text, is_error: true }) => failed(json!({
                "type": "mcp_tool_execution_error", "content": [{"type": "text", "text": text}],
            })),
            Self::Failed(why @ McpError::Protocol { code, .. }) => {
                failed(json!({"type": "mcp_protocol_error", "code": code, "message": why.to_string()}))
            }
            Self::Failed(why) => {
                failed(json!({"type": "http_error", "code": status(why), "message": why.to_string()}))
            }
            Self::Not(why) => failed(json!({
                "type": "mcp_tool_execution_error", "content": [{"type": "text", "text": why}],
            })),
        };
        Json::from(&said)
    }
}

fn failed(error: Value) -> Value {
    json!({"output": null, "error": error})
}

/// The status that a failure has or would have.
fn status(why: &McpError) -> u16 {
    match why {
        McpError::Status(status) => *status,
        McpError::Timeout(_) => 504,
        McpError::Arguments => 400,
        McpError::Unreachable(_) | McpError::Protocol { .. } | McpError::Nonsense | McpError::WantsInput => {
            502
        }
    }
}
