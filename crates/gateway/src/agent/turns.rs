//! The loop: list, ask the model, run what it calls, ask again.

use super::Told;
use super::approval::{self, Prover};
use super::calls::{self, Outcome};
use super::declared;
use super::round::{Budget, Heard, Round, Whose};
use super::telling::Outlet;
use super::toolset::Toolset;
use super::voice::Voice;
use crate::config::Mcp;
use crate::walk::answer::{Answered, Content, Turn, stream_headers};
use crate::walk::dispatch;
use crate::walk::plan::Plan;
use crate::walk::relay::{Flow, Step, silent};
use crate::walk::settle::Ledger;
use crate::walk::translate::{Parsed, context};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use trunkline_core::{
    AllowedMode, Dialect, Event, Fault, FaultKind, Finish, FinishReason, Item, ItemKind, Json, ServerTool,
    ToolCall, ToolChoice,
};
use trunkline_dialect::json::invalid;
use trunkline_dialect::read_error;
use trunkline_dialect::seal::Sealer;

/// Most tools that run at once for one answer.
const AT_ONCE: usize = 8;

/// An answer under way.
pub(crate) struct Run {
    plan: Plan,
    /// The call as it stands, which grows by what each turn says.
    parsed: Option<Box<Parsed>>,
    tools: Toolset,
    /// Names of the client's own tools.
    own: HashSet<String>,
    voice: Voice,
    budget: Budget,
    rounds: usize,
    /// The turn that was begun.
    turn: Option<Box<Turn>>,
}

/// Lists the servers' tools and begins the first turn; goes on to the end for a client that wants the whole.
///
/// # Errors
/// What the servers or the first turn came to; for a whole answer also what any later turn did.
pub(super) async fn begin(ledger: &mut Ledger, plan: Plan, mut parsed: Parsed) -> Result<Told, Fault> {
    let local = Arc::clone(&ledger.local);
    let config = &plan.question.snapshot.config.mcp;
    if parsed.call.state.background == Some(true) {
        let what = "excludes tools of MCP servers that this gateway runs; leave it out";
        return Err(invalid("background", what).code("background_requires_storage"));
    }
    let declared = declared::read(&parsed.call, config)?;
    let answers = approval::answers(&parsed.call)?;
    let tools = Toolset::list(&local.mcp, declared, &parsed.call).await;
    let streams = plan.question.stream;
    let mut voice = Voice::new(context(ledger, &plan, true), std::mem::take(&mut parsed.echo), streams);
    if streams {
        voice.say(Event::Start { id: None, model: Some(plan.asked.as_str().into()), created: None });
    }
    tell_lists(&tools, &parsed, &mut voice);
    if let Some(fault) = tools.failure() {
        if !streams {
            return Err(fault);
        }
        voice.say(Event::Error(fault.clone()));
        ledger.cut(&fault);
        let headers = stream_headers(Dialect::OpenaiResponses, HeaderMap::new());
        let content = Content::Whole(voice.drain());
        return Ok(Told::Once(Answered { status: StatusCode::OK, headers, content }));
    }
    let prover = Prover { key: &local.shared.seal, tenant: ledger.tenant.as_ref() };
    for answer in answers {
        let item = approved(&local.mcp, config, &tools, prover, &answer, &mut voice).await?;
        if let Some(slot) = parsed.call.items.get_mut(answer.at) {
            *slot = item;
        }
    }
    let own = parsed.call.tools.iter().filter_map(|tool| tool.name().map(str::to_owned)).collect();
    tools.offer(&mut parsed.call);
    let budget = Budget { calls: parsed.call.limits.max_tool_calls.take(), is_open: true };
    let parsed = Some(Box::new(parsed));
    let mut run = Run { plan, parsed, tools, own, voice, budget, rounds: 0, turn: None };
    run.close_budget();
    let mut answered = dispatch::turn(ledger, &run.plan, &mut run.parsed).await?;
    let Content::Turn(turn) = answered.content else { return Ok(Told::Once(answered)) };
    run.turn = Some(turn);
    if streams {
        let headers = stream_headers(Dialect::OpenaiResponses, answered.headers);
        return Ok(Told::While(Box::new(run), headers));
    }
    run.go_on(ledger, None).await?;
    ledger.lost_more(run.voice.losses(), Dialect::OpenaiResponses.name());
    answered.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answered.content = Content::Whole(run.voice.whole());
    Ok(Told::Once(answered))
}

