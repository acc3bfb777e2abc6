//! `trunkline explain`: where a request would go, and why, without a server and without sending it.
//!
//! The fleet is got to know by the very code that serves, and the plan is the very plan of the walk.

use crate::cli::ExplainFlags;
use crate::config::{Config, Sources};
use crate::fleet::Fleet;
use crate::log::{self, LogSink};
use crate::table::aligned;
use crate::walk::plan::{self, Considered, Explanation, Forced, Request};
use crate::{admin, app};
use anyhow::Context as _;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use trunkline_core::{Fault, Health};

/// How long workers may take to answer before the explanation is made without them.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often they are looked at meanwhile.
const GLANCE: Duration = Duration::from_millis(10);

/// Explains one request to `out`.
///
/// # Errors
/// When nobody would answer it: the message of the fault a client would get. The table, where there is
/// one, is written nevertheless.
pub fn run(flags: &ExplainFlags, config: Config, out: &mut impl Write) -> anyhow::Result<()> {
    let body = match &flags.body {
        Some(file) => read(file).with_context(|| format!("--body {}", file.display()))?,
        None => b"{}".to_vec(),
    };
    let depth = config.limits.json_depth;
    let request =
        admin::explain::request_of(&flags.endpoint, flags.model.clone(), &body, depth).map_err(spoken)?;
    let forced = flags.provider.clone().map(|provider| Forced { provider, fallback: false });
    let request = Request { stream: request.stream || flags.stream, forced, ..request };
    let sink = LogSink::start_into(0, Box::new(std::io::stderr()));
    log::install(&config.log, Some(config.log.filter.as_deref().unwrap_or("error")), &sink);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let explained = runtime.block_on(async {
        let shared = app::assemble(config, Sources::default(), std::sync::Arc::clone(&sink))?;
        acquainted(&shared.fleet).await;
        let explanation = plan::explain(&shared.fleet, &request).map_err(spoken);
        let snapshot = shared.fleet.snapshot();
        shared.fleet.close();
        explanation.map(|explanation| (explanation, snapshot))
    });
    sink.close();
    let (explanation, snapshot) = explained?;
    if flags.json {
        serde_json::to_writer_pretty(&mut *out, &explanation)?;
        writeln!(out)?;
    } else {
        out.write_all(table(&explanation).as_bytes())?;
    }
    match explanation.choice {
        Some(_) => Ok(()),
        None => Err(spoken(plan::nobody_ready(&snapshot, &request))),
    }
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut body = Vec::new();
        std::io::stdin().lock().read_to_end(&mut body)?;
        return Ok(body);
    }
    std::fs::read(file)
}

fn spoken(fault: Fault) -> anyhow::Error {
    anyhow::Error::msg(fault.message)
}

/// Waits until every worker has answered or has failed to.
async fn acquainted(fleet: &Fleet) {
    let end = Instant::now() + PATIENCE;
    loop {
        let snapshot = fleet.snapshot();
        let mut unknown = snapshot
            .workers
            .iter()
            .filter(|w| w.load.health() == Health::Pending && fleet.trouble(w).is_none());
        if unknown.next().is_none() || Instant::now() >= end {
            return;
        }
        sleep(GLANCE).await;
    }
}

fn table(explanation: &Explanation) -> String {
    let Explanation { asked, model, route, pool, mirror, dialect, stream, policy, candidates, choice } =
        explanation;
    let meant = if asked == model { String::new() } else { format!(", asked for as {asked}") };
    let streamed = if *stream { ", streamed" } else { "" };
    let facts = [
        ("model", Some(format!("{model}{meant}"))),
        ("client", Some(format!("{dialect}{streamed}"))),
        ("route", route.clone()),
        ("pool", pool.clone()),
        ("mirror", mirror.clone()),
        ("policy", Some((*policy).to_owned())),
    ];
    let facts: Vec<_> = facts.into_iter().filter_map(|(name, fact)| Some([name.to_owned(), fact?])).collect();
    let mut text = aligned(0, &facts);
    let heading = ["WORKER", "URL", "MODEL", "STATE", "PRIORITY", "IN FLIGHT", "PASSAGE", "SCORE", "VERDICT"];
    let mut rows = vec![heading.map(str::to_owned)];
    rows.extend(candidates.iter().map(|considered| row(considered, choice.as_deref())));
    text.push('\n');
    text.push_str(&aligned(0, &rows));
    text
}

fn row(considered: &Considered, choice: Option<&str>) -> [String; 9] {
    let Considered { worker, url, model, priority, in_flight, state, passage, eligible, filtered, .. } =
        considered;
    let Considered { trouble, score, failures, held_tokens, .. } = considered;
    let verdict = match (filtered, trouble) {
        (Some(why), Some(trouble)) => format!("out: {why}, {trouble}"),
        (Some(why), None) => format!("out: {why}"),
        (None, _) if choice == Some(worker) => "chosen".to_owned(),
        (None, _) => "could be chosen".to_owned(),
    };
    let verdict = match failures {
        Some(failures) => format!("{verdict}; {failures} failures in its score"),
        None => verdict,
    };
    let verdict = match held_tokens {
        Some(tokens @ 1..) => format!("{verdict}; holds {tokens} tokens of the prompt"),
        Some(0) | None => verdict,
    };
    debug_assert_eq!(*eligible, filtered.is_none());
    [
        worker.clone(),
        url.clone(),
        model.clone(),
        (*state).to_owned(),
        priority.to_string(),
        in_flight.to_string(),
        passage.clone(),
        score.map_or_else(|| "-".to_owned(), |score| format!("{score:.2}")),
        verdict,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_why() {
        let considered = |worker: &str, filtered: Option<&str>, score| Considered {
            worker: worker.to_owned(),
            url: format!("http://{worker}"),
            model: "llama".to_owned(),
            priority: 50,
            in_flight: 2,
            state: if filtered.is_some() { "pending" } else { "ready" },
            breaker: "closed",
            passage: "splice".to_owned(),
            eligible: filtered.is_none(),
            filtered: filtered.map(str::to_owned),
            trouble: filtered.map(|_| "does not answer".to_owned()),
            held_tokens: (worker == "w1").then_some(1200),
            unread_tokens: 0,
            score,
            failures: (worker == "w2").then_some(3),
        };
        let text = table(&Explanation {
            asked: "fast".to_owned(),
            model: "llama".to_owned(),
            route: None,
            pool: None,
            mirror: None,
            dialect: "openai-chat",
            stream: true,
            policy: "power_of_two",
            candidates: vec![
                considered("w1", None, Some(3.0)),
                considered("w2", None, Some(4.5)),
                considered("w3", Some("is pending"), None),
            ],
            choice: Some("w1".to_owned()),
        });
        let want = "model   llama, asked for as fast\n\
                    client  openai-chat, streamed\n\
                    policy  power_of_two\n\
                    \n\
                    WORKER  URL        MODEL  STATE    PRIORITY  IN FLIGHT  PASSAGE  SCORE  VERDICT\n\
                    w1      http://w1  llama  ready    50        2          splice   3.00   chosen; holds 1200 tokens of the prompt\n\
                    w2      http://w2  llama  ready    50        2          splice   4.50   could be chosen; 3 failures in its score\n\
                    w3      http://w3  llama  pending  50        2          splice   -      out: is pending, does not answer\n";
        assert_eq!(text, want);
    }
}
