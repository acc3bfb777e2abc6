//! Pools and routes: which of several backends answers, and who is meant by a request.
//!
//! A backend is a worker with a name; other files' words for all of these are lowered into what stands here.

use super::validate::is_header_name;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use trunkline_core::OnUnsupported;

/// Several backends that answer for each other.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PoolSpec {
    /// What routes, aliases and clients (as `model`) call it.
    pub name: String,
    /// How one of them is chosen.
    #[serde(default)]
    pub strategy: Strategy,
    /// What the `latency` strategy looks at.
    #[serde(default)]
    pub latency: LatencySpec,
    /// Whom the `cost` strategy leaves out.
    #[serde(default)]
    pub cost: CostSpec,
    /// What callers are told apart by where the strategy is `ab` (`user` when absent) or `sticky` (`session` when
    /// absent): `user`, the end user that a request names; `key`, the caller's credential; `session`, the conversation;
    /// `header:NAME`, what that header says. A request without it goes by chance. With `consistent_hashing` and
    /// `manual` it stands in place of the routing key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<StickyBy>,
    /// Whether another one answers when the chosen one fails, with its own default model where it does not serve
    /// the one asked for.
    #[serde(default)]
    pub fallback: bool,
    /// Who gets copies of requests that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorSpec>,
    /// The region that all calls through it must stay in; those of its backends that are not in it get none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Who is in it, in order. A member may be another pool.
    #[serde(alias = "members")]
    pub backends: Vec<MemberSpec>,
}

/// One backend's share of a pool, pools in it taken apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share<'a> {
    /// Who, and what it is asked for.
    pub member: &'a MemberSpec,
    /// Its share, against those of the others.
    pub weight: u32,
    /// Its place, 0 for the first, where the pool goes by order.
    pub tier: Option<u8>,
    /// The region that the pools it is in demand.
    pub region: Option<&'a str>,
}

/// What a pool or backend has of the pools around it.
#[derive(Debug, Clone, Copy)]
struct Within<'a> {
    part: f64,
    region: Option<&'a str>,
    /// Levels of pools that may follow.
    depth: usize,
}

/// Most levels of pools in pools.
pub(super) const DEEPEST: usize = 8;
/// What the shares of a pool with pools in it add up to.
const WHOLE: f64 = 1e6;

impl PoolSpec {
    /// A pool that goes by order and does not fall back.
    #[must_use]
    pub fn new(name: String, backends: Vec<MemberSpec>) -> Self {
        Self {
            name,
            strategy: Strategy::default(),
            latency: LatencySpec::default(),
            cost: CostSpec::default(),
            sticky: None,
            mirror: None,
            fallback: false,
            region: None,
            backends,
        }
    }

