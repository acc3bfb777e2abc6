//! Who holds which beginnings of prompts: an index of pages, each named by a hash over itself and all pages before it,
//! as engines name the blocks of their KV caches.
//!
//! A page's entry is its name and one bit per owner. That a longer beginning is held implies its shorter ones, so
//! nothing links pages to each other; one that lost its predecessor is never reached and grows old. Entries live in
//! sets ([`shard`]): a new one takes the place of the oldest of its set, which bounds memory without ever
//! stopping to clean up.
//!
//! Owners are small numbers. Taking one away is to ask for it no more; its number is given again only once its bits
//! are gone, which is seen to when numbers run out.

mod path;
mod shard;

pub(crate) use path::{Path, Reach};

use shard::Shard;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Parts that are locked apart, for one page at a time.
const SHARDS: usize = 64;
/// Most owners at once; those who come when all numbers are taken are known for no prompt.
const MOST_OWNERS: usize = 4_096;
/// Records between two steps of the clock that tells old entries from new ones, which goes round after 2^38 records.
const STEP: u64 = 64;

/// Who holds which beginnings of prompts.
#[derive(Debug)]
pub struct PrefixIndex {
    shards: Box<[Mutex<Shard>]>,
    /// Records so far.
    records: AtomicU64,
    owners: Mutex<Numbers>,
}

/// What an index holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Pages that somebody has, or had.
    pub pages: usize,
    /// Memory set aside for entries, in bytes.
    pub bytes: usize,
}

/// The numbers of owners.
#[derive(Debug)]
struct Numbers {
    /// All below were given.
    next: u16,
    /// Given back, and still in entries.
    retired: Vec<u16>,
    /// Given back, and in no entry.
    free: Vec<u16>,
    /// Words of bits that an entry has.
    width: usize,
}

impl PrefixIndex {
    /// An index whose entries take at most `budget` bytes.
    #[must_use]
    pub fn new(budget: usize) -> Self {
        let shard = || Mutex::new(Shard::new(budget / SHARDS));
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            records: AtomicU64::new(0),
            owners: Mutex::new(Numbers { next: 0, retired: Vec::new(), free: Vec::new(), width: 1 }),
        }
    }

    /// A number for somebody who holds nothing yet; `None` when all are taken.
    #[must_use]
    pub fn enlist(self: &Arc<Self>) -> Option<Owner> {
        let mut numbers = locked(&self.owners);
        let number = self.number(&mut numbers)?;
        Some(Owner { number: AtomicU16::new(number), index: Arc::clone(self) })
    }

    /// One that is in no entry.
    fn number(&self, numbers: &mut Numbers) -> Option<u16> {
        if numbers.free.is_empty() && usize::from(numbers.next) == numbers.width * 64 {
            self.make_room(numbers)?;
        }
        Some(numbers.free.pop().unwrap_or_else(|| {
            numbers.next += 1;
            numbers.next - 1
        }))
    }

    /// Cleans numbers that were given back or, where there are none, makes entries wider.
    fn make_room(&self, numbers: &mut Numbers) -> Option<()> {
        let retired = std::mem::take(&mut numbers.retired);
        if retired.is_empty() {
            numbers.width = Some(numbers.width * 2).filter(|width| width * 64 <= MOST_OWNERS)?;
            self.shards.iter().for_each(|shard| locked(shard).widen(numbers.width));
        } else {
            self.shards.iter().for_each(|shard| locked(shard).forget(&retired));
            numbers.free = retired;
        }
        Some(())
    }

    /// What it holds.
    #[must_use]
    pub fn held(&self) -> Held {
        self.shards.iter().map(|shard| locked(shard).held()).fold(Held::default(), |all, one| Held {
            pages: all.pages + one.pages,
            bytes: all.bytes + one.bytes,
        })
    }

    /// Marks `reach` with how much of `path` each of those in it holds, in bytes from its beginning.
    pub(crate) fn reach(&self, path: &Path, reach: &mut Reach) {
        for page in path.pages() {
            let Some(shard) = self.shard(page.name).map(locked) else { return };
            if !reach.go_on(shard.owners(page.name), page.end) {
                return;
            }
        }
    }

    /// `owner` holds all of `path` from now on.
    pub(crate) fn record(&self, path: &Path, owner: u16) {
        let steps = self.records.fetch_add(1, Relaxed) / STEP;
        let now = u32::try_from(steps & u64::from(u32::MAX)).unwrap_or(0);
        for page in path.pages() {
            if let Some(mut shard) = self.shard(page.name).map(locked) {
                shard.add(page.name, owner, now);
            }
        }
    }

    /// Names are even hashes: their low bits choose the shard, their high ones the set in it.
    fn shard(&self, name: u64) -> Option<&Mutex<Shard>> {
        let [low, ..] = name.to_le_bytes();
        self.shards.get(usize::from(low) % SHARDS)
    }
}

/// A number in an index for as long as it lives, and then nobody's.
#[derive(Debug)]
pub struct Owner {
    number: AtomicU16,
    index: Arc<PrefixIndex>,
}

impl Owner {
    /// What candidates are known by.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number.load(Relaxed)
    }

    /// Forgets, at no cost, all that was recorded for it: it is another owner from now on. Its number then.
    pub fn renew(&self) -> u16 {
        let mut numbers = locked(&self.index.owners);
        // Without another number it keeps what it has, which misleads but harms nobody.
        let Some(number) = self.index.number(&mut numbers) else { return self.number() };
        numbers.retired.push(self.number.swap(number, Relaxed));
        number
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        locked(&self.index.owners).retired.push(self.number());
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
