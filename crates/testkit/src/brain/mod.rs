//! What a simulated model does with a request, whatever dialect it came in: [`ask`] reads it,
//! [`answer`] decides the reply, deterministically by seed and prompt. No I/O and no clock.

pub(crate) mod answer;
pub(crate) mod ask;
pub(crate) mod demand;
pub(crate) mod schema;
pub(crate) mod words;
