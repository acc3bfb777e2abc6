//! An MCP server over streamable HTTP, of the time with handshakes and sessions: it refuses who presents the wrong
//! token, has no session or does not know what it is asked, as a real one does.

use crate::script::{Abort, Reply, Upstream};
use crate::serve::{Received, hold};
use serde_json::{Value, json};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What to serve.
#[derive(Debug, Clone, Default)]
pub struct McpConfig {
    /// The tools, listed two a page.
    pub tools: Vec<McpTool>,
    /// What callers must present.
    pub token: Option<String>,
    /// Whether answers come as streams of events.
    pub streams: bool,
}

/// A tool.
#[derive(Debug, Clone)]
pub struct McpTool {
    /// Its name.
    pub name: String,
    /// Whether it says that it changes nothing.
    pub read_only: bool,
    /// What it answers.
    pub says: Says,
}

/// What a tool answers.
#[derive(Debug, Clone)]
pub enum Says {
    /// A text, with `{}` replaced by its arguments.
    Text(String),
    /// That it failed, in these words.
    Error(String),
    /// An error of the protocol.
    Refusal(i64, String),
    /// A text, after a while.
    Late(Duration, String),
}

/// A running server; stops when dropped.
#[derive(Debug)]
pub struct McpServer {
    upstream: Upstream,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug, Default)]
struct Heard {
    sessions: usize,
    calls: Vec<(String, Value)>,
    cancelled: usize,
}

impl McpTool {
    /// One that changes things.
    #[must_use]
    pub fn new(name: &str, says: Says) -> Self {
        Self { name: name.to_owned(), read_only: false, says }
    }
}

impl McpServer {
    /// Starts one.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(config: McpConfig) -> io::Result<Self> {
        let heard = Arc::<Mutex<Heard>>::default();
        let noting = Arc::clone(&heard);
        let upstream = Upstream::directed(move |request, _| config.answer(request, &noting)).await?;
        Ok(Self { upstream, heard })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/mcp", self.upstream.url())
    }

    /// The calls so far: the tool and its arguments.
    #[must_use]
    pub fn calls(&self) -> Vec<(String, Value)> {
        hold(&self.heard).calls.clone()
    }

    /// Handshakes so far.
    #[must_use]
    pub fn sessions(&self) -> usize {
        hold(&self.heard).sessions
    }

    /// Calls that were called off.
    #[must_use]
    pub fn cancelled(&self) -> usize {
        hold(&self.heard).cancelled
    }

    /// Every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.upstream.requests()
    }

    /// Clients that went away before they had their answer.
    #[must_use]
    pub fn aborts(&self) -> Vec<Abort> {
        self.upstream.aborts()
    }
}

impl McpConfig {
    fn answer(&self, request: &Received, heard: &Mutex<Heard>) -> Reply {
        if self.token.as_deref() != request.bearer() && self.token.is_some() {
            return Reply::json(401, "{}").header("www-authenticate", "Bearer");
        }
        let asked = request.json();
        let (id, method) = (at(&asked, "/id"), at(&asked, "/method"));
        let method = method.as_str().unwrap_or_default();
        if request.method != http::Method::POST {
            return Reply::json(if request.method == http::Method::DELETE { 200 } else { 405 }, "");
        }
        if method == "initialize" {
            let mut heard = hold(heard);
            heard.sessions += 1;
            let result = json!({"protocolVersion": at(&asked, "/params/protocolVersion"),
                "capabilities": {"tools": {}}, "serverInfo": {"name": "testkit", "version": "1"}});
            return self.said(id, result).header("mcp-session-id", &format!("session-{}", heard.sessions));
        }
        let session =
            request.header("mcp-session-id").and_then(|id| id.strip_prefix("session-")?.parse().ok());
        match session {
            None => return Reply::json(400, "no session"),
            Some(session) if session > hold(heard).sessions => return Reply::json(404, "unknown session"),
            Some::<usize>(_) => {}
        }
        match method {
            "notifications/cancelled" => {
                hold(heard).cancelled += 1;
                Reply::json(202, "")
            }
            _ if id.is_null() => Reply::json(202, ""),
            "tools/list" => self.said(id, self.page(at(&asked, "/params/cursor"))),
            "tools/call" => self.call(id, at(&asked, "/params/name"), at(&asked, "/params/arguments"), heard),
            _ => {
                let error = json!({"code": -32601, "message": format!("no method {method}")});
                Reply::json(200, json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string())
            }
        }
    }

    fn page(&self, cursor: &Value) -> Value {
        let from: usize = cursor.as_str().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let page = self.tools.iter().skip(from).take(2).map(|tool| {
            json!({"name": tool.name, "description": format!("Does {}.", tool.name),
                "inputSchema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
                "annotations": {"readOnlyHint": tool.read_only}})
        });
        let next = (from + 2 < self.tools.len()).then(|| (from + 2).to_string());
        json!({"tools": page.collect::<Vec<_>>(), "nextCursor": next})
    }

    fn call(&self, id: &Value, name: &Value, arguments: &Value, heard: &Mutex<Heard>) -> Reply {
        let name = name.as_str().unwrap_or_default();
        hold(heard).calls.push((name.to_owned(), arguments.clone()));
        let text = |text: &str| json!([{"type": "text", "text": text}]);
        let Some(tool) = self.tools.iter().find(|tool| tool.name == name) else {
            return self.said(id, json!({"content": text("no such tool"), "isError": true}));
        };
        match &tool.says {
            Says::Text(said) => {
                let said = said.replace("{}", &arguments.to_string());
                self.said(id, json!({"content": text(&said), "isError": false}))
            }
            Says::Error(why) => self.said(id, json!({"content": text(why), "isError": true})),
            Says::Refusal(code, why) => {
                let error = json!({"code": code, "message": why});
                Reply::json(200, json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string())
            }
            Says::Late(wait, said) => self.said(id, json!({"content": text(said)})).after(*wait),
        }
    }

    fn said(&self, id: &Value, result: Value) -> Reply {
        let body = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
        if self.streams {
            let events = [": hello\n\n".to_owned(), format!("event: message\ndata: {body}\n\n")];
            return Reply::events(events, Duration::ZERO);
        }
        Reply::json(200, body)
    }
}

/// What stands at a JSON pointer.
fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}
