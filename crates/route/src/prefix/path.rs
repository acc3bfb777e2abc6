//! A prompt as the pages it consists of, and how far along them owners go.

use smallvec::{SmallVec, smallvec};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Pages get longer with the distance from the beginning, where most prompts part: up to that many bytes, those before
/// it are of that length. What comes behind the last is not looked at.
const LENGTHS: [(usize, usize); 3] = [(8 << 10, 128), (64 << 10, 512), (1 << 20, LONGEST)];
const LONGEST: usize = 2 << 10;

/// A prompt's whole pages.
#[derive(Debug, Default)]
pub(crate) struct Path(SmallVec<[Page; 96]>);

/// One page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    /// Hash of it and all before it; never 0.
    pub(crate) name: u64,
    /// Where it ends in the prompt, in bytes.
    pub(crate) end: u32,
}

impl Path {
    /// The pages of the text that `chunks` make together. Those of other `namespace`s are never the same.
    pub(crate) fn of(namespace: u64, chunks: &[&[u8]]) -> Self {
        let mut path = Self::default();
        let (mut name, mut end) = (namespace, 0);
        let mut reader = Reader { chunks, rest: &[] };
        let mut gathered = [0; LONGEST];
        for (until, length) in LENGTHS {
            while end < until {
                let Some(page) = gathered.get_mut(..length).and_then(|buffer| reader.next(buffer)) else {
                    return path;
                };
                name = xxh3_64_with_seed(page, name).max(1);
                end += length;
                path.0.push(Page { name, end: u32::try_from(end).unwrap_or(u32::MAX) });
            }
        }
        path
    }

    pub(crate) fn pages(&self) -> &[Page] {
        &self.0
    }
}

/// Cuts text that is not in one piece.
struct Reader<'c> {
    chunks: &'c [&'c [u8]],
    rest: &'c [u8],
}

impl<'c> Reader<'c> {
    /// As many bytes as `buffer` is long, which is used where they are in several chunks.
    fn next<'b>(&mut self, buffer: &'b mut [u8]) -> Option<&'b [u8]>
    where
        'c: 'b,
    {
        if let Some((page, rest)) = self.rest.split_at_checked(buffer.len()) {
            self.rest = rest;
            return Some(page);
        }
        let mut filled = 0;
        while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
            let (taken, rest) = self.rest.split_at(free.len().min(self.rest.len()));
            free.iter_mut().zip(taken).for_each(|(to, from)| *to = *from);
            filled += taken.len();
            self.rest = rest;
            if taken.is_empty() {
                (self.rest, self.chunks) = self.chunks.split_first()?;
            }
        }
        Some(buffer)
    }
}

/// How far each of some owners goes along a path.
#[derive(Debug)]
pub(crate) struct Reach {
    /// One bit for each that has had all pages so far.
    on: SmallVec<[u64; 4]>,
    /// Where each that has dropped out ends, by its number, in bytes.
    ends: SmallVec<[u32; 256]>,
    /// Where those end who have not.
    end: u32,
}

impl Reach {
    /// Of these owners.
    pub(crate) fn of(owners: impl Iterator<Item = u16>) -> Self {
        let mut reach = Self { on: SmallVec::new(), ends: SmallVec::new(), end: 0 };
        for owner in owners {
            let (word, bit) = place(owner);
            if word >= reach.on.len() {
                reach.on.resize(word + 1, 0);
            }
            if let Some(word) = reach.on.get_mut(word) {
                *word |= bit;
            }
        }
        reach.ends = smallvec![0; reach.on.len() * 64];
        reach
    }

    /// The next page, up to `end`, is held by `owners`. Whether anybody goes on.
    pub(crate) fn go_on(&mut self, owners: &[u64], end: u32) -> bool {
        let mut goes_on = 0;
        for (at, on) in self.on.iter_mut().enumerate() {
            let mut lost = *on & !owners.get(at).unwrap_or(&0);
            *on &= !lost;
            goes_on |= *on;
            while lost != 0 {
                if let Some(ends) = self.ends.get_mut(at * 64 + lost.trailing_zeros() as usize) {
                    *ends = self.end;
                }
                lost &= lost - 1;
            }
        }
        self.end = end;
        goes_on != 0
    }

    /// How much of the path `owner` holds, in bytes.
    pub(crate) fn end(&self, owner: u16) -> u32 {
        let (word, bit) = place(owner);
        match self.on.get(word) {
            Some(on) if on & bit != 0 => self.end,
            _ => self.ends.get(usize::from(owner)).copied().unwrap_or(0),
        }
    }
}

/// Which word of a row of bits `owner` is in, and its bit there.
pub(super) fn place(owner: u16) -> (usize, u64) {
    (usize::from(owner / 64), 1 << (owner % 64))
}
