//! What of an upstream's error message a client may read.

/// Longest upstream message passed on, in characters.
const LONGEST: usize = 2048;

/// The message without account, project and key ids, at most [`LONGEST`] characters.
pub(crate) fn redact(message: &str) -> String {
    let mut out = String::with_capacity(message.len().min(LONGEST));
    let mut rest = message;
    while let Some(c) = rest.chars().next() {
        let starts_word = !out.ends_with(|c: char| c.is_ascii_alphanumeric());
        let marked = ["org-", "proj_", "sk-"].into_iter().find(|mark| starts_word && rest.starts_with(mark));
        if let Some(mark) = marked {
            let tail = rest.get(mark.len()..).unwrap_or_default();
            let end = tail.find(|c: char| !(c.is_ascii_alphanumeric() || "-_*".contains(c)));
            out.push_str("***");
            rest = tail.get(end.unwrap_or(tail.len())..).unwrap_or_default();
        } else {
            out.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
    if let Some((at, _)) = out.char_indices().nth(LONGEST) {
        out.truncate(at);
    }
    out
}
