//! Every client dialect against every upstream dialect, feature by feature, and the page that says so.
//!
//! A fixture says one story in one dialect: what that client's library sends (`requests`), what that
//! provider answers (`answers`). A reader per dialect takes the bytes apart as its other side would. So a
//! new dialect adds one file and one reader for each role it has, and all its cells come by themselves.

mod asked;
mod clients;
mod compare;
mod failures;
mod next;
mod node;
mod page;
mod run;
mod story;
mod told;
mod upstreams;
mod wire;

use crate::mutation::Dice;
use clients::CLIENTS;
use run::{Cell, Mode};
use std::collections::BTreeMap;
use std::path::Path;
use story::Feature;
use trunkline_core::Dialect;
use trunkline_core::Dialect::ReplicatePredictions;
use upstreams::UPSTREAMS;

/// The cells by client, upstream, feature and mode; dialects by their place in the rows.
type Cells = BTreeMap<(usize, usize, Feature, Mode), Cell>;

fn cells() -> Cells {
    let mut cells = Cells::new();
    for (c, client) in CLIENTS.iter().enumerate() {
        for (u, upstream) in UPSTREAMS.iter().enumerate() {
            for feature in Feature::ALL {
                for mode in [Mode::Unary, Mode::Stream] {
                    cells.insert((c, u, feature, mode), run::run(client, upstream, feature, mode));
                }
            }
        }
    }
    cells
}

#[test]
fn every_dialect_has_its_row() {
    let clients: Vec<_> = CLIENTS.iter().map(|client| client.dialect).collect();
    let dialects = UPSTREAMS.iter().filter(|upstream| upstream.provider.is_none());
    let upstreams: Vec<_> = dialects.map(|upstream| upstream.dialect).collect();
    let of = |is: fn(Dialect) -> bool| {
        Dialect::CONVERSATIONS.into_iter().filter(|dialect| is(*dialect)).collect::<Vec<_>>()
    };
    assert_eq!(clients, of(trunkline_dialect::reads));
    assert_eq!(upstreams, of(trunkline_dialect::writes));
}

/// No cell is empty, no case fails, and `docs/conformance.md` shows what came out.
#[test]
#[expect(clippy::disallowed_methods, reason = "asked of the test itself, not of the gateway")]
fn conformance_page_is_up_to_date() {
    let cells = cells();
    let mut failed = Vec::new();
    for ((c, u, feature, mode), cell) in &cells {
        let name =
            format!("{} to {}, {}, {mode:?}", CLIENTS[*c].dialect, UPSTREAMS[*u].name(), feature.title());
        failed.extend(cell.failures.iter().map(|why| format!("{name}: {why}")));
        if cell.passed + cell.failures.len() == 0 {
            failed.push(format!("{name}: no case"));
        }
    }
    assert!(failed.is_empty(), "{} cases fail\n{}", failed.len(), failed.join("\n"));
    let page = page::write(&cells);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/conformance.md is stale; run UPDATE_DOCS=1 cargo test -p trunkline-dialect conformance_page"
    );
}

/// Bodies of requests as clients of `dialect` send them.
pub(crate) fn requests(dialect: Dialect) -> Vec<&'static str> {
    let client = CLIENTS.iter().find(|client| client.dialect == dialect).unwrap();
    client.requests.lines().filter(|line| line.starts_with('{')).collect()
}

/// Bodies of answers and errors as upstreams of `dialect` send them.
pub(crate) fn answers(dialect: Dialect) -> Vec<&'static str> {
    let whole = sections_of(dialect).filter(|(title, _)| !title.ends_with("stream"));
    whole.flat_map(|(_, lines)| lines.lines()).filter_map(|line| line.get(line.find('{')?..)).collect()
}

/// Streams as upstreams of `dialect` send them.
pub(crate) fn streams(dialect: Dialect) -> Vec<Vec<u8>> {
    payloads(dialect).iter().map(|lines| wire::framed(dialect, lines).concat()).collect()
}

/// One of them with something wrong: in its bytes, or in one of its payloads, so that its frames are right.
pub(crate) fn stream_of(dialect: Dialect, dice: &mut Dice) -> Vec<u8> {
    let all = payloads(dialect);
    let lines = &all[dice.below(all.len())];
    if dice.below(3) == 0 {
        return dice.mutate(&wire::framed(dialect, lines).concat());
    }
    let at = dice.below(lines.len());
    let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    // What stands before a payload is its frame's; half an object is text of a model's.
    let is_payload = |from: &usize| serde_json::from_str::<serde_json::Value>(&lines[at][*from..]).is_ok();
    if let Some(from) = lines[at].find('{').filter(is_payload) {
        let payload = dice.graft(&lines[at][from..]);
        lines[at].replace_range(from.., &payload);
    }
    match dice.below(4) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(dice.below(lines.len()), lines[at].clone()),
        _ => {}
    }
    let is_framed = |line: &&String| {
        let payload = line.find('{').map_or("", |from| &line[from..]);
        let payload = if dialect == ReplicatePredictions { "{}" } else { payload };
        serde_json::from_str::<serde_json::Value>(payload).is_ok_and(|value| {
            matches!(
                dialect,
                Dialect::OpenaiChat
                    | Dialect::GeminiGenerate
                    | Dialect::OllamaChat
                    | Dialect::BedrockConverse
                    | ReplicatePredictions
            ) || value["type"].is_string()
        })
    };
    let lines: Vec<&str> = lines.iter().filter(is_framed).map(String::as_str).collect();
    wire::framed(dialect, &lines).concat()
}

fn payloads(dialect: Dialect) -> Vec<Vec<&'static str>> {
    let streams = sections_of(dialect).filter(|(title, _)| title.ends_with("stream"));
    streams.map(|(_, lines)| lines.lines().collect()).collect()
}

/// The fixtures of everyone who answers in `dialect`.
fn sections_of(dialect: Dialect) -> impl Iterator<Item = (&'static str, &'static str)> {
    let upstreams = UPSTREAMS.iter().filter(move |upstream| upstream.dialect == dialect);
    upstreams
        .flat_map(|upstream| upstream.answers.split("== ").filter_map(|section| section.split_once('\n')))
}
