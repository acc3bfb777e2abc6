//! One deployment of a `model_list`: an account, the model asked for there, and its share of the calls.

use super::super::fields::{Fields, Findings, Made};
use super::{BUDGETS, UNGUARDED};
use crate::config::file::node::Node;
use trunkline_dialect::provider;

/// Prefixes of models that are engines of one's own, and what they are here.
const ENGINES: [(&str, &str); 9] = [
    ("hosted_vllm", "vllm"),
    ("vllm", "vllm"),
    ("ollama", "ollama"),
    ("ollama_chat", "ollama"),
    ("lm_studio", "generic"),
    ("llamafile", "generic"),
    ("openai_like", "generic"),
    ("custom_openai", "generic"),
    ("litellm_proxy", "generic"),
];
/// Prefixes that are providers under another name.
const PROVIDERS: [(&str, &str); 6] = [
    ("text-completion-openai", "openai"),
    ("azure_text", "azure-openai"),
    ("cohere_chat", "cohere"),
    ("bedrock_converse", "bedrock"),
    ("vertex_ai", "vertex"),
    ("vertex_ai_beta", "vertex"),
];
/// The order of a deployment that names none: before all that do.
const FIRST: u32 = 0;

#[derive(Debug)]
pub(super) struct Deployment {
    /// What clients call it.
    pub(super) name: String,
    /// What the account calls it.
    pub(super) model: Node,
    /// The account, as a backend without name and models.
    pub(super) account: Node,
    /// What a backend of such an account is called.
    pub(super) base: &'static str,
    /// Lower ones first.
    pub(super) order: u32,
    /// Whether it has a bound of its own of calls at once.
    is_bounded: bool,
    weight: Option<Node>,
    rpm: Option<Node>,
    tpm: Option<Node>,
}

/// What `rpm` and `tpm` of deployments are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limits {
    /// What each is given in a minute.
    Counted,
    /// Weights, where none are said.
    Weighed,
}

