//! Other spellings of a model's name, most exact first. Each names the same model at the same provider: its path
//! or region is left out, or the day its snapshot was taken. Nothing here leads from one model to another.

use super::By;
use crate::provider;

/// Starts of paths under which some providers list their models.
const PATHS: [&str; 2] = ["models/", "publishers/"];
/// Regions in front of Amazon's names.
const REGIONS: [&str; 9] = ["us", "eu", "apac", "jp", "au", "ca", "global", "us-gov", "sa"];

/// What to look for, in this order. The first is `name` as it is.
pub(super) fn spellings<'n>(provider: &str, name: &'n str) -> Vec<(&'n str, By)> {
    let mut found = vec![(name, By::Name)];
    let bare = without_path(without_provider(provider, name));
    push(&mut found, bare, By::Name);
    let global = if provider == provider::BEDROCK { without_region(bare) } else { bare };
    push(&mut found, global, By::Region);
    push(&mut found, undated(global), By::Snapshot);
    found
}

/// `gpt-4o` of `gpt-4o-2024-08-06`; the whole name where no date ends it.
pub(super) fn undated(name: &str) -> &str {
    let base = name.strip_suffix("-latest").or_else(|| name.strip_suffix("@latest")).unwrap_or(name);
    base.char_indices()
        .filter(|(_, char)| matches!(char, '-' | '@'))
        .find(|(at, _)| base.get(*at..).is_some_and(is_date))
        .and_then(|(at, _)| base.get(..at))
        .unwrap_or(base)
}

/// `-20250929`, `@20250929` or `-2024-08-06`: a snapshot's day. Shorter numbers are versions as often as dates.
pub(super) fn is_date(suffix: &str) -> bool {
    let Some(date) = suffix.strip_prefix(['-', '@']) else { return false };
    let digits = date.bytes().filter(u8::is_ascii_digit).count();
    let dashes = date.bytes().enumerate().filter(|(at, byte)| *byte == b'-' && matches!(at, 4 | 7)).count();
    date.starts_with("20") && digits == 8 && (date.len() == 8 || (date.len() == 10 && dashes == 2))
}

fn push<'n>(found: &mut Vec<(&'n str, By)>, name: &'n str, by: By) {
    if !name.is_empty() && found.iter().all(|(known, _)| *known != name) {
        found.push((name, by));
    }
}

/// `gpt-4o` of OpenAI's `openai/gpt-4o`.
fn without_provider<'n>(provider: &str, name: &'n str) -> &'n str {
    match name.split_once('/') {
        Some((owner, rest)) if provider_id(owner).eq_ignore_ascii_case(provider) => rest,
        _ => name,
    }
}

/// The id that the models of the provider called `name` stand under; the name itself where it has no row.
pub(super) fn provider_id(name: &str) -> &str {
    match provider::named(name).map_or(name, |known| known.id) {
        // One offer of many publishers' models; which of them speak which dialect is no concern of prices.
        provider::VERTEX_CLAUDE => provider::VERTEX,
        id => id,
    }
}

/// The last part of `models/NAME`, `publishers/OWNER/models/NAME` and `arn:aws:bedrock:…/NAME`.
fn without_path(name: &str) -> &str {
    let has_path = name.starts_with("arn:") || PATHS.iter().any(|path| name.starts_with(path));
    if has_path { name.rsplit('/').next().unwrap_or(name) } else { name }
}

/// `anthropic.claude-…` of `us.anthropic.claude-…`, and without the context's length behind the version
/// (`…-v1:0:200k`).
fn without_region(name: &str) -> &str {
    let bare = match name.split_once('.') {
        Some((region, rest)) if REGIONS.contains(&region) => rest,
        _ => name,
    };
    match bare.rsplit_once(':') {
        Some((version, length)) if length.ends_with('k') && version.contains(':') => version,
        _ => bare,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_end_names_and_versions_do_not() {
        for (name, base) in [
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
            ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
            ("gpt-4o-2024-08-06", "gpt-4o"),
            ("claude-3-5-sonnet-latest", "claude-3-5-sonnet"),
            ("gpt-4-0613", "gpt-4-0613"),
            ("gpt-4o-2024-08", "gpt-4o-2024-08"),
            ("gpt-4o-2024-08-06-preview", "gpt-4o-2024-08-06-preview"),
            ("gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash-preview-09-2025"),
            ("claude-sonnet-4-5-19990101", "claude-sonnet-4-5-19990101"),
            ("20250929", "20250929"),
            ("-20250929", ""),
        ] {
            assert_eq!(undated(name), base, "{name}");
        }
    }

    #[test]
    fn spellings_from_the_most_exact() {
        let cases: [(&str, &str, &[&str]); 9] = [
            ("openai", "gpt-4o", &["gpt-4o"]),
            (
                "openai",
                "openai/gpt-4o-2030-01-01",
                &["openai/gpt-4o-2030-01-01", "gpt-4o-2030-01-01", "gpt-4o"],
            ),
            ("openrouter", "openai/gpt-4o", &["openai/gpt-4o"]),
            ("gemini", "models/gemini-2.5-pro", &["models/gemini-2.5-pro", "gemini-2.5-pro"]),
            (
                "vertex-ai",
                "publishers/anthropic/models/claude-opus-4-1@20250805",
                &[
                    "publishers/anthropic/models/claude-opus-4-1@20250805",
                    "claude-opus-4-1@20250805",
                    "claude-opus-4-1",
                ],
            ),
            ("bedrock", "us.amazon.nova-pro-v1:0", &["us.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"]),
            (
                "bedrock",
                "arn:aws:bedrock:us-east-1:1:inference-profile/eu.meta.llama3-2-3b-instruct-v1:0",
                &[
                    "arn:aws:bedrock:us-east-1:1:inference-profile/eu.meta.llama3-2-3b-instruct-v1:0",
                    "eu.meta.llama3-2-3b-instruct-v1:0",
                    "meta.llama3-2-3b-instruct-v1:0",
                ],
            ),
            ("bedrock", "anthropic.x-v1:0:200k", &["anthropic.x-v1:0:200k", "anthropic.x-v1:0"]),
            ("openai", "us.amazon.nova-pro-v1:0", &["us.amazon.nova-pro-v1:0"]),
        ];
        for (provider, name, want) in cases {
            let found: Vec<&str> = spellings(provider, name).into_iter().map(|(name, _)| name).collect();
            assert_eq!(found, want, "{provider} {name}");
        }
    }
}
