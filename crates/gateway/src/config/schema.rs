//! The JSON Schema of our form, made as the reference page is: from the structs of the tree as they are written,
//! their doc comments, the names that enums know, and the defaults. `UPDATE_DOCS=1` rewrites it.
//!
//! A number, a switch, a duration or a name may also be a text with a reference, which only the environment can judge.

use super::mcp::Approvals;
use super::policy::{AssignmentMode, PolicyName};
use super::reference::{Field, Struct, element, is_required, names, structs_of_the_tree};
use super::tree::{Backend, CallerModels, Config, ForceUsage, Layout, LogLevel};
use super::worker::{RuntimeName, WorkerType};
use super::{LatencyMetric, SCHEMA, Strategy, Unpriced};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use trunkline_core::OnUnsupported;
use trunkline_dialect::UserIds;

/// What a text with a reference has in it.
const REFERENCE: &str = r"\$\{[^}]+\}";
const DURATION: &str = r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)?\s*$";
const SIZE: &str = r"^\s*\d+\s*([KkMmGgTt]?[Ii]?[Bb])?\s*$";

fn or_reference(of: &Value) -> Value {
    json!({"anyOf": [of, {"type": "string", "pattern": REFERENCE}]})
}

/// Names of an enum, also those that it takes beside its own.
fn one_of(names: &str) -> Value {
    let names: Vec<&str> = names.split(' ').map(|name| name.trim_matches('`')).collect();
    or_reference(&json!({"enum": names}))
}

fn whole(least: i64, most: Option<i64>) -> Value {
    let mut number = json!({"type": "integer", "minimum": least});
    if let (Some(most), Some(object)) = (most, number.as_object_mut()) {
        object.insert("maximum".into(), most.into());
    }
    or_reference(&number)
}

