//! The page: what passes, what is refused and why, and what is lost, as the run found it.

use super::Cells;
use super::clients::{CLIENTS, Gap};
use super::run::Mode;
use super::story::Feature;
use super::upstreams::{self, UPSTREAMS};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const INTRODUCTION: &str = "# Conformance

<!-- Written by a test: UPDATE_DOCS=1 cargo test -p trunkline-dialect conformance_page -->

Every client dialect against every upstream dialect. A cell shows how many cases pass, for whole answers and for
streams: `3 / 6` is three and six. None fails and no cell is empty, else the test that writes this page fails.
`400:` marks what is refused and `loss:` what is left out with a warning, as a dialect has no form for it; see below.

Rows are the upstreams' dialects, and `mistral` for OpenAI's chat dialect as Mistral speaks it, which refuses fields it
does not know, ids that are not nine letters and digits, and conversations out of its order.

A case sends what the client's library sends, reads what the upstream receives as the upstream would, answers as the
provider answers, and reads what the client receives as its library would: texts, tool names and ids, the bytes of
arguments, their order and indexes, thoughts and the proofs that must come back with the next turn, images,
documents, schemas, finish reasons, token counts, errors. Streams arrive in one piece, byte by byte, event by event and
cut anyhow, and the client's bytes are the same each time. A stream cut off at any event never ends like a whole one.
In the diagonal the bytes pass untouched; translating the dialect to itself is checked there as well.

Tool names and ids that a target would refuse are written otherwise to it. That is no loss, and no warning tells of it:
they are written alike wherever they stand in a request, no two of them meet, and answers have the client's own again.

";

pub(super) fn write(cells: &Cells) -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("## Cells\n");
    for (c, client) in CLIENTS.iter().enumerate() {
        write!(page, "\n### Client {}\n\n| upstream |", client.dialect).unwrap();
        for feature in Feature::ALL {
            write!(page, " {} |", feature.title()).unwrap();
        }
        writeln!(page, "\n| --- |{}", " --- |".repeat(Feature::ALL.len())).unwrap();
        for (u, upstream) in UPSTREAMS.iter().enumerate() {
            write!(page, "| {} |", upstream.name()).unwrap();
            for feature in Feature::ALL {
                let passed = |mode| cells.get(&(c, u, feature, mode)).map_or(0, |cell| cell.passed);
                let sign = match (client.gap(feature), upstream.gap(feature)) {
                    (Some(Gap::Refused { .. }), _) | (_, Some(upstreams::Gap::Refused { .. })) => "400: ",
                    (Some(Gap::Dropped { .. }), _) | (_, Some(upstreams::Gap::Dropped { .. })) => "loss: ",
                    (None, None) => "",
                };
                write!(page, " {sign}{} / {} |", passed(Mode::Unary), passed(Mode::Stream)).unwrap();
            }
            page.push('\n');
        }
    }
    refusals(&mut page);
    losses(&mut page, cells);
    page
}

fn refusals(page: &mut String) {
    page.push_str(
        "\n## What is not there by nature\n\n\
         A request for what a dialect has no form for is a 400 that names the part, before anything is sent; the cases\n\
         of such a cell prove that. A setting without a form is left out with a warning.\n\n\
         | where | feature | what happens | why |\n| --- | --- | --- | --- |\n",
    );
    for client in &CLIENTS {
        for (feature, gap) in client.gaps {
            let (what, why) = match gap {
                Gap::Refused { param, why } => (format!("400 naming `{param}`"), why),
                Gap::Dropped { param, why } => (format!("warning naming `{param}`"), why),
            };
            writeln!(page, "| client {} | {} | {what} | {why} |", client.dialect, feature.title()).unwrap();
        }
    }
    for upstream in &UPSTREAMS {
        for (feature, gap) in upstream.gaps {
            let (what, why) = match gap {
                upstreams::Gap::Refused { why } => ("400 naming the part".to_owned(), why),
                upstreams::Gap::Dropped { why, .. } => ("warning naming what asked for it".to_owned(), why),
            };
            writeln!(page, "| upstream {} | {} | {what} | {why} |", upstream.name(), feature.title())
                .unwrap();
        }
    }
}

/// What is lost of the same kind is one row, with the features it is lost in.
type Lost = BTreeMap<(String, &'static str, String), Vec<&'static str>>;

fn losses(page: &mut String, cells: &Cells) {
    page.push_str(
        "\n## Losses\n\n\
         What the requests and answers above lose, path, action and reason as in `x-trunkline-warnings`. The header of a\n\
         stream tells what its request lost; what its answer loses then is in the log and in the metrics. Pairs that are\n\
         not listed lose nothing.\n",
    );
    for (c, client) in CLIENTS.iter().enumerate() {
        for (u, upstream) in UPSTREAMS.iter().enumerate() {
            let mut lost = Lost::new();
            for ((_, _, feature, _), cell) in cells.iter().filter(|((a, b, ..), _)| (*a, *b) == (c, u)) {
                for loss in cell.losses.iter() {
                    let key = (loss.path.to_string(), loss.action.name(), loss.reason.to_string());
                    let features = lost.entry(key).or_default();
                    if !features.contains(&feature.title()) {
                        features.push(feature.title());
                    }
                }
            }
            if lost.is_empty() {
                continue;
            }
            writeln!(page, "\n### {} to {}\n", client.dialect, upstream.name()).unwrap();
            page.push_str("| path | action | reason | in |\n| --- | --- | --- | --- |\n");
            for ((path, action, reason), features) in lost {
                writeln!(page, "| `{path}` | {action} | {reason} | {} |", features.join(", ")).unwrap();
            }
        }
    }
}
