//! What every fixture of a feature says, free of any dialect: the one conversation that all clients send
//! and the one answer that all upstreams give.

use serde_json::{Value, json};

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Feature {
    Text,
    Tools,
    Parallel,
    Thinking,
    Image,
    Document,
    Structured,
    Cached,
    Error,
    Cut,
}

impl Feature {
    pub(super) const ALL: [Self; 10] = [
        Self::Text,
        Self::Tools,
        Self::Parallel,
        Self::Thinking,
        Self::Image,
        Self::Document,
        Self::Structured,
        Self::Cached,
        Self::Error,
        Self::Cut,
    ];

    /// What the page calls it.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Tools => "tools",
            Self::Parallel => "parallel tools",
            Self::Thinking => "thinking",
            Self::Image => "image",
            Self::Document => "document",
            Self::Structured => "structured output",
            Self::Cached => "cached usage",
            Self::Error => "error",
            Self::Cut => "cut stream",
        }
    }

    /// The section of a client's fixtures with the request.
    pub(super) const fn request(self) -> &'static str {
        match self {
            Self::Text | Self::Error | Self::Cut => "text",
            Self::Tools => "tools",
            Self::Parallel => "parallel",
            Self::Thinking => "thinking",
            Self::Image => "image",
            Self::Document => "document",
            Self::Structured => "structured",
            Self::Cached => "cached",
        }
    }

    /// The section of an upstream's fixtures with the answer.
    pub(super) const fn answer(self) -> &'static str {
        match self {
            Self::Text | Self::Image | Self::Document | Self::Error => "text",
            // Every kind of part is there to be cut.
            Self::Thinking | Self::Cut => "thinking",
            Self::Tools => "tools",
            Self::Parallel => "parallel",
            Self::Structured => "structured",
            Self::Cached => "cached",
        }
    }
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    User,
    Model,
}

/// One piece of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bit {
    Words(String),
    Thought(String),
    Call { id: Option<String>, name: String, arguments: String },
    Result { id: Option<String>, text: String },
    Image { mime: String, data: String },
    Document { mime: String, data: String },
}

/// Which tool the model must call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Free,
    Forced,
}

/// A tool on offer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Offered {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) schema: Value,
}

/// What a request asks, as read off its bytes.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Asked {
    pub(super) system: String,
    pub(super) said: Vec<(Who, Bit)>,
    pub(super) tools: Vec<Offered>,
    pub(super) choice: Option<Choice>,
    /// The schema of the answer.
    pub(super) schema: Option<Value>,
    pub(super) thinks: bool,
    pub(super) stream: Option<bool>,
    pub(super) most: Option<u64>,
    pub(super) temperature: Option<String>,
    pub(super) stop: Vec<String>,
    /// How many cache marks there are.
    pub(super) marks: usize,
    /// Proofs of earlier thoughts, in order.
    pub(super) proofs: Vec<String>,
}

/// One piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Thought(String),
    Words(String),
    Call { id: String, name: String, arguments: String },
}

/// Why an answer ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Stop,
    Calls,
}

/// Token counts. `input` includes what was cached; counts that are not told are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) read: u64,
    pub(super) written: u64,
}

/// What an answer says, as read off its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) said: Vec<Said>,
    pub(super) done: Done,
    pub(super) counts: Option<Counts>,
}

