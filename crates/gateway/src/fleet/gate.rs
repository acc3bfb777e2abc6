//! How many calls a worker has at once, and the queue for a place among them.
//!
//! Places are given out in the order in which they were asked for: one that comes free while somebody waits is that
//! one's, and nobody else can take it. Who may be served by several workers waits for all of them, and gives back
//! what comes free behind the first.

use super::worker::Worker;
use futures_util::future::select_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};
use trunkline_core::{Load, LoadGuard};

/// The places of one worker.
#[derive(Debug)]
pub struct Gate {
    free: Semaphore,
    bound: AtomicUsize,
    /// Places in use beyond the bound, since it was lowered: they are not given out again.
    excess: AtomicUsize,
    waiting: AtomicUsize,
}

/// One call on a worker, counted for as long as this lives: until the last byte has gone, the upstream failed or the
/// client hung up.
#[derive(Debug)]
pub struct Place {
    // Before the place, so that nobody finds more calls than may be.
    load: LoadGuard,
    /// Nothing where there is no bound, or the request has a place already.
    _held: Option<Held>,
}

/// A place that is given back.
#[derive(Debug)]
struct Held(Arc<Gate>);

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// As many wait already as may.
    Queue,
    /// None came free for as long as one waits.
    Timeout(Duration),
}

impl Full {
    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue_full",
            Self::Timeout(_) => "timeout",
        }
    }
}

impl Gate {
    /// Lets `bound` calls through at once.
    #[must_use]
    pub fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Semaphore::new(bound.min(Semaphore::MAX_PERMITS)),
            bound: AtomicUsize::new(bound),
            excess: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Lets `bound` calls through from now on. Those that are through already stay.
    pub(super) fn resize(&self, bound: usize) {
        let bound = bound.min(Semaphore::MAX_PERMITS);
        let before = self.bound.swap(bound, Relaxed);
        if let Some(more) = bound.checked_sub(before) {
            let owed = self.excess.try_update(Relaxed, Relaxed, |excess| Some(excess.saturating_sub(more)));
            self.free.add_permits(more.saturating_sub(owed.unwrap_or(0)));
        } else {
            let fewer = before - bound;
            self.excess.fetch_add(fewer - self.free.forget_permits(fewer), Relaxed);
        }
    }

    /// Whether every place is taken.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.free.available_permits() == 0
    }

    /// Most calls at once.
    #[must_use]
    pub fn bound(&self) -> usize {
        self.bound.load(Relaxed)
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    fn leave(&self) {
        if self.excess.try_update(Relaxed, Relaxed, |excess| excess.checked_sub(1)).is_err() {
            self.free.add_permits(1);
        }
    }
}

impl Place {
    /// A place on `worker`, if one is free.
    #[must_use]
    pub fn free(worker: &Worker) -> Option<Self> {
        match &worker.gate {
            None => Some(Self::beside(&worker.load)),
            Some(gate) => gate.free.try_acquire().ok().map(|permit| Self::held(worker, gate, permit)),
        }
    }

    /// Counts one more call of a request that has a place.
    #[must_use]
    pub fn beside(load: &Arc<Load>) -> Self {
        Self { load: LoadGuard::new(load), _held: None }
    }

    fn held(worker: &Worker, gate: &Arc<Gate>, permit: SemaphorePermit<'_>) -> Self {
        permit.forget();
        Self { load: LoadGuard::new(&worker.load), _held: Some(Held(Arc::clone(gate))) }
    }

    /// Whether the worker's breaker lets the call in.
    #[must_use]
    pub fn enter(&mut self, now: Instant) -> bool {
        self.load.enter(now)
    }

    /// The worker has so many tokens of the prompt to read before it answers.
    pub fn reads(&mut self, tokens: u64) {
        self.load.reads(tokens);
    }

    /// The answer has begun: the prompt is read.
    pub fn has_read(&mut self) {
        self.load.has_read();
    }

    /// What counts the call, and tells the worker's breaker of it.
    #[must_use]
    pub fn call(&self) -> &LoadGuard {
        &self.load
    }

