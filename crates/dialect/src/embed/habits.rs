//! How vendors deviate from a form that many share, a row each. The codecs ask here and know no vendor.

use crate::json::{self, Fields};

/// One vendor's way of speaking the form.
#[derive(Debug)]
pub struct Habits {
    id: &'static str,
    /// Its name for `dimensions`; `None` where its vectors are of one length.
    pub(super) dimensions: Option<&'static str>,
    /// Whether it takes the name of a user.
    pub(super) user: bool,
    /// Whether vectors can be had in base64.
    pub(super) base64: bool,
    /// Whether it demands to know what vectors are for, and then also takes what becomes of texts that are too long.
    pub(super) purpose: bool,
    /// Most texts of one request.
    pub(super) most: usize,
}

/// OpenAI's own, which engines and most vendors share.
const USUAL: Habits =
    Habits { id: "", dimensions: Some("dimensions"), user: true, base64: true, purpose: false, most: 2048 };

static ROWS: [Habits; 5] = [
    Habits { id: "mistral", dimensions: Some("output_dimension"), user: false, ..USUAL },
    Habits { id: "together", dimensions: None, user: false, base64: false, ..USUAL },
    Habits { id: "nvidia-nim", purpose: true, ..USUAL },
    // Its router's task; servers of its own software take lengths.
    Habits { id: "hugging-face", dimensions: None, ..USUAL },
    Habits { id: "qwen", base64: false, most: 10, ..USUAL },
];

/// The habits of `provider`; `None` is an engine.
#[must_use]
pub fn habits(provider: Option<&str>) -> &'static Habits {
    static OF_MOST: Habits = USUAL;
    ROWS.iter().find(|row| Some(row.id) == provider).unwrap_or(&OF_MOST)
}

impl Habits {
    /// Whether it has any of its own.
    #[must_use]
    pub const fn deviates(&self) -> bool {
        !self.id.is_empty()
    }

    /// Whether it would refuse or misread `body`, which a client wrote in OpenAI's form; then the call must be
    /// written anew for it.
    #[must_use]
    pub fn misread(&self, body: &[u8]) -> bool {
        // What is no object, the vendor refuses in its own words.
        let Ok(fields) = Fields::body(body) else { return false };
        let texts = fields.look("input").and_then(json::array).map_or(1, |texts| texts.len());
        self.deviates()
            && ((fields.has("dimensions") && self.dimensions != Some("dimensions"))
                || (fields.has("user") && !self.user)
                || (fields.has("encoding_format") && !self.base64)
                || (self.purpose && !fields.has("input_type"))
                || texts > self.most)
    }
}
