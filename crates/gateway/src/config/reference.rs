//! `docs/configuration.md`, written from the tree itself: meanings are its doc comments, defaults its
//! serialised defaults, and the flags those the command line applies. `UPDATE_DOCS=1` rewrites the page.

use super::fallbacks::Fallbacks;
use super::mcp::{Approvals, McpServer};
use super::policy::{AssignmentMode, PolicyName};
use super::pools::{
    LatencyMetric, MemberSpec, MirrorSpec, PoolSpec, RouteSpec, Strategy, Unpriced, WindowSpec,
};
use super::surroundings::{
    API_VERSION, AWS_KEYS, AWS_REGION, CLOUD_PROJECT, DEPLOYMENT, OLLAMA_VARIABLES, OPENAI_ORGANIZATION,
    OPENAI_PROJECT, VERTEX_ADDRESS, VERTEX_LOCATION, VERTEX_PROJECT,
};
use super::tree::{Backend, CallerModels, Config, ForceUsage, Layout, LogLevel};
use super::worker::{RuntimeName, WorkerSpec, WorkerType};
use crate::cli::SETTINGS;
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use trunkline_core::OnUnsupported;
use trunkline_dialect::UserIds;
use trunkline_dialect::provider::PROVIDERS;

const INTRODUCTION: &str = include_str!("reference.md");

#[derive(Debug, Clone, Default)]
pub(super) struct Struct {
    pub(super) doc: String,
    pub(super) fields: Vec<Field>,
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) doc: String,
    pub(super) attributes: String,
}

/// The structs of the tree by name. Relies on rustfmt's layout: one field, attribute or comment a line.
fn structs(source: &str) -> BTreeMap<String, Struct> {
    let mut found: BTreeMap<String, Struct> = BTreeMap::new();
    let mut open: Option<String> = None;
    let (mut doc, mut attributes) = (String::new(), String::new());
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc = format!("{doc} {}", text.trim()).trim().to_owned();
        } else if line.starts_with("#[") {
            attributes.push_str(line);
        } else {
            // What borrows is no part of the tree.
            let declared = line.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {"));
            let declared = declared.filter(|name| !name.contains('<'));
            let field = line.strip_prefix("pub ").and_then(|rest| rest.strip_suffix(',')?.split_once(": "));
            match (declared, field, &open) {
                (Some(name), _, _) => {
                    open = Some(name.to_owned());
                    found.insert(name.to_owned(), Struct { doc: doc.clone(), fields: Vec::new() });
                }
                (None, Some(_), Some(_)) if attributes.contains("serde(skip)") => {}
                (None, Some((name, kind)), Some(of)) => {
                    let (doc, attributes) = (doc.clone(), attributes.clone());
                    let field = Field { name: name.to_owned(), kind: kind.to_owned(), doc, attributes };
                    found.get_mut(of).expect("it was opened").fields.push(field);
                }
                _ if line == "}" => open = None,
                _ => {}
            }
            doc.clear();
            attributes.clear();
        }
    }
    found
}

/// The names an enum knows, as its own error lists them.
pub(super) fn names<T: DeserializeOwned + std::fmt::Debug>() -> String {
    let unknown: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = "?".into_deserializer();
    let error = T::deserialize(unknown).expect_err("`?` names nothing").to_string();
    error.split('`').skip(3).step_by(2).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ")
}

fn type_words(field: &Field) -> String {
    let kind =
        field.kind.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')).unwrap_or(&field.kind);
    match kind {
        "bool" => "`true` `false`".into(),
        "usize" if field.attributes.contains("units::size") => "size".into(),
        "Duration" => "duration".into(),
        "u8" | "u16" | "u32" | "u64" | "usize" | "i32" => "whole number".into(),
        "f32" | "f64" => "number".into(),
        "String" => "text".into(),
        "PathBuf" => "file".into(),
        "IpAddr" => "IP address".into(),
        "Secret" => "secret".into(),
        "Vec<String>" => "list of texts".into(),
        "Vec<PathBuf>" => "list of files".into(),
        "Vec<f64>" => "list of numbers".into(),
        "Vec<ModelCard>" => "list of names, or of maps with `id` and `aliases`".into(),
        "BTreeMap<String, String>" => "map of texts".into(),
        "BTreeMap<String, Secret>" => "map of secrets".into(),
        "RuntimeName" => names::<RuntimeName>(),
        "WorkerType" => names::<WorkerType>(),
        "Backend" => names::<Backend>(),
        "PolicyName" => names::<PolicyName>(),
        "AssignmentMode" => names::<AssignmentMode>(),
        "CallerModels" => names::<CallerModels>(),
        "LogLevel" => names::<LogLevel>(),
        "Strategy" => names::<Strategy>(),
        "LatencyMetric" => names::<LatencyMetric>(),
        "Unpriced" => names::<Unpriced>(),
        "WhenSpec" => "map, see [pools.md](pools.md)".into(),
        "StickyBy" => "`user` `key` `session` `header:NAME`".into(),
        "ContentRule" => "map with one of `contains`, `not_contains`, `regex`".into(),
        "Layout" => names::<Layout>(),
        "OnUnsupported" => names::<OnUnsupported>(),
        "ForceUsage" => names::<ForceUsage>(),
        "Approvals" => names::<Approvals>(),
        "UserIds" => names::<UserIds>(),
        other => panic!("`{}` has the type `{other}`, for which the reference has no words", field.name),
    }
}

