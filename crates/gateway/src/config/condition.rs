//! Conditions on what a request says: `when` of a route, in the words that other gateways have for it.
//!
//! A map of what is looked at to what it must be, all of which must hold; `$and` and `$or` hold lists of such maps. What
//! a request does not say is equal to nothing, and neither above nor below anything.

use super::validate::is_header_name;
use http::HeaderName;
use regex::Regex;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt::Display;

/// A condition, ready to be tried.
#[derive(Debug, Clone)]
pub enum Condition {
    /// All of them hold.
    All(Vec<Self>),
    /// One of them holds.
    Any(Vec<Self>),
    /// This is as it must be.
    Is(Subject, Test),
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// `metadata.PATH`: what the client says of the request.
    Metadata(Vec<Box<str>>),
    /// `params.PATH`: a field of its body.
    Params(Vec<Box<str>>),
    /// `headers.NAME`.
    Header(HeaderName),
    /// `query.NAME`: a parameter of its address.
    Query(Box<str>),
    /// `url.path`.
    Path,
}

/// What it must be.
#[derive(Debug, Clone)]
pub enum Test {
    /// `$eq`, `$in`: one of these.
    In(Vec<Value>),
    /// `$ne`, `$nin`: none of these, or not there.
    NotIn(Vec<Value>),
    /// `$gt`, `$gte`, `$lt`, `$lte`: a number on this side of that one.
    Compares(Order, f64),
    /// `$regex`: a text that has this in it.
    Matches(Regex),
}

/// How two numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// `$gt`.
    Above,
    /// `$gte`.
    AtLeast,
    /// `$lt`.
    Below,
    /// `$lte`.
    AtMost,
}

/// What is wrong with a condition, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Begins with `.` or `[`, or is empty.
    pub path: String,
    /// What, and what to do.
    pub message: String,
}

impl Mistake {
    fn new(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    fn under(self, part: impl Display) -> Self {
        Self { path: format!("{part}{}", self.path), ..self }
    }
}

/// What may be looked at, for messages.
const SUBJECTS: &str = "`metadata.NAME`, `params.NAME`, `headers.NAME`, `query.NAME` and `url.path`";
/// What it may be compared by, for messages.
const TESTS: &str = "`$eq`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`, `$in`, `$nin` and `$regex`";

impl Condition {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none, with the place.
    pub fn read(value: &Value) -> Result<Self, Mistake> {
        let Value::Object(map) = value else {
            return Err(Mistake::new(format!(
                "is no condition; write a map of {SUBJECTS} to what each must be"
            )));
        };
        if map.is_empty() {
            return Err(Mistake::new("is empty; say what must hold, or leave it out"));
        }
        let one = |(key, value): (&String, &Value)| {
            let read = match key.as_str() {
                "$and" => several(value).map(Self::All),
                "$or" => several(value).map(Self::Any),
                subject => tests(subject, value),
            };
            read.map_err(|mistake| mistake.under(format_args!(".{key}")))
        };
        map.iter().map(one).collect::<Result<_, _>>().map(Self::All)
    }

    /// Whether it holds of a request of which `find` says what is looked at.
    pub fn holds<'r>(&self, find: &impl Fn(&Subject) -> Option<Cow<'r, Value>>) -> bool {
        match self {
            Self::All(all) => all.iter().all(|condition| condition.holds(find)),
            Self::Any(any) => any.iter().any(|condition| condition.holds(find)),
            Self::Is(subject, test) => test.passes(find(subject).as_deref()),
        }
    }
}

fn several(value: &Value) -> Result<Vec<Condition>, Mistake> {
    let Value::Array(all) = value else {
        return Err(Mistake::new("is no list; write a list of conditions"));
    };
    if all.is_empty() {
        return Err(Mistake::new("is empty; write one condition or more"));
    }
    let read = |(at, value)| Condition::read(value).map_err(|mistake| mistake.under(format_args!("[{at}]")));
    all.iter().enumerate().map(read).collect()
}

