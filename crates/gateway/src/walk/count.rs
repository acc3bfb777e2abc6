//! How many tokens a conversation is, worked out here where no upstream of the client's dialect counts them.

use super::answer::{Answered, Content};
use super::plan::Plan;
use super::settle::{Ledger, WARNINGS, warnings};
use super::translate::on_unsupported;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use trunkline_core::{Fault, Losses};
use trunkline_dialect::count;

/// Whose estimate it is, in metrics.
const OURSELVES: &str = "trunkline";

/// Answers with an estimate, and says that it is one.
pub(super) fn estimate(ledger: &mut Ledger, plan: &Plan) -> Result<Answered, Fault> {
    let dialect = ledger.endpoint.dialect;
    let mut losses = Losses::default();
    let call = count::read_call(dialect, &plan.question.body.joined(), &mut losses)?;
    // What reading it noted is of no matter to a number.
    let mut losses = Losses::default();
    let tokens = count::estimate(&call, &mut losses);
    ledger.lost(&losses, dialect.name(), OURSELVES);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let setting = on_unsupported(plan)?;
    if let Some(warnings) = warnings(&losses, setting) {
        headers.insert(WARNINGS, warnings);
    }
    let body = count::write_reply(dialect, tokens)?;
    Ok(Answered { status: StatusCode::OK, headers, content: Content::Whole(body.into()) })
}
