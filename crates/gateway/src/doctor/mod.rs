//! `trunkline doctor`: whether this configuration could serve from this machine, and if not, what to do about it.
//!
//! Every worker is asked what costs nothing, all at once and each for a bounded time, on the very connections that
//! serving would use. Keys are looked at, sent where they belong, and never shown.

mod key;
mod machine;
mod target;

use crate::app::add_providers_with_keys;
use crate::config::{self, Config, ConfigError, Sources};
use crate::table::aligned;
use futures_util::future::join_all;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

/// What was looked at, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    what: &'static str,
    verdict: Verdict,
    detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
    /// There was nothing to look at.
    Skip,
}

/// One worker, or the machine.
#[derive(Debug, Serialize)]
struct Patient {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    checks: Vec<Check>,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    failed: usize,
    warnings: usize,
    targets: Vec<Patient>,
}

impl Check {
    fn new(what: &'static str, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { what, verdict, detail: detail.into(), hint: None }
    }

    fn ok(what: &'static str, detail: impl Into<String>) -> Self {
        Self::new(what, Verdict::Ok, detail)
    }

    fn skip(what: &'static str, detail: impl Into<String>) -> Self {
        Self::new(what, Verdict::Skip, detail)
    }

    fn warn(what: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..Self::new(what, Verdict::Warn, detail) }
    }

    fn fail(what: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..Self::new(what, Verdict::Fail, detail) }
    }
}

/// Examines what `sources` say and writes what was found to `out`; `true` when nothing failed.
///
/// # Errors
/// When the report cannot be written.
pub fn run(sources: &Sources, timeout: Duration, json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    let targets = match config::load(sources) {
        Ok(config) => examine(config, sources, timeout)?,
        Err(error) => vec![unusable(&error)],
    };
    let count = |verdict| targets.iter().flat_map(|t| &t.checks).filter(|c| c.verdict == verdict).count();
    let (failed, warnings) = (count(Verdict::Fail), count(Verdict::Warn));
    let report = Report { ok: failed == 0, failed, warnings, targets };
    if json {
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        out.write_all(page(&report).as_bytes())?;
    }
    Ok(report.ok)
}

fn unusable(error: &ConfigError) -> Patient {
    let hint = "correct it; docs/configuration.md lists every setting";
    let checks = vec![Check::fail("config", error.to_string(), hint)];
    Patient { name: "configuration".to_owned(), url: None, checks }
}

fn examine(mut config: Config, sources: &Sources, timeout: Duration) -> anyhow::Result<Vec<Patient>> {
    add_providers_with_keys(&mut config);
    let mut targets =
        vec![Patient { name: "machine".to_owned(), url: None, checks: machine::checks(&config) }];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let connections = target::Connections::new(&config, timeout);
    let examined = config.workers.iter().map(|spec| target::examine(spec, &config, sources, &connections));
    targets.extend(runtime.block_on(join_all(examined)));
    Ok(targets)
}

/// The report for people.
fn page(report: &Report) -> String {
    let mut text = String::new();
    for Patient { name, url, checks } in &report.targets {
        let url = url.as_deref().unwrap_or_default();
        let mut rows = Vec::new();
        for Check { what, verdict, detail, hint } in checks {
            let verdict = match verdict {
                Verdict::Ok => "ok",
                Verdict::Warn => "warn",
                Verdict::Fail => "FAIL",
                Verdict::Skip => "-",
            };
            // What has several lines stays within its column.
            rows.extend(detail.lines().enumerate().map(|(nth, line)| {
                let [verdict, what] = if nth == 0 { [verdict, what] } else { ["", ""] };
                // As wide everywhere, so that targets stand under each other.
                [format!("{verdict:<4}"), format!("{what:<7}"), line.to_owned()]
            }));
            rows.extend(hint.iter().map(|hint| [String::new(), String::new(), format!("-> {hint}")]));
        }
        // A text takes all that is written to it.
        let _ = writeln!(text, "{}\n{}", format!("{name}  {url}").trim_end(), aligned(2, &rows));
    }
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let verdict = if report.ok { "fit to serve" } else { "not fit to serve" };
    let (failed, warnings) = (plural(report.failed, "failure"), plural(report.warnings, "warning"));
    let _ = writeln!(text, "{verdict}: {failed}, {warnings}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_verdict_per_line_and_hints() {
        let checks = vec![
            Check::ok("dns", "127.0.0.1"),
            Check::fail("http", "401", "set another key"),
            Check::skip("tls", "plain"),
        ];
        let targets = vec![Patient { name: "openai".into(), url: Some("http://a".into()), checks }];
        let text = page(&Report { ok: false, failed: 1, warnings: 0, targets });
        let want = "openai  http://a\n  ok    dns      127.0.0.1\n  FAIL  http     401\n                 -> set another key\n  \
                    -     tls      plain\n\nnot fit to serve: 1 failure, 0 warnings\n";
        assert_eq!(text, want);
    }
}
