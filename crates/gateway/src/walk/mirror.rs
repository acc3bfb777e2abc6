//! Copies of requests for a backend that is to be compared with those who answer.
//!
//! A copy walks the same way as its original from the plan on, in a task and with books of its own, and its answer is
//! read and thrown away. Nothing of it reaches the client, and nothing of the client's credentials reaches it: it has
//! no key of the caller's, and of the headers only those that say how the body is meant. What cannot be copied, or not
//! now, is left out and counted.

use super::admit::CallerKeys;
use super::plan::Plan;
use super::read::Question;
use super::settle::{Ledger, refuse};
use super::wishes::Wishes;
use super::{dispatch, forward, relay};
use crate::snapshot::mirror::Mirror;
use http::Request;
use http_body_util::BodyExt as _;
use smallvec::SmallVec;
use std::sync::Arc;
use tokio::runtime::Handle;
use trunkline_core::{Candidate, Dialect, Kind, Model};
use trunkline_dialect::fields::fields;

/// Why a request is not copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    /// It stores something, or goes on with what was stored.
    State,
    /// It is a form, of which nothing is kept, or asks for nothing to be made.
    Form,
    /// The mirror does not serve the model, or is not ready.
    Unable,
    /// As many as may be are under way.
    Busy,
    /// The gateway is about to stop.
    Stopping,
}

impl Skip {
    const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Form => "form",
            Self::Unable => "unable",
            Self::Busy => "busy",
            Self::Stopping => "stopping",
        }
    }
}

/// Sends a copy on its way, where the request's pool or route has a mirror and it is its turn.
pub(super) fn copy(ledger: &Ledger, plan: &Plan) {
    let Some(mirror) = plan.mirror.as_ref().filter(|mirror| mirror.wants(fastrand::f64())) else { return };
    let outcome = match begin(ledger, plan, mirror) {
        Ok(()) => "sent",
        Err(skip) => skip.name(),
    };
    let counter = &ledger.local.shared.metrics.mirrored;
    counter.with_label_values(&[&mirror.backend, outcome]).inc();
}

fn begin(ledger: &Ledger, plan: &Plan, mirror: &Arc<Mirror>) -> Result<(), Skip> {
    let (dialect, question) = (ledger.endpoint.dialect, &plan.question);
    if ledger.local.shared.is_draining() {
        return Err(Skip::Stopping);
    }
    if question.form.is_some() || dialect.kind() == Kind::Count {
        return Err(Skip::Form);
    }
    if has_state(dialect, &question.body.joined()) {
        return Err(Skip::State);
    }
    // Who asked for the pool itself named no model.
    let model = Some(plan.model.as_str()).filter(|model| plan.pool.as_deref() != Some(*model));
    let lane = mirror.lane(model, dialect).ok_or(Skip::Unable)?;
    if !lane.candidates.iter().any(Candidate::may_serve) {
        return Err(Skip::Unable);
    }
    let place = mirror.place().ok_or(Skip::Busy)?;
    let copy = Plan {
        question: bare(question),
        asked: plan.asked.clone(),
        model: plan.model.clone(),
        lane: Arc::new(lane),
        prompt: plan.prompt,
        pool: None,
        regions: SmallVec::new(),
        fallen: None,
        is_forced: true,
        wishes: Wishes::once(),
        mirror: None,
        route: None,
        on_unsupported: plan.on_unsupported,
    };
    let ledger = books(ledger, &copy);
    let timeout = mirror.timeout;
    let mut stopping = ledger.local.shared.stopping.subscribe();
    // Owned by the thread's runtime, which ends it at a stop; bounded by its timeout otherwise.
    Handle::current().spawn(async move {
        let _place = place;
        tokio::select! {
            _ = tokio::time::timeout(timeout, run(ledger, copy)) => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    });
    Ok(())
}

/// Whether a request stores what is made of it, as Responses do unless they are told not to, or refers to what was.
fn has_state(dialect: Dialect, body: &[u8]) -> bool {
    let fields = fields(body);
    let stores = fields.get("store").and_then(serde_json::Value::as_bool);
    let refers = ["previous_response_id", "conversation", "background", "container"]
        .iter()
        .any(|key| fields.get(*key).is_some_and(|value| !value.is_null() && *value != false));
    stores.unwrap_or(dialect == Dialect::OpenaiResponses) || refers
}

/// The same question, asked by nobody.
fn bare(question: &Question) -> Question {
    let mut head = Request::new(()).into_parts().0;
    head.headers = forward::impersonal(&question.head.headers);
    Question {
        snapshot: Arc::clone(&question.snapshot),
        head,
        caller_keys: CallerKeys::default(),
        body: question.body.clone(),
        scanned: question.scanned.clone(),
        stream: question.stream,
        said: question.said.clone(),
        form: None,
    }
}

/// Books of the copy's own, under the id of its original.
fn books(original: &Ledger, copy: &Plan) -> Ledger {
    let question = &copy.question;
    let local = Arc::clone(&original.local);
    let mut ledger = Ledger::open(local, original.endpoint, &question.snapshot, &question.head.headers);
    ledger.id = original.id.clone();
    ledger.tenant.clone_from(&original.tenant);
    ledger.stream = question.stream;
    ledger.bytes_in = original.bytes_in;
    ledger.is_copy = true;
    ledger.planned(&Model::new(copy.model.as_str()), &copy.lane);
    ledger
}

async fn run(mut ledger: Ledger, plan: Plan) {
    let answered = match dispatch::dispatch(&mut ledger, &plan).await {
        Ok(answered) => answered,
        Err(fault) => {
            refuse(ledger, &fault);
            return;
        }
    };
    let mut body = relay::respond(ledger, answered).into_body();
    while let Some(Ok(_)) = body.frame().await {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stores_or_refers_is_not_copied() {
        let (chat, responses) = (Dialect::OpenaiChat, Dialect::OpenaiResponses);
        for (dialect, body, want) in [
            (chat, "{}", false),
            (chat, r#"{"store":true}"#, true),
            (chat, r#"{"store":false}"#, false),
            (responses, "{}", true),
            (responses, r#"{"store":null}"#, true),
            (responses, r#"{"store":false}"#, false),
            (responses, r#"{"store":false,"previous_response_id":null,"background":false}"#, false),
            (responses, r#"{"store":false,"previous_response_id":"r"}"#, true),
            (responses, r#"{"store":false,"background":true}"#, true),
            (Dialect::AnthropicMessages, r#"{"container":"c"}"#, true),
        ] {
            assert_eq!(has_state(dialect, body.as_bytes()), want, "{dialect} {body}");
        }
    }
}