    /// Of whom it counts a call.
    #[must_use]
    pub fn load(&self) -> &Load {
        self.load.load()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Waits for the first place that comes free on any of `workers`, no longer than the most patient of them has it, nor
/// than `most`.
///
/// # Errors
/// When no queue has room, or no place came free in time.
pub async fn first_free<'w>(
    workers: &[&'w Arc<Worker>],
    most: Option<Duration>,
) -> Result<(&'w Arc<Worker>, Place), Full> {
    let queues: Vec<_> =
        workers.iter().filter_map(|worker| Waits::join(worker, worker.gate.as_ref()?)).collect();
    let patience = queues.iter().map(|queue| queue.worker.spec.queue.timeout).max().ok_or(Full::Queue)?;
    let patience = most.map_or(patience, |most| patience.min(most));
    let places = queues.iter().map(|queue| Box::pin(queue.gate.free.acquire()));
    let (place, at, _) =
        tokio::time::timeout(patience, select_all(places)).await.map_err(|_| Full::Timeout(patience))?;
    match (place, queues.get(at)) {
        (Ok(permit), Some(queue)) => Ok((queue.worker, Place::held(queue.worker, queue.gate, permit))),
        // Gates are never closed.
        (Ok(_) | Err(_), _) => Err(Full::Queue),
    }
}

/// Counts one that waits, also when it gives up.
struct Waits<'w> {
    worker: &'w Arc<Worker>,
    gate: &'w Arc<Gate>,
}

impl<'w> Waits<'w> {
    /// At the end of the queue, where there is room.
    fn join(worker: &'w Arc<Worker>, gate: &'w Arc<Gate>) -> Option<Self> {
        let size = worker.spec.queue.size;
        let waiting =
            gate.waiting.try_update(Relaxed, Relaxed, |waiting| (waiting < size).then_some(waiting + 1));
        waiting.is_ok().then(|| Self { worker, gate })
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.gate.waiting.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Queue, WorkerSpec};
    use futures_util::FutureExt;
    use trunkline_core::WorkerId;

    fn worker(bound: usize, size: usize) -> Arc<Worker> {
        let queue = Queue { size, timeout: Duration::from_millis(20) };
        let spec = WorkerSpec { max_concurrent: Some(bound), queue, ..WorkerSpec::new("http://engine:8000") };
        let worker = Worker::new(WorkerId::new("w"), spec, &Config::default(), Arc::default());
        Arc::new(worker.unwrap())
    }

    #[tokio::test]
    async fn places_are_had_in_the_order_in_which_they_were_asked_for() {
        let worker = worker(1, 2);
        let held = Place::free(&worker).unwrap();
        assert!(Place::free(&worker).is_none());
        let workers = [&worker];
        let mut first = Box::pin(first_free(&workers, None));
        let mut second = Box::pin(first_free(&workers, None));
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        let gate = worker.gate.as_ref().unwrap();
        assert_eq!((gate.waiting(), worker.load.in_flight()), (2, 1));
        assert_eq!(first_free(&workers, None).await.unwrap_err(), Full::Queue);
        drop(held);
        assert!(Place::free(&worker).is_none(), "it is the first one's");
        assert!(second.as_mut().now_or_never().is_none());
        let (_, held) = first.await.unwrap();
        // Who is given a place and goes away at once leaves it to the next.
        drop(held);
        drop(second);
        assert_eq!((gate.waiting(), worker.load.in_flight()), (0, 0));
        assert!(Place::free(&worker).is_some());
    }

    #[tokio::test]
    async fn who_waits_for_several_takes_one_and_leaves_the_rest() {
        let pair = [worker(1, 1), worker(1, 1)];
        let [a, b] = &pair;
        let (of_a, of_b) = (Place::free(a).unwrap(), Place::free(b).unwrap());
        let workers = [a, b];
        let mut waiter = Box::pin(first_free(&workers, None));
        assert!(waiter.as_mut().now_or_never().is_none());
        drop((of_b, of_a));
        let (taken, place) = waiter.await.unwrap();
        assert!(Arc::ptr_eq(taken, a));
        assert!(Place::free(b).is_some() && Place::free(a).is_none());
        drop(place);
        assert!(Place::free(a).is_some());
        let held = [Place::free(a), Place::free(b)];
        let waited = first_free(&workers, Some(Duration::from_millis(5))).await;
        assert_eq!(waited.unwrap_err(), Full::Timeout(Duration::from_millis(5)));
        assert_eq!(first_free(&workers, None).await.unwrap_err(), Full::Timeout(Duration::from_millis(20)));
        drop(held);
    }

    #[test]
    fn a_bound_can_be_moved_while_calls_run() {
        let worker = worker(3, 0);
        let gate = worker.gate.as_ref().unwrap();
        let mut held: Vec<_> = (0..3).map(|_| Place::free(&worker).unwrap()).collect();
        gate.resize(1);
        held.pop();
        assert!(Place::free(&worker).is_none(), "two run, and one may");
        gate.resize(2);
        assert!(Place::free(&worker).is_none());
        held.pop();
        held.extend(Place::free(&worker));
        assert_eq!((held.len(), gate.is_full()), (2, true));
        gate.resize(3);
        held.extend(Place::free(&worker));
        assert_eq!((held.len(), Place::free(&worker).is_some()), (3, false));
        drop(held);
        assert_eq!((gate.free.available_permits(), worker.load.in_flight()), (3, 0));
    }
}
