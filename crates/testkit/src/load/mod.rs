//! The load generator: closed loop, constant rate, streams in a closed loop, and streams held open;
//! keep-alive HTTP/1.1 on one thread, so that what it costs is known and what it measures is the server.
//!
//! At a constant rate latency counts from the moment a request was *planned*, not from when a free
//! connection was found: a server that stalls is charged for everyone who had to wait.
//!
//! In a body, `UNIQ000000` becomes a serial number and `SESS00` one of [`Plan::sessions`] numbers, in
//! place and at the same length: prompts that share prefixes and never repeat whole.

mod answer;
mod body;
mod client;
mod cpu;
mod histogram;
mod pacer;
mod report;
mod template;

pub use body::{ChatBody, Text};
pub use cpu::CpuTimes;
pub use histogram::Histogram;
pub use report::{Report, Tally};

use crate::loopback;
use client::Client;
use pacer::Pacer;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};
use template::Template;
use tokio::sync::Mutex;
use tokio::task::LocalSet;

/// What to send, how, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How requests follow one another.
    pub mode: Mode,
    /// Where to; loopback only.
    pub target: SocketAddr,
    /// Path and query.
    pub path: String,
    /// Headers besides `host`, `content-type` and `content-length`.
    pub headers: Vec<(String, String)>,
    /// The body; an empty one makes it a GET.
    pub body: Vec<u8>,
    /// Distinct values that replace `SESS00`.
    pub sessions: u64,
    /// Connections, which is also the concurrency of a closed loop and the number of held streams.
    pub connections: usize,
    /// Time before measuring begins.
    pub warm: Duration,
    /// Time measured.
    pub window: Duration,
    /// Names and process ids whose CPU time to take at both ends of the window.
    pub cpu: Vec<(String, Vec<u32>)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            mode: Mode::Closed,
            target: loopback::ANY_PORT,
            path: "/v1/chat/completions".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            sessions: 64,
            connections: 1,
            warm: Duration::from_millis(300),
            window: Duration::from_secs(3),
            cpu: Vec::new(),
        }
    }
}

/// How requests follow one another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// Every connection sends its next request when the last one is answered.
    Closed,
    /// Requests are planned at this rate per second and take the next free connection.
    Rate(f64),
    /// As `Closed`, for bodies that ask for a stream: an answer that is none counts as short.
    Streams,
    /// Opens one stream per connection at this rate per second and only listens from there on.
    Hold(f64),
}

/// Why a plan cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The target is not loopback, or the machine gives no runtime or thread.
    #[error("cannot run load: {0}")]
    Io(#[from] io::Error),
    /// A rate that is not above zero.
    #[error("rate must be above 0 per second, not {0}")]
    Rate(f64),
    /// The generator itself failed.
    #[error("the load generator panicked; its message is on standard error")]
    Panicked,
}

/// Runs `plan` to its end. Blocks for warm-up and window; from async code use `spawn_blocking`.
///
/// # Errors
/// When the plan cannot be run; what the server does wrong is in the report.
pub fn run(plan: Plan) -> Result<Report, LoadError> {
    loopback::only(plan.target)?;
    match plan.mode {
        Mode::Rate(per_s) | Mode::Hold(per_s) if !(per_s > 0.0 && per_s.is_finite()) => {
            return Err(LoadError::Rate(per_s));
        }
        Mode::Closed | Mode::Streams | Mode::Rate(_) | Mode::Hold(_) => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let generator = thread::Builder::new().name("load".to_owned());
    // A thread of its own: the caller may be inside another runtime.
    let running = generator.spawn(move || LocalSet::new().block_on(&runtime, measure(plan)))?;
    Ok(running.join().map_err(|_| LoadError::Panicked)??)
}

/// Connections at work, the warm-up, the window.
async fn measure(plan: Plan) -> io::Result<Report> {
    let shared = Rc::new(Shared {
        template: RefCell::new(Template::new(&plan)),
        tally: RefCell::new(Tally::default()),
        target: plan.target,
        wants_stream: matches!(plan.mode, Mode::Streams | Mode::Hold(_)),
        alive: Cell::new(0),
    });
    let planned = match plan.mode {
        Mode::Rate(per_s) => Some(Rc::new(Mutex::new(Pacer::start(per_s)?))),
        Mode::Closed | Mode::Streams | Mode::Hold(_) => None,
    };
    let started = Instant::now();
    for nth in 0..plan.connections {
        let client = Client::new(Rc::clone(&shared));
        let planned = planned.clone();
        match plan.mode {
            Mode::Closed | Mode::Streams => drop(tokio::task::spawn_local(client.loop_closed())),
            Mode::Rate(_) => {
                if let Some(planned) = planned {
                    drop(tokio::task::spawn_local(client.loop_planned(planned)));
                }
            }
            Mode::Hold(per_s) => {
                let nth = f64::from(u32::try_from(nth).unwrap_or(u32::MAX));
                let opens = started + Duration::from_secs_f64(nth / per_s);
                drop(tokio::task::spawn_local(client.hold(opens)));
            }
        }
    }
    let ramp = match plan.mode {
        Mode::Hold(per_s) => {
            let connections = f64::from(u32::try_from(plan.connections).unwrap_or(u32::MAX));
            Duration::from_secs_f64(connections / per_s)
        }
        Mode::Closed | Mode::Streams | Mode::Rate(_) => Duration::ZERO,
    };
    tokio::time::sleep(ramp + plan.warm).await;
    let before_window = std::mem::take(&mut *shared.tally.borrow_mut());
    let cpu_before = cpu::read_all(&plan.cpu);
    let began = Instant::now();
    tokio::time::sleep(plan.window).await;
    let window = began.elapsed();
    let cpu_after = cpu::read_all(&plan.cpu);
    let tally = std::mem::take(&mut *shared.tally.borrow_mut());
    let backlog = match &planned {
        // Whoever waits for the next request's turn holds the lock, and then nothing is left over.
        Some(planned) => planned.try_lock().map_or(0, |pacer| pacer.backlog()),
        None => 0,
    };
    Ok(Report {
        mode: plan.mode,
        connections: plan.connections,
        window,
        seen: tally,
        alive: shared.alive.get(),
        failed_before_window: before_window.failed,
        backlog,
        cpu: cpu::differences(cpu_before, cpu_after),
    })
}

/// What all connections share; one thread, so no locks.
#[derive(Debug)]
struct Shared {
    template: RefCell<Template>,
    tally: RefCell<Tally>,
    target: SocketAddr,
    wants_stream: bool,
    /// Held streams that have sent something and are still open.
    alive: Cell<usize>,
}
