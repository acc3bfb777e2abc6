//! A form that is there as a whole, part by part: for targets that take no forms.

use super::{FormError, boundary, check_lines};
use crate::json::{Fields, Writer, invalid};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use serde_json::value::RawValue;
use trunkline_core::{Fault, Upload};

/// A form's fields, as the object that an endpoint which takes JSON would be sent, and its files.
#[derive(Debug)]
pub(crate) struct Parts {
    json: Vec<u8>,
    files: Vec<(String, Upload)>,
}

/// One part.
struct Part<'b> {
    name: String,
    is_file: bool,
    mime: Option<&'b str>,
    value: &'b [u8],
}

impl Parts {
    /// Takes a form apart. Fields are numbers and truth values where they look like it, unless they are among `texts`.
    ///
    /// # Errors
    /// When it is no form, or does not come to its end.
    pub(crate) fn read(content_type: &str, body: &[u8], texts: &[&str]) -> Result<Self, Fault> {
        let mut fields: Vec<(String, Vec<String>)> = Vec::new();
        let mut files = Vec::new();
        for part in split(content_type, body).map_err(FormError::fault)? {
            if part.is_file {
                let mime = part.mime.map_or_else(|| mime_of(part.value).to_owned(), str::to_ascii_lowercase);
                files.push((part.name, Upload { mime, data: STANDARD.encode(part.value) }));
                continue;
            }
            let text = std::str::from_utf8(part.value).map_err(|_| invalid(&part.name, "must be text"))?;
            let json = spelled(text, texts.contains(&part.name.as_str()));
            match fields.iter_mut().find(|(name, _)| *name == part.name) {
                Some((name, values)) if name.ends_with("[]") => values.push(json),
                Some((name, _)) => return Err(invalid(name, "is given twice; send it once")),
                None => fields.push((part.name, vec![json])),
            }
        }
        let mut json = Vec::with_capacity(512);
        Writer::new(&mut json).object(|w| {
            for (name, values) in &fields {
                match name.strip_suffix("[]") {
                    Some(name) => w.member(name).array(|w| values.iter().for_each(|value| w.raw(value))),
                    None => values.iter().for_each(|value| w.member(name).raw(value)),
                }
            }
        });
        Ok(Self { json, files })
    }

    /// The fields.
    pub(crate) fn fields(&self) -> Result<Fields<'_>, Fault> {
        Fields::body(&self.json)
    }

    /// The files called `name`, or `name[]` as forms call the members of a list.
    pub(crate) fn take(&mut self, name: &str) -> Vec<Upload> {
        let is_meant =
            |(called, _): &mut (String, Upload)| called.strip_suffix("[]").unwrap_or(called) == name;
        self.files.extract_if(.., is_meant).map(|(_, upload)| upload).collect()
    }

    /// The one file called `name`.
    ///
    /// # Errors
    /// When there are several.
    pub(crate) fn take_one(&mut self, name: &str) -> Result<Option<Upload>, Fault> {
        let mut uploads = self.take(name).into_iter();
        match (uploads.next(), uploads.next()) {
            (_, Some(_)) => Err(invalid(name, "is given twice; send it once")),
            (upload, None) => Ok(upload),
        }
    }
}

/// A field's value in JSON.
fn spelled(text: &str, is_text: bool) -> String {
    let is_plain = !is_text
        && !text.starts_with(['"', '{', '[', 'n'])
        && serde_json::from_str::<&RawValue>(text).is_ok();
    if is_plain {
        return text.trim().to_owned();
    }
    let mut quoted = Vec::with_capacity(text.len() + 2);
    Writer::new(&mut quoted).string(text);
    String::from_utf8(quoted).unwrap_or_default()
}

fn split<'b>(content_type: &str, body: &'b [u8]) -> Result<Vec<Part<'b>>, FormError> {
    let delimiter = format!("\r\n--{}", boundary(content_type).ok_or(FormError::NoBoundary)?).into_bytes();
    // The first has no line break before it where nothing else is.
    let bare = delimiter.get(2..).unwrap_or_default();
    let mut rest = match body.strip_prefix(bare) {
        Some(rest) => rest,
        None => after(body, &delimiter).ok_or(FormError::Unfinished)?.1,
    };
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        let (head, behind) = after(rest, b"\r\n\r\n").ok_or(FormError::Unfinished)?;
        check_lines(head)?;
        // The break at the end of the head may be the one before an empty part's delimiter.
        let value = rest.get(head.len() + 2..).unwrap_or(behind);
        let (value, next) = after(value, &delimiter).ok_or(FormError::Unfinished)?;
        parts.extend(part(head, value.get(2..).unwrap_or_default()));
        rest = next;
    }
    Ok(parts)
}

/// What is before and behind the first `mark`.
fn after<'b>(bytes: &'b [u8], mark: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = memmem::find(bytes, mark)?;
    Some((bytes.get(..at)?, bytes.get(at + mark.len()..)?))
}

