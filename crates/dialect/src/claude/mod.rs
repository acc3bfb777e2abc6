//! What Claude models take and refuse, whichever dialect a call to one is written in: Anthropic's own and
//! the clouds' dialects carry the same parameters in other places.

mod sampling;
pub(crate) mod schema;
pub(crate) mod think;
mod traits;

pub(crate) use sampling::{Sampling, sampling};
pub(crate) use traits::{Thinks, Traits};