fn default_words(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "none".into(),
        Some(Value::Array(items)) if items.is_empty() => "none".into(),
        Some(Value::Object(map)) if map.is_empty() => "none".into(),
        Some(Value::Array(items)) => {
            items.iter().map(|item| default_words(Some(item))).collect::<Vec<_>>().join(" ")
        }
        Some(Value::String(text)) => format!("`{text}`"),
        Some(other) => format!("`{other}`"),
    }
}

struct Page {
    structs: BTreeMap<String, Struct>,
    /// Names of those that have no section yet.
    unused: BTreeSet<String>,
    /// The path whose section describes each.
    sections: BTreeMap<String, String>,
    text: String,
    known: Vec<String>,
}

impl Page {
    /// One table for a struct's leaves, then one section for each struct it holds.
    fn section(&mut self, title: &str, of: &str, prefix: &str, defaults: &Value) {
        let part = self.structs.get(of).unwrap_or_else(|| panic!("the tree has no struct {of}")).clone();
        self.unused.remove(of);
        let keys = defaults.as_object().expect("a struct serialises as a map");
        let unwritten: Vec<_> =
            keys.keys().filter(|key| !part.fields.iter().any(|field| field.name == **key)).collect();
        assert!(unwritten.is_empty(), "serde knows {unwritten:?} of {of}, the page does not");
        writeln!(self.text, "\n## {title}\n\n{}\n", part.doc).expect("a text takes writes");
        self.text
            .push_str("| key | values | default | meaning | flag or variable |\n|---|---|---|---|---|\n");
        let mut inner = Vec::new();
        for field in &part.fields {
            let path = format!("{prefix}{}", field.name);
            let listed = field.kind.strip_prefix("Vec<").and_then(|rest| rest.strip_suffix('>'));
            let mapped = field.kind.strip_prefix("BTreeMap<String, ").and_then(|rest| rest.strip_suffix('>'));
            let optional = field.kind.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>'));
            let held = listed.or(mapped).or(optional).unwrap_or(&field.kind);
            let default = defaults.get(&field.name);
            let hidden = field.attributes.contains("skip_serializing") || is_required(of, &field.name);
            assert!(default.is_some() || hidden, "serde does not know {path}, the page does");
            let words = if self.structs.contains_key(held) {
                let (many, what) = match (listed, mapped) {
                    (Some(_), _) => ("[]", "list of maps"),
                    (None, Some(_)) => (".NAME", "map of maps"),
                    (None, None) => ("", "map"),
                };
                let own = format!("{path}{many}");
                let first = self.sections.entry(held.to_owned()).or_insert_with(|| own.clone()).clone();
                if first != own {
                    self.known.push(path.clone());
                    let (doc, sources) = (&field.doc, sources(&path));
                    writeln!(self.text, "| `{path}` | {what}, as `{first}` | none | {doc} | {sources} |")
                        .expect("a text takes writes");
                    continue;
                }
                let is_element = !many.is_empty() || optional.is_some();
                inner.push((own, held.to_owned(), is_element, field.name.clone()));
                if many.is_empty() {
                    continue;
                }
                format!("{what}, see `{path}{many}`")
            } else {
                type_words(field)
            };
            let default =
                if is_required(of, &field.name) { "required".into() } else { default_words(default) };
            let doc = field.doc.replace('|', "\\|");
            let sources = sources(&path);
            writeln!(self.text, "| `{path}` | {words} | {default} | {doc} | {sources} |")
                .expect("a text takes writes");
            self.known.push(path);
        }
        for (path, held, listed, name) in inner {
            let title = format!("`{path}`");
            let defaults = if listed {
                element(&held)
            } else {
                defaults.get(&name).cloned().expect("a part serialises")
            };
            self.section(&title, &held, &format!("{path}."), &defaults);
        }
    }
}

