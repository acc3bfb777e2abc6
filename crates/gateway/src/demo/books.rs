//! The last scene: workers, metrics and the access log, as an operator sees them.

use super::json::{at, list, text};
use super::screen::Screen;
use super::world::{ALONE, World};
use crate::table::aligned;
use anyhow::{Context as _, ensure};
use http::Method;
use serde_json::{Value, json};
use std::io::Write;

/// Metrics worth a line here, each the start of one that must be there.
const SHOWN: [&str; 4] = [
    "trunkline_requests_total{endpoint=\"messages\",model=\"qwen3\"",
    "trunkline_tokens_total{direction=\"cache_read\",model=\"qwen3\"",
    "trunkline_ttft_seconds_count{model=\"llama3\"",
    "trunkline_upstream_connections_reused",
];

/// Shows them.
///
/// # Errors
/// When they lack what the scenes before must have left there.
pub(super) async fn show(world: &World, screen: &mut Screen<impl Write>) -> anyhow::Result<()> {
    // One stream is under way while the workers are listed.
    let messages = json!([{"role": "user", "content": "Wait."}]);
    let body =
        json!({"model": ALONE, "stream": true, "messages": messages, "max_tokens": 900, "ignore_eos": true});
    let body = body.to_string().into();
    let held = world.client.open(Method::POST, "/v1/chat/completions", "demo-held", body).await?;
    let listed: Value = serde_json::from_slice(&world.client.get("/workers").await?)?;
    let metrics = String::from_utf8(world.client.get("/metrics").await?.to_vec())?;
    drop(held);
    let line = world.journal.line_of("demo-held").await?;
    ensure!(
        line.contains(" end=client_gone "),
        "its client hung up, but the access log says otherwise: {line}"
    );

    let mut rows =
        vec![["NAME", "WORKER", "RUNTIME", "MODEL", "STATE", "REQUESTS", "IN FLIGHT"].map(str::to_owned)];
    for member in &world.members {
        let worker = list(&listed, "/workers").iter().find(|worker| text(worker, "/id") == member.id);
        let worker = worker.with_context(|| format!("{} is not listed in GET /workers", member.name))?;
        let answered = sum(&metrics, "trunkline_attempts_total{", &format!("worker=\"{}\"", member.id));
        ensure!(answered > 0.0, "{} was not asked anything", member.name);
        rows.push([
            member.name.to_owned(),
            member.id.clone(),
            text(worker, "/runtime").to_owned(),
            text(worker, "/model_id").to_owned(),
            text(worker, "/status").to_owned(),
            answered.to_string(),
            at(worker, "/load").to_string(),
        ]);
    }
    let in_flight = list(&listed, "/workers").iter().filter_map(|worker| at(worker, "/load").as_u64());
    ensure!(in_flight.sum::<u64>() == 1, "one stream is open, but the workers say otherwise: {listed}");
    screen.block(&aligned(3, &rows))?;

    for start in SHOWN {
        let line = metrics.lines().find(|line| line.starts_with(start));
        screen.line(line.with_context(|| format!("GET /metrics has no {start}"))?)?;
    }

    let line = world.journal.line_of("demo-stream").await?;
    screen.text(&line)?;
    Ok(())
}

/// The sum of all series that start and continue like this.
fn sum(metrics: &str, start: &str, label: &str) -> f64 {
    let series = metrics.lines().filter(|line| line.starts_with(start) && line.contains(label));
    series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed() {
        let metrics =
            "a{outcome=\"200\",worker=\"w1\"} 3\na{outcome=\"503\",worker=\"w1\"} 1\na{worker=\"w2\"} 9\n";
        assert!((sum(metrics, "a{", "worker=\"w1\"") - 4.0).abs() < f64::EPSILON);
    }
}
