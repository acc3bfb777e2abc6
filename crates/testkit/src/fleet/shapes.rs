//! Load as it comes: conversations of several calls, each of which begins with what the last one ended with.

use super::BLOCK;
use fastrand::Rng;
use std::rc::Rc;

/// One call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) id: u64,
    /// Whose conversation it is of, and which turn of it.
    pub(super) talk: usize,
    /// Names of its prompt's blocks, each of which stands for all text up to there.
    pub(super) prompt: Rc<[u64]>,
    /// Those of the answer's blocks.
    pub(super) answer: Rc<[u64]>,
    /// When it came, in seconds.
    pub(super) came: f64,
}

impl Call {
    /// Tokens of its prompt.
    pub(super) fn tokens(&self) -> usize {
        self.prompt.len() * BLOCK
    }

    /// All its blocks.
    pub(super) fn path(&self) -> Vec<u64> {
        self.prompt.iter().chain(&*self.answer).copied().collect()
    }

    /// Text as it might be: four bytes for a token, the same for the same block.
    pub(super) fn text(&self, text: &mut Vec<u8>) {
        text.clear();
        for name in &*self.prompt {
            let mut rng = Rng::with_seed(*name);
            text.extend(std::iter::repeat_with(|| rng.u64(..).to_le_bytes()).take(BLOCK / 2).flatten());
        }
    }
}

/// A conversation: its turns, and how long its user takes before each.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) begins: f64,
    pub(super) turns: Vec<Turn>,
}

#[derive(Debug)]
pub(super) struct Turn {
    /// Seconds after the last answer.
    pub(super) pause: f64,
    pub(super) prompt: Rc<[u64]>,
    pub(super) answer: Rc<[u64]>,
}

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// People in conversation, behind one of four system prompts.
    Chat,
    /// Agents: one of eight long lists of tools, then many quick turns that each add a tool's result.
    Agents,
    /// Many questions to each of some long documents, a few of them far more asked than others.
    Documents,
    /// Prompts that share nothing.
    Unshared,
    /// Conversations that come all at once, five seconds in every thirty.
    Bursts,
    /// Fifty tenants with a system prompt each, of whom a few send nearly everything.
    Tenants,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Chat, Self::Agents, Self::Documents, Self::Unshared, Self::Bursts, Self::Tenants];

    /// The name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "multi-turn chat",
            Self::Agents => "agent traces",
            Self::Documents => "long documents",
            Self::Unshared => "nothing shared",
            Self::Bursts => "bursts",
            Self::Tenants => "skewed tenants",
        }
    }

    /// Conversations that begin within `seconds`, for a fleet of `engines`.
    pub(super) fn talks(self, engines: usize, seconds: f64, seed: u64) -> Vec<Talk> {
        let mut make = Maker { rng: Rng::with_seed(seed), shape: self };
        let mut talks = Vec::new();
        let fleet = f64::from(u32::try_from(engines).unwrap_or(u32::MAX));
        let mut begins = 0.0;
        loop {
            begins += make.exponential(1.0 / (self.rate() * fleet));
            if begins > seconds {
                return talks;
            }
            let begins = if self == Self::Bursts { burst(begins) } else { begins };
            talks.push(make.talk(begins));
        }
    }

    /// Conversations a second that keep one engine about three quarters busy when routed well.
    const fn rate(self) -> f64 {
        match self {
            Self::Chat => 5.0,
            Self::Agents => 1.2,
            Self::Documents => 14.0,
            Self::Unshared => 12.0,
            Self::Bursts => 3.0,
            Self::Tenants => 10.0,
        }
    }
}

/// Moves two thirds of half a minute's conversations into its first five seconds.
fn burst(at: f64) -> f64 {
    let (period, within) = ((at / 30.0).floor() * 30.0, at % 30.0);
    if within < 20.0 { period + within / 4.0 } else { period + 5.0 + (within - 20.0) * 2.5 }
}

struct Maker {
    rng: Rng,
    shape: Shape,
}

impl Maker {
    fn talk(&mut self, begins: f64) -> Talk {
        let (shared, first, turns) = match self.shape {
            Shape::Chat | Shape::Bursts => (self.shared(4, 0.8, 600), (40, 300), self.count(5.0, 20)),
            Shape::Agents => (self.shared(8, 0.8, 6_000), (200, 1_500), 10 + self.count(10.0, 30)),
            Shape::Documents => (self.shared(60, 0.9, 24_000), (30, 100), 1),
            Shape::Unshared => (Vec::new(), (200, 3_000), 1),
            Shape::Tenants => (self.shared(50, 1.2, 2_000), (50, 600), self.count(2.0, 4)),
        };
        let mut path = shared;
        let turns = (0..turns)
            .map(|turn| {
                let (added, answer, pause) = match self.shape {
                    _ if turn == 0 => (first, (80, 400), 0.0),
                    Shape::Agents => ((100, 2_000), (40, 250), self.exponential(1.0)),
                    Shape::Chat | Shape::Documents | Shape::Unshared | Shape::Bursts | Shape::Tenants => {
                        ((30, 300), (80, 400), self.exponential(8.0))
                    }
                };
                self.grow(&mut path, added);
                let prompt: Rc<[u64]> = path.clone().into();
                let before = path.len();
                self.grow(&mut path, answer);
                let answer = path.get(before..).unwrap_or_default().into();
                Turn { pause, prompt, answer }
            })
            .collect();
        Talk { begins, turns }
    }

    /// One of `count` texts that several conversations begin with, the nth of which is asked for 1/n^`skew` as often as
    /// the first.
    fn shared(&mut self, count: u32, skew: f64, tokens: usize) -> Vec<u64> {
        let weight = |n: u32| f64::from(n + 1).powf(-skew);
        let mut place = self.rng.f64() * (0..count).map(weight).sum::<f64>();
        let which = (0..count).find(|n| {
            place -= weight(*n);
            place <= 0.0
        });
        let mut rng = Rng::with_seed(u64::from(which.unwrap_or(0)) + 1);
        std::iter::repeat_with(|| rng.u64(..)).take(tokens / BLOCK).collect()
    }

    /// Adds text of so many tokens, at least and at most, that nobody else has.
    fn grow(&mut self, path: &mut Vec<u64>, (least, most): (usize, usize)) {
        // More short ones than long ones.
        let part = self.rng.f64() * self.rng.f64();
        let blocks = least / BLOCK + self.part_of(part, (most - least) / BLOCK) + 1;
        path.extend(std::iter::repeat_with(|| self.rng.u64(..)).take(blocks));
    }

    fn part_of(&self, part: f64, of: usize) -> usize {
        (0..of).take_while(|n| number(*n) < part * number(of)).count()
    }

    /// About `mean`, at least 1, at most `most`.
    fn count(&mut self, mean: f64, most: usize) -> usize {
        (1..most).take_while(|_| self.rng.f64() > 1.0 / mean).count() + 1
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.rng.f64()).ln()
    }
}

pub(super) fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
