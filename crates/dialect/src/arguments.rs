//! Tool arguments for dialects that carry an object where others carry text. Models emit text that is no
//! JSON sometimes, and free-text tools mean it; both go into an object of one member then.

use crate::json::{Writer, escape};
use serde_json::value::RawValue;
use trunkline_core::ToolCallKind;

/// The member that arguments which are no JSON object are put under.
pub(crate) const RAW: &str = "_raw";
/// The member that holds the text of a free-text tool.
pub(crate) const INPUT: &str = "input";

/// The schema of a function without parameters, for targets that want one.
pub(crate) const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// The text as a JSON object, when it is one; clients and models send nothing for no arguments.
pub(crate) fn object_of(text: &str) -> Option<&str> {
    let text = text.trim();
    if text.is_empty() {
        return Some("{}");
    }
    let is_object = text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok();
    is_object.then_some(text)
}

/// An object with `text` as its one member.
pub(crate) fn wrapped(key: &str, text: &str) -> String {
    let mut out = Vec::new();
    Writer::new(&mut out).object(|w| w.member(key).string(text));
    String::from_utf8(out).unwrap_or_default()
}

/// A call's arguments as they flow to a client that parses them as an object.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    form: Form,
    /// What was given as an object, kept to tell whether it is one.
    object: String,
}

/// How the arguments are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Form {
    /// Nothing was said of them.
    #[default]
    Unsaid,
    /// As they come: they are an object.
    Object,
    /// As the one text of an object, escaped as it flows.
    Text,
    /// The same, because the model's words were no object.
    Raw,
}

/// What the arguments turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flown {
    /// An object, or the text that was asked for.
    Whole,
    /// No object; they are the one text of an object.
    Raw,
    /// They began as an object and are none. They flowed before that was known and stay as they are: closed
    /// up, they would parse, and a client would run a tool with half of its arguments.
    Broken,
}

impl Flow {
    /// The arguments of a call whose input is given like this.
    pub(crate) fn open(kind: ToolCallKind, send: &mut dyn FnMut(&str)) -> Self {
        if kind == ToolCallKind::Function {
            return Self::default();
        }
        send(&opening(INPUT));
        Self { form: Form::Text, object: String::new() }
    }

    /// Sends what the next fragment adds.
    pub(crate) fn push(&mut self, more: &str, send: &mut dyn FnMut(&str)) {
        if self.form == Form::Unsaid {
            let Some(first) = more.trim_start().chars().next() else { return };
            self.form = if first == '{' { Form::Object } else { Form::Raw };
            if self.form == Form::Raw {
                send(&opening(RAW));
            }
        }
        match self.form {
            Form::Unsaid | Form::Object => {
                self.object.push_str(more);
                send(more);
            }
            Form::Text | Form::Raw => {
                let mut quoted = Vec::with_capacity(more.len() + 2);
                escape(&mut quoted, more);
                let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
                send(std::str::from_utf8(inner).unwrap_or_default());
            }
        }
    }

    /// Sends what closes them.
    pub(crate) fn close(self, send: &mut dyn FnMut(&str)) -> Flown {
        match self.form {
            Form::Text | Form::Raw => {
                send(r#""}"#);
                if self.form == Form::Raw { Flown::Raw } else { Flown::Whole }
            }
            Form::Unsaid | Form::Object if object_of(&self.object).is_some() => Flown::Whole,
            Form::Unsaid | Form::Object => Flown::Broken,
        }
    }
}

/// The head of an object whose one member is a text.
fn opening(key: &str) -> String {
    format!("{{\"{key}\":\"")
}
