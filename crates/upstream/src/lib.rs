//! Performs calls: dials, pools and drives connections, finds out what an engine is, fetches media.
//!
//! Nothing here chooses a worker, retries, or knows what the client will be told.

mod connect;
mod endpoint;
pub mod engine;
mod error;
mod exchange;
mod framing;
mod gate;
mod head;
mod http1;
mod http2;
mod inspect;
pub mod load;
pub mod media;
mod pool;
pub mod reach;
mod sigv4;
mod streamed;
mod tcp;

pub use connect::{Connector, ConnectorSettings, TlsSetup};
pub use endpoint::{BadUrl, Endpoint};
pub use error::UpstreamError;
pub use exchange::{Answer, AnswerBody};
pub use framing::NotHttp;
pub use inspect::{Agreed, Reached};
pub use pool::{ConnectionCounts, Pool, PoolSettings};
pub use sigv4::{BodyHash, Signer, Unsigned};
pub use streamed::Streamed;