pub(super) const SYSTEM: &str = "Be brief.";
pub(super) const QUESTION: &str = "Wie wird das Wetter in Łódź? 🌧";
pub(super) const NEXT: &str = "Und morgen?";
/// Arguments with an escape, an integer beyond 2^53, and numbers whose spelling a float would not keep.
pub(super) const CALLS: [(&str, &str); 3] = [
    ("get_weather", r#"{"city": "Zürich \"HB\"", "id": 12345678901234567890, "ratio": 1.0}"#),
    ("get_time", r#"{"zone": "Europe/Warsaw", "at": 1.50e2}"#),
    ("get_weather", "{}"),
];
pub(super) const RESULTS: [&str; 3] = ["sonnig, 21.5 °C", "14:05", "unbekannt"];
const PNG: &str = "iVBORw0KGgo=";
const PDF: &str = "JVBERi0=";

fn user(text: &str) -> (Who, Bit) {
    (Who::User, Bit::Words(text.to_owned()))
}

fn model(text: &str) -> (Who, Bit) {
    (Who::Model, Bit::Words(text.to_owned()))
}

fn call(at: usize) -> (Who, Bit) {
    let (name, arguments) = CALLS[at];
    let id = Some(format!("call_h{}", at + 1));
    (Who::Model, Bit::Call { id, name: name.to_owned(), arguments: arguments.to_owned() })
}

fn result(at: usize) -> (Who, Bit) {
    (Who::User, Bit::Result { id: Some(format!("call_h{}", at + 1)), text: RESULTS[at].to_owned() })
}

fn weather() -> Offered {
    let properties = json!({"city": {"type": "string", "description": "Where"}, "id": {"type": "integer"},
        "ratio": {"type": "number"}});
    Offered {
        name: "get_weather".into(),
        description: Some("Weather of a city".into()),
        schema: json!({"type": "object", "properties": properties, "required": ["city"]}),
    }
}

fn time() -> Offered {
    Offered {
        name: "get_time".into(),
        description: Some("Time of a zone".into()),
        schema: json!({"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}),
    }
}

/// What the clients of a full dialect ask.
pub(super) fn asked(feature: Feature) -> Asked {
    let asked = Asked { most: Some(300), ..Asked::default() };
    let media = |bit, words| vec![(Who::User, bit), user(words)];
    let data = |mime: &str, data: &str| (mime.to_owned(), data.to_owned());
    match feature {
        Feature::Text | Feature::Error | Feature::Cut => Asked {
            system: SYSTEM.into(),
            said: vec![user(QUESTION), model("Sonnig."), user(NEXT)],
            temperature: Some("0.5".into()),
            stop: vec!["END".into()],
            ..asked
        },
        Feature::Tools => Asked {
            said: vec![user(QUESTION), model("Moment."), call(0), result(0), user(NEXT)],
            tools: vec![weather()],
            choice: Some(Choice::Forced),
            ..asked
        },
        Feature::Parallel => Asked {
            said: vec![user(QUESTION), call(0), call(1), call(2), result(0), result(1), result(2)],
            tools: vec![weather(), time()],
            ..asked
        },
        Feature::Thinking => Asked {
            said: vec![user(QUESTION)],
            tools: vec![weather()],
            thinks: true,
            most: Some(9000),
            ..asked
        },
        Feature::Image => {
            let (mime, data) = data("image/png", PNG);
            Asked { said: media(Bit::Image { mime, data }, "Was ist das?"), ..asked }
        }
        Feature::Document => {
            let (mime, data) = data("application/pdf", PDF);
            Asked { said: media(Bit::Document { mime, data }, "Fasse zusammen."), ..asked }
        }
        Feature::Structured => Asked {
            said: vec![user(QUESTION)],
            schema: Some(
                json!({"type": "object", "required": ["city", "degrees"], "additionalProperties": false,
                "properties": {"city": {"type": "string"}, "degrees": {"type": "number"}}}),
            ),
            ..asked
        },
        Feature::Cached => Asked { system: SYSTEM.into(), said: vec![user(QUESTION)], marks: 2, ..asked },
    }
}

/// What upstreams answer; the ids of calls are their own.
pub(super) fn told(feature: Feature, ids: [&str; 3], cached: Counts) -> Told {
    let words = |text: &str| Said::Words(text.to_owned());
    let call = |at: usize| {
        let (name, arguments) = CALLS[at];
        Said::Call { id: ids[at].to_owned(), name: name.to_owned(), arguments: arguments.to_owned() }
    };
    let said = match feature.answer() {
        "tools" => vec![words("Moment."), call(0)],
        "parallel" => vec![call(0), call(1), call(2)],
        "thinking" => {
            vec![Said::Thought("Two cities, so one call.".into()), words("Ich schaue nach."), call(0)]
        }
        "structured" => vec![words(r#"{"city": "Zürich", "degrees": 21.50}"#)],
        _ => vec![words("Grüße aus Łódź 🌧.")],
    };
    let calls = said.iter().any(|said| matches!(said, Said::Call { .. }));
    let done = if calls { Done::Calls } else { Done::Stop };
    let plain = Counts { input: 18, output: 42, ..Counts::default() };
    Told { said, done, counts: Some(if feature == Feature::Cached { cached } else { plain }) }
}
