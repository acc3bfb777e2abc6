//! The pool from outside, in front of peers on loopback that do what their test wants.
#![expect(clippy::disallowed_methods, reason = "peers and clients live as long as their test")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

mod http1;
mod http2;
mod peer;
mod streamed;
