//! A table of pages that never holds more than it may: sets of sixteen entries, the oldest of which makes place.

use super::Held;
use super::path::place;

/// Entries of a set. With fewer, some would be full long before the table is half full, and have it grow.
const WAYS: usize = 16;
/// What an entry takes beside the bits of its owners: its name and its age.
const FIXED: usize = size_of::<u64>() + size_of::<u32>();

/// One part of an index. Entry `n`'s owners are the `width` words from `n * width` on.
#[derive(Debug)]
pub(super) struct Shard {
    /// 0 where no entry is.
    names: Vec<u64>,
    /// When each was last recorded, by the index's clock.
    stamps: Vec<u32>,
    owners: Vec<u64>,
    /// Words of bits in an entry.
    width: usize,
    pages: usize,
    budget: usize,
}

impl Shard {
    /// One that takes at most `budget` bytes; none until it holds something.
    pub(super) const fn new(budget: usize) -> Self {
        Self { names: Vec::new(), stamps: Vec::new(), owners: Vec::new(), width: 1, pages: 0, budget }
    }

    pub(super) const fn held(&self) -> Held {
        Held { pages: self.pages, bytes: self.names.len() * (FIXED + self.width * 8) }
    }

    /// One bit per owner of the page; empty when nobody is known to have it.
    pub(super) fn owners(&self, name: u64) -> &[u64] {
        self.find(name).and_then(|at| self.owners.get(at * self.width..(at + 1) * self.width)).unwrap_or(&[])
    }

    /// `owner` has the page since `now`.
    pub(super) fn add(&mut self, name: u64, owner: u16, now: u32) {
        let Some(at) = self.find(name).or_else(|| self.take(name, now)) else { return };
        let (word, bit) = place(owner);
        if let (true, Some(word)) = (word < self.width, self.owners.get_mut(at * self.width + word)) {
            *word |= bit;
        }
        if let Some(stamp) = self.stamps.get_mut(at) {
            *stamp = now;
        }
    }

    /// Takes these owners out of every entry. Entries that nobody has are left to grow old.
    pub(super) fn forget(&mut self, owners: &[u16]) {
        let mut mask = vec![u64::MAX; self.width];
        for (word, bit) in owners.iter().map(|owner| place(*owner)) {
            if let Some(word) = mask.get_mut(word) {
                *word &= !bit;
            }
        }
        for entry in self.owners.chunks_exact_mut(self.width) {
            entry.iter_mut().zip(&mask).for_each(|(word, mask)| *word &= mask);
        }
    }

    /// Gives every entry room for the owners of `width` words.
    pub(super) fn widen(&mut self, width: usize) {
        self.rebuild(self.names.len(), width);
    }

    /// Where the set of a name begins.
    fn set(&self, name: u64) -> usize {
        let sets = self.names.len() / WAYS;
        // A hash times a number, over 2^64, is that number evenly shared out.
        usize::try_from((u128::from(name) * sets as u128) >> 64).unwrap_or(0) * WAYS
    }

    fn find(&self, name: u64) -> Option<usize> {
        let start = self.set(name);
        let set = self.names.get(start..start + WAYS)?;
        set.iter().position(|held| *held == name).map(|way| start + way)
    }

    /// An entry for a page that has none: a free one of its set, or the oldest's where the table may not grow.
    fn take(&mut self, name: u64, now: u32) -> Option<usize> {
        let free = self.free(name).or_else(|| {
            self.grow();
            self.free(name)
        });
        let at = free.or_else(|| self.oldest(name, now))?;
        *self.names.get_mut(at)? = name;
        self.owners.get_mut(at * self.width..(at + 1) * self.width)?.fill(0);
        self.pages += usize::from(free.is_some());
        Some(at)
    }

    fn free(&self, name: u64) -> Option<usize> {
        let start = self.set(name);
        let set = self.names.get(start..start + WAYS)?;
        set.iter().position(|held| *held == 0).map(|way| start + way)
    }

    fn oldest(&self, name: u64, now: u32) -> Option<usize> {
        let start = self.set(name);
        let stamps = self.stamps.get(start..start + WAYS)?.iter().enumerate();
        stamps.max_by_key(|(_, stamp)| now.wrapping_sub(**stamp)).map(|(way, _)| start + way)
    }

    /// Twice as many entries, or as many as may be.
    fn grow(&mut self) {
        let most = self.most(self.width);
        let entries = (self.names.len() * 2).max(2 * WAYS).min(most);
        if entries > self.names.len() {
            self.rebuild(entries, self.width);
        }
    }

    /// How many entries of `width` words there may be: whole sets of them.
    const fn most(&self, width: usize) -> usize {
        self.budget / (FIXED + width * 8) / WAYS * WAYS
    }

    /// Moves all there is into a table of at most so many `entries`.
    fn rebuild(&mut self, entries: usize, width: usize) {
        let entries = entries.min(self.most(width));
        let (names, stamps) = (vec![0; entries], vec![0; entries]);
        let new =
            Self { names, stamps, owners: vec![0; entries * width], width, pages: 0, budget: self.budget };
        let old = std::mem::replace(self, new);
        let newest = old.stamps.iter().copied().max().unwrap_or(0);
        let held = old.names.iter().zip(&old.stamps).zip(old.owners.chunks_exact(old.width));
        for ((name, stamp), owners) in held.filter(|((name, _), _)| **name != 0) {
            let Some(at) = self.take(*name, newest) else { continue };
            if let Some(to) = self.stamps.get_mut(at) {
                *to = *stamp;
            }
            let to = self.owners.iter_mut().skip(at * width).take(width);
            to.zip(owners).for_each(|(to, from)| *to = *from);
        }
    }
}
