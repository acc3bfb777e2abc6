//! Routes: which pool or backend a request goes to by what it is, rather than by its model's name alone.

use super::Heirlooms;
use super::mirror::Mirror;
use super::pools::{self, Pool};
use crate::config::{Config, ContentRule, RouteSpec};
use crate::fleet::worker::Worker;
use crate::metrics::Metrics;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method};
use regex::Regex;
use serde_json::{Map, Value};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;
use trunkline_dialect::fields::fields;
use trunkline_dialect::rope::Rope;
use trunkline_dialect::scan::Scanned;

/// A route, ready to be tried.
#[derive(Debug)]
pub struct Route {
    /// What explanations call it.
    pub name: Box<str>,
    /// Where it leads.
    pub pool: Arc<Pool>,
    /// Who gets copies, in place of the pool's own.
    pub mirror: Option<Arc<Mirror>>,
    path: Option<Path>,
    methods: Vec<Method>,
    headers: Vec<(HeaderName, HeaderValue)>,
    models: Vec<Box<str>>,
    content: Option<Content>,
}

#[derive(Debug)]
enum Path {
    Whole(Box<str>),
    Beginning(Box<str>),
}

#[derive(Debug)]
enum Content {
    Has { text: String, wanted: bool },
    Matches(Regex),
}

/// A request, as routes see it.
#[derive(Debug)]
pub struct Asking<'a> {
    /// Its head.
    pub head: &'a Parts,
    /// The model it names, if it does.
    pub model: Option<&'a str>,
    body: &'a Rope,
    scanned: &'a Scanned,
    /// Every text of its prompt, read when the first route looks for one.
    prompt: OnceCell<Vec<String>>,
    /// The fields of its body but the prompt, likewise.
    fields: OnceCell<Map<String, Value>>,
}

impl Route {
    /// As described; `None` when it was not described as the configuration's own check wants it.
    pub(super) fn new(spec: &RouteSpec, pool: Arc<Pool>, mirror: Option<Arc<Mirror>>) -> Option<Self> {
        let path = spec.path.as_deref().map(|path| match path.strip_suffix('*') {
            Some(beginning) => Path::Beginning(beginning.into()),
            None => Path::Whole(path.into()),
        });
        let header = |(name, value): (&String, &String)| Some((name.parse().ok()?, value.parse().ok()?));
        let method = |name: &String| Method::from_bytes(name.to_ascii_uppercase().as_bytes()).ok();
        let content = match &spec.content {
            None => None,
            Some(ContentRule::Contains(text)) => {
                Some(Content::Has { text: text.to_lowercase(), wanted: true })
            }
            Some(ContentRule::NotContains(text)) => {
                Some(Content::Has { text: text.to_lowercase(), wanted: false })
            }
            Some(ContentRule::Regex(pattern)) => Some(Content::Matches(Regex::new(pattern).ok()?)),
        };
        Some(Self {
            name: spec.name.as_str().into(),
            pool,
            mirror,
            path,
            methods: spec.methods.iter().map(method).collect::<Option<_>>()?,
            headers: spec.headers.iter().map(header).collect::<Option<_>>()?,
            models: spec.models.iter().map(|model| model.as_str().into()).collect(),
            content,
        })
    }

    /// Whether it is the way of `asking`.
    #[must_use]
    pub fn takes(&self, asking: &Asking<'_>) -> bool {
        let path = asking.head.uri.path();
        let path_fits = match &self.path {
            None => true,
            Some(Path::Whole(whole)) => path == &**whole,
            Some(Path::Beginning(beginning)) => path.starts_with(&**beginning),
        };
        let has = |(name, value): &(HeaderName, HeaderValue)| {
            asking.head.headers.get_all(name).iter().any(|given| given == value)
        };
        path_fits
            && (self.methods.is_empty() || self.methods.contains(&asking.head.method))
            && self.headers.iter().all(has)
            && (self.models.is_empty() || self.models.iter().any(|model| asking.is_for(model)))
            && self.content.as_ref().is_none_or(|content| content.fits(asking))
    }
}

