//! What a translation could not carry over. Nothing disappears silently: every dropped, degraded,
//! emulated or invented thing becomes a [`Loss`], and the operator decides what happens then.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;

/// Bytes of the longest "; +N more".
const LONGEST_MORE: usize = 28;

/// One thing that did not survive as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// JSON path in the client's request (`messages[2].name`, `seed`) or in the answer.
    pub path: Cow<'static, str>,
    /// What became of it.
    pub action: Action,
    /// How much it matters.
    pub class: Class,
    /// Why, in a few words for the client.
    pub reason: Cow<'static, str>,
}

/// What became of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// It was left out.
    Dropped,
    /// It was sent in a weaker form.
    Degraded,
    /// The gateway does it in the target's stead.
    Emulated,
    /// The target demands it and the client did not say it.
    Invented,
}

impl Action {
    /// The name in headers and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Degraded => "degraded",
            Self::Emulated => "emulated",
            Self::Invented => "invented",
        }
    }
}

/// How much a loss matters, which decides what [`OnUnsupported`] may do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// It changes price or speed only (cache marks, tiers): always carried on.
    Performance,
    /// It changes how the model behaves (seed, penalties): warned of, or refused when asked to.
    Behaviour,
    /// It guards something (safety settings, guardrails): refused unless allowed.
    Safety,
}

/// The operator's choice for parameters a target cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnsupported {
    /// Leave it out and say so.
    #[default]
    Warn,
    /// Leave it out; only logs and metrics say so.
    Drop,
    /// Refuse the call, naming the parameter.
    Reject,
}

impl OnUnsupported {
    /// Reads a setting.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "warn" => Some(Self::Warn),
            "drop" => Some(Self::Drop),
            "reject" => Some(Self::Reject),
            _ => None,
        }
    }
}

/// Everything one call lost, in the order it was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Losses(Vec<Loss>);

impl Losses {
    /// Records one.
    pub fn push(&mut self, loss: Loss) {
        self.0.push(loss);
    }

    /// Records one that the same stream may meet over and over, the first time only.
    pub fn push_once(&mut self, loss: Loss) {
        if !self.0.contains(&loss) {
            self.push(loss);
        }
    }

    /// Records that a behavioural parameter was left out.
    pub fn dropped(&mut self, path: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) {
        self.push(Loss {
            path: path.into(),
            action: Action::Dropped,
            class: Class::Behaviour,
            reason: reason.into(),
        });
    }

    /// Records that a behavioural parameter was sent in a weaker form.
    pub fn degraded(&mut self, path: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) {
        self.push(Loss {
            path: path.into(),
            action: Action::Degraded,
            class: Class::Behaviour,
            reason: reason.into(),
        });
    }

    /// Records that the gateway stands in for the target.
    pub fn emulated(&mut self, path: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) {
        self.push(Loss {
            path: path.into(),
            action: Action::Emulated,
            class: Class::Performance,
            reason: reason.into(),
        });
    }

    /// Records that something the target demands was made up.
    pub fn invented(&mut self, path: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) {
        self.push(Loss {
            path: path.into(),
            action: Action::Invented,
            class: Class::Performance,
            reason: reason.into(),
        });
    }

    /// Records that a hint about price or speed was left out.
    pub fn hint(&mut self, path: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) {
        self.push(Loss {
            path: path.into(),
            action: Action::Dropped,
            class: Class::Performance,
            reason: reason.into(),
        });
    }

    /// Gives every path found since there were `known` losses another spelling.
    pub fn respell(&mut self, known: usize, spell: impl Fn(&str) -> Option<String>) {
        for loss in self.0.iter_mut().skip(known) {
            if let Some(path) = spell(&loss.path) {
                loss.path = path.into();
            }
        }
    }

    /// Leaves out what was found twice since there were `known` losses: several things of one part of a request
    /// may be lost in the same way.
    pub fn unique(&mut self, known: usize) {
        if self.0.len() > known + 1 {
            let mut seen = HashSet::new();
            let found = self.0.split_off(known.min(self.0.len()));
            let is_new = |loss: &Loss| seen.insert((loss.path.clone(), loss.action, loss.reason.clone()));
            self.0.extend(found.into_iter().filter(is_new));
        }
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Loss> {
        self.0.iter()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first loss that `setting` refuses, if any.
    #[must_use]
    pub fn refused(&self, setting: OnUnsupported) -> Option<&Loss> {
        self.0.iter().find(|loss| match loss.class {
            Class::Safety => loss.action == Action::Dropped,
            Class::Behaviour => setting == OnUnsupported::Reject,
            Class::Performance => false,
        })
    }

    /// The value of `x-trunkline-warnings`: `path action (reason); …`, printable ASCII, at most
    /// `limit` bytes and then how many more there are.
    #[must_use]
    pub fn header(&self, limit: usize) -> String {
        let mut out = String::new();
        for (at, loss) in self.0.iter().enumerate() {
            // What stands between two entries stands in none.
            let reason = loss.reason.replace("; ", ", ");
            let entry = [&*loss.path, " ", loss.action.name(), " (", &*reason, ")"];
            let length: usize = entry.iter().map(|piece| piece.len()).sum();
            let between = if out.is_empty() { "" } else { "; " };
            if out.len() + between.len() + length + LONGEST_MORE > limit {
                out.push_str(between);
                let _ = write!(out, "+{} more", self.0.len() - at);
                break;
            }
            out.reserve(between.len() + length);
            out.push_str(between);
            for piece in entry {
                if piece.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                    out.push_str(piece);
                } else {
                    out.extend(piece.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }));
                }
            }
        }
        out
    }
}

impl IntoIterator for Losses {
    type Item = Loss;
    type IntoIter = std::vec::IntoIter<Loss>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_bounded_and_counts_the_rest() {
        let mut losses = Losses::default();
        for n in 0..500 {
            losses.dropped(format!("messages[{n}].n\u{e4}me"), "target has no field for it");
        }
        let header = losses.header(4096);
        assert!(header.len() <= 4096 && header.is_ascii());
        assert!(header.starts_with("messages[0].n?me dropped (target has no field for it); "), "{header}");
        assert!(header.ends_with("more"), "{header}");
    }

    #[test]
    fn entries_of_the_header_can_be_told_apart() {
        let mut losses = Losses::default();
        losses.invented("messages[1]", "target wants a signature; a placeholder is sent");
        losses.dropped("seed", "x");
        let header = losses.header(4096);
        let entries: Vec<_> = header.split("; ").collect();
        let first = "messages[1] invented (target wants a signature, a placeholder is sent)";
        assert_eq!(entries, [first, "seed dropped (x)"]);
    }

    #[test]
    fn the_same_is_told_once() {
        let mut losses = Losses::default();
        for path in ["a", "b", "a", "c", "b"] {
            losses.hint(path, "x");
        }
        losses.hint("a", "y");
        losses.unique(1);
        let found: Vec<_> = losses.iter().map(|loss| (&*loss.path, &*loss.reason)).collect();
        assert_eq!(
            found,
            [("a", "x"), ("b", "x"), ("a", "x"), ("c", "x"), ("a", "y")],
            "but the first is another's"
        );
    }

    #[test]
    fn the_operator_decides() {
        let mut losses = Losses::default();
        losses.hint("cache", "x");
        assert_eq!(losses.refused(OnUnsupported::Reject), None);
        losses.dropped("seed", "x");
        assert_eq!(losses.refused(OnUnsupported::Warn), None);
        assert_eq!(losses.refused(OnUnsupported::Reject).map(|l| l.path.as_ref()), Some("seed"));
    }
}
