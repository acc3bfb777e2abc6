//! Where log lines go: into memory, and from there to standard output (or wherever else they are wanted)
//! by a thread of its own, so that a slow reader of the log never delays a request.
//!
//! Each serving thread has its own buffer. When the writer cannot keep up, lines are lost and counted
//! rather than memory grown.

use crate::config::{Log, LogLevel};
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// Most bytes waiting in one buffer.
const FULL: usize = 8 << 20;
/// How often buffers are emptied.
const RHYTHM: Duration = Duration::from_millis(50);

/// All buffers, and the thread that empties them.
pub struct LogSink {
    buffers: Vec<Mutex<Vec<u8>>>,
    out: Mutex<Box<dyn Write + Send>>,
    lost: AtomicU64,
    stop: AtomicBool,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl LogSink {
    /// One buffer for each of `threads` and one for everybody else; starts the writer, which writes to
    /// standard output.
    #[must_use]
    pub fn start(threads: usize) -> Arc<Self> {
        Self::start_into(threads, Box::new(std::io::stdout()))
    }

    /// The same, writing to `out`.
    #[must_use]
    pub fn start_into(threads: usize, out: Box<dyn Write + Send>) -> Arc<Self> {
        let sink = Arc::new(Self {
            buffers: (0..=threads).map(|_| Mutex::default()).collect(),
            out: Mutex::new(out),
            lost: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            writer: Mutex::new(None),
        });
        let task = Arc::clone(&sink);
        let writer = std::thread::Builder::new().name("log".into()).spawn(move || task.run());
        match writer {
            Ok(handle) => *sink.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle),
            // Without a thread, lines wait in memory until `close` writes what is there.
            Err(_) => sink.stop.store(true, Relaxed),
        }
        sink
    }

    /// Appends what `fill` writes to the buffer of thread `of`.
    pub fn append(&self, of: usize, fill: impl FnOnce(&mut Vec<u8>)) {
        let Some(buffer) = self.buffers.get(of).or(self.buffers.last()) else { return };
        let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.len() >= FULL {
            self.lost.fetch_add(1, Relaxed);
            return;
        }
        fill(&mut buffer);
    }

    /// Lines lost because the reader of the log was too slow.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Writes what is left and ends the writer.
    pub fn close(&self) {
        self.stop.store(true, Relaxed);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            writer.thread().unpark();
            // The writer cannot panic: it takes locks and writes bytes.
            let _ = writer.join();
        }
        self.flush(&mut Vec::new());
    }

    fn run(&self) {
        let mut spare = Vec::new();
        while !self.stop.load(Relaxed) {
            std::thread::park_timeout(RHYTHM);
            self.flush(&mut spare);
        }
    }

    fn flush(&self, spare: &mut Vec<u8>) {
        for buffer in &self.buffers {
            std::mem::swap(&mut *buffer.lock().unwrap_or_else(PoisonError::into_inner), spare);
            if !spare.is_empty() {
                // Nobody is left to tell when the output is gone. Flushed, because standard output keeps
                // what follows the last line break.
                let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = out.write_all(spare).and_then(|()| out.flush());
                spare.clear();
                spare.shrink_to(64 << 10);
            }
        }
    }
}

impl std::fmt::Debug for LogSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogSink").field("buffers", &self.buffers.len()).field("lost", &self.lost).finish()
    }
}

/// Sends `tracing` events of the whole process into `sink`.
pub fn install(settings: &Log, filter: Option<&str>, sink: &Arc<LogSink>) {
    let level = match settings.level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    let own = format!("warn,trunkline={level},trunkline_gateway={level},trunkline_upstream={level}");
    let filter = tracing_subscriber::EnvFilter::try_new(filter.unwrap_or(&own))
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(&own));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(SinkWriter(Arc::clone(sink)))
        .with_ansi(false);
    // A second installation in one process (tests) keeps the first.
    let _ = if settings.json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
}

struct SinkWriter(Arc<LogSink>);

impl<'a> MakeWriter<'a> for SinkWriter {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(&self.0)
    }
}

struct LineWriter<'a>(&'a LogSink);

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.append(usize::MAX, |buffer| buffer.extend_from_slice(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_buffer_loses_lines_and_counts_them() {
        let sink = LogSink {
            buffers: vec![Mutex::default()],
            out: Mutex::new(Box::new(std::io::sink())),
            lost: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            writer: Mutex::new(None),
        };
        for _ in 0..9 {
            sink.append(0, |buffer| buffer.extend_from_slice(&[b'x'; 1 << 20]));
        }
        assert_eq!(sink.lost(), 1);
    }
}