    /// Every backend in it, and in the pools in it. What is a pool's share is shared out among its own.
    #[must_use]
    pub fn flattened<'a>(&'a self, all: &'a [Self]) -> Vec<Share<'a>> {
        let mut leaves = Vec::new();
        self.leaves(all, Within { part: 1.0, region: None, depth: DEEPEST }, &mut 0, &mut leaves);
        let is_nested = self.backends.iter().any(|member| member.pool(all).is_some());
        let by_order = self.strategy == Strategy::Priority;
        let share = |(member, Within { part, region, .. }, place): (&'a MemberSpec, Within<'a>, u8)| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a part is from 0 to 1"
            )]
            let weight = if is_nested { (part * WHOLE).ceil() as u32 } else { member.weight };
            Share { member, weight, tier: by_order.then_some(place), region }
        };
        leaves.into_iter().map(share).collect()
    }

    /// Collects backends with their part of what it has, and their place; places count up through pools that go by
    /// order.
    fn leaves<'a>(
        &'a self,
        all: &'a [Self],
        Within { part, region, depth }: Within<'a>,
        place: &mut u8,
        found: &mut Vec<(&'a MemberSpec, Within<'a>, u8)>,
    ) {
        let region = self.region.as_deref().or(region);
        let by_order = self.strategy == Strategy::Priority;
        let total = self.backends.iter().map(|member| f64::from(member.weight)).sum::<f64>();
        for member in &self.backends {
            let own = match f64::from(member.weight) {
                0.0 => 0.0,
                _ if by_order => part,
                weight => part * weight / total,
            };
            let within = Within { part: own, region, depth: depth.saturating_sub(1) };
            match member.pool(all).filter(|_| depth > 0) {
                Some(inner) => inner.leaves(all, within, place, found),
                None => found.push((member, within, *place)),
            }
            if by_order {
                *place = place.saturating_add(1);
            }
        }
    }

    /// The pool that says how one of those that stand first is chosen: one that goes by order leaves it to the pools in
    /// it.
    #[must_use]
    pub fn chooser<'a>(&'a self, all: &'a [Self]) -> &'a Self {
        if self.strategy != Strategy::Priority {
            return self;
        }
        let mut inner = self.backends.iter().filter_map(|member| Some(member.pool(all)?.chooser(all)));
        inner.find(|pool| pool.strategy != Strategy::Priority).unwrap_or(self)
    }

    /// What callers are told apart by, where that matters.
    #[must_use]
    pub fn sticks_by(&self) -> Option<StickyBy> {
        match self.strategy {
            Strategy::Ab => Some(self.sticky.clone().unwrap_or(StickyBy::User)),
            Strategy::Sticky => Some(self.sticky.clone().unwrap_or(StickyBy::Session)),
            Strategy::ConsistentHashing | Strategy::Manual => self.sticky.clone(),
            Strategy::Priority
            | Strategy::RoundRobin
            | Strategy::Random
            | Strategy::LeastConnections
            | Strategy::Latency
            | Strategy::Cost
            | Strategy::Usage
            | Strategy::PowerOfTwo
            | Strategy::CacheAware
            | Strategy::PrefixHash
            | Strategy::LeastLoad
            | Strategy::Bucket => None,
        }
    }

    /// A pool in it that demands another region than `region`.
    fn elsewhere<'a>(&self, region: &str, all: &'a [Self], depth: usize) -> Option<&'a str> {
        let depth = depth.checked_sub(1)?;
        self.backends.iter().filter_map(|member| member.pool(all)).find_map(|pool| {
            let is_other = pool.region.as_ref().is_some_and(|own| !own.eq_ignore_ascii_case(region));
            if is_other { Some(pool.name.as_str()) } else { pool.elsewhere(region, all, depth) }
        })
    }

    /// Why the pools in it cannot be taken apart, if that is so. Cycles are found elsewhere.
    #[must_use]
    pub fn nesting_problem(&self, all: &[Self]) -> Option<String> {
        let inner: Vec<&Self> = self.backends.iter().filter_map(|member| member.pool(all)).collect();
        if let Some(other) = self.region.as_deref().and_then(|own| self.elsewhere(own, all, DEEPEST)) {
            return Some(format!(
                "has pool `{other}` in it, which demands another region; nobody is in both"
            ));
        }
        if self.strategy != Strategy::Priority {
            let other = inner.iter().find(|pool| pool.strategy != self.strategy)?;
            return Some(format!(
                "has pool `{}` in it, which chooses in another way; give both the same `strategy`, or make the outer one `priority`",
                other.name
            ));
        }
        let mut ways = inner.iter().filter(|pool| pool.strategy != Strategy::Priority);
        let first = ways.next()?;
        let other = ways.find(|pool| pool.strategy != first.strategy)?;
        Some(format!(
            "has pools `{}` and `{}` in it, which choose in different ways; give both the same `strategy`",
            first.name, other.name
        ))
    }
}

impl MemberSpec {
    /// A whole share, asked for what clients ask for.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self { name, weight: 1, label: None, model: None, model_map: BTreeMap::new() }
    }

    /// What tells it from the others of its pool, and from them alone: it stays the same whatever else changes.
    #[must_use]
    pub fn variant(&self) -> String {
        match (&self.label, &self.model) {
            (Some(label), _) => label.clone(),
            (None, Some(model)) => format!("{}/{model}", self.name),
            (None, None) => self.name.clone(),
        }
    }

    fn pool<'a>(&self, all: &'a [PoolSpec]) -> Option<&'a PoolSpec> {
        all.iter().find(|pool| pool.name == self.name)
    }
}

