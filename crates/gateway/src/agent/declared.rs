//! What a request says of MCP servers, and whether it may.

use crate::config::{Allowed, Approvals, Mcp, McpServer};
use trunkline_core::{Call, Fault, FaultKind, Json, Secret, Tool, ToolKind};
use trunkline_dialect::json::{Fields, array, invalid, string};
use trunkline_mcp::{BadServer, Server};
use trunkline_upstream::reach::Reach;

/// The type of such tools.
const MCP: &str = "mcp";

/// A server that a request names.
#[derive(Debug)]
pub(super) struct Declared {
    /// Where it stands, as in `tools[0]`.
    pub(super) path: String,
    pub(super) label: String,
    pub(super) server: Server,
    /// Which tools the client wants.
    pub(super) wanted: Filter,
    /// Which tools the operator allows; all, when empty.
    pub(super) allowed: Vec<String>,
    pub(super) approval: Approval,
}

/// Some of a server's tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    names: Option<Vec<String>>,
    read_only: Option<bool>,
}

impl Filter {
    pub(super) fn has(&self, tool: &trunkline_mcp::Tool) -> bool {
        self.names.as_ref().is_none_or(|names| names.contains(&tool.name))
            && self.read_only.is_none_or(|read_only| read_only == tool.read_only)
    }
}

/// Which tools run only when somebody said yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Approval {
    All,
    None,
    /// Those of the first, and not those of the second; what is in neither goes by the third.
    Some {
        always: Option<Filter>,
        never: Option<Filter>,
        else_asks: bool,
    },
}

impl Approval {
    pub(super) fn is_needed(&self, tool: &trunkline_mcp::Tool) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Some { always, never, else_asks } => {
                let is_in = |filter: &Option<Filter>| filter.as_ref().is_some_and(|filter| filter.has(tool));
                is_in(always) || (!is_in(never) && *else_asks)
            }
        }
    }
}

/// Whether `tool` is a server's, and then the whole of what is said of it.
pub(super) fn server_tool(tool: &Tool) -> Option<&Json> {
    match &tool.kind {
        ToolKind::Server { native_type, raw, .. } if native_type == MCP => Some(raw),
        ToolKind::Server { .. } | ToolKind::Function { .. } | ToolKind::Custom { .. } => None,
    }
}

/// Whether the client leaves the address of a server to us.
pub(super) fn is_ours(raw: &Json) -> bool {
    Fields::read(raw.raw(), "").is_ok_and(|fields| {
        !["server_url", "connector_id", "tunnel_id"].iter().any(|key| fields.look(key).is_some())
    })
}

/// Reads them all.
///
/// # Errors
/// 400 for what cannot be understood, is not known, or is not allowed.
pub(super) fn read(call: &Call, config: &Mcp) -> Result<Vec<Declared>, Fault> {
    let mut all: Vec<Declared> = Vec::new();
    for (at, tool) in call.tools.iter().enumerate() {
        let Some(raw) = server_tool(tool) else { continue };
        let path = format!("tools[{at}]");
        let declared = read_one(Fields::read(raw.raw(), path.as_str())?, path, config)?;
        if all.iter().any(|other| other.label == declared.label) {
            let what = format_args!("{:?} is the label of another server; give each its own", declared.label);
            return Err(invalid(&format!("{}.server_label", declared.path), what));
        }
        all.push(declared);
    }
    Ok(all)
}

fn read_one(mut fields: Fields<'_>, path: String, config: &Mcp) -> Result<Declared, Fault> {
    let label = fields.need_string("server_label")?.into_owned();
    for key in ["connector_id", "tunnel_id"] {
        if fields.look(key).is_some() {
            let what =
                "names a server that only OpenAI reaches; give its `server_url`, or use a model of OpenAI's";
            return Err(unsupported(&fields.path(key), what));
        }
    }
    let url = fields.string("server_url")?;
    let token = fields.string("authorization")?.map(|token| Secret::new(&*token));
    let headers = headers(&mut fields)?;
    let (server, allowed) = match url {
        Some(url) => (dynamic(&fields, &url, token.as_ref(), &headers, config)?, Vec::new()),
        None => {
            for (key, is_said) in [("authorization", token.is_some()), ("headers", !headers.is_empty())] {
                if is_said {
                    let what =
                        "goes with a `server_url`; what a server of this gateway is shown is its operator's";
                    return Err(invalid(&fields.path(key), what));
                }
            }
            let server = configured(&fields, &label, config)?;
            (at(server)?, server.tools.clone())
        }
    };
    let wanted = match fields.raw("allowed_tools") {
        None => Filter::default(),
        Some(raw) if raw.get().starts_with('[') => {
            let names = array(raw)
                .and_then(|list| list.into_iter().map(|name| Some(string(name)?.into_owned())).collect());
            let names = names.ok_or_else(|| fields.wrong("allowed_tools", "a list of names", raw))?;
            Filter { names: Some(names), read_only: None }
        }
        Some(raw) => filter(Fields::read(raw, fields.path("allowed_tools"))?)?,
    };
    let approval = approval(&mut fields, config.require_approval)?;
    Ok(Declared { path, label, server, wanted, allowed, approval })
}