/// What an element of a list is when nothing but what must be is said of it.
pub(super) fn element(kind: &str) -> Value {
    let member = || MemberSpec::new(String::new());
    match kind {
        "WorkerSpec" => serde_json::to_value(WorkerSpec::new("")),
        "PoolSpec" => serde_json::from_str(r#"{"name":"","backends":[]}"#)
            .and_then(|pool: PoolSpec| serde_json::to_value(pool)),
        "MemberSpec" => serde_json::to_value(member()),
        "ModelFacts" => Ok(serde_json::json!({
            "prices": null, "context": null, "max_input": null, "max_output": null
        })),
        "WindowSpec" => serde_json::to_value(WindowSpec::default()),
        "MirrorSpec" => serde_json::to_value(MirrorSpec::new(String::new())),
        "Fallbacks" => serde_json::to_value(Fallbacks::default()),
        "RouteSpec" => serde_json::to_value(RouteSpec::default()),
        "McpServer" => serde_json::to_value(McpServer::default()),
        other => panic!("the page has no element of {other}"),
    }
    .expect("an element serialises")
}

pub(super) fn is_required(of: &str, field: &str) -> bool {
    matches!(
        (of, field),
        ("PoolSpec", "name" | "backends")
            | ("MemberSpec", "name")
            | ("MirrorSpec", "backend")
            | ("RouteSpec", "backend")
            | ("McpServer", "name" | "url")
    )
}

fn sources(path: &str) -> String {
    let flags =
        SETTINGS.iter().filter(|(_, setting)| *setting == path).map(|(flag, _)| format!("`--{flag}`"));
    let variables: Vec<&str> = match path {
        "log.filter" => vec!["RUST_LOG"],
        "auth.api_key" => vec!["TRUNKLINE_API_KEY"],
        "aws.access_key_id" => vec![AWS_KEYS[0]],
        "aws.secret_access_key" => vec![AWS_KEYS[1]],
        "aws.session_token" => vec![AWS_KEYS[2]],
        "aws.region" => AWS_REGION.to_vec(),
        "provider_keys" => PROVIDERS.iter().flat_map(|provider| provider.key_variables).copied().collect(),
        "provider_urls" => {
            let of_providers = PROVIDERS.iter().flat_map(|provider| provider.url_variables).copied();
            let of_vertex =
                VERTEX_ADDRESS.into_iter().chain(VERTEX_PROJECT).chain(CLOUD_PROJECT).chain(VERTEX_LOCATION);
            of_providers.chain(OLLAMA_VARIABLES).chain(of_vertex).collect()
        }
        "openai.organization" => OPENAI_ORGANIZATION.to_vec(),
        "openai.project" => OPENAI_PROJECT.to_vec(),
        "azure.deployment" => DEPLOYMENT.to_vec(),
        "azure.api_version" => API_VERSION.to_vec(),
        _ => Vec::new(),
    };
    flags.chain(variables.iter().map(|variable| format!("`{variable}`"))).collect::<Vec<_>>().join(" ")
}

pub(super) fn structs_of_the_tree() -> BTreeMap<String, Struct> {
    structs(concat!(
        include_str!("tree.rs"),
        include_str!("breaker.rs"),
        include_str!("policy.rs"),
        include_str!("worker.rs"),
        include_str!("pools.rs"),
        include_str!("catalog.rs"),
        include_str!("fallbacks.rs"),
        include_str!("mcp.rs")
    ))
}

fn page() -> Page {
    let structs = structs_of_the_tree();
    let unused = structs.keys().cloned().collect();
    let mut page =
        Page { structs, unused, sections: BTreeMap::new(), text: INTRODUCTION.to_owned(), known: Vec::new() };
    let defaults = serde_json::to_value(Config::default()).expect("the tree serialises");
    page.section("Top level", "Config", "", &defaults);
    page
}

#[test]
#[expect(clippy::disallowed_methods, reason = "asked of the test itself, not of the gateway")]
fn config_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().expect("it lies in a directory")).expect("docs/ can be made");
        std::fs::write(&path, &page.text).expect("docs/configuration.md can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page.text,
        "docs/configuration.md is stale; run UPDATE_DOCS=1 cargo test -p trunkline-gateway config_reference"
    );
}

#[test]
fn config_reference_covers_everything() {
    let page = page();
    assert!(page.unused.is_empty(), "structs nothing in the tree holds: {:?}", page.unused);
    for (flag, setting) in SETTINGS {
        assert!(
            page.known.iter().any(|known| known == setting),
            "--{flag} sets {setting}, which is no setting"
        );
    }
    // The example of the page is a configuration.
    let yaml = INTRODUCTION.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let env = BTreeMap::from([("GATEWAY_KEY".to_owned(), "k".to_owned())]);
    let mut problems = Vec::new();
    let text = super::Text::of("gateway.yaml", yaml.expect("there is an example"));
    let config =
        super::file::read(&text, &env, super::file::Unset::Wrong, &mut problems).map(|(config, _)| config);
    assert_eq!(problems, []);
    assert_eq!(config.expect("it is read").validate(), []);
}