/// How one of a pool is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The first that is ready, in order.
    #[default]
    #[serde(alias = "single", alias = "fallback")]
    Priority,
    /// In turn, each as often as its weight says.
    #[serde(alias = "weighted", alias = "loadbalance", alias = "round-robin")]
    RoundRobin,
    /// By chance, each as often as its weight says.
    Random,
    /// The one with fewest calls in flight for its weight.
    #[serde(alias = "least-connections", alias = "least_busy")]
    LeastConnections,
    /// The one that has answered fastest lately.
    #[serde(alias = "least-latency")]
    Latency,
    /// The cheapest for this request.
    #[serde(alias = "cost-optimized")]
    Cost,
    /// The one that has used the smallest share of its limits: `rpm` and `tpm`, and what its provider says.
    #[serde(alias = "usage_based", alias = "usage-based", alias = "usage-based-routing-v2")]
    Usage,
    /// Each has as many callers as its weight says, and each caller always comes to the same one.
    #[serde(alias = "split", alias = "canary", alias = "ab-test")]
    Ab,
    /// The same, whatever the weights.
    Sticky,
    /// The less loaded of two drawn by chance.
    #[serde(alias = "power-of-two")]
    PowerOfTwo,
    /// The one that holds most of the prompt in its KV cache, unless others wait there: `policy: cache_aware`.
    #[serde(alias = "cache-aware")]
    CacheAware,
    /// By how the prompt begins: `policy: prefix_hash`.
    #[serde(alias = "prefix-hash")]
    PrefixHash,
    /// By who calls: `policy: consistent_hashing`.
    #[serde(alias = "consistent-hashing")]
    ConsistentHashing,
    /// By what engines say they have to do: `policy: least_load`.
    #[serde(alias = "least-load")]
    LeastLoad,
    /// By how long the prompt is: `policy: bucket`.
    Bucket,
    /// By the routing key that the caller names: `policy: manual`.
    Manual,
}

/// What callers are told apart by.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum StickyBy {
    /// The end user that the request names.
    User,
    /// The caller's credential.
    Key,
    /// The conversation.
    Session,
    /// What this header says.
    Header(String),
}

impl StickyBy {
    /// How a header is named.
    const HEADER: &'static str = "header:";
}

impl TryFrom<String> for StickyBy {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "user" => Ok(Self::User),
            "key" => Ok(Self::Key),
            "session" => Ok(Self::Session),
            other => match other.strip_prefix(Self::HEADER).map(str::trim) {
                Some(name) if is_header_name(name) => Ok(Self::Header(name.to_ascii_lowercase())),
                Some(_) => Err("no header has this name; write it as `header:x-session-id`".to_owned()),
                None => Err("use one of `user`, `key`, `session`, `header:NAME`".to_owned()),
            },
        }
    }
}

impl From<StickyBy> for String {
    fn from(by: StickyBy) -> Self {
        match by {
            StickyBy::User => "user".to_owned(),
            StickyBy::Key => "key".to_owned(),
            StickyBy::Session => "session".to_owned(),
            StickyBy::Header(name) => format!("{}{name}", StickyBy::HEADER),
        }
    }
}

/// Whom the `cost` strategy leaves out: they are asked in no case, also when nobody else is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CostSpec {
    /// Most US dollars that a call may cost: its prompt, as estimated, and an answer of 500 tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_price: Option<f64>,
    /// What becomes of backends whose price is not known.
    pub unpriced: Unpriced,
}

/// What becomes of backends whose price is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unpriced {
    /// They come after those whose price is.
    #[default]
    Last,
    /// They are left out.
    Skip,
}

/// What the `latency` strategy looks at.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LatencySpec {
    /// Which time.
    pub metric: LatencyMetric,
    /// Which of the times seen lately, 0 to 1: 0.5 is the median, 0.9 lies above nine of ten.
    pub percentile: f64,
    /// How far back it looks.
    #[serde(with = "super::units::duration")]
    pub window: Duration,
    /// Share of requests, 0 to 1, that go to one drawn by weight instead, so that one that has become faster is
    /// noticed.
    pub explore: f64,
}

impl Default for LatencySpec {
    fn default() -> Self {
        Self { metric: LatencyMetric::Ttft, percentile: 0.9, window: Duration::from_secs(300), explore: 0.05 }
    }
}

