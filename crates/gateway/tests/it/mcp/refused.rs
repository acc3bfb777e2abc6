//! What is not done, and how that is told.
