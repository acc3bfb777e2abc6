//! Who asks and how fast: `requestMetadata` and `serviceTier`.

use crate::codec::UserIds;
use crate::json::{Fields, Writer};
use crate::user::user_id;
use trunkline_core::{Call, Dialect, Json, Losses};

/// Most entries of `requestMetadata`.
const ENTRIES: usize = 16;

/// Longest key or value.
const LONGEST: usize = 256;

/// Labels of one call.
#[derive(Debug)]
pub(super) struct Metadata {
    labels: Vec<(String, String)>,
    /// What this dialect's client sent, as it came.
    own: Option<Json>,
}

impl Metadata {
    /// The labels of `call`, as far as Bedrock takes them.
    pub(super) fn of(call: &Call, policy: UserIds, losses: &mut Losses) -> Self {
        let own = call.identity.metadata.clone();
        if call.dialect == Dialect::BedrockConverse {
            return Self { labels: Vec::new(), own };
        }
        let mut labels = Vec::new();
        if let Some(id) = user_id(call, policy, LONGEST, losses) {
            labels.push(("user_id".to_owned(), id));
        }
        let fields = own.as_ref().and_then(|own| Fields::read(own.raw(), "").ok());
        for field in fields.map(|fields| fields.rest(call.dialect)).unwrap_or_default() {
            let value = serde_json::from_str::<String>(field.value.as_str());
            match value {
                Ok(value) if fits(&field.key) && fits(&value) && labels.len() < ENTRIES => {
                    labels.push((field.key.into(), value));
                }
                Ok(_) | Err(_) => {
                    losses.hint(format!("metadata.{}", field.key), "target takes 16 short plain labels");
                }
            }
        }
        Self { labels, own: None }
    }

    /// Writes the member, if there are any.
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.opt_json("requestMetadata", self.own.as_ref());
        if !self.labels.is_empty() {
            w.key("requestMetadata").object(|w| {
                for (key, value) in &self.labels {
                    w.member(key).string(value);
                }
            });
        }
    }
}

fn fits(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ":_@$#=/+,-.".contains(c);
    !text.is_empty() && text.len() <= LONGEST && text.chars().all(plain)
}

/// The tier to send.
pub(super) fn tier(call: &Call) -> Option<&str> {
    let tier = call.service.tier.as_deref()?;
    match (call.dialect, tier) {
        (Dialect::BedrockConverse, own) => Some(own),
        (_, "default" | "standard" | "standard_only") => Some("default"),
        (_, "priority" | "flex") => Some(tier),
        (_, _) => None,
    }
}
