//! Looks at the configuration file every now and then, and has it read again when it says something else.
//!
//! By its content, not by events of the file system: a look costs microseconds, and editors that replace the file,
//! links that are swapped under it and network file systems are all the same.

use super::{Seal, Source, Versions, seal};
use crate::shared::Shared;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How long a file must have stayed as it is: whoever writes it is done by then.
const SETTLING: Duration = Duration::from_millis(200);
/// How often it is asked whether to watch, while that is not wanted.
const IDLE: Duration = Duration::from_secs(2);

/// Watches until it is aborted; ends at once where there is no file.
pub(crate) async fn watch(shared: Arc<Shared>) {
    while shared.versions.sources.named_file().is_some() {
        let interval = shared.fleet.snapshot().config.admin.watch_interval;
        if interval.is_zero() {
            sleep(IDLE).await;
            continue;
        }
        sleep(interval).await;
        if let Some(found) = news(&shared).await {
            sleep(SETTLING.min(interval)).await;
            if news(&shared).await == Some(found) {
                // What became of it is logged and written down there.
                let _ = shared.versions.reload(Source::File);
            }
        }
    }
}

/// What the file says, where that is not what it said when it was last read; the inner `None` when it cannot be read.
async fn news(shared: &Arc<Shared>) -> Option<Option<Seal>> {
    let looking = Arc::clone(shared);
    // A file on a network may keep its reader waiting.
    let found = tokio::task::spawn_blocking(move || looking.versions.look()).await.ok()?;
    (found != shared.versions.lock().seen).then_some(found)
}

impl Versions {
    fn look(&self) -> Option<Seal> {
        self.sources.text().ok().flatten().as_ref().map(seal)
    }
}
