//! Who asks, for targets that want an opaque id and no name.

use crate::codec::UserIds;
use sha2::{Digest, Sha256};
use trunkline_core::{Call, Losses};

/// The user id to send, of at most `longest` characters: no name, e-mail address or phone number.
pub(crate) fn user_id(call: &Call, policy: UserIds, longest: usize, losses: &mut Losses) -> Option<String> {
    let (name, path) = match (&call.identity.user, &call.identity.safety_identifier) {
        (Some(user), _) => (user, "user"),
        (None, Some(id)) => (id, "safety_identifier"),
        (None, None) => return None,
    };
    if call.identity.user.is_some() && call.identity.safety_identifier.is_some() {
        losses.hint("safety_identifier", "target has one user id; user is sent");
    }
    match policy {
        UserIds::Omit => {
            losses.hint(path, "user ids are not sent to this target");
            None
        }
        UserIds::Hash => {
            Some(Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
        }
        UserIds::Opaque if is_personal(name) => {
            losses.dropped(path, "looks like an e-mail address or phone number; target wants opaque ids");
            None
        }
        UserIds::Opaque if name.chars().count() > longest => {
            losses.dropped(path, format!("longer than the {longest} characters the target takes"));
            None
        }
        UserIds::Opaque => Some(name.clone()),
    }
}

/// Whether `text` holds an e-mail address or is a phone number.
fn is_personal(text: &str) -> bool {
    let mail = text.split_whitespace().any(|word| {
        word.split_once('@').is_some_and(|(before, after)| !before.is_empty() && after.contains('.'))
    });
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let dialled = text.chars().all(|c| c.is_ascii_digit() || " -().+/".contains(c));
    // Seven digits are the shortest number; without any other sign, ten, since short ids are numbers too.
    let least = if text.chars().all(|c| c.is_ascii_digit()) { 10 } else { 7 };
    mail || (dialled && (least..=15).contains(&digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_core::{Dialect, Model};

    #[test]
    fn c17_names_are_not_sent() {
        let long = "x".repeat(513);
        for (policy, name, want, losses) in [
            (UserIds::Opaque, "alice@x.y", None, 1),
            (UserIds::Opaque, "Alice <alice@x.y>", None, 1),
            (UserIds::Opaque, "+1 (415) 555-2671", None, 1),
            (UserIds::Opaque, "4155552671", None, 1),
            (UserIds::Opaque, &long, None, 1),
            (UserIds::Opaque, "user-1234567", Some("user-1234567"), 0),
            (UserIds::Opaque, "20417", Some("20417"), 0),
            (UserIds::Opaque, "@handle", Some("@handle"), 0),
            (UserIds::Hash, "x", Some("2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"), 0),
            (UserIds::Omit, "user-1", None, 1),
        ] {
            let mut call = Call::new(Dialect::OpenaiChat, Model::new("m"));
            call.identity.user = Some(name.to_owned());
            let mut found = Losses::default();
            let sent = user_id(&call, policy, 512, &mut found);
            assert_eq!((sent.as_deref(), found.len()), (want, losses), "{policy:?} {name}");
            assert!(found.iter().all(|loss| loss.path == "user"));
        }
    }
}
