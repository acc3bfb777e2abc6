//! Calls that wait for their results.
//!
//! Clients may send any number of calls under any ids, the same one more than once, and answer them in any
//! order: finding the call that a result answers must not mean going through all of them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;

/// The calls, each by where it stands and by its id.
#[derive(Debug)]
pub(crate) struct Waiting<I> {
    ids: BTreeMap<usize, I>,
    /// Where the calls of an id stand, in order.
    places: HashMap<I, VecDeque<usize>>,
}

impl<I> Default for Waiting<I> {
    fn default() -> Self {
        Self { ids: BTreeMap::new(), places: HashMap::new() }
    }
}

impl<I: Clone + Eq + Hash> Waiting<I> {
    /// The call `at` a place behind all others.
    pub(crate) fn push(&mut self, at: usize, id: I) {
        self.places.entry(id.clone()).or_default().push_back(at);
        self.ids.insert(at, id);
    }

    /// Takes out the first call of this id; whether there was one.
    pub(crate) fn answer(&mut self, id: &I) -> bool {
        let at = self.places.get_mut(id).and_then(VecDeque::pop_front);
        at.is_some_and(|at| self.ids.remove(&at).is_some())
    }

    /// Whether every call is answered.
    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Takes out the first call of all.
    pub(crate) fn pop(&mut self) -> Option<I> {
        let (_, id) = self.ids.pop_first()?;
        // It is the first of its id as well.
        self.places.get_mut(&id).and_then(VecDeque::pop_front);
        Some(id)
    }

    /// Takes out all, in order, with where they stand.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (usize, I)> + use<I> {
        self.places.clear();
        std::mem::take(&mut self.ids).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_answer_the_first_call_of_their_id() {
        let mut waiting = Waiting::default();
        for (at, id) in ["a", "b", "a", "c"].into_iter().enumerate() {
            waiting.push(at, id);
        }
        assert!(waiting.answer(&"a") && !waiting.answer(&"x"));
        assert_eq!(waiting.pop(), Some("b"), "the first `a` is answered, the second is not");
        assert_eq!(waiting.pop(), Some("a"));
        assert!(!waiting.answer(&"a") && !waiting.answer(&"b"));
        assert_eq!(waiting.drain().collect::<Vec<_>>(), [(3, "c")]);
        assert_eq!(waiting.pop(), None);
        assert!(!waiting.answer(&"c"));
    }
}
