//! Tools that run only when somebody said yes: the question, and the answer to it in a later request.
//!
//! Nothing is kept of a question. Its id is a proof over all that was asked, so that a yes is good for the very server,
//! tool and arguments that were shown, and for the caller who was asked.

use super::declared::Declared;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt::Write;
use trunkline_core::{Call, Fault, FaultKind, Item, ItemKind, TenantId};
use trunkline_dialect::json::{Fields, string};

/// How ids of questions begin. The middle tells whoever routes the next request that it was made here.
const PREFIX: &str = "mcpr_tlk_";

/// What proves questions.
#[derive(Clone, Copy)]
pub(super) struct Prover<'k> {
    pub(super) key: &'k [u8; 32],
    pub(super) tenant: Option<&'k TenantId>,
}

/// A question that was answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) tool: String,
    pub(super) arguments: String,
    /// Why not, for a no.
    pub(super) refused: Option<String>,
    /// Which of the call's items the question is.
    pub(super) at: usize,
}

impl Prover<'_> {
    /// The id of a question.
    pub(super) fn id(self, server: &Declared, tool: &str, arguments: &str) -> String {
        // HMAC takes keys of any length, so there is always a proof.
        let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(self.key) else { return String::new() };
        let tenant = self.tenant.map(TenantId::as_str).unwrap_or_default();
        for part in ["mcp approval", tenant, &server.label, server.server.url(), tool, arguments] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        let mut id = PREFIX.to_owned();
        for byte in mac.finalize().into_bytes() {
            // A text takes all that is written to it.
            let _ = write!(id, "{byte:02x}");
        }
        id
    }
}

/// The questions that `call` answers and whose tools were not run yet.
///
/// # Errors
/// 400 for an answer to what was not asked.
pub(super) fn answers(call: &Call) -> Result<Vec<Answer>, Fault> {
    let items: Vec<(usize, &str, Fields<'_>)> = call.items.iter().enumerate().filter_map(item).collect();
    let text = |fields: &Fields<'_>, key: &str| fields.look(key).and_then(string).map(String::from);
    let is_run = |id: &str| {
        items.iter().any(|(_, kind, fields)| {
            *kind == "mcp_call" && text(fields, "approval_request_id").as_deref() == Some(id)
        })
    };
    let mut all = Vec::new();
    for (_, kind, fields) in &items {
        if *kind != "mcp_approval_response" {
            continue;
        }
        let id = text(fields, "approval_request_id").unwrap_or_default();
        let question = items.iter().find(|(_, kind, fields)| {
            *kind == "mcp_approval_request" && text(fields, "id").as_deref() == Some(id.as_str())
        });
        let Some((at, _, question)) = question else {
            let message = "`approval_request_id` names no `mcp_approval_request` of the input; send the items of the \
                           answer that asked along with it";
            return Err(Fault::new(FaultKind::InvalidRequest, message)
                .at("input")
                .code("unknown_approval_request"));
        };
        if is_run(&id) {
            continue;
        }
        let approved = fields.look("approve").is_some_and(|raw| raw.get() == "true");
        let reason = text(fields, "reason").unwrap_or_default();
        let refused = (!approved).then(|| format!("the user did not approve of this call; {reason}"));
        let field = |key| text(question, key).unwrap_or_default();
        let (label, tool, arguments) = (field("server_label"), field("name"), field("arguments"));
        all.push(Answer { id, label, tool, arguments, refused, at: *at });
    }
    Ok(all)
}

fn item((at, item): (usize, &Item)) -> Option<(usize, &str, Fields<'_>)> {
    let ItemKind::ServerTool(tool) = &item.kind else { return None };
    Some((at, tool.native_type.as_str(), Fields::read(tool.raw.raw(), "").ok()?))
}

/// The fault for a yes to something else than was asked.
pub(super) fn unproven() -> Fault {
    let message = "this approval is not for the server, tool and arguments that were asked about; send the \
                   `mcp_approval_request` back as it came";
    Fault::new(FaultKind::InvalidRequest, message).at("input").code("invalid_approval")
}
