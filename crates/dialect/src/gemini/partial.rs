//! Arguments of a function call that arrive piece by piece, each under the JSON path it belongs to.

use crate::codec::MOST_TRACKED;
use crate::json::{Fields, Writer};
use serde_json::value::RawValue;

/// Most bytes of arguments that are put together.
const LONGEST: usize = 8 << 20;
/// Deepest path that is followed.
const DEEPEST: usize = 64;

/// The arguments so far.
#[derive(Debug, Default)]
pub(super) struct Partial {
    root: Node,
    size: usize,
}

#[derive(Debug, Default)]
enum Node {
    #[default]
    Unset,
    Text(String),
    /// A number, `true`, `false` or `null`, as spelled.
    Plain(String),
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
}

enum Step {
    Key(String),
    Index(usize),
}

impl Partial {
    /// Takes the next piece; `None` when it cannot be placed.
    pub(super) fn take(&mut self, raw: &RawValue) -> Option<()> {
        let mut fields = Fields::read(raw, "").ok()?.camel();
        let path = fields.string("jsonPath").ok()??;
        self.size += raw.get().len();
        if self.size > LONGEST {
            return None;
        }
        let mut node = &mut self.root;
        for step in steps(&path)? {
            node = node.child(step)?;
        }
        if let Some(more) = fields.string("stringValue").ok()? {
            if let Node::Text(text) = node {
                text.push_str(&more);
            } else {
                *node = Node::Text(more.into());
            }
        } else if let Some(plain) = fields.raw("numberValue").or_else(|| fields.raw("boolValue")) {
            *node = Node::Plain(plain.get().to_owned());
        } else {
            *node = Node::Plain("null".to_owned());
        }
        Some(())
    }

    /// The arguments as one object.
    pub(super) fn finish(&self) -> String {
        let mut out = Vec::new();
        match &self.root {
            Node::Object(_) => self.root.write(&mut Writer::new(&mut out)),
            Node::Unset | Node::Text(_) | Node::Plain(_) | Node::Array(_) => out.extend_from_slice(b"{}"),
        }
        String::from_utf8(out).unwrap_or_default()
    }
}

impl Node {
    /// The node one step further, made where it is new. Lists grow at their end only.
    fn child(&mut self, step: Step) -> Option<&mut Self> {
        if let Self::Unset = self {
            *self = match step {
                Step::Key(_) => Self::Object(Vec::new()),
                Step::Index(_) => Self::Array(Vec::new()),
            };
        }
        match (step, self) {
            (Step::Key(key), Self::Object(members)) => {
                let known = members.iter().rposition(|(name, _)| *name == key);
                let at = known.unwrap_or(members.len());
                if known.is_none() {
                    (at < MOST_TRACKED).then(|| members.push((key, Self::Unset)))?;
                }
                members.get_mut(at).map(|(_, node)| node)
            }
            (Step::Index(at), Self::Array(list)) => {
                if at == list.len() {
                    list.push(Self::Unset);
                }
                list.get_mut(at)
            }
            (Step::Key(_) | Step::Index(_), _) => None,
        }
    }

    fn write(&self, w: &mut Writer<'_>) {
        match self {
            Self::Unset => w.null(),
            Self::Text(text) => w.string(text),
            Self::Plain(plain) => w.raw(plain),
            Self::Object(members) => w.object(|w| {
                members.iter().for_each(|(key, node)| node.write(w.member(key)));
            }),
            Self::Array(list) => w.array(|w| list.iter().for_each(|node| node.write(w))),
        }
    }
}

/// The steps of `$.a.b[0]['c']`.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, tail) = if let Some(inner) = rest.strip_prefix('[') {
            let quote = inner.chars().next().filter(|c| matches!(c, '\'' | '"'));
            match quote {
                Some(quote) => {
                    let (key, tail) = inner.get(1..)?.split_once(quote)?;
                    (Step::Key(key.to_owned()), tail.strip_prefix(']')?)
                }
                None => {
                    let (index, tail) = inner.split_once(']')?;
                    (Step::Index(index.parse().ok()?), tail)
                }
            }
        } else {
            let inner = rest.strip_prefix('.').unwrap_or(rest);
            let end = inner.find(['.', '[']).unwrap_or(inner.len());
            let (key, tail) = inner.split_at(end);
            if key.is_empty() {
                return None;
            }
            (Step::Key(key.to_owned()), tail)
        };
        steps.push(step);
        rest = tail;
        if steps.len() > DEEPEST {
            return None;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_one_object() {
        let mut partial = Partial::default();
        for piece in [
            r#"{"jsonPath":"$.city","stringValue":"Bos","willContinue":true}"#,
            r#"{"jsonPath":"$.city","stringValue":"ton"}"#,
            r#"{"jsonPath":"$.days[0].n","numberValue":1.0}"#,
            r#"{"json_path":"$.days[1]['a.b']","boolValue":true}"#,
            r#"{"jsonPath":"$.none","nullValue":"NULL_VALUE"}"#,
        ] {
            assert_eq!(partial.take(serde_json::from_str(piece).unwrap()), Some(()), "{piece}");
        }
        let want = r#"{"city":"Boston","days":[{"n":1.0},{"a.b":true}],"none":null}"#;
        assert_eq!(partial.finish(), want);
        for piece in [
            r#"{"jsonPath":"$.days[7]","numberValue":1}"#,
            r#"{"jsonPath":"$.city.x","numberValue":1}"#,
            r#"{"jsonPath":"$..x","numberValue":1}"#,
            r#"{"numberValue":1}"#,
        ] {
            assert_eq!(partial.take(serde_json::from_str(piece).unwrap()), None, "{piece}");
        }
        assert_eq!(partial.finish(), want);
        assert_eq!(Partial::default().finish(), "{}");
    }
}
