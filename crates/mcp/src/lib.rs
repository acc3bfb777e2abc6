//! Client of MCP servers, whose tools the gateway runs for models that only know functions.
//!
//! One [`Sessions`] for each serving thread, as one pool of connections. Nothing here chooses which tools a model sees,
//! decides whether one may run, or knows what the client of the gateway will be told.

mod error;
mod http;
mod output;
mod server;
mod session;
mod sessions;

pub use error::McpError;
pub use output::Output;
pub use server::{BadServer, Server};
pub use session::Tool;
pub use sessions::{Limits, Sessions};
