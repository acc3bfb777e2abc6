//! Every source of every chain, asked over loopback: what is sent to whom, and what comes of it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

mod aws;
mod azure;
mod google;
mod rig;
