//! The words of an answer so far, kept because citations come after them and count in them: Gemini in bytes
//! of UTF-8, other dialects in Unicode scalar values.

/// Longest answer whose offsets are converted.
const LONGEST: usize = 4 << 20;
/// Bytes between two places whose offset in scalar values is known.
const STRIDE: usize = 64;

/// The joined text of one answer.
#[derive(Debug, Default)]
pub(super) struct Words {
    text: String,
    /// Scalar values before the one that the `STRIDE`th bytes are of.
    counts: Vec<u64>,
    scalars: u64,
    /// It was too long to be kept.
    spilled: bool,
}

impl Words {
    /// Takes the next words.
    pub(super) fn push(&mut self, more: &str) {
        if self.spilled || self.text.len() + more.len() > LONGEST {
            *self = Self { spilled: true, ..Self::default() };
            return;
        }
        for c in more.chars() {
            self.text.push(c);
            self.scalars += 1;
            while self.counts.len() * STRIDE < self.text.len() {
                self.counts.push(self.scalars - 1);
            }
        }
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// What stands between two byte offsets.
    pub(super) fn between(&self, start: usize, end: usize) -> Option<&str> {
        self.text.get(start..end)
    }

    /// The scalar values before a byte offset, when a character begins there.
    pub(super) fn scalars_at(&self, byte: usize) -> Option<u64> {
        if self.spilled || !self.text.is_char_boundary(byte) {
            return None;
        }
        let (at, known) = self.stride(byte / STRIDE);
        Some(known + u64::try_from(self.text.get(at..byte)?.chars().count()).ok()?)
    }

    /// The byte offset behind this many scalar values.
    pub(super) fn byte_at(&self, scalars: u64) -> Option<usize> {
        if self.spilled || scalars > self.scalars {
            return None;
        }
        let (at, known) = self.stride(self.counts.partition_point(|n| *n <= scalars).saturating_sub(1));
        let left = usize::try_from(scalars - known).ok()?;
        let rest = self.text.get(at..)?;
        rest.char_indices().map(|(offset, _)| at + offset).chain([self.text.len()]).nth(left)
    }

    /// Where the character at the start of a stride begins, and how many there are before it.
    fn stride(&self, stride: usize) -> (usize, u64) {
        let mut at = (stride * STRIDE).min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        (at, self.counts.get(stride).copied().unwrap_or(self.scalars))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn offsets_are_counted_as_by_hand(pieces in proptest::collection::vec("[aé€😀]{0,70}", 0..5)) {
            let mut words = Words::default();
            pieces.iter().for_each(|piece| words.push(piece));
            let text = pieces.concat();
            let starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            for (scalars, byte) in (0..).zip(starts) {
                prop_assert_eq!(words.scalars_at(byte), Some(scalars));
                prop_assert_eq!(words.byte_at(scalars), Some(byte));
            }
            prop_assert_eq!(words.byte_at(text.chars().count() as u64 + 1), None);
        }
    }
}
