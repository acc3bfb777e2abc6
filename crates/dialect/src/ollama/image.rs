//! Pictures: this dialect sends their base64 bare, so what they are is read off their first bytes.

use crate::json::{Fields, invalid, string};
use crate::place::UNSUPPORTED_CONTENT;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use trunkline_core::{Fault, FaultKind, Image, MediaSource, Part, PartKind};

/// How the base64 of each format begins.
const MAGIC: [(&str, &str); 6] = [
    ("iVBORw0KGg", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("Qk", "image/bmp"),
    ("SUkqA", "image/tiff"),
];

/// How the base64 of a PDF begins, which no model would see as a picture.
const PDF: &str = "JVBERi0";

/// Reads `images`.
pub(super) fn read(fields: &mut Fields<'_>) -> Result<Vec<Part>, Fault> {
    let path = fields.path("images");
    let list = fields.array("images")?.unwrap_or_default();
    let image = |(at, raw)| {
        let path = format!("{path}[{at}]");
        let data = string(raw).ok_or_else(|| invalid(&path, "must be a string of base64"))?;
        if data.is_empty() || STANDARD.decode(data.as_bytes()).is_err() {
            return Err(invalid(&path, "must be base64, padded and without a data URL's prefix"));
        }
        if data.starts_with(PDF) {
            let message = format!("{path} is a PDF; this dialect takes pictures and no documents");
            return Err(Fault::new(FaultKind::Unsupported, message).at(path).code(UNSUPPORTED_CONTENT));
        }
        let mime = MAGIC.iter().find(|(magic, _)| data.starts_with(magic)).map_or("image/png", |(_, m)| *m);
        let source = MediaSource::Base64 { mime: mime.to_owned(), data: data.into_owned() };
        Ok(Part::new(PartKind::Image(Image { source, detail: None })))
    };
    list.into_iter().enumerate().map(image).collect()
}
