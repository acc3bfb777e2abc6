//! Counts the pictures of an answer that passes, since one may hold fewer than were asked for.

use memchr::memmem::Finder;
use std::sync::LazyLock;
use trunkline_core::Usage;

static FILE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"b64_json\""));
static ADDRESS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"url\""));
/// How far behind the beginning of a key its value begins at most.
const REACH: usize = 32;

/// The pictures of one answer of OpenAI's form, which holds a file or an address for each.
#[derive(Debug, Default)]
pub struct Pictures {
    seen: Members,
    /// The last bytes, whose keys may have their values in the next.
    end: Vec<u8>,
}

/// Members whose value is a text; `null` stands where a picture comes in the other way.
#[derive(Debug, Clone, Copy, Default)]
struct Members {
    files: u64,
    addresses: u64,
}

impl Pictures {
    /// Looks at the next bytes.
    pub fn see(&mut self, bytes: &[u8]) {
        let near = bytes.get(..REACH).unwrap_or(bytes);
        self.end.extend_from_slice(near);
        let decided = match near.len() == bytes.len() {
            true => self.end.len().saturating_sub(REACH),
            false => self.end.len() - near.len(),
        };
        self.seen.add(&self.end, decided);
        self.end.drain(..decided);
        if near.len() < bytes.len() {
            let decided = bytes.len() - REACH;
            self.seen.add(bytes, decided);
            self.end.clear();
            self.end.extend_from_slice(bytes.get(decided..).unwrap_or_default());
        }
    }

    /// What the whole answer says of `usage`, with how many pictures came.
    #[must_use]
    pub fn counted(&self, usage: Option<Box<Usage>>) -> Option<Box<Usage>> {
        let mut all = self.seen;
        all.add(&self.end, self.end.len());
        let mut usage = usage.unwrap_or_default();
        usage.images = Some(all.files.max(all.addresses));
        Some(usage)
    }
}

impl Members {
    /// Adds those that begin within the first `limit` of `bytes`.
    fn add(&mut self, bytes: &[u8], limit: usize) {
        let count = |key: &Finder<'_>| {
            let starts = key.find_iter(bytes).take_while(|at| *at < limit);
            let values = starts.filter_map(|at| bytes.get(at + key.needle().len()..));
            let is_text = |rest: &&[u8]| {
                let value = rest.trim_ascii_start().strip_prefix(b":");
                value.is_some_and(|value| value.trim_ascii_start().starts_with(b"\""))
            };
            values.filter(is_text).count() as u64
        };
        self.files += count(&FILE);
        self.addresses += count(&ADDRESS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn count(pieces: &[&[u8]]) -> Option<u64> {
        let mut pictures = Pictures::default();
        pieces.iter().for_each(|piece| pictures.see(piece));
        pictures.counted(None)?.images
    }

    #[test]
    fn pictures_that_came_are_counted() {
        for (body, want) in [
            (r#"{"created":1,"data":[]}"#, 0),
            (r#"{"data":[{"b64_json":"QUJD"},{"b64_json":"QUJD"}]}"#, 2),
            (r#"{"data":[{"url" : "https://x/1","b64_json":null},{"url":"https://x/2"}]}"#, 2),
            (r#"{"data":[{"b64_json":"QUJD","url":null,"revised_prompt":"\"url\":\"x\""}]}"#, 1),
            (r#"{"data":[{"b64_json":"QUJD","url":"https://x/1"}]}"#, 1),
            ("", 0),
        ] {
            assert_eq!(count(&[body.as_bytes()]), Some(want), "{body}");
        }
        let usage = Usage { output_total: Some(7), ..Usage::default() };
        let counted = Pictures::default().counted(Some(Box::new(usage.clone())));
        assert_eq!(counted.as_deref(), Some(&Usage { images: Some(0), ..usage }));
    }

    proptest! {
        #[test]
        fn chunking_never_matters(
            length in 0_usize..90, at in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let data = "Q".repeat(length);
            let body = format!(
                r#"{{"data":[{{"b64_json":"{data}","url":null}},{{"url": null, "b64_json" :  "{data}"}}]}}"#
            );
            let mut cuts: Vec<usize> = at.iter().map(|at| at.index(body.len() + 1)).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &body.as_bytes()[cut[0]..cut[1]]).collect();
            prop_assert_eq!(count(&pieces), Some(2));
        }
    }
}
