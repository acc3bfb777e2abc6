//! The gateway's log while scenes are played: kept, so that the screen stays readable and a scene can
//! look up what was written about its request. Afterwards the log goes to standard error.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a line may take from the request's end to the log.
const PATIENCE: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_millis(10);

/// A log kept in memory, then shown. Clones are the same journal.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    kept: Mutex<Vec<u8>>,
    shown: AtomicBool,
}

impl Journal {
    /// The access line of request `id`, once it is written.
    ///
    /// # Errors
    /// When it does not come.
    pub(super) async fn line_of(&self, id: &str) -> anyhow::Result<String> {
        let mark = format!(" request_id={id} ");
        let end = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < end {
            let found = {
                let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
                String::from_utf8_lossy(&kept).lines().find(|line| line.contains(&mark)).map(str::to_owned)
            };
            if let Some(line) = found {
                return Ok(line);
            }
            tokio::time::sleep(GLANCE).await;
        }
        anyhow::bail!("the access log has no line about request {id}")
    }

    /// From now on, lines go to standard error and are kept no longer.
    pub(super) fn show(&self) {
        self.0.shown.store(true, Relaxed);
    }
}

impl Write for Journal {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.shown.load(Relaxed) {
            return std::io::stderr().write(bytes);
        }
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The value of `key=` in an access line.
pub(super) fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split(' ').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_found_by_request() {
        let journal = Journal::default();
        journal.clone().write_all(b"t INFO access request_id=a worker=w1 status=200\n").unwrap();
        let line = journal.line_of("a").await.unwrap();
        assert_eq!((field(&line, "worker"), field(&line, "status")), (Some("w1"), Some("200")));
        assert_eq!(field(&line, "work"), None);
    }
}
