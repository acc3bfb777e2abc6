//! The catalogue in the binary: inflated once, when first asked for, and read a line at a time.
//!
//! Its lines stay text: a gateway asks for few of the thousands of models, and each of them once. What is kept
//! beside the text is where each name stands, sorted by `build.rs`.

use super::entry::Entry;
use super::features::Mode;
use super::names;
use crate::provider::vertex::is_claude;
use crate::provider::{VERTEX, VERTEX_CLAUDE};
use miniz_oxide::inflate::decompress_slice_iter_to_slice;
use std::cmp::Ordering;
use std::sync::OnceLock;
use trunkline_core::Kind;

static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/catalog.bin"));
static LOADED: OnceLock<Builtin> = OnceLock::new();

/// A place in the text, as it was packed.
type Place = [u8; 4];

/// The models that this version knows.
#[derive(Debug, Default)]
pub struct Builtin {
    text: String,
    /// Where names and aliases begin in the text, sorted by them in lower case.
    places: &'static [Place],
}

/// The built-in catalogue.
#[must_use]
pub fn builtin() -> &'static Builtin {
    LOADED.get_or_init(Builtin::load)
}

impl Builtin {
    /// Inflates it anew. [`builtin`] does so once; this is for measuring.
    #[must_use]
    pub fn load() -> Self {
        // It was packed by our own build, and a test unpacks it.
        unpack().unwrap_or_default()
    }

    /// Every model, by id.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.text.lines().filter_map(|line| Entry::parse(line).ok())
    }

    /// Every line, as it is in the data file.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// Ids of all of `provider`'s models that are for something of this build, and for what; nothing else of them is
    /// read.
    pub fn of_provider(&self, provider: &str) -> impl Iterator<Item = (&str, Kind)> {
        let listed = names::provider_id(provider);
        let has = move |id: &str| {
            let model = id.split_once('/').map_or(id, |(_, model)| model);
            listed != VERTEX || is_claude(model) == (provider == VERTEX_CLAUDE)
        };
        self.lines().filter(move |line| is_of(line, listed)).filter_map(move |line| {
            let mut cells = line.split('\t');
            let (id, mode) = (cells.next()?, cells.nth(1)?);
            has(id).then_some(())?;
            Some((id, Mode::named(mode)?.kind()?))
        })
    }

    /// Bytes it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len() + size_of_val(self.places)
    }

    /// The model that `provider` calls `name`.
    #[must_use]
    pub(super) fn find(&self, provider: &str, name: &str) -> Option<Entry> {
        self.called(name).find(|line| is_of(line, provider)).and_then(|line| Entry::parse(line).ok())
    }

    /// Lines of the models that some provider calls `name`.
    pub(super) fn called(&self, name: &str) -> impl Iterator<Item = &str> {
        let from = self.places.partition_point(|at| order(self.name(at), name) == Ordering::Less);
        let same =
            self.places.iter().skip(from).take_while(move |at| self.name(at).eq_ignore_ascii_case(name));
        same.map(|at| self.line(at))
    }

    /// Lines of `provider`'s models whose names begin with `start`, and what comes behind it.
    pub(super) fn beginning(&self, provider: &str, start: &str) -> impl Iterator<Item = (&str, &str)> {
        let from = self.places.partition_point(|at| order(self.name(at), start) == Ordering::Less);
        let names = self.places.iter().skip(from).map_while(move |at| {
            let (begin, rest) = self.name(at).split_at_checked(start.len())?;
            begin.eq_ignore_ascii_case(start).then(|| (rest, self.line(at)))
        });
        names.filter(move |(_, line)| is_of(line, provider))
    }

    fn name(&self, at: &Place) -> &str {
        let rest = self.text.get(number(at)..).unwrap_or_default();
        rest.split(['\t', ' ']).next().unwrap_or_default()
    }

    /// The line in which a name stands.
    fn line(&self, at: &Place) -> &str {
        let (before, behind) = self.text.split_at_checked(number(at)).unwrap_or_default();
        let begin = before.rfind('\n').map_or(0, |end| end + 1);
        let end = before.len() + behind.find('\n').unwrap_or(behind.len());
        self.text.get(begin..end).unwrap_or_default()
    }
}