/// A part with a name; others mean nothing.
fn part<'b>(head: &'b [u8], value: &'b [u8]) -> Option<Part<'b>> {
    let head = std::str::from_utf8(head).ok()?;
    let header = |wanted: &str| {
        head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    };
    let disposition = header("content-disposition")?;
    let name = parameter(disposition, "name")?;
    let is_file = parameter(disposition, "filename").is_some();
    Some(Part { name, is_file, mime: header("content-type").filter(|mime| !is_vague(mime)), value })
}

/// Whether a media type says no more than that there are bytes.
fn is_vague(mime: &str) -> bool {
    mime.is_empty() || mime.eq_ignore_ascii_case("application/octet-stream")
}

/// A parameter of a header; what is quoted may hold what else ends a parameter.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (key, behind) = rest.split_once('=')?;
        let (value, next) = match behind.trim_start().strip_prefix('"') {
            Some(quoted) => {
                let (value, next) = unquoted(quoted)?;
                (value, next.split_once(';').map_or("", |(_, next)| next))
            }
            None => {
                let (value, next) = behind.split_once(';').unwrap_or((behind, ""));
                (value.trim().to_owned(), next)
            }
        };
        if key.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = next;
    }
}

/// What stands before the quote that ends `text`, and what behind it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// The media type that the first bytes of a file give away.
pub(crate) fn mime_of(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => "audio/wav",
        [b'I', b'D', b'3', ..] | [0xff, 0xfb | 0xf3 | 0xf2, ..] => "audio/mpeg",
        [b'f', b'L', b'a', b'C', ..] => "audio/flac",
        [b'O', b'g', b'g', b'S', ..] => "audio/ogg",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "audio/mp4",
        [0x1a, 0x45, 0xdf, 0xa3, ..] => "audio/webm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const KIND: &str = "multipart/form-data; boundary=XyZ";

    fn field(name: &str, value: &str) -> String {
        format!("--XyZ\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    }

    fn file(name: &str, kind: &str, bytes: &str) -> String {
        format!(
            "--XyZ\r\nContent-Disposition: form-data; filename=\"a; name=\\\"x\\\".png\"; name={name}\r\n{kind}\r\n{bytes}\r\n"
        )
    }

    fn read(body: &str) -> Result<Parts, Fault> {
        Parts::read(KIND, body.as_bytes(), &["prompt", "model"])
    }

    #[test]
    fn fields_are_what_they_look_like_and_files_keep_their_names() {
        let body = [
            "a preamble\r\n".to_owned(),
            field("prompt", "42"),
            field("n", "2"),
            field("stream", "true"),
            field("size", "1024x1024"),
            field("odd", "null"),
            field("empty", ""),
            field("include[]", "a"),
            field("include[]", "b"),
            file("image[]", "Content-Type: image/PNG\r\n", "one"),
            file("image[]", "", "\u{7f}"),
            file("mask", "Content-Type: application/octet-stream\r\n", "OggS"),
            "--XyZ--\r\nan epilogue".to_owned(),
        ];
        let mut parts = read(&body.concat()).unwrap();
        let fields: Value = serde_json::from_slice(&parts.json).unwrap();
        assert_eq!(
            fields,
            json!({"prompt": "42", "n": 2, "stream": true, "size": "1024x1024", "odd": "null", "empty": "",
                "include": ["a", "b"]})
        );
        let images = parts.take("image");
        let seen: Vec<_> = images.iter().map(|image| (image.mime.as_str(), image.data.as_str())).collect();
        assert_eq!(seen, [("image/png", "b25l"), ("application/octet-stream", "fw==")]);
        assert_eq!(parts.take_one("mask").unwrap().unwrap().mime, "audio/ogg");
        assert!(parts.files.is_empty());
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for (body, says) in [
            ("".to_owned(), "end"),
            ("--XyZ\r\nContent-Disposition: form-data; name=\"a\"".to_owned(), "end"),
            (field("a", "b"), "end"),
            (format!("{}{}--XyZ--", field("a", "b"), field("a", "c")), "twice"),
            (format!("--XyZ\r\nX: y\n\r\n\r\nb\r\n{}--XyZ--", field("a", "b")), "line break"),
        ] {
            let fault = read(&body).unwrap_err();
            assert!(fault.message.contains(says), "{body}: {}", fault.message);
        }
        let twice = format!("{0}{0}--XyZ--", file("mask", "", "x"));
        assert!(read(&twice).unwrap().take_one("mask").is_err());
    }

    proptest! {
        #[test]
        fn files_come_through_as_they_are(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let head = b"--XyZ\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n";
            let body = [&head[..], &bytes, b"\r\n--XyZ--\r\n"].concat();
            prop_assume!(memmem::find(&bytes, b"\r\n--XyZ").is_none());
            let mut parts = Parts::read(KIND, &body, &[]).unwrap();
            prop_assert_eq!(parts.take_one("f").unwrap().unwrap().data, STANDARD.encode(&bytes));
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Parts::read(KIND, &[b"--XyZ\r\n", bytes.as_slice()].concat(), &[]);
        }
    }
}
