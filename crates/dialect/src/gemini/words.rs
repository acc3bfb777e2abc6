//! The words of an answer so far, kept because citations come after them and count in them: Gemini in bytes
//! of UTF-8, other dialects in Unicode scalar values. Most answers cite nothing, so they are only counted when
//! somebody asks.

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
    /// How many bytes were counted, and the scalar values that begin in them.
    counted: usize,
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
        self.text.push_str(more);
    }

    /// Counts what came since the last time.
    fn count(&mut self) {
        let bytes = self.text.as_bytes();
        while let Some(rest) = bytes.get(self.counted..).filter(|rest| !rest.is_empty()) {
            let from_stride = self.counted % STRIDE;
            if from_stride == 0 {
                // The character may have begun in the stride before.
                self.counts
                    .push(self.scalars.saturating_sub(u64::from(!self.text.is_char_boundary(self.counted))));
            }
            let more = rest.get(..STRIDE - from_stride).unwrap_or(rest);
            let begins = |byte: &&u8| **byte & 0xc0 != 0x80;
            self.scalars += more.iter().filter(begins).count() as u64;
            self.counted += more.len();
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
    pub(super) fn scalars_at(&mut self, byte: usize) -> Option<u64> {
        self.count();
        if self.spilled || !self.text.is_char_boundary(byte) {
            return None;
        }
        let (at, known) = self.stride(byte / STRIDE);
        Some(known + u64::try_from(self.text.get(at..byte)?.chars().count()).ok()?)
    }

    /// The byte offset behind this many scalar values.
    pub(super) fn byte_at(&mut self, scalars: u64) -> Option<usize> {
        self.count();
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
            for piece in &pieces {
                words.push(piece);
                // Whenever it is asked, what is said then holds.
                prop_assert_eq!(words.scalars_at(words.len()), Some(words.text.chars().count() as u64));
            }
            let mut at_once = Words::default();
            pieces.iter().for_each(|piece| at_once.push(piece));
            prop_assert_eq!(at_once.scalars_at(0), Some(0));
            prop_assert_eq!(&at_once.counts, &words.counts);
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