/// Which time of an answer is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LatencyMetric {
    /// Until the first content, or until the whole answer where it is not streamed.
    #[default]
    Ttft,
    /// From the first content to the end, for each token.
    PerToken,
    /// Until the end.
    Total,
}

/// One backend's part in a pool.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MemberSpec {
    /// A backend, or another pool.
    pub name: String,
    /// Its share, against those of the others; 0 takes it out. What the strategy does not weigh by is settled by it
    /// where two are equal.
    #[serde(default = "one")]
    pub weight: u32,
    /// What it is called as a variant of an experiment (`strategy: ab`) in answers, logs and metrics; its name, with the
    /// model where one is set, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The model that it is always asked for, whatever the client asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Models that it is asked for in place of others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub model_map: BTreeMap<String, String>,
}

/// Which requests go where.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteSpec {
    /// What explanations call it.
    pub name: String,
    /// Lower ones are looked at first; those of one priority in order.
    pub priority: i32,
    /// The request's path: all of it, or its beginning where this ends in `*`; any when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// HTTP methods; any when empty.
    pub methods: Vec<String>,
    /// Headers that must be there, each with this value.
    pub headers: BTreeMap<String, String>,
    /// Models that may be asked for, `*` standing for anything; any when empty.
    pub models: Vec<String>,
    /// Parameters that the address must have, each with this value.
    pub query: BTreeMap<String, String>,
    /// What clients may speak (`openai-chat`, `anthropic-messages`, ...); anything when empty.
    pub dialects: Vec<String>,
    /// Least tokens of the prompt, which are estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_prompt_tokens: Option<u64>,
    /// Most tokens of the prompt, which are estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_prompt_tokens: Option<u64>,
    /// Whether the prompt must have pictures in it, or must not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_image: Option<bool>,
    /// Whether the model must be given tools, or must not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_tools: Option<bool>,
    /// Share of the requests that all of this fits, 0 to 100, drawn by chance; the others go on to the next route.
    pub percent: f64,
    /// When it is open; always when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub during: Option<WindowSpec>,
    /// What else the request must say: `metadata.NAME`, `params.NAME` (a field of the body), `headers.NAME`,
    /// `query.NAME` or `url.path`, each with a value or with `$eq`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`, `$in`, `$nin` or
    /// `$regex`; `$and` and `$or` hold lists of such maps. What is not said is equal to nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<WhenSpec>,
    /// What the prompt must have in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentRule>,
    /// The region that they must stay in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What becomes of parameters the target cannot take, in place of `translate.on_unsupported_param`; a request's own
    /// header goes before both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_unsupported_param: Option<OnUnsupported>,
    /// The pool or backend that answers.
    #[serde(alias = "pool")]
    pub backend: String,
    /// Who gets copies of these requests, in place of the pool's own mirror.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorSpec>,
}

impl Default for RouteSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            priority: 0,
            path: None,
            methods: Vec::new(),
            headers: BTreeMap::new(),
            models: Vec::new(),
            query: BTreeMap::new(),
            dialects: Vec::new(),
            min_prompt_tokens: None,
            max_prompt_tokens: None,
            has_image: None,
            has_tools: None,
            percent: whole(),
            during: None,
            when: None,
            content: None,
            region: None,
            on_unsupported_param: None,
            backend: String::new(),
            mirror: None,
        }
    }
}

/// When a route is open: from one time of day to another, which may lie behind midnight, on some days of the week.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WindowSpec {
    /// `mon` to `sun`; every day when empty. A window over midnight belongs to the day on which it begins.
    pub days: Vec<String>,
    /// Time of day, such as `08:30`.
    pub from: String,
    /// Time of day from which on it is closed, `24:00` for the end of the day.
    pub until: String,
    /// What these times are ahead of UTC, such as `+01:00`.
    pub offset: String,
}

impl Default for WindowSpec {
    fn default() -> Self {
        let text = str::to_owned;
        Self { days: Vec::new(), from: text("00:00"), until: text("24:00"), offset: text("+00:00") }
    }
}

/// A condition as it was written; its own check reads it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct WhenSpec(pub serde_json::Value);