/// Tells of what was listed, unless the conversation has it already.
fn tell_lists(tools: &Toolset, parsed: &Parsed, voice: &mut Voice) {
    for listed in &tools.servers {
        let (label, outcome) = (&listed.declared.label, listed.outcome());
        let is_known = parsed.call.items.iter().any(|item| lists(item, label, &outcome));
        if !is_known || listed.tools.is_err() {
            voice.item("mcp_list_tools", &json!({"server_label": label}), "", outcome);
        }
    }
}

/// Whether `item` told of the same list before.
fn lists(item: &Item, label: &str, outcome: &Json) -> bool {
    let ItemKind::ServerTool(ServerTool { native_type, raw, .. }) = &item.kind else { return false };
    if native_type != "mcp_list_tools" {
        return false;
    }
    let (told, now) = (raw.to_value(), outcome.to_value());
    let names = |list: &Value| -> Vec<Value> {
        let tools = list.get("tools").and_then(Value::as_array);
        tools.into_iter().flatten().map(|tool| tool.get("name").cloned().unwrap_or_default()).collect()
    };
    told.get("server_label").and_then(Value::as_str) == Some(label) && names(&told) == names(&now)
}

/// Runs what was asked about in an earlier answer, or tells the model why not; the item it becomes.
async fn approved(
    sessions: &trunkline_mcp::Sessions,
    config: &Mcp,
    tools: &Toolset,
    prover: Prover<'_>,
    answer: &approval::Answer,
    voice: &mut Voice,
) -> Result<Item, Fault> {
    let approval::Answer { id, label, tool, arguments, refused, .. } = answer;
    let exposed = tools.find(&tools.name_of(label, tool));
    let server = exposed.and_then(|exposed| tools.of(exposed)).filter(|server| server.label == *label);
    let (Some(exposed), Some(server)) = (exposed, server) else { return Err(approval::unproven()) };
    if *id != prover.id(server, tool, arguments) {
        return Err(approval::unproven());
    }
    let outcome = match refused {
        Some(why) => Outcome::Not(why.clone()),
        None => calls::call(sessions, &server.server, exposed, arguments, config).await,
    };
    let members = outcome.members();
    let mut item = json!({"type": "mcp_call", "id": id, "server_label": label, "name": tool, "arguments": arguments,
        "approval_request_id": id});
    if let (Some(item), Value::Object(members)) = (item.as_object_mut(), members.to_value()) {
        item.extend(members);
    }
    if refused.is_none() {
        let head = json!({"server_label": label, "name": tool, "approval_request_id": id});
        voice.item("mcp_call", &head, arguments, members);
    }
    let (dialect, native_type, raw) = (Dialect::OpenaiResponses, "mcp_call".to_owned(), Json::from(&item));
    Ok(Item::new(ItemKind::ServerTool(ServerTool { dialect, native_type, raw })))
}

impl Run {
    /// Tells the client all of it, and closes the books.
    pub(super) async fn tell(mut self: Box<Self>, mut ledger: Ledger, outlet: Outlet) {
        let end = self.go_on(&mut ledger, Some(&outlet)).await;
        if let Err(fault) = &end {
            ledger.cut(fault);
            tracing::warn!(request_id = %ledger.id, reason = %fault.message, "an answer broke off");
            self.voice.say(Event::Error(fault.clone()));
        }
        ledger.lost_more(self.voice.losses(), Dialect::OpenaiResponses.name());
        hand(&mut ledger, &mut self.voice, Some(&outlet)).await;
        if end.is_ok() {
            ledger.done();
        }
    }

    /// Goes on to the end of the answer.
    async fn go_on(&mut self, ledger: &mut Ledger, outlet: Option<&Outlet>) -> Result<(), Fault> {
        hand(ledger, &mut self.voice, outlet).await;
        loop {
            let Some(turn) = self.turn.take() else { return Err(lost_turn()) };
            let heard = self.hear(ledger, *turn, outlet).await?;
            if !self.run(ledger, &heard, outlet).await {
                self.end(ledger, heard.finish);
                return Ok(());
            }
            self.turn = Some(self.next_turn(ledger, outlet).await?);
        }
    }

