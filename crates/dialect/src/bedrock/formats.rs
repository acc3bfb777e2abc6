//! Media types and Bedrock's names for them.

/// Bedrock's name and the media type, the first of a name being the one to show.
type Formats = &'static [(&'static str, &'static str)];

pub(super) const IMAGES: Formats = &[
    ("png", "image/png"),
    ("jpeg", "image/jpeg"),
    ("jpeg", "image/jpg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
];

pub(super) const DOCUMENTS: Formats = &[
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("html", "text/html"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("md", "text/x-markdown"),
    ("csv", "application/csv"),
];

pub(super) const VIDEOS: Formats = &[
    ("mp4", "video/mp4"),
    ("mov", "video/quicktime"),
    ("mkv", "video/x-matroska"),
    ("webm", "video/webm"),
    ("flv", "video/x-flv"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpg"),
    ("wmv", "video/x-ms-wmv"),
    ("three_gp", "video/3gpp"),
];

pub(super) const SOUNDS: Formats = &[
    ("mp3", "audio/mpeg"),
    ("mp3", "audio/mp3"),
    ("wav", "audio/wav"),
    ("wav", "audio/x-wav"),
    ("opus", "audio/opus"),
    ("aac", "audio/aac"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("m4a", "audio/mp4"),
    ("webm", "audio/webm"),
];

/// Bedrock's name for a media type.
pub(super) fn of_mime(formats: Formats, mime: &str) -> Option<&'static str> {
    let mime = mime.split(';').next().unwrap_or(mime).trim();
    formats.iter().find(|(_, known)| known.eq_ignore_ascii_case(mime)).map(|(format, _)| *format)
}

/// Bedrock's name for what a file's name or address ends in.
pub(super) fn of_name(formats: Formats, name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    let ending = if ending.eq_ignore_ascii_case("jpg") { "jpeg" } else { ending };
    formats.iter().find(|(format, _)| format.eq_ignore_ascii_case(ending)).map(|(format, _)| *format)
}

/// The media type of one of Bedrock's names; a name we do not know is kept as the end of one.
pub(super) fn mime_of(formats: Formats, format: &str) -> String {
    let known = formats.iter().find(|(name, _)| *name == format).map(|(_, mime)| (*mime).to_owned());
    known.unwrap_or_else(|| format!("application/{format}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_endings_find_their_format() {
        for (formats, mime, want) in [
            (IMAGES, "image/JPG", Some("jpeg")),
            (DOCUMENTS, "text/plain; charset=utf-8", Some("txt")),
            (DOCUMENTS, "application/zip", None),
            (SOUNDS, "audio/mpeg", Some("mp3")),
        ] {
            assert_eq!(of_mime(formats, mime), want, "{mime}");
        }
        assert_eq!(of_name(DOCUMENTS, "Q3.report.XLSX"), Some("xlsx"));
        assert_eq!(of_name(IMAGES, "s3://b/a.jpg"), Some("jpeg"));
        assert_eq!(of_name(VIDEOS, "noending"), None);
        assert_eq!(mime_of(SOUNDS, "mp3"), "audio/mpeg");
        assert_eq!(mime_of(IMAGES, "heic"), "application/heic");
    }
}