fn headers(fields: &mut Fields<'_>) -> Result<Vec<(String, Secret)>, Fault> {
    let path = fields.path("headers");
    let Some(object) = fields.object("headers")? else { return Ok(Vec::new()) };
    let text = |(name, value): (std::borrow::Cow<'_, str>, &serde_json::value::RawValue)| {
        let value = string(value).ok_or_else(|| invalid(&path, "must be a map of texts"))?;
        Ok((name.into_owned(), Secret::new(&*value)))
    };
    object.left().into_iter().map(text).collect()
}

/// The operator's server of that name.
fn configured<'c>(fields: &Fields<'_>, label: &str, config: &'c Mcp) -> Result<&'c McpServer, Fault> {
    let known = config.servers.iter().find(|server| server.name == label);
    known.ok_or_else(|| {
        let what = format_args!(
            "{label:?} is no server of this gateway; give a `server_url`, or add it to `mcp.servers`"
        );
        invalid(&fields.path("server_label"), what).code("unknown_mcp_server")
    })
}

fn at(server: &McpServer) -> Result<Server, Fault> {
    let headers = server.headers.iter().map(|(name, value)| (name.as_str(), value));
    Server::new(&server.url, server.token.as_ref(), headers, Reach::Anywhere).map_err(|why| {
        let message = format!("`mcp.servers` of this gateway cannot be used: {}: {why}", server.name);
        Fault::new(FaultKind::Internal, message)
    })
}

/// A server at an address of the client's, where the operator allows its host.
fn dynamic(
    fields: &Fields<'_>,
    url: &str,
    token: Option<&Secret>,
    headers: &[(String, Secret)],
    config: &Mcp,
) -> Result<Server, Fault> {
    let path = fields.path("server_url");
    let refuse = |what: &str| invalid(&path, what).code("mcp_server_not_allowed");
    let headers = || headers.iter().map(|(name, value)| (name.as_str(), value));
    let server = |reach| Server::new(url, token, headers(), reach);
    let public = server(Reach::Public).map_err(|why| match why {
        BadServer::Url => {
            refuse("must be an address that begins with http:// or https:// and holds no credentials")
        }
        BadServer::Header(name) => invalid(&fields.path("headers"), format_args!("may not set {name:?}")),
        BadServer::Value => invalid(&fields.path("headers"), "and `authorization` must fit into a header"),
    })?;
    match config.allows(public.host()) {
        Allowed::Public => Ok(public),
        Allowed::Anywhere => server(Reach::Anywhere).map_err(|why| refuse(&why.to_string())),
        Allowed::No => Err(refuse(
            "is on a host that this gateway does not call; name one of its servers by `server_label` alone, or have its \
             operator add the host to `mcp.allowed_dynamic_hosts`",
        )),
    }
}

fn filter(mut fields: Fields<'_>) -> Result<Filter, Fault> {
    let path = fields.path("tool_names");
    let names = fields.array("tool_names")?.map(|list| {
        let names = list.into_iter().map(|name| Some(string(name)?.into_owned())).collect::<Option<Vec<_>>>();
        names.ok_or_else(|| invalid(&path, "must be a list of names"))
    });
    Ok(Filter { names: names.transpose()?, read_only: fields.bool("read_only")? })
}

fn approval(fields: &mut Fields<'_>, default: Approvals) -> Result<Approval, Fault> {
    let path = fields.path("require_approval");
    let Some(raw) = fields.raw("require_approval") else {
        return Ok(if default == Approvals::Always { Approval::All } else { Approval::None });
    };
    if let Some(word) = string(raw) {
        return match &*word {
            "always" => Ok(Approval::All),
            "never" => Ok(Approval::None),
            other => Err(invalid(&path, format_args!("must be always, never or an object, not {other:?}"))),
        };
    }
    let mut fields = Fields::read(raw, path)?;
    let always = fields.object("always")?.map(filter).transpose()?;
    let never = fields.object("never")?.map(filter).transpose()?;
    // Who says which tools need none means that the others do.
    let else_asks = never.is_some() || default == Approvals::Always;
    Ok(Approval::Some { always, never, else_asks })
}

fn unsupported(path: &str, what: &str) -> Fault {
    let message = format!("{path} {what}");
    Fault::new(FaultKind::Unsupported, message).at(path).code("unsupported_tool")
}