/// Reads what `build.rs` packed.
fn unpack() -> Option<Builtin> {
    let (length, rest) = PACKED.split_first_chunk()?;
    let (count, rest) = rest.split_first_chunk()?;
    let (places, deflated) = rest.split_at_checked(number(count) * size_of::<u32>())?;
    let mut text = vec![0; number(length)];
    let whole = decompress_slice_iter_to_slice(&mut text, std::iter::once(deflated), true, false).ok()?;
    (whole == text.len()).then_some(())?;
    Some(Builtin { text: String::from_utf8(text).ok()?, places: places.as_chunks().0 })
}

fn number(bytes: &[u8; 4]) -> usize {
    u32::from_le_bytes(*bytes) as usize
}

fn is_of(line: &str, provider: &str) -> bool {
    line.split_once('/').is_some_and(|(own, _)| own.eq_ignore_ascii_case(provider))
}

/// As `build.rs` sorts.
fn order(name: &str, other: &str) -> Ordering {
    name.bytes().map(|b| b.to_ascii_lowercase()).cmp(other.bytes().map(|b| b.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider;

    #[test]
    fn every_line_is_a_model() {
        let mut models = 0;
        for line in builtin().lines() {
            let entry = Entry::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert!(!entry.provider().is_empty() && !entry.upstream().is_empty(), "{line}");
            for price in &entry.prices {
                assert_eq!(price.to_string().parse().as_ref(), Ok(price), "{line}");
            }
            models += 1;
        }
        assert!(models >= 2500, "{models} models");
    }

    #[test]
    fn the_binary_holds_what_the_file_holds() {
        let file = include_str!("../../data/catalog.tsv");
        assert!(builtin().lines().eq(file.lines().filter(|line| !line.starts_with('#'))));
    }

    #[test]
    fn every_model_is_found_by_its_names_in_any_case() {
        for line in builtin().lines() {
            let Ok(entry) = Entry::parse(line) else { panic!("{line}") };
            for name in entry.aliases.iter().map(|alias| &**alias).chain([entry.upstream()]) {
                let found =
                    builtin().find(&entry.provider().to_ascii_uppercase(), &name.to_ascii_uppercase());
                assert_eq!(found.as_ref(), Some(&entry), "{name}");
            }
        }
        assert_eq!(builtin().find("openai", "gpt-4o "), None);
        assert_eq!(builtin().find("openai", ""), None);
        assert_eq!(builtin().find("", "gpt-4o"), None);
    }

    #[test]
    fn no_two_models_share_a_name() {
        let mut seen = std::collections::HashSet::new();
        for entry in builtin().entries() {
            for name in entry.aliases.iter().map(|alias| &**alias).chain([entry.upstream()]) {
                let name = format!("{}/{name}", entry.provider()).to_ascii_lowercase();
                assert!(!seen.contains(&name), "{name}");
                seen.insert(name);
            }
        }
    }

    #[test]
    fn providers_are_called_as_everywhere_else() {
        for entry in builtin().entries() {
            let named = provider::named(entry.provider());
            assert!(named.is_none_or(|known| known.id == entry.provider()), "{}", entry.id);
        }
        for known in provider::PROVIDERS {
            assert!(
                builtin().lines().any(|line| is_of(line, names::provider_id(known.id))),
                "no model of {}",
                known.id
            );
        }
    }

    /// The bound is on what stays; the text is all of it but a few kilobytes.
    #[test]
    fn it_takes_less_than_eight_megabytes() {
        assert!(builtin().bytes() < 8_000_000, "{} bytes", builtin().bytes());
        assert!(PACKED.len() < 400_000, "{} bytes in the binary", PACKED.len());
    }
}
