//! The form of the answer: asked for in the dialect's words where the provider knows them, and by other
//! means where it does not.

use crate::json::Writer;
use crate::names::{Alphabet, Names};
use crate::profile::{Disposition, Parameter, Profile, SchemaBy, Sheet};
use std::borrow::Cow;
use trunkline_core::{Call, ItemKind, Json, Losses, OutputFormat};

const PATH: &str = "response_format";
const ONE_OBJECT: &str = "Answer with one JSON object and nothing else.";

/// How an answer's form is asked for.
#[derive(Debug, Default)]
pub(super) struct Format<'c> {
    /// `response_format`.
    field: Field<'c>,
    /// Words the model is told.
    pub(super) instruction: Option<Cow<'static, str>>,
    /// A tool whose arguments are the answer.
    pub(super) tool: Option<&'c Json>,
}

#[derive(Debug, Default)]
enum Field<'c> {
    #[default]
    None,
    Object,
    /// Any object, for a provider that knows schemas only.
    AnyObject,
    Schema(&'c OutputFormat),
}

impl<'c> Format<'c> {
    /// Plans it for `call`.
    pub(super) fn plan(call: &'c Call, profile: &Profile, sheet: Sheet, losses: &mut Losses) -> Self {
        match &call.output.format {
            OutputFormat::Text => Self::default(),
            OutputFormat::Grammar { .. } => {
                losses.dropped(PATH, "the target takes no grammar for its answer");
                Self::default()
            }
            OutputFormat::JsonObject => Self::object(call, profile, sheet, losses),
            OutputFormat::JsonSchema { schema, .. } => {
                let is_alone = !call.stream.on && call.tools.is_empty();
                match sheet.of(Parameter::JsonSchema) {
                    Disposition::Native | Disposition::Renamed if is_alone || !profile.schema_alone => {
                        Self { field: Field::Schema(&call.output.format), ..Self::default() }
                    }
                    Disposition::Dropped | Disposition::Refused => {
                        losses.dropped(PATH, "the target answers in text alone");
                        Self::default()
                    }
                    Disposition::Native | Disposition::Renamed | Disposition::Emulated => {
                        Self::emulated(call, profile, schema, losses)
                    }
                }
            }
        }
    }

    fn object(call: &Call, profile: &Profile, sheet: Sheet, losses: &mut Losses) -> Self {
        match sheet.of(Parameter::JsonObject) {
            Disposition::Native if profile.wants_word_json && !says_json(call) => {
                losses.invented(PATH, "the target wants JSON named in the prompt");
                Self { field: Field::Object, instruction: Some(ONE_OBJECT.into()), tool: None }
            }
            Disposition::Native => Self { field: Field::Object, ..Self::default() },
            Disposition::Renamed => Self { field: Field::AnyObject, ..Self::default() },
            Disposition::Emulated => {
                losses.emulated(PATH, "the model is told to answer in JSON");
                Self { instruction: Some(ONE_OBJECT.into()), ..Self::default() }
            }
            Disposition::Dropped | Disposition::Refused => {
                losses.dropped(PATH, "the target answers in text alone");
                Self::default()
            }
        }
    }

    fn emulated(call: &Call, profile: &Profile, schema: &'c Json, losses: &mut Losses) -> Self {
        // A forced call would keep the model from calling the client's own tools.
        if profile.schema_by == SchemaBy::Tool && call.tools.is_empty() {
            losses.emulated(PATH, "the answer is the arguments of a forced tool call");
            return Self { tool: Some(schema), ..Self::default() };
        }
        losses.emulated(PATH, "the model is told the schema of its answer");
        let words = format!("{ONE_OBJECT} It must follow this JSON Schema:\n{}", schema.as_str());
        // JSON mode and tools exclude each other where a schema must stand alone.
        let field = if profile.schema_alone { Field::None } else { Field::Object };
        Self { field, instruction: Some(words.into()), tool: None }
    }

    /// Writes the field that asks for it, if any.
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        match &self.field {
            Field::None => {}
            Field::Object => w.key(PATH).object(|w| w.key("type").string("json_object")),
            Field::AnyObject => write_schema(
                w,
                &OutputFormat::JsonSchema {
                    name: None,
                    description: None,
                    schema: Json::object(),
                    strict: None,
                },
            ),
            Field::Schema(format) => write_schema(w, format),
        }
    }
}

fn write_schema(w: &mut Writer<'_>, format: &OutputFormat) {
    let OutputFormat::JsonSchema { name, description, schema, strict } = format else { return };
    w.key(PATH).object(|w| {
        w.key("type").string("json_schema");
        w.key("json_schema").object(|w| {
            // Demanded, and of the alphabet of tool names.
            let name = name.as_deref().filter(|name| !name.is_empty()).unwrap_or("response");
            w.key("name").string(&Names::new(Alphabet::OPENAI_NAME).target(name));
            w.opt_string("description", description.as_deref());
            w.key("schema").raw(schema.as_str());
            w.opt_bool("strict", *strict);
        });
    });
}

/// Whether the model reads the word anywhere.
fn says_json(call: &Call) -> bool {
    let said = call.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Message(message) => Some(&message.parts),
        ItemKind::ToolCall(_)
        | ItemKind::ToolResult(_)
        | ItemKind::Reasoning(_)
        | ItemKind::ServerTool(_)
        | ItemKind::Reference(_)
        | ItemKind::Unknown { .. } => None,
    });
    let told = call.instructions.iter().map(|instruction| &instruction.parts);
    told.chain(said)
        .flatten()
        .filter_map(|part| part.as_text())
        .any(|text| text.to_ascii_lowercase().contains("json"))
}
