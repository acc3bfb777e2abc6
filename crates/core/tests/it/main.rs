//! What holds for the workspace as a whole, tested in the crate that all others stand on.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod directions;
