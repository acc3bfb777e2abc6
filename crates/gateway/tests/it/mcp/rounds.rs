//! Turn after turn.
