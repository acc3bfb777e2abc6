//! A prefix cache of fixed-size KV blocks, as the engines keep it: a block is named by the hash of
//! everything up to its end, so equal names mean equal prefixes; blocks nobody uses stay until their
//! room is needed and leave oldest first.

use std::collections::{BTreeMap, HashMap};

/// KV memory, counted in blocks.
#[derive(Debug)]
pub(crate) struct PrefixCache {
    capacity: usize,
    blocks: HashMap<u64, Block>,
    /// Unused blocks by the moment they fell idle: the order of eviction.
    idle: BTreeMap<u64, u64>,
    /// Blocks of running requests that no other request can share (outputs, unfilled last blocks).
    private: usize,
    held: usize,
    clock: u64,
}

#[derive(Debug)]
struct Block {
    holders: usize,
    idle_since: u64,
}

impl PrefixCache {
    pub(crate) fn new(capacity: usize) -> Self {
        let (blocks, idle) = (HashMap::new(), BTreeMap::new());
        Self { capacity, blocks, idle, private: 0, held: 0, clock: 0 }
    }

    /// How many leading blocks of `path` are here.
    pub(crate) fn matched(&self, path: &[u64]) -> usize {
        path.iter().take_while(|name| self.blocks.contains_key(name)).count()
    }

    /// Whether `path` and `private` more blocks have room once everything idle is evicted.
    pub(crate) fn fits(&self, path: &[u64], private: usize) -> bool {
        let unheld = path.iter().filter(|name| self.blocks.get(name).is_none_or(|b| b.holders == 0)).count();
        self.held + self.private + unheld + private <= self.capacity
    }

    /// Pins `path` and `private` blocks for one request, evicting what is idle if there is no room.
    pub(crate) fn hold(&mut self, path: &[u64], private: usize) {
        self.private += private;
        for name in path {
            let block = self.blocks.entry(*name).or_insert(Block { holders: 0, idle_since: 0 });
            if block.holders == 0 {
                self.idle.remove(&block.idle_since);
                self.held += 1;
            }
            block.holders += 1;
        }
        while self.blocks.len() + self.private > self.capacity {
            let Some((_, name)) = self.idle.pop_first() else { break };
            self.blocks.remove(&name);
        }
    }

    /// Undoes one [`PrefixCache::hold`]; the path's blocks stay for the next request with its prefix.
    pub(crate) fn release(&mut self, path: &[u64], private: usize) {
        self.private = self.private.saturating_sub(private);
        // The tail goes idle first: it must not outlive the prefix it continues.
        for name in path.iter().rev() {
            let Some(block) = self.blocks.get_mut(name) else { continue };
            block.holders = block.holders.saturating_sub(1);
            if block.holders == 0 {
                self.clock += 1;
                block.idle_since = self.clock;
                self.idle.insert(self.clock, *name);
                self.held = self.held.saturating_sub(1);
            }
        }
    }

    /// Blocks in use by running requests.
    pub(crate) fn pinned(&self) -> usize {
        self.held + self.private
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_idle_tail_leaves_first() {
        let mut cache = PrefixCache::new(6);
        for path in [[1, 2, 3], [11, 12, 13]] {
            cache.hold(&path, 0);
            cache.release(&path, 0);
        }
        assert_eq!((cache.matched(&[1, 2, 3]), cache.matched(&[11, 12, 13])), (3, 3));
        cache.hold(&[21, 22], 0);
        assert_eq!(cache.matched(&[1, 2, 3]), 1, "the older path lost its tail");
        assert_eq!(cache.matched(&[11, 12, 13]), 3, "the newer path is whole");
    }

    #[test]
    fn held_blocks_are_never_evicted() {
        let mut cache = PrefixCache::new(4);
        cache.hold(&[1, 2], 1);
        assert!(cache.fits(&[1, 2, 3], 0), "shared blocks are counted once");
        assert!(!cache.fits(&[7, 8], 0));
        cache.hold(&[7, 8], 0);
        assert_eq!(cache.matched(&[1, 2]), 2);
        cache.release(&[1, 2], 1);
        cache.release(&[7, 8], 0);
        assert_eq!(cache.pinned(), 0);
    }
}
