//! A fleet of engines in simulated time, which the gateway's own routing code (`trunkline-route`) chooses from: what a
//! policy does to hit rates and waiting, told apart from everything else.
//!
//! A run is decided by its seed. Nothing waits, so that minutes of a large fleet take seconds.

pub mod page;
mod routers;
mod shapes;

pub use routers::Way;
pub use shapes::Shape;

use crate::engine::cache::PrefixCache;
use crate::engine::{Pace, Round, Schedule};
use routers::{Counted, Router};
use shapes::{Call, Talk, number};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

/// Tokens of a KV block.
const BLOCK: usize = 16;

/// About what one accelerator of 80 GB does with a model of 8 billion parameters.
pub const PACE: Pace = Pace {
    prefill_tokens_per_s: 25_000.0,
    prefill_chunk: 4_096,
    step_base: Duration::from_millis(6),
    step_per_running: Duration::from_micros(80),
    max_running: 128,
    kv_tokens: 320_000,
    block_size: BLOCK,
};

/// The same at `factor` of the pace.
#[must_use]
pub fn paced(factor: f64) -> Pace {
    Pace {
        prefill_tokens_per_s: PACE.prefill_tokens_per_s * factor,
        step_base: PACE.step_base.div_f64(factor),
        step_per_running: PACE.step_per_running.div_f64(factor),
        ..PACE
    }
}

/// What happens besides calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Incident {
    /// The engine crashes, and comes back never.
    Dies(usize),
    /// The engine crashes, and is back with nothing in its cache after so many seconds.
    Restarts(usize, f64),
}

/// One run.
#[derive(Debug, Clone)]
pub struct Run {
    /// What comes.
    pub shape: Shape,
    /// Who chooses.
    pub way: Way,
    /// The fleet.
    pub engines: Vec<Pace>,
    /// Seconds in which conversations begin. The first fifth of them is not counted.
    pub seconds: f64,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// What happens in the middle.
    pub incident: Option<Incident>,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Calls that ended.
    pub calls: usize,
    /// Share of all prompts' tokens that engines found in their caches.
    pub hits: f64,
    /// What would have been found in one cache as large as all together.
    pub pooled: f64,
    /// Seconds to the first token: half of the calls took no longer, and 99 of a hundred.
    pub ttft: [f64; 2],
    /// Tokens written a second.
    pub throughput: f64,
    /// Mean share of the time that engines worked.
    pub busy: f64,
    /// Time the busiest engine worked, over the mean.
    pub busiest: f64,
    /// The same of those that are left, from the middle of the run on.
    pub busiest_later: f64,
    /// Calls on the fullest engine over the mean, on average over time.
    pub fullest: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Incident,
    Back(usize),
    /// The engine ends its step of this number.
    Step(usize, u64),
    /// The next turn of this conversation.
    Turn(usize),
}

struct World {
    engines: Vec<Engine>,
    router: Router,
    talks: Vec<Talk>,
    turns: Vec<usize>,
    calls: HashMap<u64, Live>,
    events: BinaryHeap<Reverse<(Time, Event)>>,
    pooled: PrefixCache,
    tally: Tally,
    warm: f64,
}

struct Engine {
    pace: Pace,
    schedule: Schedule,
    /// Rounds ended, and the one under way.
    rounds: u64,
    under_way: Option<Round>,
    /// Seconds it has worked, without what each round takes at least.
    busy: f64,
}

/// A call on an engine.
struct Live {
    call: Call,
    counted: Counted,
    cached: usize,
    has_begun: bool,
}

/// Nanoseconds, so that they have an order.
type Time = u64;

#[derive(Default)]
struct Tally {
    next: u64,
    calls: usize,
    asked: usize,
    prompt: usize,
    cached: usize,
    pooled: usize,
    written: usize,
    ttft: Vec<f64>,
    fullest: f64,
    samples: usize,
}

impl Run {
    /// Runs it to its end.
    #[must_use]
    pub fn report(&self) -> Report {
        let talks = self.shape.talks(self.engines.len(), self.seconds, self.seed);
        let turns = vec![0; talks.len()];
        let memory: usize = self.engines.iter().map(|pace| pace.kv_tokens / BLOCK).sum();
        let mut world = World {
            engines: self.engines.iter().copied().map(Engine::new).collect(),
            router: Router::new(self.way, self.engines.len(), self.seed),
            talks,
            turns,
            calls: HashMap::new(),
            events: BinaryHeap::new(),
            pooled: PrefixCache::new(memory),
            tally: Tally::default(),
            warm: self.seconds / 5.0,
        };
        world.at(self.seconds / 2.0, Event::Incident);
        for talk in 0..world.talks.len() {
            let begins = world.talks.get(talk).map_or(0.0, |talk| talk.begins);
            world.at(begins, Event::Turn(talk));
        }
        world.run(self)
    }
}

