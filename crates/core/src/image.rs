//! The neutral call for pictures, and its answer.

use crate::{Extra, Model, Surface, Upload, Usage};

/// A picture to be made from words.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageCall {
    /// The wire form it came in.
    pub surface: Surface,
    /// The model asked for.
    pub model: Model,
    /// What is to be seen; empty where nothing but variations are wanted.
    pub prompt: String,
    /// The pictures that are to be changed; none where one is to be made.
    pub sources: Vec<Upload>,
    /// Which of the first picture is to be changed: what is transparent in this one.
    pub mask: Option<Upload>,
    /// How many pictures.
    pub count: Option<u32>,
    /// How large they are to be.
    pub size: Option<Pixels>,
    /// How much care is taken, by the word its owner has for it.
    pub quality: Option<String>,
    /// In which style.
    pub style: Option<String>,
    /// What is behind the thing shown.
    pub background: Option<String>,
    /// How strictly the answer is filtered.
    pub moderation: Option<String>,
    /// The file format: `png`, `jpeg` or `webp`.
    pub format: Option<String>,
    /// How much of the format's quality is kept, in per cent.
    pub compression: Option<u64>,
    /// How the client wants to have them.
    pub delivery: Option<Delivery>,
    /// Whether they are to be streamed.
    pub stream: bool,
    /// How many unfinished versions of each are to be streamed first.
    pub partial_images: Option<u64>,
    /// Who asks, as the client calls them.
    pub user: Option<String>,
    /// Fields without a name here.
    pub extra: Extra,
}

/// Width and height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pixels {
    /// From left to right.
    pub width: u32,
    /// From top to bottom.
    pub height: u32,
}

/// How a picture is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// In base64.
    Base64,
    /// By its address.
    Url,
}

/// Pictures.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageReply {
    /// In the order they came.
    pub pictures: Vec<Picture>,
    /// What they cost.
    pub usage: Option<Box<Usage>>,
}

/// One picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// The picture itself.
    pub data: PictureData,
    /// Its media type, where the upstream says it.
    pub mime: Option<String>,
    /// The prompt it was made from, where that is not the client's.
    pub revised_prompt: Option<String>,
}

/// What an upstream gives of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PictureData {
    /// Its bytes in standard base64.
    Base64(String),
    /// Where it is.
    Url(String),
}
