//! The usage that OpenAI's streams end with, which only those are told who ask: how the gateway asks for it in a
//! client's place, and how a client that did not ask is spared it.
//!
//! What is cut out is what the asking alone brings: the last chunk, which has a usage and no choices, and the
//! `"usage":null` that some providers then put into all the others. A usage beside choices stays: who sends it so sends it
//! unasked.

use crate::json::each;
use crate::rope::Rope;
use crate::scan::Scanned;
use bytes::Bytes;
use memchr::memmem::Finder;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

/// What chunks are searched for; a quote inside of text is escaped, so that no text is taken for it.
static KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(USAGE));
const USAGE: &str = "\"usage\"";

/// Whether a client's body asks for the usage of its stream.
#[must_use]
pub fn is_wanted(body: &Rope, scanned: &Scanned) -> bool {
    let Some(range) = scanned.stream_options.clone() else { return false };
    let options = body.slice(range);
    fields(&options).is_some_and(|fields| fields.get("include_usage").is_some_and(|on| on.get() == "true"))
}

/// The edit that asks for the usage of a stream; `None` where the client does already, or says something that is not for
/// the gateway to put right.
#[must_use]
pub fn ask(body: &Rope, scanned: &Scanned) -> Option<(Range<usize>, Bytes)> {
    let Some(range) = scanned.stream_options.clone() else {
        let field: &[u8] = br#""stream_options":{"include_usage":true},"#;
        return Some((scanned.inside..scanned.inside, Bytes::from_static(field)));
    };
    let options = body.slice(range.clone());
    if options.as_ref() == b"null" {
        return Some((range, Bytes::from_static(br#"{"include_usage":true}"#)));
    }
    let fields = fields(&options)?;
    if let Some(said) = fields.get("include_usage") {
        let said = said.get();
        // It borrows from the options, so the difference of the addresses is its place.
        let at = range.start + (said.as_ptr() as usize).checked_sub(options.as_ptr() as usize)?;
        return ["false", "null"].contains(&said).then(|| (at..at + said.len(), Bytes::from_static(b"true")));
    }
    let field: &[u8] =
        if fields.is_empty() { br#""include_usage":true"# } else { br#""include_usage":true,"# };
    let inside = range.start + 1;
    Some((inside..inside, Bytes::from_static(field)))
}

fn fields(options: &[u8]) -> Option<BTreeMap<Cow<'_, str>, &RawValue>> {
    serde_json::from_slice(options).ok()
}

/// Whole events of a stream that the gateway asked for its usage, as they had been had it not asked.
#[must_use]
pub fn cut(events: Bytes) -> Bytes {
    if KEY.find(&events).is_none() {
        return events;
    }
    let mut cuts: Vec<Range<usize>> = Vec::new();
    // Where the event begins, how many cuts there were before it, and whether all of it goes.
    let (mut start, mut before, mut whole) = (0, 0, false);
    let mut at = 0;
    for line in events.split_inclusive(|byte| *byte == b'\n') {
        let end = at + line.len();
        if line == b"\n" || line == b"\r\n" {
            if std::mem::take(&mut whole) {
                cuts.truncate(before);
                cuts.push(start..end);
            }
            (start, before) = (end, cuts.len());
        } else if let Some(data) = line.strip_prefix(b"data:") {
            let base = end - data.len();
            match unasked(data) {
                Some(Unasked::Chunk) => whole = true,
                Some(Unasked::Member(range)) => cuts.push(base + range.start..base + range.end),
                None => {}
            }
        }
        at = end;
    }
    if whole {
        cuts.truncate(before);
        cuts.push(start..at);
    }
    if cuts.is_empty() {
        return events;
    }
    let edits: Vec<_> = cuts.into_iter().map(|range| (range, Bytes::new())).collect();
    Rope::from(events).splice(&edits).joined()
}

/// What of a chunk is there because it was asked for.
enum Unasked {
    /// All of it.
    Chunk,
    /// One member, its comma included.
    Member(Range<usize>),
}

fn unasked(data: &[u8]) -> Option<Unasked> {
    KEY.find(data)?;
    let text = std::str::from_utf8(data).ok()?;
    let (mut usage, mut choices) = (None, None);
    each(text, |key, value| match key {
        "usage" => usage = Some(value),
        "choices" => choices = Some(value),
        _ => {}
    })?;
    let usage = usage?;
    if usage == "null" {
        return member(text, (usage.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?)
            .map(Unasked::Member);
    }
    let is_empty = |list: &str| {
        let inside = list.strip_prefix('[').and_then(|list| list.strip_suffix(']'));
        inside.is_some_and(|inside| inside.trim_ascii().is_empty())
    };
    (usage.starts_with('{') && choices.is_some_and(is_empty)).then_some(Unasked::Chunk)
}

/// Where the member is whose value, `null`, stands at `at`, with the comma that it makes needless.
fn member(text: &str, at: usize) -> Option<Range<usize>> {
    let end = at + "null".len();
    let before = text.get(..at)?.trim_ascii_end().strip_suffix(':')?.trim_ascii_end();
    let before = before.strip_suffix(USAGE)?;
    if let Some(others) = before.trim_ascii_end().strip_suffix(',') {
        return Some(others.len()..end);
    }
    let rest = text.get(end..)?;
    let next = rest.trim_ascii_start().strip_prefix(',').map_or(rest, str::trim_ascii_start);
    Some(before.len()..text.len() - next.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Scan;

    #[test]
    fn usage_is_asked_for_in_the_clients_place() {
        for (what, options, asked, is_ours) in [
            ("none", "", r#"{"stream_options":{"include_usage":true},"stream":true}"#, true),
            (
                "others",
                r#","stream_options": { "x": 1.0}"#,
                r#"{"stream":true,"stream_options": {"include_usage":true, "x": 1.0}}"#,
                true,
            ),
            (
                "empty",
                r#","stream_options":{ }"#,
                r#"{"stream":true,"stream_options":{"include_usage":true }}"#,
                true,
            ),
            (
                "null",
                r#","stream_options":null"#,
                r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
                true,
            ),
            (
                "its own no",
                r#","stream_options":{"x":{"include_usage":1}, "include_usage" : false }"#,
                r#"{"stream":true,"stream_options":{"x":{"include_usage":1}, "include_usage" : true }}"#,
                true,
            ),
            (
                "nothing said",
                r#","stream_options":{"include_usage":null}"#,
                r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
                true,
            ),
            ("its own yes", r#","stream_options":{"include_usage" : true}"#, "", false),
            ("nonsense", r#","stream_options":{"include_usage":"yes"}"#, "", false),
            ("no options", r#","stream_options":[1]"#, "", false),
        ] {
            let text = format!("{{\"stream\":true{options}}}");
            let body = Rope::from(Bytes::from(text.clone()));
            let mut scan = Scan::new(8);
            scan.push(text.as_bytes()).unwrap();
            let scanned = scan.finish().unwrap();
            let edit = ask(&body, &scanned);
            assert_eq!(edit.is_some(), is_ours, "{what}");
            let sent = edit.map_or_else(String::new, |edit| {
                String::from_utf8(body.splice(&[edit]).joined().to_vec()).unwrap()
            });
            assert_eq!(sent, asked, "{what}");
            assert_eq!(is_wanted(&body, &scanned), what == "its own yes", "{what}");
        }
    }

    #[test]
    fn what_was_not_asked_for_is_cut_out() {
        const LAST: &str = r#"{"id":"c", "choices" : [ ],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
        for (what, sent, shown) in [
            (
                "no usage",
                r#"{"choices":[{"delta":{"content":"a"}}]}"#,
                Some(r#"{"choices":[{"delta":{"content":"a"}}]}"#),
            ),
            ("the last chunk", LAST, None),
            ("null behind others", r#"{"choices":[{}], "usage" : null}"#, Some(r#"{"choices":[{}]}"#)),
            ("null between others", r#"{"a": 1, "usage": null, "b": 2}"#, Some(r#"{"a": 1, "b": 2}"#)),
            ("null before others", r#"{ "usage":null , "b": 2}"#, Some(r#"{ "b": 2}"#)),
            ("null alone", r#"{"usage":null}"#, Some("{}")),
            (
                "null of something else",
                r#"{"x_groq":{"usage":null},"choices":[]}"#,
                Some(r#"{"x_groq":{"usage":null},"choices":[]}"#),
            ),
            (
                "null before choices without any",
                r#"{"choices":[],"prompt_filter_results":[{}],"usage":null}"#,
                Some(r#"{"choices":[],"prompt_filter_results":[{}]}"#),
            ),
            (
                "usage beside choices",
                r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":3}}"#,
                Some(r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":3}}"#),
            ),
            (
                "text that speaks of it",
                r#"{"choices":[{"delta":{"content":"\"usage\":null,\"choices\":[]"}}]}"#,
                Some(r#"{"choices":[{"delta":{"content":"\"usage\":null,\"choices\":[]"}}]}"#),
            ),
            ("no JSON", r#"{"choices":[],"usage":{"#, Some(r#"{"choices":[],"usage":{"#)),
            ("not said", r#"{"choices":[],"usage":7}"#, Some(r#"{"choices":[],"usage":7}"#)),
        ] {
            for (end, gap) in [("\n", ""), ("\r\n", " ")] {
                let event = |json: &str| format!("event: e{end}data:{gap}{json}{end}{end}");
                let stream = |json: Option<&str>| {
                    let begin = format!(": begin{end}{end}data: {{\"choices\":[{{}}]}}{end}{end}");
                    format!("{begin}{}data: [DONE]{end}{end}", json.map(event).unwrap_or_default())
                };
                assert_eq!(cut(stream(Some(sent)).into()), stream(shown), "{what}");
                // A stream may end without its last blank line.
                let unended = cut(format!("data: {sent}").into());
                assert_eq!(
                    unended,
                    shown.map(|json| format!("data: {json}")).unwrap_or_default(),
                    "{what}, unended"
                );
            }
        }
    }
}
