//! Takes out of a provider's error what names the operator's account: providers quote parts of the key
//! and the organisation that was charged, and with a key of ours neither is the client's business.

use bytes::Bytes;
use trunkline_core::Secret;

/// How the identifiers begin that providers put into error texts.
const PREFIXES: [&[u8]; 3] = [b"sk-", b"org-", b"proj_"];
/// Shortest rest of an identifier, and shortest key that stands in no word by chance.
const SHORTEST: usize = 8;
/// Stands for what was taken out.
const MASK: &[u8] = b"***";

/// `text` with `key` masked wherever it stands, one that is short only where it is no part of a word, and every identifier cut down to its prefix.
pub(super) fn redact(text: &Bytes, key: &Secret) -> Bytes {
    let key = key.reveal().as_bytes();
    let mut out: Vec<u8> = Vec::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let begins_word = at == 0 || !text.get(at - 1).is_some_and(|byte| is_part(*byte));
        let ends_word = !rest.get(key.len()).is_some_and(|byte| is_part(*byte));
        let stands_alone = key.len() >= SHORTEST || (begins_word && ends_word);
        let found = if !key.is_empty() && rest.starts_with(key) && stands_alone {
            Some((0, key.len()))
        } else {
            begins_word.then(|| identifier(rest)).flatten()
        };
        match found {
            Some((prefix, length)) => {
                out.extend_from_slice(text.get(kept..at + prefix).unwrap_or_default());
                out.extend_from_slice(MASK);
                at += length;
                kept = at;
            }
            None => at += 1,
        }
    }
    if kept == 0 {
        return text.clone();
    }
    out.extend_from_slice(text.get(kept..).unwrap_or_default());
    out.into()
}

/// The lengths of the prefix and of the whole of an identifier at the start of `text`. It holds a digit, or
/// the stars of a provider that has masked it already; words like `org-chart` do not.
fn identifier(text: &[u8]) -> Option<(usize, usize)> {
    let prefix = PREFIXES.iter().find(|prefix| text.starts_with(prefix))?.len();
    let rest = text.iter().skip(prefix).take_while(|byte| is_part(**byte) || **byte == b'*');
    let (length, marked) =
        rest.fold((0, false), |(n, marked), byte| (n + 1, marked || byte.is_ascii_digit() || *byte == b'*'));
    (length >= SHORTEST && marked).then_some((prefix, prefix + length))
}

const fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_go_and_words_stay() {
        for (text, want) in [
            (
                "limit in organization org-AbCdEf0123456789 on tokens",
                "limit in organization org-*** on tokens",
            ),
            (
                r#"{"e":"Incorrect API key provided: sk-proj-ab*****xyz."}"#,
                r#"{"e":"Incorrect API key provided: sk-***."}"#,
            ),
            ("sk-ant-api03-0123456789abcdef", "sk-***"),
            ("see org-chart-of-people and task-12345678", "see org-chart-of-people and task-12345678"),
            ("proj_0123456789abcdef/x, sk-12", "proj_***/x, sk-12"),
            ("got `hunter2-hunter2`, twice: hunter2-hunter2", "got `***`, twice: ***"),
            ("", ""),
        ] {
            let got = redact(&Bytes::from_static(text.as_bytes()), &Secret::new("hunter2-hunter2"));
            assert_eq!(std::str::from_utf8(&got).unwrap(), want);
        }
        let got = redact(&Bytes::from_static(b"model `x` does not exist: x, x-1"), &Secret::new("x"));
        assert_eq!(got, "model `***` does not exist: ***, x-1");
    }
}
