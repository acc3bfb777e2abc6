//! Runs the tools of MCP servers for models that only know functions (`docs/adr/0008-mcp-tool-loop.md`).
//!
//! | file | has |
//! | --- | --- |
//! | [`declared`] | what a request says of servers, and whether it may |
//! | [`toolset`] | their tools as functions |
//! | [`approval`] | tools that wait for a yes |
//! | [`turns`] | the loop |
//! | [`round`] | one turn of it: what the model says, and whose its calls are |
//! | [`calls`] | calls of tools, and what came of them |
//! | [`voice`] | what the client is told |
//! | [`telling`] | a stream that is made while it is read |

mod approval;
mod calls;
mod declared;
mod round;
mod telling;
mod toolset;
mod turns;
mod voice;

pub use telling::Telling;

use crate::body::{Body, Streaming};
use crate::fleet::worker::Worker;
use crate::snapshot::{Passage, passage};
use crate::walk::answer::Answered;
use crate::walk::plan::Plan;
use crate::walk::settle::{Ledger, stamp};
use crate::walk::translate::{Audience, Parsed};
use crate::walk::{dispatch, relay};
use http::{HeaderMap, Response};
use std::sync::Arc;
use trunkline_core::{Dialect, Fault};
use trunkline_dialect::Vendor;
use turns::Run;

/// What a request is answered with.
pub(crate) enum Told {
    /// The answer to one call.
    Once(Answered),
    /// A stream that tools are called for.
    While(Box<Run>, HeaderMap),
}

impl From<Answered> for Told {
    fn from(answered: Answered) -> Self {
        Self::Once(answered)
    }
}

/// Whether a request may be one for this module: cheap, and wrong only where a text quotes such a request.
pub(crate) fn may_want(plan: &Plan, dialect: Dialect) -> bool {
    dialect == Dialect::OpenaiResponses && plan.question.body.holds(b"\"mcp\"")
}

/// Answers a request that may name MCP servers.
///
/// # Errors
/// As [`dispatch::dispatch`], and for servers that may not be named or cannot be reached.
pub(crate) async fn answer(ledger: &mut Ledger, plan: Plan) -> Result<Told, Fault> {
    let mut parsed = Parsed::read(ledger.endpoint.dialect, &plan, &ledger.local.shared.key)?;
    let servers = parsed.call.tools.iter().filter_map(declared::server_tool);
    let mut are_ours = servers.map(declared::is_ours).peekable();
    let runs_here = are_ours.peek().is_some() && (are_ours.any(|ours| ours) || !vendor_runs(&plan));
    if !runs_here {
        return dispatch::dispatch(ledger, &plan).await.map(Told::Once);
    }
    parsed.audience = Audience::Loop;
    turns::begin(ledger, plan, parsed).await
}

/// Whether whoever answers runs such tools by itself: OpenAI, in its own words.
fn vendor_runs(plan: &Plan) -> bool {
    let dialect = Dialect::OpenaiResponses;
    let runs = |worker: &Arc<Worker>| {
        worker.is_external()
            && passage(dialect, worker) == Passage::Splice
            && worker.vendor(dialect) == Vendor::Owner
    };
    plan.lane.workers.iter().all(runs)
}

/// Makes the client's answer.
pub(crate) fn respond(mut ledger: Ledger, told: Told) -> Response<Body> {
    let (run, mut headers) = match told {
        Told::Once(answered) => return relay::respond(ledger, answered),
        Told::While(run, headers) => (run, headers),
    };
    ledger.answers(http::StatusCode::OK.as_u16());
    stamp(&mut headers, &ledger);
    let telling = Telling::new(|outlet| run.tell(ledger, outlet));
    let mut response = Response::new(Body::Stream(Streaming::Loop(Box::new(telling))));
    *response.headers_mut() = headers;
    response
}
