//! Tool names and call ids within a target's limits, and back again.
//!
//! A target may refuse names our client uses (`files.read`, 80 characters). They are rewritten the
//! same way wherever they stand in one request, and restored in the answer, so the client never sees
//! the rewritten form.

use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// What a target accepts: ASCII letters and digits and the characters of `also`, `shortest` to `longest` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alphabet {
    /// Characters allowed besides letters and digits.
    pub also: &'static str,
    /// Fewest characters.
    pub shortest: usize,
    /// Most characters.
    pub longest: usize,
}

impl Alphabet {
    /// OpenAI function names: `[a-zA-Z0-9_-]{1,64}`.
    pub const OPENAI_NAME: Self = Self { also: "_-", shortest: 1, longest: 64 };
    /// OpenAI call ids: up to 64 characters; engines take anything.
    pub const OPENAI_ID: Self = Self { also: "_-.:|", shortest: 1, longest: 64 };
    /// Mistral's call ids: nine letters and digits.
    pub const MISTRAL_ID: Self = Self { also: "", shortest: 9, longest: 9 };
    /// Anthropic tool names: `[a-zA-Z0-9_-]{1,128}`.
    pub const ANTHROPIC_NAME: Self = Self { also: "_-", shortest: 1, longest: 128 };
    /// Anthropic tool-use ids: `[a-zA-Z0-9_-]+`.
    pub const ANTHROPIC_ID: Self = Self { also: "_-", shortest: 1, longest: 128 };

    /// Cohere tool names: `[a-zA-Z_][a-zA-Z0-9_]*`.
    pub const COHERE_NAME: Self = Self { also: "_", shortest: 1, longest: 64 };
    /// Gemini function names: `[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}`; newer models take longer ones.
    pub const GEMINI_NAME: Self = Self { also: "_-.:", shortest: 1, longest: 64 };
    /// Bedrock tool names: `[a-zA-Z0-9_-]{1,64}`.
    pub const BEDROCK_NAME: Self = Self { also: "_-", shortest: 1, longest: 64 };
    /// Bedrock tool-use ids: `[a-zA-Z0-9_.:-]{1,64}`.
    pub const BEDROCK_ID: Self = Self { also: "_.:-", shortest: 1, longest: 64 };

    /// The same however long a name is: clients take what they are given, and state may ride on it.
    pub(crate) const fn of_any_length(self) -> Self {
        Self { longest: usize::MAX, ..self }
    }

    fn accepts(self, text: &str) -> bool {
        (self.shortest..=self.longest).contains(&text.len()) && text.chars().all(|c| self.allows(c))
    }

    fn allows(self, c: char) -> bool {
        c.is_ascii_alphanumeric() || self.also.contains(c)
    }
}

/// The rewritten names of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    alphabet: Alphabet,
    /// Whether a name must begin with a letter or `_`.
    letter_first: bool,
    /// Originals by what they were rewritten to.
    changed: HashMap<String, String>,
}

impl Names {
    /// For a target with these limits.
    #[must_use]
    pub fn new(alphabet: Alphabet) -> Self {
        Self { alphabet, letter_first: false, changed: HashMap::new() }
    }

    /// The same for a target whose names begin with a letter or `_`.
    #[must_use]
    pub fn letter_first(self) -> Self {
        Self { letter_first: true, ..self }
    }

