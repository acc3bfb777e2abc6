//! Routes: which pool or backend a request goes to by what it is, rather than by its model's name alone.

use super::Heirlooms;
use super::mirror::Mirror;
use super::pools::{self, Pool};
use crate::config::condition::{Condition, Subject, at};
use crate::config::{Config, ContentRule, RouteSpec, Window};
use crate::fleet::worker::Worker;
use crate::metrics::Metrics;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method};
use regex::Regex;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::SystemTime;
use trunkline_core::{Dialect, OnUnsupported};
use trunkline_dialect::fields::fields;
use trunkline_dialect::rope::Rope;
use trunkline_dialect::scan::Scanned;

/// Headers in which clients say more of a request than its body has room for.
const METADATA: [&str; 3] = ["x-trunkline-metadata", "x-litellm-spend-logs-metadata", "x-portkey-metadata"];
/// Bytes of a prompt that are about one token, its JSON included.
const TOKEN: usize = 4;

/// A route, ready to be tried.
#[derive(Debug)]
pub struct Route {
    /// What explanations call it.
    pub name: Arc<str>,
    /// Where it leads.
    pub pool: Arc<Pool>,
    /// Who gets copies, in place of the pool's own.
    pub mirror: Option<Arc<Mirror>>,
    /// The region that its requests must stay in.
    pub region: Option<Box<str>>,
    /// What becomes of what a target cannot take, where that is said of the route.
    pub on_unsupported: Option<OnUnsupported>,
    rule: Arc<Rule>,
}

/// What a request has to be for a route to take it. It depends on the configuration alone: patterns are dear to
/// compile, and a fleet changes far more often.
#[derive(Debug)]
pub(super) struct Rule {
    path: Option<Path>,
    methods: Vec<Method>,
    headers: Vec<(HeaderName, HeaderValue)>,
    models: Vec<Box<str>>,
    query: Vec<(Box<str>, Box<str>)>,
    dialects: Vec<Dialect>,
    prompt_tokens: RangeInclusive<u64>,
    has_image: Option<bool>,
    has_tools: Option<bool>,
    during: Option<Window>,
    when: Option<Condition>,
    content: Option<Content>,
    /// Of those that all of this fits, 0 to 100.
    percent: f64,
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
    /// What its client speaks.
    dialect: Dialect,
    /// Whether its answer is to be streamed.
    stream: bool,
    body: &'a Rope,
    scanned: &'a Scanned,
    /// Every text of its prompt, read when the first route looks for one.
    prompt: OnceCell<Vec<String>>,
    /// The fields of its body but the prompt, likewise.
    fields: OnceCell<Map<String, Value>>,
}

impl Route {
    /// Whether it is the way of `asking`.
    #[must_use]
    pub fn takes(&self, asking: &Asking<'_>) -> bool {
        self.rule.fits(asking)
    }
}

impl Rule {
    /// As described; `None` when it was not described as the configuration's own check wants it.
    pub(super) fn new(spec: &RouteSpec) -> Option<Self> {
        let path = spec.path.as_deref().map(|path| match path.strip_suffix('*') {
            Some(beginning) => Path::Beginning(beginning.into()),
            None => Path::Whole(path.into()),
        });
        let header = |(name, value): (&String, &String)| Some((name.parse().ok()?, value.parse().ok()?));
        let method = |name: &String| Method::from_bytes(name.to_ascii_uppercase().as_bytes()).ok();
        let dialect = |name: &String| Dialect::ALL.into_iter().find(|dialect| dialect.name() == name);
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
            path,
            methods: spec.methods.iter().map(method).collect::<Option<_>>()?,
            headers: spec.headers.iter().map(header).collect::<Option<_>>()?,
            models: spec.models.iter().map(|model| model.as_str().into()).collect(),
            query: spec
                .query
                .iter()
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
            dialects: spec.dialects.iter().map(dialect).collect::<Option<_>>()?,
            prompt_tokens: spec.min_prompt_tokens.unwrap_or(0)..=spec.max_prompt_tokens.unwrap_or(u64::MAX),
            has_image: spec.has_image,
            has_tools: spec.has_tools,
            during: spec.during.as_ref().map(Window::read).transpose().ok()?,
            when: spec.when.as_ref().map(|when| Condition::read(&when.0)).transpose().ok()?,
            content,
            percent: spec.percent,
        })
    }

    fn fits(&self, asking: &Asking<'_>) -> bool {
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
            && (self.dialects.is_empty() || self.dialects.contains(&asking.dialect))
            && self.query.iter().all(|(name, value)| asking.query(name).is_some_and(|given| given == **value))
            && self.prompt_tokens.contains(&asking.prompt_tokens())
            && self.during.as_ref().is_none_or(|window| window.is_open(SystemTime::now()))
            && self.when.as_ref().is_none_or(|when| when.holds(&|subject| asking.find(subject)))
            && self.has_tools.is_none_or(|wanted| asking.has_tools() == wanted)
            && self.has_image.is_none_or(|wanted| asking.said().is_some_and(|said| has_image(&said)) == wanted)
            && self.content.as_ref().is_none_or(|content| content.fits(asking))
            // Last, so that what is drawn from are those that fit.
            && (self.percent >= 100.0 || fastrand::f64() * 100.0 < self.percent)
    }
}