/// The routes of a configuration, those to be looked at first first. One whose backend is not there any more is left
/// out.
pub(super) fn routes(
    config: &Config,
    workers: &[Arc<Worker>],
    pools: &HashMap<Box<str>, Arc<Pool>>,
    heirlooms: &mut Heirlooms,
    metrics: &Metrics,
) -> Vec<Route> {
    let mut specs: Vec<&RouteSpec> = config.routes.iter().collect();
    // Stable, so that routes of one priority keep their order.
    specs.sort_by_key(|spec| spec.priority);
    let mut route = |spec: &RouteSpec| {
        let pool = match pools.get(spec.backend.as_str()) {
            Some(pool) => Arc::clone(pool),
            None => {
                let of = |worker: &&Arc<Worker>| worker.spec.name.as_ref() == Some(&spec.backend);
                Arc::new(pools::alone(workers.iter().find(of)?, heirlooms, metrics))
            }
        };
        let mirror = spec.mirror.as_ref().and_then(|spec| Mirror::new(spec, workers, heirlooms, metrics));
        Route::new(spec, pool, mirror)
    };
    specs.into_iter().filter_map(&mut route).collect()
}

impl<'a> Asking<'a> {
    /// A request with this head, model and body, and what was found in the last.
    #[must_use]
    pub fn new(head: &'a Parts, model: Option<&'a str>, body: &'a Rope, scanned: &'a Scanned) -> Self {
        Self { head, model, body, scanned, prompt: OnceCell::new(), fields: OnceCell::new() }
    }

    fn is_for(&self, pattern: &str) -> bool {
        self.model.is_some_and(|model| matches(pattern, model))
    }

    /// Bytes of its prompt.
    #[must_use]
    pub fn prompt_bytes(&self) -> usize {
        self.scanned.prompt.as_ref().map_or(0, |(_, range)| range.len())
    }

    /// Its prompt as it stands there.
    #[must_use]
    pub fn said(&self) -> Option<Value> {
        let (_, range) = self.scanned.prompt.as_ref()?;
        serde_json::from_slice(&self.body.slice(range.clone())).ok()
    }

    /// What stands beside the prompt.
    pub fn fields(&self) -> &Map<String, Value> {
        self.fields.get_or_init(|| fields(&self.body.joined()))
    }

    fn prompt(&self) -> &[String] {
        self.prompt.get_or_init(|| {
            let mut texts = Vec::new();
            if let Some(prompt) = self.said() {
                gather(prompt, &mut texts);
            }
            texts
        })
    }
}

impl Content {
    fn fits(&self, asking: &Asking<'_>) -> bool {
        let mut texts = asking.prompt().iter();
        match self {
            Self::Has { text, wanted } => texts.any(|found| found.to_lowercase().contains(text)) == *wanted,
            Self::Matches(pattern) => texts.any(|found| pattern.is_match(found)),
        }
    }
}

/// Collects the texts in `value`: those of fields that say what something is are none of the prompt's.
fn gather(value: Value, texts: &mut Vec<String>) {
    const NAMES: [&str; 6] = ["role", "type", "id", "name", "url", "data"];
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(all) => all.into_iter().for_each(|value| gather(value, texts)),
        Value::Object(all) => {
            let said = all.into_iter().filter(|(key, _)| !NAMES.contains(&key.as_str()));
            said.for_each(|(_, value)| gather(value, texts));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether `text` is what `pattern` describes, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_dialect::scan::Scan;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, fits) in [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-*", "gpt-4o", true),
            ("*", "", true),
            ("*-mini", "gpt-4o-mini", true),
            ("gpt-*-mini", "gpt-mini", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn only_what_is_said_is_searched() {
        let prompt = serde_json::json!([
            {"role": "assistant", "content": "One"},
            {"role": "user", "content": [{"type": "text", "text": "Two"}, {"type": "image_url", "image_url": {"url": "x"}}]},
        ]);
        let mut texts = Vec::new();
        gather(prompt, &mut texts);
        assert_eq!(texts, ["One", "Two"]);
    }

    #[test]
    fn a_prompt_is_read_once_for_all_routes() {
        let bytes = br#"{"model": "m", "messages": [{"role": "user", "content": "One"}]}"#;
        let mut scan = Scan::new(8);
        scan.push(bytes).unwrap();
        let (head, body) = (http::Request::new(()).into_parts().0, Rope::from(bytes.to_vec()));
        let scanned = scan.finish().unwrap();
        let asking = Asking::new(&head, None, &body, &scanned);
        assert!(Content::Matches(Regex::new("^One$").unwrap()).fits(&asking));
        let first = asking.prompt().as_ptr();
        assert!(!Content::Has { text: "two".to_owned(), wanted: true }.fits(&asking));
        assert_eq!(asking.prompt().as_ptr(), first);
    }
}
