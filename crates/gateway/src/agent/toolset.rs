//! The tools of a request's servers, as functions that the model may call.

use super::declared::{Declared, server_tool};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::Arc;
use trunkline_core::{AllowedMode, Call, Fault, FaultKind, Json, Tool, ToolChoice, ToolKind};
use trunkline_dialect::openai_responses::replay_served;
use trunkline_mcp::{McpError, Sessions};

/// Longest name of a function that every provider takes.
const LONGEST: usize = 64;

/// All of them.
#[derive(Debug)]
pub(super) struct Toolset {
    pub(super) servers: Vec<Listed>,
    pub(super) tools: Vec<Exposed>,
}

/// A server and what it has.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) declared: Declared,
    pub(super) tools: Result<Arc<[trunkline_mcp::Tool]>, McpError>,
}

/// A tool that the model may call.
#[derive(Debug)]
pub(super) struct Exposed {
    /// What the model calls it.
    pub(super) name: String,
    /// Its server, by number.
    pub(super) server: usize,
    pub(super) tool: trunkline_mcp::Tool,
    pub(super) asks: bool,
}

impl Toolset {
    /// Lists what the servers have, all at once.
    pub(super) async fn list(sessions: &Sessions, declared: Vec<Declared>, call: &Call) -> Self {
        let listing = declared.into_iter().map(|declared| async {
            let tools = sessions.tools(&declared.server).await;
            Listed { declared, tools }
        });
        let servers = futures_util::future::join_all(listing).await;
        let mut taken: HashSet<String> =
            call.tools.iter().filter_map(|tool| tool.name().map(str::to_owned)).collect();
        let mut tools = Vec::new();
        for (server, listed) in servers.iter().enumerate() {
            for tool in listed.shown() {
                let name = name(&listed.declared.label, &tool.name, &taken);
                taken.insert(name.clone());
                let asks = listed.declared.approval.is_needed(tool);
                tools.push(Exposed { name, server, tool: tool.clone(), asks });
            }
        }
        Self { servers, tools }
    }

    /// The first server that could not be listed.
    pub(super) fn failure(&self) -> Option<Fault> {
        let (label, why) = self
            .servers
            .iter()
            .find_map(|listed| Some((&listed.declared.label, listed.tools.as_ref().err()?)))?;
        let message = format!("the tools of MCP server {label:?} could not be listed: {why}");
        let at = self.servers.iter().find(|listed| listed.declared.label == *label);
        let path = at.map(|listed| listed.declared.path.clone()).unwrap_or_default();
        Some(Fault::new(FaultKind::Connector, message).at(path).code("external_connector_error"))
    }

    pub(super) fn find(&self, name: &str) -> Option<&Exposed> {
        self.tools.iter().find(|exposed| exposed.name == name)
    }

    pub(super) fn of(&self, exposed: &Exposed) -> Option<&Declared> {
        self.servers.get(exposed.server).map(|listed| &listed.declared)
    }

    /// What the model calls a server's tool.
    pub(super) fn name_of(&self, label: &str, tool: &str) -> String {
        let is = |exposed: &&Exposed| {
            exposed.tool.name == tool && self.of(exposed).is_some_and(|server| server.label == label)
        };
        self.tools.iter().find(is).map_or_else(|| tool.to_owned(), |exposed| exposed.name.clone())
    }

    /// Puts the tools into `call` in the place of their servers, and what was called before in functions' terms.
    pub(super) fn offer(&self, call: &mut Call) {
        let mut servers = 0..;
        let offered = std::mem::take(&mut call.tools).into_iter().flat_map(|tool| {
            if server_tool(&tool).is_none() {
                return vec![tool];
            }
            let server = servers.next().unwrap_or(usize::MAX);
            self.tools.iter().filter(|exposed| exposed.server == server).map(Exposed::function).collect()
        });
        call.tools = offered.collect();
        replay_served(call, |label, tool| self.name_of(label, tool));
        if let Some(ToolChoice::Other { raw, .. }) = &call.tool_choice {
            call.tool_choice = self.choice(&raw.to_value()).or(call.tool_choice.take());
        }
    }

