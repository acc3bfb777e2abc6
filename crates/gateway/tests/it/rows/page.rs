//! `docs/providers.md`.

use super::{COMPATIBLE, is_server, read, rows};
use std::fmt::Write;
use std::path::Path;
use trunkline_dialect::catalog::{Entry, builtin};
use trunkline_dialect::provider::vertex::is_claude;
use trunkline_dialect::provider::{AuthStyle, BEDROCK, OLLAMA, Provider, VERTEX, VERTEX_CLAUDE};
use trunkline_gateway::config::account_variables;

/// The columns of what there is.
const CELLS: [&str; 9] =
    ["chat", "stream", "tools", "embeddings", "images", "edits", "speech", "transcripts", "rerank"];

const INTRODUCTION: &str = "# Providers

Every provider that is known by name, from the very rows that the gateway works with. A key in one of the variables makes
a provider usable without any configuration; `provider:` of a backend or worker takes the id or another name, and
`X-Provider` and `PROVIDER/MODEL` do, too. Anything else that speaks OpenAI's dialect is a worker with a `url`, which stands
here as `openai-compatible`; it and `ollama` are servers of the operator's own, whose models decide what they really have.

The page is made by a test, which asks a simulated account of every provider for everything below and compares what it is
told with a fixture. No account of a real provider was involved.
";

fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    if quoted.is_empty() { "–".to_owned() } else { quoted.join(", ") }
}

fn auth(row: &Provider) -> &'static str {
    match row.auth {
        AuthStyle::Bearer if row.id == BEDROCK => "`Authorization: Bearer`, or signed with AWS keys (SigV4)",
        AuthStyle::Bearer => "`Authorization: Bearer`",
        AuthStyle::AnthropicKey => "`x-api-key`; OAuth tokens as `Authorization: Bearer`",
        AuthStyle::AzureKey => "`api-key`; Entra tokens as `Authorization: Bearer`",
        AuthStyle::GoogleKey => "`x-goog-api-key`; OAuth tokens as `Authorization: Bearer`",
    }
}

/// Whether a model of the catalogue is one of the provider's. Vertex AI's of two dialects stand under one name.
fn is_of(entry: &Entry, row: &Provider) -> bool {
    let listed = if row.id == VERTEX_CLAUDE { VERTEX } else { row.id };
    let claude = listed != VERTEX || is_claude(entry.upstream()) == (row.id == VERTEX_CLAUDE);
    entry.provider() == listed && claude
}

/// What the provider's fixture says of an answer: whether there is one, and whether it is made of something else.
fn has(row: &Provider, what: &str) -> &'static str {
    let got = &read(row)[what]["got"];
    // Of these a model is asked in words; other warnings tell of fields.
    let stands_in = |warned: &str| warned.contains("file emulated") || warned.contains("image emulated");
    match (got["status"] == 200, got["warnings"].as_str()) {
        (true, Some(warned)) if stands_in(warned) => "emulated",
        (true, Some(warned)) if warned.contains("tools dropped") => "–",
        (true, _) => "yes",
        (false, _) => "–",
    }
}

/// Where it is, and what says otherwise.
fn address(row: &Provider) -> String {
    match (row.id, row.base_url) {
        (OLLAMA, _) => "`http://127.0.0.1:11434`".to_owned(),
        (COMPATIBLE, _) => "the worker's `url`".to_owned(),
        (_, Some(url)) => format!("`{url}`"),
        (_, None) => "of the account".to_owned(),
    }
}

fn page() -> String {
    let mut text = INTRODUCTION.to_owned();
    let mut line = |words: &str| writeln!(text, "{words}").unwrap();
    line("\n## What each has\n");
    line(
        "What is `emulated` is made of something else: a model is asked in words for a transcript, a picture is varied by a\n\
         prompt instead of changed. Of the catalogue: models known, and how many of them have prices.\n",
    );
    let entries: Vec<_> = builtin().entries().collect();
    line(
        "| provider | chat | stream | tools | embeddings | images | edits | speech | transcripts | rerank | models | priced |",
    );
    line("|---|---|---|---|---|---|---|---|---|---|---:|---:|");
    for row in rows() {
        let known = entries.iter().filter(|entry| is_of(entry, row));
        let (models, priced) =
            (known.clone().count(), known.filter(|entry| !entry.prices.is_empty()).count());
        let cells = CELLS.map(|what| has(row, what));
        line(&format!("| `{}` | {} | {models} | {priced} |", row.id, cells.join(" | ")));
    }
    line("\n## How each is set up\n");
    for row in rows() {
        line(&format!("### `{}`\n", row.id));
        if is_server(row) {
            line("- Key: the worker's `api_key`, where it wants one");
            line(&format!("- Address: {}", address(row)));
        } else {
            line(&format!("- Other names: {}", listed(row.aliases)));
            line(&format!("- Key: {}", listed(row.key_variables)));
            line(&format!("- Address: {}; set by {}", address(row), listed(row.url_variables)));
        }
        for (what, variables) in account_variables(row.id) {
            line(&format!("- {what}: {}", listed(&variables)));
        }
        line(&format!("- Authentication: {}", auth(row)));
        let dialects: Vec<&str> = row.dialects.iter().map(|dialect| dialect.name()).collect();
        line(&format!("- Dialects: {}", listed(&dialects)));
        if !row.model_prefixes.is_empty() {
            line(&format!(
                "- Models that lead there by name alone begin with {}",
                listed(row.model_prefixes)
            ));
        }
        line("");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

#[test]
fn the_page_of_providers_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/providers.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == page,
        "docs/providers.md is stale; run UPDATE_DOCS=1 cargo test -p trunkline-gateway --test it page_of_providers"
    );
}