    /// The name as the target will take it: itself, or illegal characters replaced by `_`, cut short,
    /// and six hex digits of its hash appended so that two names never meet.
    pub fn target<'n>(&mut self, name: &'n str) -> Cow<'n, str> {
        let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
        let wants_head = self.letter_first && !name.starts_with(begins);
        if self.alphabet.accepts(name) && !wants_head {
            return Cow::Borrowed(name);
        }
        let hash = Sha256::digest(name.as_bytes());
        let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
        if !self.alphabet.allows('_') {
            return Cow::Owned(self.hashed(name, &hex));
        }
        let head = if wants_head { "_" } else { "" };
        let allowed = name.chars().map(|c| if self.alphabet.allows(c) { c } else { '_' });
        let allowed: String = head.chars().chain(allowed).collect();
        // Names that begin alike and hash alike are told apart by more of the hash.
        let mut targets = (6..=hex.len()).step_by(6).map(|digits| {
            let keep = self.alphabet.longest.saturating_sub(digits + 1);
            let head = allowed.get(..keep.min(allowed.len())).unwrap_or_default();
            format!("{head}_{}", hex.get(..digits).unwrap_or_default())
        });
        let is_free = |target: &String| self.changed.get(target).is_none_or(|original| original == name);
        let target = targets.find(is_free).unwrap_or(hex);
        self.changed.entry(target.clone()).or_insert_with(|| name.to_owned());
        Cow::Owned(target)
    }

    /// A name of nothing but digits of the hash, for targets that leave no room for more.
    fn hashed(&mut self, name: &str, hex: &str) -> String {
        let digits = self.alphabet.longest.min(hex.len());
        let windows = (0..=hex.len() - digits).filter_map(|at| hex.get(at..at + digits));
        let mut free =
            windows.filter(|target| self.changed.get(*target).is_none_or(|original| original == name));
        let target = free.next().unwrap_or(hex).to_owned();
        self.changed.entry(target.clone()).or_insert_with(|| name.to_owned());
        target
    }

    /// The client's own name for what the target calls `name`.
    #[must_use]
    pub fn original<'n>(&'n self, name: &'n str) -> &'n str {
        self.changed.get(name).map_or(name, String::as_str)
    }
}

/// The ids of one request's calls, for a target that takes each of them once.
///
/// Clients and engines count from `call_0` in every turn. What a call is named depends on those before it
/// alone, so a conversation that grows keeps its prefix, and what is cached of it.
#[derive(Debug)]
pub(crate) struct UniqueIds {
    names: Names,
    /// Ids given so far.
    given: HashSet<String>,
    /// How often the client used an id; a search that began anew each time would be quadratic.
    uses: HashMap<String, u64>,
}

impl UniqueIds {
    /// For a target with these limits.
    pub(crate) fn new(alphabet: Alphabet) -> Self {
        Self { names: Names::new(alphabet), given: HashSet::new(), uses: HashMap::new() }
    }

    /// The id of the next call, which the client named `id`: as the target takes it, with `_2` and so on
    /// behind it where a call had it before.
    pub(crate) fn next(&mut self, id: &str) -> String {
        let uses = self.uses.entry(id.to_owned()).or_default();
        loop {
            *uses += 1;
            let wanted = if *uses == 1 { Cow::Borrowed(id) } else { Cow::Owned(format!("{id}_{uses}")) };
            let target = self.names.target(&wanted).into_owned();
            if self.given.insert(target.clone()) {
                return target;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_fit_and_come_back(list in proptest::collection::vec(".{0,90}", 1..8)) {
            let alphabets = [Alphabet::OPENAI_NAME, Alphabet::MISTRAL_ID].map(Names::new);
            for mut names in alphabets.into_iter().chain([Names::new(Alphabet::GEMINI_NAME).letter_first()]) {
                let targets: Vec<_> = list.iter().map(|n| names.target(n).into_owned()).collect();
                for (name, target) in list.iter().zip(&targets) {
                    prop_assert!(names.alphabet.accepts(target), "{target}");
                    let begins = target.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
                    prop_assert!(begins || !names.letter_first, "{target}");
                    prop_assert_eq!(names.original(target), name.as_str());
                }
            }
        }

        #[test]
        fn no_id_is_given_twice(list in proptest::collection::vec("[ab.](_2){0,2}|x{62,130}", 1..24)) {
            for alphabet in [Alphabet::ANTHROPIC_ID, Alphabet::BEDROCK_ID] {
                let (mut ids, mut given) = (UniqueIds::new(alphabet), HashSet::new());
                for id in &list {
                    let own = ids.next(id);
                    prop_assert!(alphabet.accepts(&own), "{own}");
                    prop_assert!(given.insert(own), "{list:?}");
                }
            }
        }
    }
}
