//! Drives the [`Schedule`] in real time: waits for what each round lasts and hands its tokens out.
//!
//! A [`Seat`] is one request's place in the engine. Dropping it gives the place up, so a client that
//! hangs up, and with it the response body that owns the seat, leaves the batch before the next round.

use super::metrics::Stats;
use super::schedule::{Job, Pace, Schedule};
use crate::serve::hold;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// The running engine.
#[derive(Debug)]
pub(super) struct Runner {
    state: Mutex<State>,
    work: Notify,
    /// Real seconds per engine second.
    time_scale: f64,
}

#[derive(Debug)]
struct State {
    schedule: Schedule,
    seats: HashMap<u64, Listener>,
    next_job: u64,
    totals: Stats,
    last_round: Duration,
}

#[derive(Debug)]
struct Listener {
    steps: mpsc::Sender<Step>,
    choice: usize,
    prompt_tokens: usize,
}

/// News of one sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Admitted { cached: usize },
    Token { choice: usize },
}

impl Runner {
    pub(super) fn new(pace: Pace, time_scale: f64) -> Self {
        let schedule = Schedule::new(pace);
        let state = State {
            schedule,
            seats: HashMap::new(),
            next_job: 0,
            totals: Stats::default(),
            last_round: Duration::ZERO,
        };
        Self { state: Mutex::new(state), work: Notify::new(), time_scale: time_scale.max(0.0) }
    }

    /// Queues one sequence per entry of `outputs`, each that many tokens long, all over `prompt`.
    pub(super) fn enter(self: &Arc<Self>, prompt: &[u64], outputs: &[usize]) -> Seat {
        let tokens: usize = outputs.iter().map(|output| (*output).max(1)).sum();
        // Room for every step there will be: the engine never waits for a slow client.
        let (sender, steps) = mpsc::channel(tokens + outputs.len());
        let mut state = hold(&self.state);
        state.totals.started += 1;
        let mut jobs = Vec::with_capacity(outputs.len());
        for (choice, output) in outputs.iter().enumerate() {
            let id = state.next_job;
            state.next_job += 1;
            jobs.push(id);
            let listener = Listener { steps: sender.clone(), choice, prompt_tokens: prompt.len() };
            state.seats.insert(id, listener);
            state.schedule.submit(&Job { id, prompt: prompt.to_vec(), output_tokens: *output });
        }
        drop(state);
        self.work.notify_one();
        Seat { runner: Arc::clone(self), jobs, steps, cached: None, over: false }
    }

    /// Runs rounds for ever.
    pub(super) async fn drive(self: Arc<Self>) {
        let mut due = Instant::now();
        loop {
            let round = hold(&self.state).begin_round();
            let Some((lasts, tokens, finished)) = round else {
                self.work.notified().await;
                due = Instant::now();
                continue;
            };
            // Deadlines add up instead of starting anew, so the timer's coarseness averages out.
            due += lasts.mul_f64(self.time_scale);
            if due > Instant::now() {
                tokio::time::sleep_until(due).await
            } else {
                tokio::task::yield_now().await
            }
            hold(&self.state).end_round(&tokens, &finished);
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let state = hold(&self.state);
        let (running, waiting) = (state.schedule.running(), state.schedule.waiting());
        Stats { running, waiting, kv_usage: state.schedule.kv_usage(), ..state.totals }
    }

    /// Tokens generated per second of engine time, at present.
    pub(super) fn tokens_per_s(&self) -> f64 {
        let state = hold(&self.state);
        let running = f64::from(u32::try_from(state.schedule.running()).unwrap_or(u32::MAX));
        if state.last_round.is_zero() { 0.0 } else { running / state.last_round.as_secs_f64() }
    }
}

impl State {
    fn begin_round(&mut self) -> Option<(Duration, Vec<u64>, Vec<u64>)> {
        let round = self.schedule.round()?;
        self.last_round = round.lasts;
        for (id, cached) in round.admitted {
            let Some(listener) = self.seats.get(&id) else { continue };
            self.totals.prompt_tokens += listener.prompt_tokens as u64;
            self.totals.cached_tokens += cached as u64;
            // Never full (see `enter`); closed only when the seat is being given up.
            let _ = listener.steps.try_send(Step::Admitted { cached });
        }
        Some((round.lasts, round.tokens, round.finished))
    }

    fn end_round(&mut self, tokens: &[u64], finished: &[u64]) {
        for id in tokens {
            let Some(listener) = self.seats.get(id) else { continue };
            self.totals.output_tokens += 1;
            let _ = listener.steps.try_send(Step::Token { choice: listener.choice });
        }
        for id in finished {
            self.seats.remove(id);
        }
    }
}

/// One request's place in the engine.
#[derive(Debug)]
pub(super) struct Seat {
    runner: Arc<Runner>,
    jobs: Vec<u64>,
    steps: mpsc::Receiver<Step>,
    cached: Option<usize>,
    over: bool,
}

impl Seat {
    /// Waits for the next token; which answer it belongs to, or `None` after the last.
    pub(super) async fn token(&mut self) -> Option<usize> {
        loop {
            match self.steps.recv().await? {
                // The first sequence pays the prefill; the others find it cached.
                Step::Admitted { cached } => self.cached = self.cached.or(Some(cached)),
                Step::Token { choice } => return Some(choice),
            }
        }
    }

    /// Prompt tokens found in the cache; known from the first token on.
    pub(super) fn cached(&self) -> usize {
        self.cached.unwrap_or_default()
    }

    /// Whether [`Seat::finish`] was called.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// The answer is complete and delivered.
    pub(super) fn finish(&mut self) {
        if !std::mem::replace(&mut self.over, true) {
            hold(&self.runner.state).totals.finished += 1;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut state = hold(&self.runner.state);
        state.totals.aborted += 1;
        for id in &self.jobs {
            state.seats.remove(id);
            state.schedule.abort(*id);
        }
    }
}