/// The routes of a configuration, those to be looked at first first. One whose backend is not there any more is left
/// out.
pub(super) fn routes(
    config: &Arc<Config>,
    workers: &[Arc<Worker>],
    pools: &HashMap<Box<str>, Arc<Pool>>,
    heirlooms: &mut Heirlooms,
    metrics: &Metrics,
) -> Vec<Route> {
    let rules = heirlooms.rules(config);
    let mut specs: Vec<_> = config.routes.iter().zip(&*rules).collect();
    // Stable, so that routes of one priority keep their order.
    specs.sort_by_key(|(spec, _)| spec.priority);
    let route = |(spec, rule): (&RouteSpec, &Option<Arc<Rule>>)| {
        let rule = Arc::clone(rule.as_ref()?);
        let pool = match pools.get(spec.backend.as_str()) {
            Some(pool) => Arc::clone(pool),
            None => {
                let of = |worker: &&Arc<Worker>| worker.spec.name.as_ref() == Some(&spec.backend);
                Arc::new(pools::alone(config, workers.iter().find(of)?, heirlooms, metrics))
            }
        };
        let mirror = spec.mirror.as_ref().and_then(|spec| Mirror::new(spec, workers, heirlooms, metrics));
        Some(Route {
            name: spec.name.as_str().into(),
            pool,
            mirror,
            region: spec.region.as_deref().map(Into::into),
            on_unsupported: spec.on_unsupported_param,
            rule,
        })
    };
    specs.into_iter().filter_map(route).collect()
}

impl<'a> Asking<'a> {
    /// A request with this head, model and body, and what was found in the last; `way` is what its client speaks, and
    /// whether the answer is to be streamed.
    #[must_use]
    pub fn new(
        head: &'a Parts,
        model: Option<&'a str>,
        way: (Dialect, bool),
        body: &'a Rope,
        scanned: &'a Scanned,
    ) -> Self {
        let (dialect, stream) = way;
        let (prompt, fields) = (OnceCell::new(), OnceCell::new());
        Self { head, model, dialect, stream, body, scanned, prompt, fields }
    }

