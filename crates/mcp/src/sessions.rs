//! Sessions with servers, kept for the next call. A session is found by all that was presented when it was opened, so
//! that no caller is ever served through another's.

use crate::error::McpError;
use crate::output::Output;
use crate::server::{Key, Server};
use crate::session::{Session, Tool};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};
use trunkline_upstream::{Connector, Pool};

/// How long a session is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(300);
/// Most sessions that are kept.
const KEPT: usize = 256;
/// How long a server may take to shake hands, and to list its tools.
const OPENING: Duration = Duration::from_secs(10);

/// What a call may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long it may take.
    pub timeout: Duration,
    /// How much of its output is read by the model.
    pub output_bytes: usize,
}

/// Sessions of one serving thread.
pub struct Sessions {
    connector: Arc<Connector>,
    pool: Arc<Pool>,
    kept: Mutex<HashMap<Key, Kept>>,
}

struct Kept {
    session: Opening,
    used: Instant,
}

/// Opened once, however many wait for it.
type Opening = Arc<OnceCell<Arc<Session>>>;

impl Sessions {
    /// None yet.
    #[must_use]
    pub fn new(connector: Arc<Connector>, pool: Arc<Pool>) -> Self {
        Self { connector, pool, kept: Mutex::default() }
    }

    /// The tools of `server`.
    ///
    /// # Errors
    /// See [`McpError`].
    pub async fn tools(&self, server: &Server) -> Result<Arc<[Tool]>, McpError> {
        match self.session(server).await?.tools(OPENING).await {
            Err(error) if error.is_of_session() => {
                self.forget(server);
                self.session(server).await?.tools(OPENING).await
            }
            other => other,
        }
    }

    /// Calls `tool` of `server` with `arguments`, once. Dropping the call calls it off.
    ///
    /// # Errors
    /// See [`McpError`]; that a tool failed is part of what it answers.
    pub async fn call(
        &self,
        server: &Server,
        tool: &str,
        arguments: &str,
        limits: Limits,
    ) -> Result<Output, McpError> {
        let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
        let Ok(Value::Object(arguments)) = serde_json::from_str(arguments) else {
            return Err(McpError::Arguments);
        };
        let call = async { self.session(server).await?.call(tool, arguments, limits.output_bytes).await };
        timeout(limits.timeout, call).await.unwrap_or(Err(McpError::Timeout(limits.timeout)))
    }

    async fn session(&self, server: &Server) -> Result<Arc<Session>, McpError> {
        let opening = self.opening(server.key());
        let way = (&self.connector, &self.pool);
        let open = async || Session::open(way, server, OPENING).await.map(Arc::new);
        opening.get_or_try_init(open).await.cloned()
    }

    fn opening(&self, key: Key) -> Opening {
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = |kept: &Kept| {
            let is_over = kept.session.get().is_some_and(|session| session.is_over());
            !is_over && now.duration_since(kept.used) < IDLE
        };
        kept.retain(|_, kept| is_good(kept));
        if kept.len() >= KEPT && !kept.contains_key(&key) {
            let oldest = kept.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| *key);
            oldest.and_then(|oldest| kept.remove(&oldest));
        }
        let entry = kept.entry(key).or_insert_with(|| Kept { session: Opening::default(), used: now });
        entry.used = now;
        Arc::clone(&entry.session)
    }

    fn forget(&self, server: &Server) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&server.key());
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}