impl World {
    fn at(&mut self, seconds: f64, event: Event) {
        let time = u64::try_from(Duration::from_secs_f64(seconds).as_nanos()).unwrap_or(u64::MAX);
        self.events.push(Reverse((time, event)));
    }

    fn run(mut self, run: &Run) -> Report {
        let mut busy_before = vec![0.0; self.engines.len()];
        let mut busy_middle = busy_before.clone();
        let (mut is_warm, mut is_late) = (false, false);
        while let Some(Reverse((time, event))) = self.events.pop() {
            let now = Duration::from_nanos(time).as_secs_f64();
            if now > run.seconds {
                break;
            }
            if !is_warm && now >= self.warm {
                is_warm = true;
                busy_before = self.engines.iter().map(|engine| engine.busy).collect();
            }
            if !is_late && now >= run.seconds / 2.0 {
                is_late = true;
                busy_middle = self.engines.iter().map(|engine| engine.busy).collect();
            }
            match event {
                Event::Turn(talk) => self.turn(talk, now),
                Event::Step(engine, step) => self.stepped(engine, step, now),
                Event::Incident => match run.incident {
                    Some(Incident::Dies(engine)) => self.crash(engine, now),
                    Some(Incident::Restarts(engine, seconds)) => {
                        self.crash(engine, now);
                        self.at(now + seconds, Event::Back(engine));
                    }
                    None => {}
                },
                Event::Back(engine) => self.router.set(engine, true),
            }
        }
        let counted = run.seconds - self.warm;
        let since = |before: &[f64]| -> Vec<f64> {
            self.engines.iter().zip(before).map(|(engine, before)| engine.busy - before).collect()
        };
        let busy = since(&busy_before).iter().map(|seconds| seconds / counted).collect::<Vec<_>>();
        let mut later = since(&busy_middle);
        if let Some(Incident::Dies(engine)) = run.incident
            && engine < later.len()
        {
            later.remove(engine);
        }
        self.tally.report(&busy, &later, counted)
    }

    fn turn(&mut self, talk: usize, now: f64) {
        let Some(at) = self.turns.get_mut(talk) else { return };
        let Some(turn) = self.talks.get(talk).and_then(|talk| talk.turns.get(*at)) else { return };
        *at += 1;
        let id = self.tally.next;
        self.tally.next += 1;
        let (prompt, answer) = (turn.prompt.clone(), turn.answer.clone());
        let call = Call { id, talk, prompt, answer, came: now };
        if now >= self.warm {
            self.tally.pooled += self.pooled.matched(&call.prompt) * BLOCK;
            self.tally.asked += call.tokens();
            self.tally.sample(&self.engines);
        }
        let path = call.path();
        self.pooled.hold(&path, 0);
        self.pooled.release(&path, 0);
        self.send(call, now);
    }

    fn send(&mut self, call: Call, now: f64) {
        let Some(counted) =
            self.router.choose(&call, self.engines.iter().map(|engine| &engine.schedule), now)
        else {
            return;
        };
        let at = counted.engine;
        if let Some(engine) = self.engines.get_mut(at) {
            engine.schedule.submit_blocks(call.id, &call.prompt, &call.answer);
        }
        self.calls.insert(call.id, Live { call, counted, cached: 0, has_begun: false });
        self.begin(at, now);
    }

    /// Begins an engine's next round, where none is under way.
    fn begin(&mut self, at: usize, now: f64) {
        let Some(engine) = self.engines.get_mut(at).filter(|engine| engine.under_way.is_none()) else {
            return;
        };
        let Some(round) = engine.schedule.round() else { return };
        let (lasts, event) = (round.lasts, Event::Step(at, engine.rounds));
        engine.busy += lasts.saturating_sub(engine.pace.step_base).as_secs_f64();
        for (id, cached) in &round.admitted {
            if let Some(live) = self.calls.get_mut(id) {
                live.cached = *cached;
            }
        }
        engine.under_way = Some(round);
        self.at(now + lasts.as_secs_f64(), event);
    }

