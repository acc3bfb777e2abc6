//! One session with one server, and the tools it has.

use crate::error::McpError;
use crate::http::Http;
use crate::output::Output;
use crate::server::Server;
use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientCapabilities, ClientConfig, Implementation,
    PaginatedRequestParams, ProtocolVersion,
};
use rmcp::service::{ClientLifecycleMode, RunningService, serve_client_with_lifecycle};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use trunkline_core::Json;
use trunkline_upstream::{Connector, Pool};

/// How long a list of tools is taken to be true.
const FRESH: Duration = Duration::from_secs(300);
/// Most pages of a list, which a server may make go round in circles.
const PAGES: usize = 64;
/// Most tools of one server.
const TOOLS: usize = 1024;

/// A tool, as its server describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name there.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// JSON Schema of its arguments.
    pub schema: Json,
    /// What the server hints at, verbatim.
    pub annotations: Option<Json>,
    /// Whether it changes nothing, if the server is to be believed.
    pub read_only: bool,
}

/// One session. Dropping it ends it.
pub(crate) struct Session {
    service: RunningService<RoleClient, ClientConfig>,
    inventory: Mutex<Option<(Instant, Arc<[Tool]>)>>,
}

impl Session {
    /// Shakes hands with `server`, in the way of whichever revision of the protocol it speaks.
    pub(crate) async fn open(
        (connector, pool): (&Arc<Connector>, &Arc<Pool>),
        server: &Server,
        patience: Duration,
    ) -> Result<Self, McpError> {
        let http = Http {
            connector: Arc::clone(connector),
            pool: Arc::clone(pool),
            place: Arc::new(server.place.clone()),
            headers: Arc::new(server.headers.clone()),
            reach: server.reach,
            patience,
        };
        // The address is known to `http`; here it would find its way into the library's log lines.
        let config = StreamableHttpClientTransportConfig::with_uri("mcp");
        let transport = StreamableHttpClientTransport::with_client(http, config);
        let name = Implementation::new("trunkline", env!("CARGO_PKG_VERSION"));
        let client = ClientConfig::new(ClientCapabilities::default(), name);
        let lifecycle = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::LATEST],
            legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
        };
        let opening = serve_client_with_lifecycle(client, transport, lifecycle);
        let service = timeout(patience, opening).await.map_err(|_| McpError::Timeout(patience))??;
        Ok(Self { service, inventory: Mutex::default() })
    }

    /// Whether nothing can be asked of it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.service.is_closed() || self.service.peer().is_transport_closed()
    }

    /// Its tools, listed lately.
    pub(crate) async fn tools(&self, patience: Duration) -> Result<Arc<[Tool]>, McpError> {
        let now = Instant::now();
        let known = self.inventory.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, tools)) = known.filter(|(since, _)| now.duration_since(*since) < FRESH) {
            return Ok(tools);
        }
        let listed = timeout(patience, self.list()).await.map_err(|_| McpError::Timeout(patience))??;
        let tools: Arc<[Tool]> = listed.into();
        *self.inventory.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::clone(&tools)));
        Ok(tools)
    }

    async fn list(&self) -> Result<Vec<Tool>, McpError> {
        let mut tools = Vec::new();
        let mut asked = PaginatedRequestParams::default();
        for _ in 0..PAGES {
            let page = self.service.peer().list_tools(Some(asked.clone())).await?;
            tools.extend(page.tools.iter().map(Tool::of));
            let next = page.next_cursor.filter(|next| asked.cursor.as_ref() != Some(next));
            if next.is_none() || tools.len() >= TOOLS {
                break;
            }
            asked.cursor = next;
        }
        tools.truncate(TOOLS);
        Ok(tools)
    }

    /// Calls a tool. Dropping the call tells the server that nobody waits any more.
    pub(crate) async fn call(
        &self,
        tool: &str,
        arguments: Map<String, Value>,
        limit: usize,
    ) -> Result<Output, McpError> {
        let asked = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        match self.service.peer().call_tool_once(asked).await? {
            CallToolResponse::Complete(result) => Ok(Output::of(&result, limit)),
            CallToolResponse::InputRequired(_) | CallToolResponse::Task(_) | _ => Err(McpError::WantsInput),
        }
    }
}

impl Tool {
    fn of(tool: &rmcp::model::Tool) -> Self {
        let hints = tool.annotations.as_ref();
        Self {
            name: tool.name.to_string(),
            description: tool.description.as_ref().map(ToString::to_string),
            schema: Json::from(&Value::Object(Map::clone(&tool.input_schema))),
            annotations: hints
                .and_then(|hints| serde_json::to_value(hints).ok())
                .map(|hints| Json::from(&hints)),
            read_only: hints.and_then(|hints| hints.read_only_hint).unwrap_or(false),
        }
    }
}
