//! Plans requests at a constant rate from a thread of its own: the runtime's timers tick once a
//! millisecond, which at a thousand requests a second would be the latency measured.

use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Planned requests nobody has taken yet; past it the pacer waits, far beyond any useful measurement.
const BACKLOG: usize = 1 << 20;

/// Starts planning; ends when the receiver is dropped.
pub(super) fn start(per_s: f64) -> mpsc::Receiver<Instant> {
    let (plan, planned) = mpsc::channel(BACKLOG);
    let pacer = thread::Builder::new().name("pacer".to_owned());
    let started = pacer.spawn(move || {
        let began = Instant::now();
        for nth in 0u32.. {
            let due = began + Duration::from_secs_f64(f64::from(nth) / per_s);
            let wait = due.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                thread::sleep(wait);
            }
            if plan.blocking_send(due).is_err() {
                return;
            }
        }
    });
    // Without a thread nothing is planned, and the report shows no requests.
    drop(started);
    planned
}