    /// Hears a turn to its end.
    async fn hear(
        &mut self,
        ledger: &mut Ledger,
        turn: Turn,
        outlet: Option<&Outlet>,
    ) -> Result<Heard, Fault> {
        let Turn { to, service_tier, events, rest } = turn;
        let wanted = self.parsed.as_ref().is_some_and(|parsed| parsed.call.reasoning.is_wanted());
        let sealer =
            Sealer { key: ledger.local.shared.key, client: Dialect::OpenaiResponses, upstream: to, wanted };
        self.voice.turn(sealer, service_tier);
        let mut round = Round::default();
        let Self { voice, tools, own, budget, plan, .. } = self;
        let mut hear = |round: &mut Round, voice: &mut Voice, events: Vec<Event<'static>>| {
            for event in events {
                round.hear(event, voice, tools, |name| own.contains(name), budget);
            }
        };
        hear(&mut round, voice, events);
        hand(ledger, voice, outlet).await;
        if let Some((flow, idle)) = rest {
            let heartbeat = heartbeat(plan);
            let mut reading = Reading { flow, ledger };
            loop {
                let step = reading.step(voice, outlet, idle, heartbeat).await?;
                hear(&mut round, voice, reading.flow.overheard());
                hand(reading.ledger, voice, outlet).await;
                if step.is_over() {
                    break;
                }
            }
        }
        round.over()
    }

    /// Runs what the turn calls and is ours to run; whether the model is to be asked again.
    async fn run(&mut self, ledger: &mut Ledger, heard: &Heard, outlet: Option<&Outlet>) -> bool {
        let local = Arc::clone(&ledger.local);
        let heartbeat = heartbeat(&self.plan);
        let Self { voice, tools, plan, parsed, .. } = self;
        let config = &plan.question.snapshot.config.mcp;
        if heard.is_cut() {
            for (_, _, part) in heard.calls.iter().filter(|(_, whose, _)| matches!(whose, Whose::Ours(_))) {
                voice.close(*part, None);
            }
            return false;
        }
        let mut jobs = Vec::with_capacity(heard.calls.len());
        for (call, whose, _) in &heard.calls {
            jobs.push(run_one(&local.mcp, tools, config, call, *whose));
        }
        let mut outcomes = stream::iter(jobs).buffered(AT_ONCE);
        let mut results = Vec::new();
        for (call, whose, part) in &heard.calls {
            let outcome = beating(outcomes.next(), voice, ledger, outlet, heartbeat).await.flatten();
            if let (Whose::Ours(_), Some(outcome)) = (whose, &outcome) {
                voice.close(*part, Some(outcome.members()));
                hand(ledger, voice, outlet).await;
            }
            results.extend(outcome.map(|outcome| outcome.result(call)));
        }
        let asks = heard.calls.iter().filter_map(|(call, whose, _)| match whose {
            Whose::Asks(at) => Some((call, tools.tools.get(*at)?)),
            Whose::Client | Whose::Ours(_) | Whose::Beyond | Whose::Nobody => None,
        });
        let prover = Prover { key: &local.shared.seal, tenant: ledger.tenant.as_ref() };
        for (call, exposed) in asks {
            let Some(server) = tools.of(exposed) else { continue };
            let id = prover.id(server, &exposed.tool.name, &call.arguments);
            voice.ask(&id, &server.label, &exposed.tool.name, &call.arguments);
        }
        let waits = heard.calls.iter().any(|(_, whose, _)| matches!(whose, Whose::Client | Whose::Asks(_)));
        if waits || results.is_empty() || !self.budget.is_open {
            return false;
        }
        if let Some(parsed) = parsed {
            parsed.call.items.extend(heard.items.iter().cloned());
            parsed.call.items.extend(results);
        }
        true
    }

    /// Asks the model again.
    async fn next_turn(&mut self, ledger: &mut Ledger, outlet: Option<&Outlet>) -> Result<Box<Turn>, Fault> {
        ledger.next_turn(&self.plan.lane);
        self.rounds += 1;
        self.unforce();
        self.close_budget();
        let heartbeat = heartbeat(&self.plan);
        let answered = {
            let Self { plan, parsed, voice, .. } = self;
            let mut asking = std::pin::pin!(dispatch::turn(ledger, plan, parsed));
            loop {
                match beat(asking.as_mut(), heartbeat).await {
                    Some(answered) => break answered?,
                    None => {
                        voice.say(Event::Ping);
                        hand_over(voice, outlet).await;
                    }
                }
            }
        };
        match answered.content {
            Content::Turn(turn) => Ok(turn),
            Content::Whole(bytes) => {
                Err(read_error(Dialect::OpenaiResponses, answered.status.as_u16(), &bytes))
            }
            Content::Flow { .. } => Err(read_error(Dialect::OpenaiResponses, answered.status.as_u16(), b"")),
        }
    }

    /// A model that must call a tool each time would never come to an end.
    fn unforce(&mut self) {
        let Some(parsed) = &mut self.parsed else { return };
        let choice = &mut parsed.call.tool_choice;
        match choice {
            Some(ToolChoice::Required | ToolChoice::Named { .. } | ToolChoice::Other { .. }) => {
                *choice = Some(ToolChoice::Auto);
            }
            Some(ToolChoice::Allowed { mode, .. }) => *mode = AllowedMode::Auto,
            None | Some(ToolChoice::None | ToolChoice::Auto) => {}
        }
    }

    /// Has the model answer without tools when no more may be called.
    fn close_budget(&mut self) {
        let most = self.plan.question.snapshot.config.mcp.max_rounds;
        if self.budget.calls == Some(0) || self.rounds >= most {
            self.budget.is_open = false;
            if let Some(parsed) = &mut self.parsed {
                parsed.call.tool_choice = Some(ToolChoice::None);
            }
        }
    }

    /// Ends the answer as its last turn ended.
    fn end(&mut self, ledger: &Ledger, finish: Option<Finish>) {
        let finish = finish.unwrap_or_else(|| Finish::new(FinishReason::Stop));
        self.voice.say(Event::Finish { choice: 0, finish });
        if let Some(usage) = ledger.used() {
            self.voice.say(Event::Usage(Box::new(usage)));
        }
        self.voice.say(Event::End);
    }
}

