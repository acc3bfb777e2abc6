//! Why a worker that serves a model is left out for one request, before a policy picks.

use crate::fleet::worker::Worker;
use std::fmt;
use std::sync::Arc;
use trunkline_core::{Fault, FaultKind};

/// Why it is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aside {
    /// It is not in the region that is demanded.
    Region(Box<str>),
    /// Prompt and answer are longer than its model takes.
    ContextWindow {
        /// About how many tokens they are.
        wanted: u64,
        /// How many it takes.
        window: u64,
    },
    /// Its model sees no pictures.
    Images,
    /// Its model hears no sound.
    Audio,
    /// Its model sees no films.
    Video,
    /// Its model reads no files.
    Documents,
    /// Its model calls no tools.
    Tools,
    /// Its model answers by no schema.
    Schema,
}

impl Aside {
    /// The name in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Region(_) => "region",
            Self::ContextWindow { .. } => "context_window",
            Self::Images => "images",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Documents => "documents",
            Self::Tools => "tools",
            Self::Schema => "schema",
        }
    }
}

impl fmt::Display for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(demanded) => write!(f, "is not in region {demanded}"),
            Self::ContextWindow { wanted, window } => {
                write!(f, "its model takes {window} tokens, and this is about {wanted}")
            }
            Self::Images => f.write_str("its model sees no pictures"),
            Self::Audio => f.write_str("its model hears no sound"),
            Self::Video => f.write_str("its model sees no films"),
            Self::Documents => f.write_str("its model reads no files"),
            Self::Tools => f.write_str("its model calls no tools"),
            Self::Schema => f.write_str("its model answers by no schema"),
        }
    }
}

/// Who demands a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demanding {
    /// The client, in the header of this name.
    Client(&'static str),
    /// The operator, of a route or pool.
    Operator,
}

/// The fault when none of `workers` is in the region that is demanded: nobody else may answer.
#[must_use]
pub fn nobody_there<'a>(
    region: &str,
    by: Demanding,
    workers: impl IntoIterator<Item = &'a Arc<Worker>>,
) -> Fault {
    let mut known: Vec<&str> =
        workers.into_iter().filter_map(|worker| worker.spec.region.as_deref()).collect();
    known.sort_unstable();
    known.dedup();
    let others = if known.is_empty() { "no region".to_owned() } else { known.join(", ") };
    let shown: String = region.chars().take(64).collect();
    let message =
        format!("nothing that serves this model is known to be in region `{shown}`; there is: {others}");
    match by {
        Demanding::Client(header) => Fault::new(FaultKind::InvalidRequest, message).at(header),
        Demanding::Operator => Fault::new(FaultKind::Unavailable, message),
    }
    .code("region_not_available")
}
