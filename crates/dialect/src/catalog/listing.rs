//! Lists of models: the one in the binary, which is inflated once, when first asked for, and newer ones.
//!
//! Lines stay text: a gateway asks for few of the thousands of models, and each of them once. What is kept beside the
//! text is where each name stands, sorted; for the built-in list by `build.rs`.

use super::entry::{Entry, EntryError};
use super::features::Mode;
use super::{names, places};
use crate::provider::vertex::is_claude;
use crate::provider::{VERTEX, VERTEX_CLAUDE};
use miniz_oxide::inflate::decompress_slice_iter_to_slice;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::OnceLock;
use trunkline_core::Kind;

static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/catalog.bin"));
static LOADED: OnceLock<Listing> = OnceLock::new();

/// A place in the text, as it was packed.
type Place = [u8; 4];

/// A list of models.
#[derive(Debug, Default)]
pub struct Listing {
    text: String,
    /// Where names and aliases begin in the text, sorted by them in lower case.
    places: Cow<'static, [Place]>,
}

/// What is no list of models.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// A line that is no model.
    #[error("line {0}: {1}")]
    Line(usize, EntryError),
    /// A model without a provider.
    #[error("line {0}: a model is called `provider/model`")]
    Name(usize),
    /// Two models of one name.
    #[error("`{0}` is listed twice")]
    Twice(String),
    /// Nothing.
    #[error("lists no model")]
    Empty,
    /// More than can be addressed.
    #[error("is too long")]
    Long,
}

/// The models that this version knows.
#[must_use]
pub fn builtin() -> &'static Listing {
    LOADED.get_or_init(Listing::load)
}

impl Listing {
    /// Inflates it anew. [`builtin`] does so once; this is for measuring.
    #[must_use]
    pub fn load() -> Self {
        // It was packed by our own build, and a test unpacks it.
        unpack().unwrap_or_default()
    }

    /// Reads a list in the form of the catalogue's file (`docs/catalog.md`), every line of it: what comes from
    /// elsewhere is taken whole or not at all.
    ///
    /// # Errors
    /// When a line is no model, two are called the same, or there is none.
    pub fn read(text: &str) -> Result<Self, ListingError> {
        let mut seen = HashSet::new();
        let mut kept = String::with_capacity(text.len());
        for (at, line) in
            text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        {
            let entry = Entry::parse(line).map_err(|error| ListingError::Line(at + 1, error))?;
            if entry.provider().is_empty() || entry.upstream().is_empty() {
                return Err(ListingError::Name(at + 1));
            }
            for name in entry.aliases.iter().map(|alias| &**alias).chain([entry.upstream()]) {
                let name = format!("{}/{name}", entry.provider()).to_ascii_lowercase();
                if !seen.insert(name.clone()) {
                    return Err(ListingError::Twice(name));
                }
            }
            if !kept.is_empty() {
                kept.push('\n');
            }
            kept.push_str(line);
        }
        if kept.is_empty() {
            return Err(ListingError::Empty);
        }
        let places = places::names(kept.lines()).into_iter();
        let places =
            places.map(|(_, at)| u32::try_from(at).map(u32::to_le_bytes).map_err(|_| ListingError::Long));
        Ok(Self { places: places.collect::<Result<Vec<_>, _>>()?.into(), text: kept })
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
        self.text.len() + size_of_val(&*self.places)
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
fn unpack() -> Option<Listing> {
    let (length, rest) = PACKED.split_first_chunk()?;
    let (count, rest) = rest.split_first_chunk()?;
    let (places, deflated) = rest.split_at_checked(number(count) * size_of::<u32>())?;
    let mut text = vec![0; number(length)];
    let whole = decompress_slice_iter_to_slice(&mut text, std::iter::once(deflated), true, false).ok()?;
    (whole == text.len()).then_some(())?;
    Some(Listing { text: String::from_utf8(text).ok()?, places: Cow::Borrowed(places.as_chunks().0) })
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
    fn a_list_from_elsewhere_is_taken_whole_or_not_at_all() {
        let file = include_str!("../../data/catalog.tsv");
        let listing = Listing::read(file).expect("it is a list");
        assert!(listing.lines().eq(builtin().lines()) && listing.places == builtin().places);
        let line = |id: &str, aliases: &str| format!("{id}\t{aliases}\tchat{}", "\t".repeat(13));
        assert!(Listing::read(&format!("# more\n\n{}\n", line("a/b", ""))).is_ok());
        for (text, why) in [
            ("", "lists no model"),
            ("# only a comment\n", "lists no model"),
            ("<html>", "line 1: a model has 16 cells, not 1"),
            (
                &format!("{}\n{}\ttoo many", line("a/b", ""), line("a/c", "")),
                "line 2: a model has 16 cells, not 17",
            ),
            (&line("nobody", ""), "line 1: a model is called `provider/model`"),
            (&format!("{}\n{}", line("a/b", ""), line("a/c", "d B")), "`a/b` is listed twice"),
            (&line("a/b", "").replace("chat", "what"), "line 1: `what` is not known"),
        ] {
            let error = Listing::read(text).expect_err(text);
            assert_eq!(error.to_string(), why, "{text}");
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