    /// A choice that names servers, in functions' terms.
    fn choice(&self, choice: &Value) -> Option<ToolChoice> {
        match choice.get("type")?.as_str()? {
            "mcp" => match self.named(choice)?.as_slice() {
                [only] => Some(ToolChoice::Named { name: only.clone(), custom: false }),
                names => Some(ToolChoice::Allowed { mode: AllowedMode::Required, names: names.to_vec() }),
            },
            "allowed_tools" => {
                let is_required = choice.get("mode").and_then(Value::as_str) == Some("required");
                let mode = if is_required { AllowedMode::Required } else { AllowedMode::Auto };
                let list = choice.get("tools")?.as_array()?.iter();
                let names: Option<Vec<Vec<String>>> = list.map(|tool| self.named(tool)).collect();
                Some(ToolChoice::Allowed { mode, names: names?.concat() })
            }
            _ => None,
        }
    }

    /// The functions that one entry of a choice stands for.
    fn named(&self, entry: &Value) -> Option<Vec<String>> {
        let name = entry.get("name").and_then(Value::as_str);
        match entry.get("type")?.as_str()? {
            "function" | "custom" => Some(vec![name?.to_owned()]),
            "mcp" => {
                let label = entry.get("server_label")?.as_str()?;
                let is = |exposed: &&Exposed| {
                    self.of(exposed).is_some_and(|server| server.label == label)
                        && name.is_none_or(|name| exposed.tool.name == name)
                };
                let names: Vec<String> =
                    self.tools.iter().filter(is).map(|exposed| exposed.name.clone()).collect();
                (!names.is_empty()).then_some(names)
            }
            _ => None,
        }
    }
}

impl Listed {
    /// The tools that the client wants and the operator allows.
    pub(super) fn shown(&self) -> impl Iterator<Item = &trunkline_mcp::Tool> {
        let Declared { wanted, allowed, .. } = &self.declared;
        let tools = self.tools.as_deref().unwrap_or_default();
        tools.iter().filter(|tool| wanted.has(tool) && (allowed.is_empty() || allowed.contains(&tool.name)))
    }

    /// What an answer says came of listing it.
    pub(super) fn outcome(&self) -> Json {
        match &self.tools {
            Err(why) => Json::from(&json!({"tools": [], "error": why.to_string()})),
            Ok(_) => {
                let tool = |tool: &trunkline_mcp::Tool| {
                    json!({"name": tool.name, "description": tool.description, "input_schema": tool.schema,
                        "annotations": tool.annotations})
                };
                Json::from(&json!({"tools": self.shown().map(tool).collect::<Vec<_>>()}))
            }
        }
    }
}

impl Exposed {
    fn function(&self) -> Tool {
        let kind = ToolKind::Function {
            name: self.name.clone(),
            description: self.tool.description.clone(),
            schema: Some(self.tool.schema.clone()),
            // Servers write schemas of all kinds, of which a strict one is a few.
            strict: Some(false),
        };
        Tool::new(kind)
    }
}

/// A name that every provider takes and nobody else has: the tool's own where possible, or with its server's before it,
/// or cut, with the beginning of a hash behind it.
fn name(label: &str, tool: &str, taken: &HashSet<String>) -> String {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_free = |name: &String| name.len() <= LONGEST && !taken.contains(name);
    let own = tool.to_owned();
    if !tool.is_empty() && tool.chars().all(is_legal) && is_free(&own) {
        return own;
    }
    let legal: String =
        format!("mcp_{label}_{tool}").chars().map(|c| if is_legal(c) { c } else { '_' }).collect();
    if is_free(&legal) {
        return legal;
    }
    // Both parts count: `a_b` of `c` is not `b` of `c_a`.
    let hash = Sha256::digest(format!("{}:{label}{tool}", label.len()));
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let cut = |digits: usize| {
        let head = legal.get(..legal.len().min(LONGEST - digits - 1)).unwrap_or_default();
        format!("{head}_{}", hex.get(..digits).unwrap_or_default())
    };
    (8..LONGEST).map(cut).find(is_free).unwrap_or(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_legal_and_nobody_elses() {
        let mut taken: HashSet<String> = ["get_weather".to_owned()].into();
        let long = "a".repeat(70);
        for (label, tool, want) in [
            ("maps", "route", "route"),
            ("maps", "get_weather", "mcp_maps_get_weather"),
            ("my maps", "files.read", "mcp_my_maps_files_read"),
            ("my.maps", "files/read", "mcp_my_maps_files_read_"),
            ("wege", "straße", "mcp_wege_stra_e"),
            ("maps", long.as_str(), "mcp_maps_aaa"),
            ("other", "route", "mcp_other_route"),
        ] {
            let name = name(label, tool, &taken);
            assert!(name.starts_with(want) && name.len() <= LONGEST, "{label} {tool}: {name}");
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)), "{name}");
            assert!(taken.insert(name), "{label} {tool}");
        }
    }
}
