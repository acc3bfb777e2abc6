//! An engine's prefix cache: blocks named by all the text before them, of which those in use stay and others are
//! dropped, the longest unused first.

use std::collections::{BTreeSet, HashMap};

/// Tokens of a block.
pub(super) const BLOCK: usize = 16;

/// The blocks an engine holds.
#[derive(Debug)]
pub(super) struct Cache {
    capacity: usize,
    blocks: HashMap<u64, Block>,
    /// Blocks that no call uses, the first to go first: of a prompt, its end.
    unused: BTreeSet<(u64, std::cmp::Reverse<usize>, u64)>,
    clock: u64,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    users: u32,
    /// When it was last used, and how deep in its prompt it is.
    rank: (u64, std::cmp::Reverse<usize>),
}

impl Cache {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, blocks: HashMap::new(), unused: BTreeSet::new(), clock: 0 }
    }

    /// How many blocks of `path` are there, from its beginning.
    pub(super) fn held(&self, path: &[u64]) -> usize {
        path.iter().take_while(|name| self.blocks.contains_key(name)).count()
    }

    /// Uses `path` from now on, blocks of which make place for others only after [`Cache::release`]. `false`, and
    /// nothing changed, when there is no room for all of it.
    pub(super) fn take(&mut self, path: &[u64]) -> bool {
        let held = path.iter().filter(|name| self.blocks.contains_key(name)).count();
        let idle = path.iter().filter_map(|name| self.blocks.get(name)).filter(|block| block.users == 0).count();
        let room = self.capacity - (self.blocks.len() - self.unused.len()) - idle;
        if path.len() - held > room {
            return false;
        }
        for (depth, name) in path.iter().enumerate() {
            self.enter(*name, depth);
        }
        true
    }

    /// Uses one more block, at the end of a call's own; `false` when there is no room for it.
    pub(super) fn extend(&mut self, name: u64, depth: usize) -> bool {
        let has_room = self.blocks.contains_key(&name) || self.blocks.len() - self.unused.len() < self.capacity;
        if has_room {
            self.enter(name, depth);
        }
        has_room
    }

    fn enter(&mut self, name: u64, depth: usize) {
        let rank = (self.clock, std::cmp::Reverse(depth));
        let block = self.blocks.entry(name).or_insert(Block { users: 0, rank });
        if block.users == 0 {
            self.unused.remove(&(block.rank.0, block.rank.1, name));
        }
        block.users += 1;
        while self.blocks.len() > self.capacity {
            let Some((_, _, oldest)) = self.unused.pop_first() else { return };
            self.blocks.remove(&oldest);
        }
    }

    /// Uses these blocks no more.
    pub(super) fn release(&mut self, path: &[u64]) {
        self.clock += 1;
        for (depth, name) in path.iter().enumerate() {
            let Some(block) = self.blocks.get_mut(name) else { continue };
            block.users = block.users.saturating_sub(1);
            if block.users == 0 {
                block.rank = (self.clock, std::cmp::Reverse(depth));
                self.unused.insert((block.rank.0, block.rank.1, *name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_longest_unused_goes() {
        let mut cache = Cache::new(4);
        assert!(cache.take(&[1, 2, 3]));
        assert!(!cache.take(&[1, 4, 5]), "three are in use, two more do not fit");
        assert!(cache.take(&[1, 4]));
        cache.release(&[1, 2, 3]);
        assert_eq!((cache.held(&[1, 2, 3]), cache.held(&[1, 4, 5])), (3, 2));
        assert!(cache.take(&[6]), "the end of the unused prompt goes first");
        assert_eq!((cache.held(&[1, 2, 3]), cache.held(&[6])), (2, 1));
        assert!(!cache.take(&[7, 8]) && cache.extend(7, 1) && !cache.extend(8, 2));
        assert_eq!(cache.held(&[1, 2]), 1);
    }
}