/// A backend that gets copies of requests, so that it can be compared with who answers. Its answers are read and thrown
/// away; callers' own keys do not reach it, nor do requests that store something. Where it is to answer nobody else, give
/// it `weight: 0`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorSpec {
    /// The backend. It is asked for its own `default_model` in place of a model that it does not serve.
    pub backend: String,
    /// Share of the requests that are copied, 0 to 100, drawn by chance.
    #[serde(default = "whole")]
    pub percent: f64,
    /// Most copies under way at once; what comes meanwhile is not copied, but counted.
    #[serde(default = "mirrored_at_once")]
    pub concurrency: usize,
    /// Longest that a copy may take.
    #[serde(default = "mirror_timeout", with = "super::units::duration")]
    pub timeout: Duration,
}

impl MirrorSpec {
    /// Copies of everything.
    #[must_use]
    pub fn new(backend: String) -> Self {
        Self { backend, percent: whole(), concurrency: mirrored_at_once(), timeout: mirror_timeout() }
    }
}

const fn whole() -> f64 {
    100.0
}

const fn mirrored_at_once() -> usize {
    16
}

const fn mirror_timeout() -> Duration {
    Duration::from_secs(60)
}

/// What a prompt must, or must not, have in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ContentRule {
    /// This text, in any case.
    Contains(String),
    /// Not this text, in any case.
    NotContains(String),
    /// Something that this regular expression matches.
    Regex(String),
}

const fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(yaml: &str) -> Vec<PoolSpec> {
        serde_saphyr::from_str(yaml).unwrap()
    }

    fn shares<'a>(pool: &'a PoolSpec, all: &'a [PoolSpec]) -> Vec<(&'a str, u32, Option<u8>)> {
        pool.flattened(all)
            .iter()
            .map(|share| (share.member.name.as_str(), share.weight, share.tier))
            .collect()
    }

    #[test]
    fn pools_in_pools_share_what_is_theirs() {
        let all = pools(
            "
- {name: outer, strategy: weighted, backends: [{name: a, weight: 70}, {name: inner, weight: 30}]}
- {name: inner, strategy: weighted, backends: [{name: b, weight: 2}, {name: c}]}
- {name: chain, backends: [{name: inner}, {name: d}, {name: e, weight: 0}]}",
        );
        assert_eq!(shares(&all[0], &all), [("a", 700_000, None), ("b", 200_000, None), ("c", 100_000, None)]);
        assert_eq!(shares(&all[1], &all), [("b", 2, None), ("c", 1, None)]);
        let chain = shares(&all[2], &all);
        assert_eq!(
            chain.iter().map(|(name, _, tier)| (*name, tier.unwrap())).collect::<Vec<_>>(),
            [("b", 0), ("c", 0), ("d", 1), ("e", 2)]
        );
        assert_eq!(chain[0].1, 2 * chain[1].1 - 1, "rounded up");
        assert_eq!((chain[2].1, chain[3].1), (1_000_000, 0));
        assert_eq!(all[2].chooser(&all).name, "inner");
        assert_eq!(all.iter().filter_map(|pool| pool.nesting_problem(&all)).count(), 0);
    }

    #[test]
    fn what_cannot_be_taken_apart_is_said() {
        let all = pools(
            "
- {name: outer, strategy: weighted, backends: [{name: fast}]}
- {name: both, backends: [{name: fast}, {name: even}]}
- {name: fast, strategy: latency, backends: [{name: a}]}
- {name: even, strategy: weighted, backends: [{name: b}]}",
        );
        assert!(all[0].nesting_problem(&all).unwrap().contains("`fast`"));
        let both = all[1].nesting_problem(&all).unwrap();
        assert!(both.contains("`fast`") && both.contains("`even`"), "{both}");
        let all = pools(
            "
- {name: here, region: eu, backends: [{name: any}]}
- {name: any, backends: [{name: there}]}
- {name: there, region: us, backends: [{name: a}]}",
        );
        assert!(all[0].nesting_problem(&all).unwrap().contains("`there`"));
        assert_eq!(all[1].nesting_problem(&all), None);
        assert_eq!(all[1].flattened(&all)[0].region, Some("us"));
    }
}