/// A turn that is read. The books learn what it used also when nobody reads on.
struct Reading<'l> {
    flow: Flow,
    ledger: &'l mut Ledger,
}

impl Reading<'_> {
    /// The next step of the turn, with signs of life while it says nothing.
    async fn step(
        &mut self,
        voice: &mut Voice,
        outlet: Option<&Outlet>,
        idle: Duration,
        heartbeat: Duration,
    ) -> Result<Step, Fault> {
        let began = Instant::now();
        loop {
            let Self { flow, ledger } = self;
            let step = beat(poll_fn(|cx| flow.poll(cx, ledger)), heartbeat.min(idle)).await;
            match step {
                Some(Step::Failed(fault)) => return Err(fault),
                Some(step) => return Ok(step),
                None if began.max(self.ledger.heard.unwrap_or(began)).elapsed() >= idle => {
                    return Err(silent(idle));
                }
                None => {
                    voice.say(Event::Ping);
                    hand(self.ledger, voice, outlet).await;
                }
            }
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.flow.account(self.ledger);
    }
}

async fn run_one(
    sessions: &trunkline_mcp::Sessions,
    tools: &Toolset,
    config: &Mcp,
    call: &ToolCall,
    whose: Whose,
) -> Option<Outcome> {
    match whose {
        Whose::Client | Whose::Asks(_) => None,
        Whose::Ours(at) => {
            let exposed = tools.tools.get(at)?;
            let server = tools.of(exposed)?;
            Some(calls::call(sessions, &server.server, exposed, &call.arguments, config).await)
        }
        Whose::Beyond => {
            let why = "the limit of tool calls is reached; answer with what is known";
            Some(Outcome::Not(why.to_owned()))
        }
        Whose::Nobody => Some(Outcome::Not(format!("there is no tool {:?}", call.name))),
    }
}

fn heartbeat(plan: &Plan) -> Duration {
    let heartbeat = plan.question.snapshot.config.timeouts.heartbeat;
    if heartbeat.is_zero() { Duration::MAX } else { heartbeat }
}

/// What `future` gives, or nothing when it takes longer than one heartbeat.
async fn beat<F: Future>(future: F, heartbeat: Duration) -> Option<F::Output> {
    timeout(heartbeat, future).await.ok()
}

/// What `future` gives, with signs of life while it takes its time.
async fn beating<F: Future>(
    future: F,
    voice: &mut Voice,
    ledger: &mut Ledger,
    outlet: Option<&Outlet>,
    heartbeat: Duration,
) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        match beat(future.as_mut(), heartbeat).await {
            Some(output) => return output,
            None => {
                voice.say(Event::Ping);
                hand(ledger, voice, outlet).await;
            }
        }
    }
}

/// Hands the client what is to be sent by now, and counts it.
async fn hand(ledger: &mut Ledger, voice: &mut Voice, outlet: Option<&Outlet>) {
    let sent = hand_over(voice, outlet).await;
    ledger.sent(sent);
}

async fn hand_over(voice: &mut Voice, outlet: Option<&Outlet>) -> usize {
    let Some(outlet) = outlet else { return 0 };
    let bytes: Bytes = voice.drain();
    let size = bytes.len();
    outlet.hand(bytes).await;
    size
}

/// The fault when there is nothing to hear.
fn lost_turn() -> Fault {
    Fault::new(FaultKind::Internal, "a tool loop has no turn to go on with")
}
