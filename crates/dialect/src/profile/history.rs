//! Whether a provider takes a client's messages as they are.

use super::{ContentForm, MessageNames, Order, Prefix, Profile, ReasoningBack, Silence};
use crate::names::Names;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Fields in which servers hand out thoughts.
const THOUGHTS: [&str; 3] = ["reasoning_content", "reasoning", "thinking_blocks"];

/// What of a message matters here.
#[derive(serde::Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    role: Cow<'a, str>,
    #[serde(default)]
    name: Option<IgnoredAny>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(default)]
    tool_calls: Option<IgnoredAny>,
    #[serde(borrow, default)]
    tool_call_id: Option<Cow<'a, str>>,
    #[serde(default)]
    reasoning_content: Option<IgnoredAny>,
    #[serde(default)]
    reasoning: Option<IgnoredAny>,
    #[serde(default)]
    thinking_blocks: Option<IgnoredAny>,
}

/// Whether the provider would refuse or misread `messages`. Those that cannot be read are its own to judge.
pub(super) fn misreads(profile: &Profile, messages: &str) -> bool {
    let Ok(messages) = serde_json::from_str::<Vec<Message<'_>>>(messages) else { return false };
    let begins_answer = messages.last().is_some_and(|last| last.role == "assistant");
    messages.iter().any(|message| message.is_trouble(profile))
        || messages.windows(2).any(|pair| matches!(pair, [a, b] if is_out_of_order(profile.order, a, b)))
        || (begins_answer && profile.prefix != Prefix::Plain)
}

impl Message<'_> {
    fn is_trouble(&self, profile: &Profile) -> bool {
        self.is_misnamed(profile.names)
            || (self.role == "developer" && !profile.developer)
            || (profile.content == ContentForm::Strings
                && self.content.is_some_and(|c| c.get().starts_with('[')))
            || self.is_wrongly_silent(profile)
            || self.has_foreign_id(profile)
            || self.thinks_otherwise(profile.reasoning_back)
    }

    fn is_misnamed(&self, names: MessageNames) -> bool {
        let is_result = self.role == "tool";
        self.name.is_some()
            && match names {
                MessageNames::All => false,
                MessageNames::None => true,
                MessageNames::Results => !is_result,
                MessageNames::Words => is_result,
            }
    }

    /// An absent or `null` content reads the same here: both are `None`.
    fn is_wrongly_silent(&self, profile: &Profile) -> bool {
        let is_silent = self.role == "assistant" && self.content.is_none_or(|c| c.get() == "null");
        let says_nothing = self.tool_calls.is_none() && profile.order == Order::Closed;
        is_silent && (says_nothing || profile.silence != Silence::Null)
    }

    /// Ids of calls stand in their results as well, which are quicker to look at.
    fn has_foreign_id(&self, profile: &Profile) -> bool {
        let is_foreign = |id: &Cow<'_, str>| matches!(Names::new(profile.ids).target(id), Cow::Owned(_));
        self.tool_call_id.as_ref().is_some_and(is_foreign)
    }

    fn thinks_otherwise(&self, back: ReasoningBack) -> bool {
        let said = [&self.reasoning_content, &self.reasoning, &self.thinking_blocks];
        let said = THOUGHTS.into_iter().zip(said).filter(|(_, field)| field.is_some());
        match back {
            ReasoningBack::None | ReasoningBack::Parts => said.count() > 0,
            ReasoningBack::Field(own) => said.filter(|(name, _)| *name != own).count() > 0,
            ReasoningBack::Demanded(own) => {
                let names: Vec<_> = said.map(|(name, _)| name).collect();
                let is_missing = self.tool_calls.is_some() && !names.contains(&own);
                is_missing || names.iter().any(|name| *name != own)
            }
        }
    }
}

fn is_out_of_order(order: Order, first: &Message<'_>, second: &Message<'_>) -> bool {
    match order {
        Order::Free => false,
        Order::Closed => first.role == "tool" && second.role == "user",
        Order::Alternating => first.role == second.role && matches!(&*first.role, "user" | "assistant"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::named;
    use super::*;

    #[test]
    fn messages_a_provider_would_refuse_or_misread_are_trouble() {
        let user = r#"{"role":"user","content":"x"}"#;
        let call = |id: &str| {
            format!(
                r#"{{"role":"assistant","content":"","tool_calls":[{{"id":"{id}"}}]}},{{"role":"tool","tool_call_id":"{id}","content":"y"}}"#
            )
        };
        let (short, long) = (call("abcdef123"), call("call_abcdefgh"));
        for (provider, messages, want) in [
            ("mistral", user.to_owned(), false),
            ("mistral", format!("{user},{short}"), false),
            ("mistral", format!("{user},{long}"), true),
            ("mistral", format!("{user},{short},{user}"), true),
            ("mistral", r#"{"role":"user","name":"ann","content":"x"}"#.to_owned(), true),
            ("groq", format!("{user},{long}"), false),
            ("groq", r#"{"role":"assistant","content":"x","reasoning_content":"y"}"#.to_owned(), true),
            ("groq", format!(r#"{user},{{"role":"assistant","content":"x","reasoning":"y"}},{user}"#), false),
            ("deepseek", format!("{user},{short}"), true),
            ("deepseek", r#"{"role":"user","content":[{"type":"text","text":"x"}]}"#.to_owned(), true),
            ("perplexity", format!("{user},{user}"), true),
            ("perplexity", user.to_owned(), false),
            // Nobody here can say.
            ("mistral", "1".to_owned(), false),
        ] {
            assert_eq!(misreads(named(provider), &format!("[{messages}]")), want, "{provider}: {messages}");
        }
    }
}
