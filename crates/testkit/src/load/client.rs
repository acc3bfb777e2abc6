//! One connection of the generator.

use super::Shared;
use super::answer::{Answer, Lines};
use super::pacer::Pacer;
use crate::clock;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

const BUFFER: usize = 64 << 10;

/// Pause after a failed connection, so that a dead server is not hammered.
const RETRY: Duration = Duration::from_millis(10);

/// One connection.
pub(super) struct Client {
    shared: Rc<Shared>,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    answer: Answer,
    lines: Lines,
    last_event: Option<Instant>,
    ended: bool,
}

impl Client {
    pub(super) fn new(shared: Rc<Shared>) -> Self {
        Self {
            shared,
            stream: None,
            buffer: Vec::new(),
            answer: Answer::default(),
            lines: Lines::default(),
            last_event: None,
            ended: false,
        }
    }

    /// Sends the next request as soon as the last one is answered.
    pub(super) async fn loop_closed(mut self) {
        loop {
            self.one(Instant::now()).await;
        }
    }

    /// Takes planned requests in turn with the other connections.
    pub(super) async fn loop_planned(mut self, planned: Rc<Mutex<Pacer>>) {
        loop {
            let next = planned.lock().await.next().await;
            // A timer that fails once stays so; the report shows the missing requests.
            let Ok(due) = next else { return };
            self.shared.tally.borrow_mut().late.add(due.elapsed());
            self.one(due).await;
        }
    }

    /// One stream, opened at `opens` and followed until it ends.
    pub(super) async fn hold(mut self, opens: Instant) {
        tokio::time::sleep_until(opens.into()).await;
        self.one(Instant::now()).await;
    }

    /// One request, counted from `since`.
    async fn one(&mut self, since: Instant) {
        let done = self.exchange(since).await;
        if self.last_event.take().is_some() {
            self.shared.alive.set(self.shared.alive.get().saturating_sub(1));
        }
        let failed = done.is_err();
        {
            let mut tally = self.shared.tally.borrow_mut();
            if failed {
                tally.failed += 1;
            } else {
                tally.latency.add(since.elapsed());
                *tally.statuses.entry(self.answer.status).or_default() += 1;
                let ok = self.answer.status == 200;
                *(if ok { &mut tally.ok } else { &mut tally.refused }) += 1;
                tally.short += u64::from(ok && self.shared.wants_stream && !self.ended);
            }
        }
        if failed || !self.answer.keep_alive {
            self.stream = None;
        }
        if failed {
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn exchange(&mut self, since: Instant) -> io::Result<()> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.shared.target).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        self.answer.reset();
        self.lines.reset();
        self.ended = false;
        // Short requests leave in one write; only a full socket needs the copy.
        let unsent = {
            let mut template = self.shared.template.borrow_mut();
            let request = template.next();
            let sent = match stream.try_write(request) {
                Ok(sent) => sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            request.get(sent..).filter(|rest| !rest.is_empty()).map(<[u8]>::to_vec)
        };
        if let Some(unsent) = unsent {
            stream.write_all(&unsent).await?;
        }
        self.buffer.reserve(BUFFER);
        loop {
            self.buffer.clear();
            let read = stream.read_buf(&mut self.buffer).await?;
            let complete = if read == 0 { self.answer.close() } else { self.arrived(since)? };
            if complete {
                self.stream = Some(stream);
                return Ok(());
            }
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Counts what is in the buffer; whether the answer is complete.
    fn arrived(&mut self, since: Instant) -> io::Result<bool> {
        let now = Instant::now();
        let stamp = clock::stamp_of(now);
        let (lines, last_event, ended) = (&mut self.lines, &mut self.last_event, &mut self.ended);
        let mut tally = self.shared.tally.borrow_mut();
        tally.bytes += self.buffer.len() as u64;
        let wants_stream = self.shared.wants_stream;
        self.answer.push(&self.buffer, |body| {
            if !wants_stream {
                return;
            }
            lines.push(body, |line| {
                let Some(data) = line.strip_prefix(b"data:") else { return };
                tally.events += 1;
                match last_event.replace(now) {
                    Some(before) => tally.gap.add(now - before),
                    None => {
                        self.shared.alive.set(self.shared.alive.get() + 1);
                        tally.first_event.add(now.saturating_duration_since(since));
                    }
                }
                match clock::find(data).map(|sent| stamp.checked_sub(sent)) {
                    Some(Some(delay)) => tally.one_way.add_ns(delay),
                    Some(None) => tally.skewed += 1,
                    None => *ended |= is_last(data),
                }
            });
        })
    }
}

/// Whether an event is the one its dialect ends with.
fn is_last(data: &[u8]) -> bool {
    let says = |word: &[u8]| memchr::memmem::find(data, word).is_some();
    data.trim_ascii() == b"[DONE]"
        || says(b"\"message_stop\"")
        || says(b"\"response.completed\"")
        || says(b"\"response.incomplete\"")
}