fn kind(field: &Field, structs: &BTreeMap<String, Struct>) -> Value {
    let inner = |outer: &str, kind: &str| {
        kind.strip_prefix(outer).and_then(|rest| rest.strip_prefix('<')?.strip_suffix('>')).map(str::to_owned)
    };
    let optional = inner("Option", &field.kind);
    let said = optional.clone().unwrap_or_else(|| field.kind.clone());
    let text = || json!({"type": ["string", "number", "boolean"]});
    let map_of = |of: &Value| json!({"type": ["object", "null"], "additionalProperties": of});
    let list_of = |of: &Value| json!({"type": ["array", "null"], "items": of});
    let schema = match said.as_str() {
        "bool" => or_reference(&json!({"type": "boolean"})),
        "usize" if field.attributes.contains("units::size") => {
            json!({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": format!("{SIZE}|{REFERENCE}")}]})
        }
        "Duration" => {
            json!({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": format!("{DURATION}|{REFERENCE}")}]})
        }
        "u8" => whole(0, Some(100)),
        "u16" => whole(0, Some(65535)),
        "u32" | "u64" | "usize" => whole(0, None),
        "i32" => whole(i32::MIN.into(), Some(i32::MAX.into())),
        "f32" | "f64" => or_reference(&json!({"type": "number"})),
        // What YAML takes for a number or a boolean is read as it is written.
        "String" | "PathBuf" | "IpAddr" | "Secret" => text(),
        "Vec<String>" | "Vec<PathBuf>" => list_of(&text()),
        "Vec<f64>" => list_of(&or_reference(&json!({"type": "number"}))),
        "Vec<ModelCard>" => list_of(&json!({"anyOf": [
            text(),
            {"type": "object", "required": ["id"], "properties": {"id": text(), "aliases": list_of(&text())}}
        ]})),
        "BTreeMap<String, String>" | "BTreeMap<String, Secret>" => map_of(&text()),
        "RuntimeName" => one_of(&names::<RuntimeName>()),
        "WorkerType" => one_of(&names::<WorkerType>()),
        "Backend" => one_of(&names::<Backend>()),
        "PolicyName" => one_of(&names::<PolicyName>()),
        "AssignmentMode" => one_of(&names::<AssignmentMode>()),
        "CallerModels" => one_of(&names::<CallerModels>()),
        "LogLevel" => one_of(&names::<LogLevel>()),
        "Strategy" => one_of(&names::<Strategy>()),
        "LatencyMetric" => one_of(&names::<LatencyMetric>()),
        "Unpriced" => one_of(&names::<Unpriced>()),
        "Layout" => one_of(&names::<Layout>()),
        "OnUnsupported" => one_of(&names::<OnUnsupported>()),
        // Older files have a switch here.
        "ForceUsage" => json!({"anyOf": [{"type": "boolean"}, one_of(&names::<ForceUsage>())]}),
        "Approvals" => one_of(&names::<Approvals>()),
        "UserIds" => one_of(&names::<UserIds>()),
        "WhenSpec" => json!({"type": "object", "minProperties": 1}),
        "StickyBy" => or_reference(&json!({"type": "string", "pattern": "^(user|key|session|header:.+)$"})),
        "ContentRule" => {
            let rules = ["contains", "not_contains", "regex"].map(|rule| (rule.to_owned(), text()));
            json!({"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
                   "properties": Map::from_iter(rules)})
        }
        other => match inner("Vec", other).or_else(|| inner("BTreeMap", other)) {
            Some(item) if item.starts_with("String, ") => {
                map_of(&json!({"$ref": format!("#/$defs/{}", item.trim_start_matches("String, "))}))
            }
            Some(item) if structs.contains_key(&item) => list_of(&json!({"$ref": format!("#/$defs/{item}")})),
            None if structs.contains_key(other) => {
                json!({"anyOf": [{"$ref": format!("#/$defs/{other}")}, {"type": "null"}]})
            }
            Some(_) | None => {
                panic!("`{}` has the type `{other}`, for which the schema has none", field.name)
            }
        },
    };
    if optional.is_some() { json!({"anyOf": [schema, {"type": "null"}]}) } else { schema }
}

/// Other spellings of a field.
fn spellings(field: &Field) -> impl Iterator<Item = &str> {
    field.attributes.split("alias = \"").skip(1).filter_map(|rest| rest.split('"').next())
}

fn object(of: &str, part: &Struct, structs: &BTreeMap<String, Struct>) -> Value {
    let defaults = match of {
        "Config" => serde_json::to_value(Config::default()).expect("the tree serialises"),
        "WorkerSpec" | "PoolSpec" | "MemberSpec" | "MirrorSpec" | "RouteSpec" | "WindowSpec"
        | "McpServer" => element(of),
        _ => Value::Null,
    };
    let mut properties = Map::new();
    for field in &part.fields {
        let mut schema = kind(field, structs);
        let schema = schema.as_object_mut().expect("a schema is an object");
        schema.insert("description".into(), field.doc.clone().into());
        let default = defaults.get(&field.name);
        if let Some(default) =
            default.filter(|value| !value.is_null() && !value.is_object() && !is_required(of, &field.name))
        {
            schema.insert("default".into(), default.clone());
        }
        for spelling in spellings(field) {
            properties.insert(spelling.to_owned(), Value::Object(schema.clone()));
        }
        properties.insert(field.name.clone(), Value::Object(schema.clone()));
    }
    let required = part.fields.iter().filter(|field| is_required(of, &field.name));
    let (one, several): (Vec<_>, Vec<_>) = required.partition(|field| spellings(field).next().is_none());
    let any_of = |field: &&Field| {
        let names = std::iter::once(field.name.as_str()).chain(spellings(field));
        json!({"anyOf": names.map(|name| json!({"required": [name]})).collect::<Vec<_>>()})
    };
    let mut object = json!({
        "type": ["object", "null"],
        "description": part.doc,
        "properties": properties,
        "required": one.iter().map(|field| field.name.as_str()).collect::<Vec<_>>(),
        "additionalProperties": false,
    });
    // An empty list of conditions is no schema.
    if let (Some(keys), false) = (object.as_object_mut(), several.is_empty()) {
        keys.insert("allOf".into(), several.iter().map(any_of).collect());
    }
    object
}

fn schema() -> Value {
    let structs = structs_of_the_tree();
    let parts = structs.iter().filter(|(name, _)| *name != "Config");
    let parts: Map<String, Value> =
        parts.map(|(name, part)| (name.clone(), object(name, part, &structs))).collect();
    let mut root = object("Config", &structs["Config"], &structs);
    let whole = root.as_object_mut().expect("a schema is an object");
    whole.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    whole.insert("title".into(), "Trunkline's configuration".into());
    whole.insert("$defs".into(), Value::Object(parts));
    root
}

#[test]
#[expect(clippy::disallowed_methods, reason = "asked of the test itself, not of the gateway")]
fn config_reference_schema_is_up_to_date() {
    let text = format!("{:#}\n", schema());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/schema.json");
        std::fs::write(path, &text).expect("the schema can be written");
        return;
    }
    assert!(
        SCHEMA == text,
        "schema.json is stale; run UPDATE_DOCS=1 cargo test -p trunkline-gateway config_reference"
    );
}