/// Whose a model is.
enum Owner {
    Provider(&'static str),
    Engine(&'static str),
}

impl Deployment {
    pub(super) fn of(mut map: Fields, limits: Limits, findings: &mut Findings) -> Option<Self> {
        let name = map.take("model_name");
        let params = map.take("litellm_params");
        map.lose(&[("model_info", "what models can do and cost is of the catalogue")], findings);
        let here = map.here.clone();
        for (key, is_there) in [("model_name", name.is_some()), ("litellm_params", params.is_some())] {
            if !is_there {
                findings.refuse(&here, map.lack(key));
            }
        }
        map.lose_rest("has no counterpart", findings);
        let (name, params) = (name?, params?);
        let mut params = Fields::of(params, findings);
        let Some(model) = params.take("model") else {
            findings.refuse(&params.here, params.lack("model"));
            return None;
        };
        let url = params.take_any(&["api_base", "base_url"], findings);
        let said = params.take("custom_llm_provider");
        let (owner, own_name) = owner(&model, said.as_ref(), url.is_some(), findings)?;
        let mut account = Made::of(&here);
        let base = match owner {
            Owner::Provider(id) => {
                account.put("provider", model.text(id));
                id
            }
            Owner::Engine(runtime) => {
                account.put("runtime", model.text(runtime));
                runtime
            }
        };
        if let Some(url) = url {
            account.put("url", url);
        }
        let [weight, rpm, tpm, order] = ["weight", "rpm", "tpm", "order"].map(|key| params.take(key));
        let counted = if limits == Limits::Counted { [&None; 2] } else { [&rpm, &tpm] };
        for said in counted.into_iter().chain([&weight]).flatten().filter(|said| number(said).is_none()) {
            if said.said().is_some_and(|said| said.contains("${")) {
                findings.lose(said, "is not read from a variable; 1 counts");
            } else {
                findings.mistake(said, "expected a number, 0 or more");
            }
        }
        let rank = |said: &Node| said.said()?.parse().ok();
        if let Some(order) = order.as_ref().filter(|said| rank(said).is_none()) {
            findings.mistake(order, "expected a whole number, 0 or more");
        }
        for (key, limit) in [("rpm", &rpm), ("tpm", &tpm)] {
            match (limit, limits) {
                (Some(limit), Limits::Counted) => account.put(key, limit.clone()),
                (Some(limit), Limits::Weighed) => {
                    findings.lose(limit, "is no limit here; deployments without `weight` are drawn by it");
                }
                (None, _) => {}
            }
        }
        self::account(params, &mut account, findings);
        let (name, order) = (name.said()?.to_owned(), order.as_ref().and_then(rank).unwrap_or(FIRST));
        let is_prefix = || {
            let prefix = name.strip_suffix("/*").and_then(provider::named);
            prefix.is_some_and(|provider| provider.id == base)
        };
        if name.contains('*') && !is_prefix() {
            findings.lose(&model, "names for several models are only `PROVIDER/*`, which needs no pool");
        }
        let model = model.text(own_name);
        let is_bounded = ["max_concurrent", "rpm", "tpm"].iter().any(|key| account.has(key));
        Some(Self { name, model, account: account.node(), base, order, is_bounded, weight, rpm, tpm })
    }

    /// Whether two are the same but for their models; what bounds its calls bounds those of one model alone.
    pub(super) fn is_of_one_account(&self, other: &Self) -> bool {
        let text = |deployment: &Self| serde_json::to_string(&deployment.account).ok();
        let is_apart = self.is_bounded && self.model.said() != other.model.said();
        !is_apart && text(self) == text(other)
    }
}

/// Whose `model` is, and what it is called there.
fn owner(
    model: &Node,
    said: Option<&Node>,
    has_url: bool,
    findings: &mut Findings,
) -> Option<(Owner, String)> {
    let whole = model.said()?;
    let known = |name: &str| {
        let engine = ENGINES.iter().find(|(prefix, _)| *prefix == name).map(|(_, ours)| Owner::Engine(ours));
        let other = PROVIDERS.iter().find(|(prefix, _)| *prefix == name).map(|(_, ours)| *ours);
        let provider = other.or_else(|| provider::named(name).map(|provider| provider.id));
        engine.or(provider.map(Owner::Provider))
    };
    if let Some(owner) = said.and_then(Node::said).and_then(known) {
        let prefix = said.and_then(Node::said).unwrap_or_default();
        let own = whole.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')).unwrap_or(whole);
        return Some((owner, own.to_owned()));
    }
    if let Some((prefix, own)) = whole.split_once('/')
        && let Some(owner) = known(prefix)
    {
        return Some((owner, own.to_owned()));
    }
    match provider::of_model(whole) {
        Some(provider) => Some((Owner::Provider(provider.id), whole.to_owned())),
        None if has_url => Some((Owner::Engine("generic"), whole.to_owned())),
        None => {
            let why = "nobody knows whose model this is; write PROVIDER/MODEL, or set `api_base`";
            findings.refuse(model, why);
            None
        }
    }
}

/// What is said of an account beyond whose it is and where.
fn account(mut params: Fields, account: &mut Made, findings: &mut Findings) {
    params.rename(
        &[
            ("api_key", "api_key"),
            ("api_version", "api_version"),
            ("organization", "organization"),
            ("vertex_project", "project"),
            ("vertex_location", "location"),
            ("timeout", "timeout"),
            ("max_parallel_requests", "max_concurrent"),
        ],
        account,
    );
    if let Some(retries) = params.take_any(&["max_retries", "num_retries"], findings) {
        account.put("max_retries", retries);
    }
    account.within("aws", |aws| {
        params.rename(
            &[
                ("aws_access_key_id", "access_key_id"),
                ("aws_secret_access_key", "secret_access_key"),
                ("aws_session_token", "session_token"),
                ("aws_region_name", "region"),
            ],
            aws,
        );
    });
    if let Some(most) = params.take("max_tokens") {
        findings.lose(&most, "is used only where a model demands a number and the client names none");
        account.put("max_tokens", most);
    }
    if let Some(guardrails) = params.take("guardrails").filter(Node::is_on) {
        findings.refuse_guard(&guardrails, UNGUARDED);
    }
    params.lose_guards(&[("max_budget", BUDGETS), ("budget_duration", BUDGETS)], findings);
    params.lose(
        &[
            ("vertex_credentials", "set GOOGLE_APPLICATION_CREDENTIALS to the file"),
            ("stream_timeout", "`timeout` bounds streams, too"),
            ("input_cost_per_token", "prices are of the catalogue"),
            ("output_cost_per_token", "prices are of the catalogue"),
        ],
        findings,
    );
    params.lose_rest("is not added to requests; let clients send it", findings);
}

/// The weights of `members`: as said, or else by the requests or the tokens each takes in a minute.
pub(super) fn weights(members: &[&Deployment]) -> Vec<Option<u32>> {
    let said = |of: fn(&Deployment) -> Option<&Node>| {
        members.iter().map(|member| number(of(member)?)).collect::<Vec<_>>()
    };
    let ways = [said(|d| d.weight.as_ref()), said(|d| d.rpm.as_ref()), said(|d| d.tpm.as_ref())];
    let Some(way) = ways.into_iter().find(|way| way.iter().any(Option::is_some)) else {
        return vec![None; members.len()];
    };
    // Shares are whole numbers here.
    let scale = if way.iter().flatten().all(|weight| weight.fract() == 0.0) { 1.0 } else { 100.0 };
    way.into_iter().map(|weight| Some(whole(weight.unwrap_or(1.0) * scale))).collect()
}

/// A share or a rate.
fn number(node: &Node) -> Option<f64> {
    node.said()?.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn whole(weight: f64) -> u32 {
    weight.round().clamp(0.0, f64::from(u32::MAX)) as u32
}
