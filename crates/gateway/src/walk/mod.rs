//! The one walk: every inference request, whatever its endpoint, dialect or upstream, goes through the
//! same stages, each a file of this folder.
//!
//! | stage | does |
//! | --- | --- |
//! | [`accept`] | limits on the head, the snapshot |
//! | [`admit`] | who is calling, and whether there is room |
//! | [`read`] | the body, scanned while it arrives |
//! | [`plan`] | the model, and the workers that may serve it |
//! | [`mirror`] | sends a copy on its way, where the plan has one |
//! | [`dispatch`] | picks a worker, sends, waits for the answer to begin; tries again elsewhere |
//! | [`agent`] | takes turns with the model, where its tools are run here |
//! | [`relay`] | upstream bytes to the client, as they come |
//! | [`settle`] | the books, closed exactly once |

pub(crate) mod accept;
pub(crate) mod access;
pub mod admit;
pub mod affinity;
pub(crate) mod answer;
mod bridge;
mod choice;
mod count;
pub(crate) mod dispatch;
mod failure;
mod fallback;
mod fan;
mod fit;
pub(crate) mod form;
pub(crate) mod forward;
mod mirror;
pub mod plan;
mod predict;
mod queue;
pub(crate) mod read;
mod redact;
pub mod relay;
pub(crate) mod settle;
mod small;
mod splice;
pub(crate) mod translate;
pub mod verdict;
mod wishes;

#[cfg(feature = "mcp")]
use crate::agent::{self, Told, respond};
use crate::body::Body;
use crate::endpoint::{Address, InPath};
use crate::fleet::worker::Worker;
use crate::shared::Local;
use crate::snapshot::Snapshot;
#[cfg(not(feature = "mcp"))]
use answer::Answered as Told;
use http::{Request, Response};
use hyper::body::Incoming;
use read::Question;
#[cfg(not(feature = "mcp"))]
use relay::respond;
use settle::Ledger;
use std::sync::Arc;
use trunkline_core::{Fault, Health};

/// Answers one inference request.
pub async fn serve(local: Arc<Local>, address: Address, request: Request<Incoming>) -> Response<Body> {
    let snapshot = local.shared.fleet.snapshot();
    let mut ledger = Ledger::open(local, address.endpoint, &snapshot, request.headers());
    match steps(&mut ledger, snapshot, address.said, request).await {
        Ok(told) => respond(ledger, told),
        Err(fault) => settle::refuse(ledger, &fault),
    }
}

async fn steps(
    ledger: &mut Ledger,
    snapshot: Arc<Snapshot>,
    said: Option<InPath>,
    request: Request<Incoming>,
) -> Result<Told, Fault> {
    let arrival = accept::accept(snapshot, ledger.endpoint, request)?;
    let admitted = admit::admit(ledger, arrival).await?;
    let mut question = read::read(ledger, admitted, said).await?;
    if !ledger.local.shared.fleet.dawn().is_over() {
        Box::pin(first_look(ledger, &mut question)).await;
    }
    let plan = plan::plan(ledger, question)?;
    mirror::copy(ledger, &plan);
    #[cfg(feature = "mcp")]
    if agent::may_want(&plan, ledger.endpoint.dialect) {
        return Box::pin(agent::answer(ledger, plan)).await;
    }
    dispatch::dispatch(ledger, &plan).await.map(Told::from)
}

/// Waits, in the gateway's first moment, until somebody is there for the question or all workers were looked at.
async fn first_look(ledger: &Ledger, question: &mut Question) {
    let fleet = &ledger.local.shared.fleet;
    let dialect = ledger.endpoint.dialect;
    let is_settled = || {
        question.snapshot = fleet.snapshot();
        let is_awaited = |worker: &Arc<Worker>| worker.load.health() == Health::Pending;
        !question.snapshot.workers.iter().any(is_awaited) || plan::is_settled(question, dialect)
    };
    fleet.dawn().wait(is_settled).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, F: Future>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// Every request carries the room that the longest of all ways through the walk needs, and pays for moving
    /// and clearing it. Ways that few go are boxed.
    #[test]
    fn a_request_carries_little() {
        let size = size(serve);
        assert!(size < 8 << 10, "{size} bytes");
    }
}