/// All that is said of one subject.
fn tests(subject: &str, value: &Value) -> Result<Condition, Mistake> {
    let subject = self::subject(subject)?;
    let is = |test| Condition::Is(subject.clone(), test);
    match value {
        Value::Object(map) if map.is_empty() => Err(Mistake::new(format!("is empty; use one of {TESTS}"))),
        Value::Object(map) => {
            let test = |(key, value): (&String, &Value)| {
                let test = Test::read(key, value).map_err(|mistake| mistake.under(format_args!(".{key}")));
                test.map(is)
            };
            map.iter().map(test).collect::<Result<_, _>>().map(Condition::All)
        }
        Value::Array(_) => Err(Mistake::new("is a list; write `$in` before it")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Ok(is(Test::In(vec![value.clone()])))
        }
    }
}

fn subject(text: &str) -> Result<Subject, Mistake> {
    let unknown = || Mistake::new(format!("is nothing that can be looked at; known are {SUBJECTS}"));
    let (kind, rest) = text.split_once('.').ok_or_else(unknown)?;
    let path = || rest.split('.').map(Into::into).collect::<Vec<Box<str>>>();
    match (kind, rest) {
        (_, "") => Err(unknown()),
        ("metadata", _) => Ok(Subject::Metadata(path())),
        ("params", _) => Ok(Subject::Params(path())),
        ("headers", name) if is_header_name(name) => name.parse().map(Subject::Header).map_err(|_| unknown()),
        ("query", name) => Ok(Subject::Query(name.into())),
        ("url", "path") => Ok(Subject::Path),
        (_, _) => Err(unknown()),
    }
}

impl Test {
    fn read(name: &str, value: &Value) -> Result<Self, Mistake> {
        let number = |order| match as_number(value) {
            Some(number) => Ok(Self::Compares(order, number)),
            None => Err(Mistake::new("is compared with no number; write one")),
        };
        let list = || match value {
            Value::Array(all) => Ok(all.clone()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                Err(Mistake::new("is no list; write a list of values"))
            }
        };
        match name {
            "$eq" => Ok(Self::In(vec![value.clone()])),
            "$ne" => Ok(Self::NotIn(vec![value.clone()])),
            "$in" => list().map(Self::In),
            "$nin" => list().map(Self::NotIn),
            "$gt" => number(Order::Above),
            "$gte" => number(Order::AtLeast),
            "$lt" => number(Order::Below),
            "$lte" => number(Order::AtMost),
            "$regex" => {
                let pattern =
                    value.as_str().ok_or_else(|| Mistake::new("is no text; write a regular expression"))?;
                regex(pattern).map(Self::Matches).map_err(Mistake::new)
            }
            _ => Err(Mistake::new(format!("is no comparison; known are {TESTS}"))),
        }
    }

    fn passes(&self, found: Option<&Value>) -> bool {
        match self {
            Self::In(values) => found.is_some_and(|found| values.iter().any(|value| is_same(found, value))),
            Self::NotIn(values) => {
                !found.is_some_and(|found| values.iter().any(|value| is_same(found, value)))
            }
            Self::Compares(order, than) => found.and_then(as_number).is_some_and(|number| match order {
                Order::Above => number > *than,
                Order::AtLeast => number >= *than,
                Order::Below => number < *than,
                Order::AtMost => number <= *than,
            }),
            Self::Matches(pattern) => found.and_then(as_text).is_some_and(|text| pattern.is_match(&text)),
        }
    }
}

/// Compiles a regular expression.
///
/// # Errors
/// Why it is none, in one line.
pub(super) fn regex(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|why| {
        let why = why.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("is no regular expression: {why}")
    })
}

/// Headers and parameters of addresses are texts, whatever they are compared with.
fn is_same(found: &Value, wanted: &Value) -> bool {
    let number = || as_number(found).zip(as_number(wanted)).is_some_and(|(found, wanted)| found == wanted);
    found == wanted || number() || as_text(found).is_some_and(|found| as_text(wanted) == Some(found))
}

