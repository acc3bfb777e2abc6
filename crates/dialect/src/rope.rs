//! A body as it arrived: pieces in order, never joined unless somebody must see it whole.
//!
//! Cutting and replacing ranges shares the pieces, so that renaming the model in a megabyte of prompt
//! costs a few dozen bytes.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use std::ops::Range;

/// Bytes in pieces.
#[derive(Debug, Clone, Default)]
pub struct Rope {
    pieces: SmallVec<[Bytes; 3]>,
    len: usize,
}

impl Rope {
    /// Appends a piece.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push(piece);
        }
    }

    /// Bytes in all.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces in order.
    #[must_use]
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// The whole in one piece; copies only when there is more than one.
    #[must_use]
    pub fn joined(&self) -> Bytes {
        if let [only] = self.pieces.as_slice() {
            return only.clone();
        }
        let mut all = BytesMut::with_capacity(self.len);
        self.pieces.iter().for_each(|piece| all.extend_from_slice(piece));
        all.freeze()
    }

    /// The bytes of `range`, in one piece; what lies beyond the end is left out.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Bytes {
        let mut part = Self::default();
        self.copy_range(range, &mut part);
        part.joined()
    }

    /// The same body with `edits` applied: ranges in ascending order that do not overlap, each
    /// replaced by its bytes; an empty range inserts.
    #[must_use]
    pub fn splice(&self, edits: &[(Range<usize>, Bytes)]) -> Self {
        let mut out = Self::default();
        let mut at = 0;
        for (range, new) in edits {
            self.copy_range(at..range.start, &mut out);
            out.push(new.clone());
            at = range.end;
        }
        self.copy_range(at..self.len, &mut out);
        out
    }

    fn copy_range(&self, range: Range<usize>, out: &mut Self) {
        let mut base = 0;
        for piece in &self.pieces {
            let from = range.start.clamp(base, base + piece.len()) - base;
            let to = range.end.clamp(base, base + piece.len()) - base;
            if from < to {
                out.push(piece.slice(from..to));
            }
            base += piece.len();
        }
    }
}

impl From<Bytes> for Rope {
    fn from(bytes: Bytes) -> Self {
        let mut rope = Self::default();
        rope.push(bytes);
        rope
    }
}

impl From<Vec<u8>> for Rope {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl IntoIterator for Rope {
    type Item = Bytes;
    type IntoIter = smallvec::IntoIter<[Bytes; 3]>;

    fn into_iter(self) -> Self::IntoIter {
        self.pieces.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn splicing_a_rope_is_splicing_the_bytes(
            pieces in proptest::collection::vec("[a-z]{0,9}", 0..6),
            mut cuts in proptest::collection::vec(any::<prop::sample::Index>(), 4),
        ) {
            let whole = pieces.concat();
            let mut rope = Rope::default();
            pieces.iter().for_each(|p| rope.push(Bytes::copy_from_slice(p.as_bytes())));
            let mut at: Vec<_> = cuts.drain(..).map(|i| i.index(whole.len() + 1)).collect();
            at.sort_unstable();
            let edits = [(at[0]..at[1], Bytes::from_static(b"ONE")), (at[2]..at[3], Bytes::from_static(b""))];
            let want = format!("{}ONE{}{}", &whole[..at[0]], &whole[at[1]..at[2]], &whole[at[3]..]);
            let spliced = rope.splice(&edits);
            prop_assert_eq!(spliced.len(), want.len());
            prop_assert_eq!(spliced.joined(), want.as_bytes());
            prop_assert_eq!(rope.slice(at[0]..at[2]), &whole.as_bytes()[at[0]..at[2]]);
        }
    }
}
