//! Stage 4: from the model's name to the workers that may serve it. `explain` prints what this decides.

use super::read::Question;
use super::settle::Ledger;
use crate::fleet::Fleet;
use crate::snapshot::{LONGEST_MODEL, Lane, Passage, passage};
use serde::Serialize;
use std::sync::Arc;
use trunkline_core::{Dialect, Fault, FaultKind, Model};
use trunkline_route::Verdict;

/// A request and the workers it may go to.
pub(crate) struct Plan {
    pub(crate) question: Question,
    /// The model as the client asked for it.
    pub(crate) asked: Model,
    /// The model it means, where that is another.
    pub(crate) model: Model,
    pub(crate) lane: Arc<Lane>,
}

/// Finds the workers.
///
/// # Errors
/// 400 without a model or a way to reach it in this dialect, 404 when nobody serves it, 503 when nobody
/// who does is ready.
pub(crate) fn plan(ledger: &mut Ledger, question: Question) -> Result<Plan, Fault> {
    let Some((asked, _)) = question.scanned.model.as_ref().filter(|(name, _)| !name.trim().is_empty()) else {
        let message = "`model` is missing; name the model that should answer (GET /v1/models lists them)";
        return Err(Fault::new(FaultKind::InvalidRequest, message)
            .at("model")
            .code("missing_required_parameter"));
    };
    if asked.len() > LONGEST_MODEL {
        let message = format!("`model` must be a name of at most {LONGEST_MODEL} bytes");
        return Err(Fault::new(FaultKind::InvalidRequest, message).at("model"));
    }
    let asked = Model::new(asked.as_str());
    ledger.asks_for(&asked);
    let resolved = question.snapshot.resolve(asked.as_str());
    let entry = question.snapshot.model(resolved)?;
    let lane = Arc::clone(entry.lane(ledger.endpoint.dialect, resolved)?);
    let model = if resolved == asked.as_str() { asked.clone() } else { Model::new(resolved) };
    ledger.planned(&model, &lane);
    if !lane.candidates.iter().any(|candidate| candidate.load.health().may_serve()) {
        return Err(question.snapshot.nobody_ready(resolved));
    }
    Ok(Plan { question, asked, model, lane })
}

/// Why a request would go where it would go.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The model asked for.
    pub asked: String,
    /// The model it means.
    pub model: String,
    /// What the client speaks.
    pub dialect: &'static str,
    /// Whether the answer would be streamed.
    pub stream: bool,
    /// How one of the candidates is picked.
    pub policy: &'static str,
    /// Every worker of the model.
    pub candidates: Vec<Considered>,
    /// The one a request now would go to.
    pub choice: Option<String>,
}

/// One worker, considered.
#[derive(Debug, Serialize)]
pub struct Considered {
    /// Which.
    pub worker: String,
    /// Where it is.
    pub url: String,
    /// Its tier.
    pub priority: u8,
    /// Calls on it now.
    pub in_flight: u64,
    /// Its state.
    pub state: &'static str,
    /// `splice`, or the dialect the call is translated into.
    pub passage: String,
    /// Whether the policy looks at it.
    pub eligible: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filtered: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What the policy thinks of it; lower is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// What there is to explain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The model asked for.
    pub model: String,
    /// What the client speaks.
    pub dialect: Dialect,
    /// Whether the answer would be streamed.
    pub stream: bool,
}

/// Explains a request, through the very code that routes.
///
/// # Errors
/// As [`plan`], except that workers which are not ready are shown rather than refused.
pub fn explain(fleet: &Fleet, request: &Request) -> Result<Explanation, Fault> {
    let Request { model: asked, dialect, stream } = request;
    let dialect = *dialect;
    let snapshot = fleet.snapshot();
    let model = snapshot.resolve(asked);
    let entry = snapshot.model(model)?;
    let lane = entry.lane(dialect, model)?;
    let (verdicts, choice) = lane.policy.explain(&lane.candidates, &[], fastrand::u64(..));
    let choice = choice.map(|candidate| candidate.id.to_string());
    let mut verdicts: Vec<_> = lane.candidates.iter().map(|c| c.id.clone()).zip(verdicts).collect();
    let considered = |worker: &Arc<crate::fleet::worker::Worker>| {
        let at = verdicts.iter().position(|(id, _)| *id == worker.id);
        let verdict = at.map(|at| verdicts.swap_remove(at).1);
        let (filtered, score) = match verdict {
            None => (Some(format!("speaks nothing that {dialect} can be translated into")), None),
            Some(Verdict::NotReady(health)) => (Some(format!("is {}", health.name())), None),
            Some(Verdict::AlreadyTried) => (Some("failed this call already".to_owned()), None),
            Some(Verdict::LowerTier) => (Some("a worker of higher priority is ready".to_owned()), None),
            Some(Verdict::Eligible(score)) => (None, score),
        };
        Considered {
            worker: worker.id.to_string(),
            url: worker.spec.url.clone(),
            priority: worker.spec.priority,
            in_flight: worker.load.in_flight(),
            state: worker.load.health().name(),
            passage: match passage(dialect, worker) {
                Passage::Splice => "splice".to_owned(),
                Passage::Translate(to) => format!("translate to {to}"),
                Passage::Estimate => "estimate".to_owned(),
                Passage::Closed => "none".to_owned(),
            },
            eligible: filtered.is_none(),
            filtered,
            trouble: fleet.trouble(worker),
            score,
        }
    };
    Ok(Explanation {
        asked: asked.clone(),
        model: model.to_owned(),
        dialect: dialect.name(),
        stream: *stream,
        policy: lane.policy.name(),
        candidates: entry.workers.iter().map(considered).collect(),
        choice,
    })
}