    /// What a condition looks at.
    fn find(&self, subject: &Subject) -> Option<Cow<'_, Value>> {
        let text = |text: &str| Cow::Owned(Value::from(text));
        match subject {
            Subject::Path => Some(text(self.head.uri.path())),
            Subject::Header(name) => self.head.headers.get(name)?.to_str().ok().map(text),
            Subject::Query(name) => self.query(name).map(|value| text(&value)),
            Subject::Metadata(path) => self.metadata(path),
            Subject::Params(path) => match path.as_slice() {
                [field] if &**field == "model" => self.model.map(text),
                [field] if &**field == "stream" => Some(Cow::Owned(self.stream.into())),
                path => at(self.fields(), path).map(Cow::Borrowed),
            },
        }
    }

    /// What the client says of the request: in a header, or else in the body.
    fn metadata(&self, path: &[Box<str>]) -> Option<Cow<'_, Value>> {
        let header = METADATA.iter().find_map(|name| self.head.headers.get(*name));
        let said = header.and_then(|said| serde_json::from_slice::<Map<String, Value>>(said.as_bytes()).ok());
        let found = said.and_then(|said| at(&said, path).cloned()).map(Cow::Owned);
        let own = || at(self.fields().get("metadata")?.as_object()?, path).map(Cow::Borrowed);
        found.or_else(own)
    }

    /// A parameter of its address.
    fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        let pairs =
            self.head.uri.query()?.split('&').filter_map(|pair| pair.split_once('=').or(Some((pair, ""))));
        let decoded = |text: &'a str| percent_encoding::percent_decode_str(text).decode_utf8().ok();
        let found = pairs.into_iter().find(|(key, _)| decoded(key).is_some_and(|key| key == name));
        found.and_then(|(_, value)| decoded(value))
    }

    /// Whether the model is given tools, in any dialect's words.
    fn has_tools(&self) -> bool {
        let named = ["tools", "functions"].iter().filter_map(|key| self.fields().get(*key));
        let nested = self.fields().get("toolConfig").and_then(|config| config.get("tools"));
        named.chain(nested).any(|tools| tools.as_array().is_some_and(|tools| !tools.is_empty()))
    }

    /// About how many tokens its prompt has, tools and what the system says included: four bytes of it, JSON
    /// included, are about one.
    #[must_use]
    pub fn prompt_tokens(&self) -> u64 {
        (self.prompt_bytes() / TOKEN) as u64
    }

    fn is_for(&self, pattern: &str) -> bool {
        self.model.is_some_and(|model| matches(pattern, model))
    }

    fn prompt_bytes(&self) -> usize {
        self.scanned.read_by_model().map(|range| range.len()).sum()
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

/// Whether there is a picture in a prompt, in any dialect's words.
fn has_image(prompt: &Value) -> bool {
    match prompt {
        Value::Array(all) => all.iter().any(has_image),
        Value::Object(all) => {
            let kind = all.get("type").and_then(Value::as_str).unwrap_or_default();
            let is_picture = |(key, value): (&String, &Value)| match key.as_str() {
                "inlineData" | "inline_data" | "fileData" | "file_data" => {
                    let kind = value.get("mimeType").or_else(|| value.get("mime_type"));
                    kind.and_then(Value::as_str).is_some_and(|kind| kind.starts_with("image/"))
                }
                "images" => value.as_array().is_some_and(|images| !images.is_empty()),
                // Bedrock's parts have no types.
                "image" => value.get("source").is_some(),
                _ => has_image(value),
            };
            ["image", "image_url", "input_image"].contains(&kind) || all.iter().any(is_picture)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
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
    use crate::snapshot::Snapshot;
    use crate::walk::admit::Admission;
    use serde_json::json;
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

    /// A worker that comes or goes has no pattern compiled anew; another configuration has.
    #[test]
    fn rules_are_read_once_per_configuration() {
        let config = |pattern: &str| {
            let route = json!({"name": "route", "backend": "pool", "content": {"regex": pattern}});
            let pool = json!({"name": "pool", "backends": [{"name": "one"}]});
            let routes = vec![serde_json::from_value(route).unwrap()];
            let pools = vec![serde_json::from_value(pool).unwrap()];
            Arc::new(Config { routes, pools, ..Config::default() })
        };
        let mut heirlooms = Heirlooms::new(1 << 20);
        let mut rule = |config: &Arc<Config>| {
            let metrics = Metrics::new(&config.metrics.duration_buckets).unwrap();
            let admission = Arc::new(Admission::new(&config.limits));
            let snapshot =
                Snapshot::build(Arc::clone(config), 0, Vec::new(), admission, &mut heirlooms, &metrics);
            Arc::clone(&snapshot.routes[0].rule)
        };
        let (one, other) = (config("a+"), config("b+"));
        let first = rule(&one);
        assert!(Arc::ptr_eq(&first, &rule(&one)));
        let second = rule(&other);
        assert!(matches!(&second.content, Some(Content::Matches(pattern)) if pattern.as_str() == "b+"));
    }

    #[test]
    fn only_what_is_said_is_searched() {
        let prompt = json!([
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
        let asking = Asking::new(&head, None, (Dialect::OpenaiChat, false), &body, &scanned);
        assert!(Content::Matches(Regex::new("^One$").unwrap()).fits(&asking));
        let first = asking.prompt().as_ptr();
        assert!(!Content::Has { text: "two".to_owned(), wanted: true }.fits(&asking));
        assert_eq!(asking.prompt().as_ptr(), first);
    }
}
