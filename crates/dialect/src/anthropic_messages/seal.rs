//! Signatures for thoughts that Anthropic did not sign.
//!
//! A `thinking` block without a signature breaks Anthropic's clients, and one with an invented
//! signature would be refused when the client replays it to Claude. So thoughts of other models carry
//! a signature of ours: recognised by its prefix, and then never sent on.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Version 1 of our signatures; anything else is somebody else's.
const PREFIX: &str = "tl1.";

/// Whether `signature` is one of ours.
pub(super) fn is_ours(signature: &str) -> bool {
    signature.starts_with(PREFIX)
}

/// Signs one block of thoughts as its text arrives.
#[derive(Debug)]
pub(super) struct Seal(Option<Hmac<Sha256>>);

impl Seal {
    /// For thoughts of `model`; the key never leaves the gateway.
    pub(super) fn new(key: &[u8; 32], model: &str) -> Self {
        // HMAC takes keys of any length, so there is always a state.
        let mut mac = Hmac::<Sha256>::new_from_slice(key).ok();
        if let Some(mac) = &mut mac {
            mac.update(model.as_bytes());
            // Model names hold no NUL, so model and text cannot be shifted into each other.
            mac.update(&[0]);
        }
        Self(mac)
    }

    /// More of the text.
    pub(super) fn text(&mut self, more: &str) {
        if let Some(mac) = &mut self.0 {
            mac.update(more.as_bytes());
        }
    }

    /// The signature of all of it; never empty.
    pub(super) fn finish(self) -> String {
        let mut out = PREFIX.to_owned();
        if let Some(mac) = self.0 {
            URL_SAFE_NO_PAD.encode_string(mac.finalize().into_bytes(), &mut out);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(key: u8, model: &str, pieces: &[&str]) -> String {
        let mut seal = Seal::new(&[key; 32], model);
        pieces.iter().for_each(|piece| seal.text(piece));
        seal.finish()
    }

    #[test]
    fn it_depends_on_key_model_and_text_alone() {
        let one = seal(1, "m", &["ab", "c"]);
        assert_eq!(one, seal(1, "m", &["abc"]));
        assert_eq!(one.len(), PREFIX.len() + 43);
        assert!(is_ours(&one) && !is_ours("EqQBCkYICxgCKkB"));
        for other in [seal(2, "m", &["abc"]), seal(1, "ma", &["bc"]), seal(1, "m", &["abd"])] {
            assert_ne!(one, other);
        }
    }
}
