//! The pool from outside, in front of peers on loopback that do what their test wants.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

mod http1;
mod http2;
mod peer;