fn as_number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn as_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What stands at `path` of `map`.
#[must_use]
pub fn at<'m>(map: &'m Map<String, Value>, path: &[Box<str>]) -> Option<&'m Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(map.get(&**first)?, |value, key| value.get(&**key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_hold_or_not() {
        let said = json!({"plan": "paid", "seats": 12, "beta": true, "team": {"name": "red"}, "age": "31"});
        let find = |subject: &Subject| match subject {
            Subject::Metadata(path) => at(said.as_object().unwrap(), path).map(Cow::Borrowed),
            Subject::Path => Some(Cow::Owned(json!("/v1/chat/completions"))),
            Subject::Params(_) | Subject::Header(_) | Subject::Query(_) => None,
        };
        for (when, want) in [
            (json!({"metadata.plan": "paid"}), true),
            (json!({"metadata.plan": {"$eq": "free"}}), false),
            (json!({"metadata.plan": {"$ne": "free"}}), true),
            (json!({"metadata.none": {"$ne": "free"}}), true),
            (json!({"metadata.none": {"$eq": null}}), false),
            (json!({"metadata.seats": {"$gt": 12}}), false),
            (json!({"metadata.seats": {"$gte": 12, "$lt": 13}}), true),
            (json!({"metadata.seats": {"$lte": "12"}}), true),
            (json!({"metadata.seats": "12"}), true),
            (json!({"metadata.seats": 12.0}), true),
            (json!({"metadata.age": {"$gt": 30}}), true),
            (json!({"metadata.plan": {"$gt": 1}}), false),
            (json!({"metadata.none": {"$lt": 1}}), false),
            (json!({"metadata.beta": true}), true),
            (json!({"metadata.beta": "true"}), true),
            (json!({"metadata.team.name": {"$in": ["blue", "red"]}}), true),
            (json!({"metadata.team.name": {"$nin": ["blue", "red"]}}), false),
            (json!({"metadata.none": {"$nin": ["blue"]}}), true),
            (json!({"metadata.team": {"$regex": "red"}}), false),
            (json!({"url.path": {"$regex": "^/v1/chat"}}), true),
            (json!({"metadata.plan": "paid", "metadata.seats": 1}), false),
            (json!({"$or": [{"metadata.plan": "free"}, {"metadata.seats": 12}]}), true),
            (
                json!({"$and": [{"metadata.plan": "paid"}, {"$or": [{"metadata.seats": 1}, {"params.n": 1}]}]}),
                false,
            ),
        ] {
            assert_eq!(Condition::read(&when).unwrap().holds(&find), want, "{when}");
        }
    }

    #[test]
    fn what_is_no_condition_is_said_with_its_place() {
        for (when, path, says) in [
            (json!("paid"), "", "is no condition"),
            (json!({}), "", "is empty"),
            (json!({"$or": {}}), ".$or", "is no list"),
            (json!({"$and": []}), ".$and", "is empty"),
            (json!({"$or": [{"url.path": "/"}, 7]}), ".$or[1]", "is no condition"),
            (json!({"$or": [{"metadata.a": {"$like": 1}}]}), ".$or[0].metadata.a.$like", "is no comparison"),
            (json!({"metadata.a": {}}), ".metadata.a", "is empty"),
            (json!({"metadata.a": [1]}), ".metadata.a", "write `$in`"),
            (json!({"metadata.a": {"$in": 1}}), ".metadata.a.$in", "is no list"),
            (json!({"metadata.a": {"$gt": "much"}}), ".metadata.a.$gt", "no number"),
            (json!({"metadata.a": {"$regex": "("}}), ".metadata.a.$regex", "unclosed group"),
            (json!({"metadata.a": {"$regex": 1}}), ".metadata.a.$regex", "is no text"),
            (json!({"metadata": 1}), ".metadata", "nothing that can be looked at"),
            (json!({"url.host": 1}), ".url.host", "nothing that can be looked at"),
            (json!({"headers.x y": 1}), ".headers.x y", "nothing that can be looked at"),
        ] {
            let mistake = Condition::read(&when).unwrap_err();
            assert_eq!(mistake.path, path, "{when}");
            assert!(mistake.message.contains(says), "{when}: {}", mistake.message);
        }
    }
}