    fn stepped(&mut self, at: usize, round: u64, now: f64) {
        let Some(engine) = self.engines.get_mut(at).filter(|engine| engine.rounds == round) else { return };
        engine.rounds += 1;
        let done = engine.under_way.take().unwrap_or_default();
        for id in done.tokens {
            let Some(live) = self.calls.get_mut(&id).filter(|live| !live.has_begun) else { continue };
            live.has_begun = true;
            live.counted.guard.has_read();
            if live.call.came >= self.warm {
                self.tally.ttft.push(now - live.call.came);
            }
        }
        for id in done.finished {
            let Some(Live { call, cached, .. }) = self.calls.remove(&id) else { continue };
            if call.came >= self.warm {
                self.tally.calls += 1;
                self.tally.prompt += call.tokens();
                self.tally.cached += cached;
                self.tally.written += call.answer.len() * BLOCK;
            }
            let turn = self.turns.get(call.talk).copied().unwrap_or(0);
            let next = self.talks.get(call.talk).and_then(|talk| talk.turns.get(turn));
            if let Some(pause) = next.map(|turn| turn.pause) {
                self.at(now + pause, Event::Turn(call.talk));
            }
        }
        self.begin(at, now);
    }

    /// The engine is gone with all it held; who was on it is sent elsewhere, from its beginning.
    fn crash(&mut self, at: usize, now: f64) {
        self.router.set(at, false);
        let Some(engine) = self.engines.get_mut(at) else { return };
        let (rounds, busy) = (engine.rounds + 1, engine.busy);
        *engine = Engine { rounds, busy, ..Engine::new(engine.pace) };
        let mut lost: Vec<u64> =
            self.calls.iter().filter(|(_, live)| live.counted.engine == at).map(|(id, _)| *id).collect();
        lost.sort_unstable();
        for id in lost {
            if let Some(live) = self.calls.remove(&id) {
                self.send(live.call, now);
            }
        }
    }
}

impl Engine {
    fn new(pace: Pace) -> Self {
        Self { pace, schedule: Schedule::new(pace), rounds: 0, under_way: None, busy: 0.0 }
    }
}

impl Tally {
    fn sample(&mut self, engines: &[Engine]) {
        let loads =
            engines.iter().map(|engine| number(engine.schedule.running() + engine.schedule.waiting()));
        let (sum, most) = loads.fold((0.0, 0.0_f64), |(sum, most), load| (sum + load, most.max(load)));
        if sum > 0.0 {
            self.fullest += most / sum * number(engines.len());
            self.samples += 1;
        }
    }

    fn report(mut self, busy: &[f64], later: &[f64], seconds: f64) -> Report {
        self.ttft.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let rank =
                (0..self.ttft.len()).take_while(|n| number(*n) < share * number(self.ttft.len() - 1)).count();
            self.ttft.get(rank).copied().unwrap_or(f64::NAN)
        };
        let mean = |of: &[f64]| of.iter().sum::<f64>() / number(of.len());
        let busiest = |of: &[f64]| of.iter().copied().fold(0.0, f64::max) / mean(of);
        Report {
            calls: self.calls,
            hits: number(self.cached) / number(self.prompt),
            pooled: number(self.pooled) / number(self.asked),
            ttft: [at(0.5), at(0.99)],
            throughput: number(self.written) / seconds,
            busy: mean(busy),
            busiest: busiest(busy),
            busiest_later: busiest(later),
            fullest: self.fullest / number(self.samples),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_route::Weights;

    fn run(shape: Shape, way: Way, incident: Option<Incident>) -> Report {
        Run { shape, way, engines: vec![PACE; 4], seconds: 15.0, seed: 7, incident }.report()
    }

    #[test]
    fn a_run_is_decided_by_its_seed() {
        let report = || run(Shape::Chat, Way::CacheAware(Weights::default()), None);
        assert_eq!(report(), report());
    }

    #[test]
    fn caches_are_found_by_who_looks_for_them() {
        let [aware, blind] =
            [Way::CacheAware(Weights::default()), Way::RoundRobin].map(|way| run(Shape::Chat, way, None));
        assert!(aware.calls > 200 && aware.hits > blind.hits + 0.1, "{aware:?} {blind:?}");
        assert!(aware.pooled >= aware.hits && aware.ttft[1] < blind.ttft[1], "{aware:?} {blind:?}");
        let nothing = run(Shape::Unshared, Way::CacheAware(Weights::default()), None);
        assert!(nothing.hits == 0.0 && nothing.pooled == 0.0 && nothing.busiest < 1.25, "{nothing:?}");
    }

    /// Calls on an engine that dies are answered by others, and one that comes back has its share again.
    #[test]
    fn who_dies_is_replaced() {
        let with = |incident| run(Shape::Chat, Way::CacheAware(Weights::default()), incident);
        let (whole, dies, restarts) =
            (with(None), with(Some(Incident::Dies(1))), with(Some(Incident::Restarts(1, 1.0))));
        assert!(dies.calls * 10 > whole.calls * 9, "{dies:?} {whole:?}");
        assert!(restarts.busiest < dies.busiest && restarts.busiest < 1.5, "{restarts:?} {dies:?}");
        assert!(dies.busiest_later < 1.5, "nobody takes it all over: {dies:?}");
    }
}
