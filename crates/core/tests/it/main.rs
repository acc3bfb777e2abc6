//! What holds for the workspace as a whole, tested in the crate that all others stand on.

mod directions;
