//! Vertex AI, where everything is below a project, a location and whose model it is.

use super::{Provider, named};

/// Google Cloud's, of Google's own models.
pub const VERTEX: &str = "vertex-ai";
/// Google Cloud's, of Anthropic's models.
pub const VERTEX_CLAUDE: &str = "vertex-anthropic";

/// Where the models of `provider`, one of the two, are: below `address` or, without one, the public one of `location`.
#[must_use]
pub fn url(provider: &str, address: Option<&str>, project: &str, location: &str) -> String {
    let publisher = if provider == VERTEX_CLAUDE { "anthropic" } else { "google" };
    let base = address.map_or_else(|| host(location), |address| address.trim_end_matches('/').to_owned());
    format!("{base}/v1/projects/{project}/locations/{location}/publishers/{publisher}")
}

/// The public address of a location.
#[must_use]
pub fn host(location: &str) -> String {
    match location {
        "global" => "https://aiplatform.googleapis.com".to_owned(),
        "us" | "eu" => format!("https://aiplatform.{location}.rep.googleapis.com"),
        region => format!("https://{region}-aiplatform.googleapis.com"),
    }
}

/// Whether `host`, in lower case, is one of its public ones.
pub(super) fn is_host(host: &str) -> bool {
    let place = host.strip_suffix(".googleapis.com").unwrap_or_default();
    place == "aiplatform"
        || place.ends_with("-aiplatform")
        || place.strip_prefix("aiplatform.").is_some_and(|place| place.ends_with(".rep"))
}

/// Whether `host` is the public one of no location in particular.
pub(super) fn is_global(host: &str) -> bool {
    host == "aiplatform.googleapis.com"
}

/// Whether models of this name are Anthropic's there.
#[must_use]
pub fn is_claude(model: &str) -> bool {
    model.to_ascii_lowercase().starts_with("claude")
}

/// The provider that is meant by `source` for `model`: both of Vertex AI's go by one name.
#[must_use]
pub fn meant<'a>(source: &'a str, model: &str) -> &'a str {
    let is_vertex = named(source).is_some_and(|provider| provider.id == VERTEX);
    if is_vertex && is_claude(model) { VERTEX_CLAUDE } else { source }
}

/// Who offers the models of `owner` besides itself, under the same names.
pub(super) fn reseller(owner: &Provider) -> Option<&'static Provider> {
    match owner.id {
        "gemini" => named(VERTEX),
        "anthropic" => named(VERTEX_CLAUDE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_their_location() {
        for (provider, address, location, want) in [
            (
                VERTEX,
                None,
                "us-central1",
                "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/publishers/google",
            ),
            (
                VERTEX_CLAUDE,
                None,
                "global",
                "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/anthropic",
            ),
            (
                VERTEX,
                None,
                "eu",
                "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu/publishers/google",
            ),
            (
                VERTEX,
                Some("http://127.0.0.1:1/"),
                "eu",
                "http://127.0.0.1:1/v1/projects/p/locations/eu/publishers/google",
            ),
        ] {
            let url = url(provider, address, "p", location);
            assert_eq!(url, want);
            let host = url.split('/').nth(2).unwrap_or_default();
            assert_eq!(is_host(host), address.is_none(), "{host}");
        }
        for host in [
            "generativelanguage.googleapis.com",
            "aiplatform.googleapis.com.example",
            "aiplatform.x.googleapis.com",
        ] {
            assert!(!is_host(host), "{host}");
        }
    }

    #[test]
    fn claude_is_asked_of_its_own_half() {
        for (source, model, want) in [
            ("vertex-ai", "claude-sonnet-4-5@20250929", VERTEX_CLAUDE),
            ("vertex", "claude-sonnet-4-5", VERTEX_CLAUDE),
            ("vertex", "gemini-2.5-pro", "vertex"),
            ("anthropic", "claude-sonnet-4-5", "anthropic"),
        ] {
            assert_eq!(meant(source, model), want, "{source}/{model}");
        }
    }
}
