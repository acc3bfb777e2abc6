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

/// Pieces shorter than this are copied together: a handle of its own for each, and what the piece's owner
/// keeps alive with it, would cost many times its size.
const SMALL: usize = 4 << 10;

impl Rope {
    /// Appends a piece. Two neighbours are never both small, so that a rope of n bytes has at most
    /// 2n / 4096 + 1 pieces however it was cut; a piece that is not small is never copied.
    pub fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.len += piece.len();
        match self.pieces.last_mut() {
            Some(last) if last.len() < SMALL && piece.len() < SMALL => {
                *last = grown(std::mem::take(last), &piece);
            }
            Some(_) | None => self.pieces.push(piece),
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

    /// Whether `mark` stands in it, also across pieces.
    #[must_use]
    pub fn holds(&self, mark: &[u8]) -> bool {
        let reach = mark.len().saturating_sub(1);
        // The last bytes before a piece: a mark that begins in them may end in it.
        let mut seam: Vec<u8> = Vec::new();
        self.pieces.iter().any(|piece| {
            seam.extend_from_slice(piece.get(..reach).unwrap_or(piece));
            let found = [&seam, &**piece].iter().any(|text| memchr::memmem::find(text, mark).is_some());
            match piece.len().checked_sub(reach) {
                Some(from) => seam = piece.get(from..).unwrap_or_default().to_vec(),
                None => drop(seam.drain(..seam.len().saturating_sub(reach))),
            }
            found
        })
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

    /// The bytes of `range`, as they lie; what lies beyond the end is left out.
    pub fn parts(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> {
        self.within(range).filter_map(|(piece, range)| piece.get(range))
    }

    fn copy_range(&self, range: Range<usize>, out: &mut Self) {
        self.within(range).for_each(|(piece, range)| out.push(piece.slice(range)));
    }

    /// The pieces that `range` covers some of, and what of each.
    fn within(&self, range: Range<usize>) -> impl Iterator<Item = (&Bytes, Range<usize>)> {
        let mut base = 0;
        self.pieces.iter().filter_map(move |piece| {
            let from = range.start.clamp(base, base + piece.len()) - base;
            let to = range.end.clamp(base, base + piece.len()) - base;
            base += piece.len();
            (from < to).then_some((piece, from..to))
        })
    }
}

/// `piece` with `more` behind it. One that was grown before has nobody else who holds it, and grows in place.
fn grown(piece: Bytes, more: &[u8]) -> Bytes {
    let mut grown = piece.try_into_mut().unwrap_or_else(|shared| {
        let mut own = BytesMut::with_capacity(shared.len() + more.len());
        own.extend_from_slice(&shared);
        own
    });
    grown.extend_from_slice(more);
    grown.freeze()
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

    /// `text` cut into pieces of these sizes, over and over.
    fn cut<'t>(text: &'t Bytes, sizes: &'t [usize]) -> impl Iterator<Item = Bytes> + 't {
        let mut left = text.clone();
        let next = move |size: &usize| (!left.is_empty()).then(|| left.split_to(left.len().min(*size)));
        sizes.iter().cycle().map_while(next)
    }

    #[test]
    fn a_body_of_single_bytes_is_a_few_pieces() {
        let text = Bytes::from(vec![b'x'; 40 * SMALL]);
        let mut rope = Rope::default();
        cut(&text, &[1]).for_each(|piece| rope.push(piece));
        assert_eq!((rope.pieces().len(), rope.joined()), (40, text));
    }

    proptest! {
        #[test]
        fn a_mark_is_found_however_the_body_was_cut(
            text in "[ab]{0,40}",
            mark in "[ab]{1,6}",
            sizes in proptest::collection::vec(1..9usize, 1..5),
        ) {
            let whole = Bytes::from(text.clone());
            let rope = Rope { pieces: cut(&whole, &sizes).collect(), len: whole.len() };
            prop_assert_eq!(rope.holds(mark.as_bytes()), text.contains(&mark));
        }

        #[test]
        fn however_it_was_cut_a_rope_has_few_pieces_and_copies_small_ones_only(
            sizes in proptest::collection::vec(prop_oneof![1..9usize, SMALL - 2..SMALL + 2, 1..3 * SMALL], 1..9),
            from in 0..20 * SMALL,
        ) {
            let text: Bytes = (0..20 * SMALL).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let mut rope = Rope::default();
            for piece in cut(&text, &sizes) {
                let (size, start) = (piece.len(), piece.as_ptr());
                rope.push(piece);
                let shares = rope.pieces().last().is_some_and(|last| last.as_ptr() == start);
                prop_assert!(shares || size < SMALL);
            }
            prop_assert_eq!(rope.len(), text.len());
            prop_assert!(rope.pieces().windows(2).all(|two| two.iter().any(|piece| piece.len() >= SMALL)));
            prop_assert!(rope.pieces().iter().all(|piece| !piece.is_empty()));
            prop_assert_eq!(rope.slice(from..text.len()), text.slice(from..));
            prop_assert_eq!(rope.splice(&[(from..from, Bytes::from_static(b"x"))]).joined(),
                [&text[..from], b"x", &text[from..]].concat());
            prop_assert_eq!(rope.joined(), text);
        }

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
