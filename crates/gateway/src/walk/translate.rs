//! The part of dispatch that changes dialects: the call read once, written for each target it is tried
//! on, and pictures brought along where a target cannot fetch them itself.

use super::plan::Plan;
use super::read::Question;
use super::settle::Ledger;
use crate::config::{Config, Translate as Settings};
use crate::fleet::worker::Worker;
use http::{HeaderMap, HeaderName};
use std::time::Duration;
use trunkline_core::{Call, Dialect, Extra, Fault, FaultKind, Losses, Model, OnUnsupported};
use trunkline_dialect::anthropic_messages::VERSIONS;
use trunkline_dialect::openai_responses::replay_served;
use trunkline_dialect::seal::{Key, Sealer, unseal};
use trunkline_dialect::{
    Context, Target, Written, echo, inline, named_at, needs_inlining, read_call, write_call,
};
use trunkline_upstream::media;

/// How long fetching one picture may take.
const FETCH: Duration = Duration::from_secs(10);
/// Most pictures fetched for one call.
const MOST: usize = 20;

/// The call as read, with what reading it lost.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) call: Call,
    /// Who hears the answer.
    pub(crate) audience: Audience,
    losses: Losses,
    /// What becomes of what a target cannot take.
    pub(crate) on_unsupported: OnUnsupported,
    /// What of it the answer repeats.
    pub(crate) echo: Extra,
}

/// Who hears an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The client, in its dialect.
    Client,
    /// A loop that joins several answers into one, and tells the client itself.
    Loop,
}

impl Parsed {
    /// Reads the client's body.
    ///
    /// # Errors
    /// 400 naming the field.
    pub(crate) fn read(dialect: Dialect, plan: &Plan, key: &Key) -> Result<Self, Fault> {
        let question = &plan.question;
        knows_version(dialect, question)?;
        let mut losses = Losses::default();
        let on_unsupported = on_unsupported(plan)?;
        let body = question.body.joined();
        let mut call = read_call(dialect, &body, &mut losses)?;
        // Some dialects say both in the path.
        if let Some(said) = &question.said {
            call.model = Model::new(said.model.as_str());
        }
        call.stream.on = question.stream;
        call.betas = betas(dialect, &question.head.headers);
        unseal(&mut call, key, &mut losses);
        let audience = Audience::Client;
        Ok(Self { call, audience, losses, on_unsupported, echo: echo(dialect, &body) })
    }

    /// Whether the client wants usage in its stream.
    pub(crate) fn include_usage(&self) -> bool {
        self.call.stream.include_usage.unwrap_or(false)
    }

    /// Writes it for `worker`.
    ///
    /// # Errors
    /// 400 naming what the target cannot see or what the operator's setting refuses.
    pub(crate) async fn write(
        &mut self,
        ledger: &Ledger,
        plan: &Plan,
        worker: &Worker,
        to: Dialect,
    ) -> Result<(Written, Losses), Fault> {
        let config = &plan.question.snapshot.config;
        self.bring_pictures(ledger, config, to).await?;
        let settings = &config.translate;
        let target = Target {
            model: worker.name_for(plan.model.as_str()),
            vendor: worker.vendor(to),
            default_max_tokens: worker.spec.max_tokens.or(settings.default_max_tokens),
            user_ids: settings.user_ids,
            strict_arguments: settings.strict_arguments,
            anthropic_version: &settings.anthropic_version,
        };
        if to != Dialect::OpenaiResponses {
            // A tool that is not offered any more is known by its own name.
            replay_served(&mut self.call, |_, tool| tool.to_owned());
        }
        let mut losses = self.losses.clone();
        let mut written = write_call(to, &self.call, &target, &mut losses)?;
        let (key, client) = (ledger.local.shared.key, ledger.endpoint.dialect);
        // What the next turn of a loop brings back has not left the gateway.
        written.restore.sealer = (self.audience == Audience::Client).then(|| Sealer {
            key,
            client,
            upstream: to,
            wanted: self.call.reasoning.is_wanted(),
        });
        if let Some(loss) = losses.refused(self.on_unsupported) {
            let message = format!("{} cannot be sent to this model's provider: {}", loss.path, loss.reason);
            return Err(Fault::new(FaultKind::InvalidRequest, message)
                .at(loss.path.to_string())
                .code("unsupported_parameter"));
        }
        Ok((written, losses))
    }

    async fn bring_pictures(&mut self, ledger: &Ledger, config: &Config, to: Dialect) -> Result<(), Fault> {
        let settings = &config.translate;
        let urls = needs_inlining(to, &self.call);
        let Some(first) = urls.first() else { return Ok(()) };
        let limits = fetch_limits(settings).ok_or_else(|| unfetched(&self.call, first, "send it inline"))?;
        if urls.len() > MOST {
            let why = "and there are too many of them to fetch; send them inline";
            return Err(unfetched(&self.call, first, why));
        }
        for url in &urls {
            let local = &ledger.local;
            let media = media::fetch(&local.shared.connector, &local.pool, url, limits)
                .await
                .map_err(|error| unfetched(&self.call, url, &error.to_string()))?;
            inline(&mut self.call, url, &media.mime, &media.base64);
        }
        Ok(())
    }
}

/// The fault for media by address that is not brought to a provider that does not fetch it itself.
fn unfetched(call: &Call, url: &str, why: &str) -> Fault {
    let (path, what) = named_at(call, url).unwrap_or_else(|| ("messages".to_owned(), "media"));
    let message = format!("{path} holds {what} by address, which the model's provider does not fetch; {why}");
    Fault::new(FaultKind::Unsupported, message).at(path).code("unsupported_content")
}

/// What of pictures may be fetched; `None` where nothing may.
pub(crate) fn fetch_limits(settings: &Settings) -> Option<media::Limits> {
    let limits =
        media::Limits { bytes: settings.fetch_bytes, timeout: FETCH, private: settings.fetch_private };
    settings.fetch_media.then_some(limits)
}

/// The request's own setting.
const ON_UNSUPPORTED: HeaderName = HeaderName::from_static("x-trunkline-on-unsupported-param");

/// What becomes of what a target cannot take: the request says it, or else its route, or else the configuration.
///
/// # Errors
/// 400 for a setting there is not.
pub(crate) fn on_unsupported(plan: &Plan) -> Result<OnUnsupported, Fault> {
    let question = &plan.question;
    let Some(said) = question.head.headers.get(ON_UNSUPPORTED) else {
        return Ok(plan.on_unsupported.unwrap_or(question.snapshot.config.translate.on_unsupported_param));
    };
    said.to_str().ok().and_then(OnUnsupported::parse).ok_or_else(|| {
        let message = format!("{ON_UNSUPPORTED} must be `warn`, `drop` or `reject`");
        Fault::new(FaultKind::InvalidRequest, message)
    })
}

/// Features still in trial that a client of Anthropic's dialect names: in one header or several, each a list.
fn betas(dialect: Dialect, headers: &HeaderMap) -> Vec<String> {
    let said =
        headers.get_all("anthropic-beta").into_iter().filter(|_| dialect == Dialect::AnthropicMessages);
    let names = said.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    names.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// A client that speaks a version nobody here has read about must not be answered in another one. Where the
/// bytes pass untouched the upstream judges.
fn knows_version(dialect: Dialect, question: &Question) -> Result<(), Fault> {
    let header = "anthropic-version";
    let said = question.head.headers.get(header).filter(|_| dialect == Dialect::AnthropicMessages);
    if said.is_none_or(|version| VERSIONS.iter().any(|known| version == known)) {
        return Ok(());
    }
    let message = format!("{header} is not one of {}", VERSIONS.join(", "));
    Err(Fault::new(FaultKind::InvalidRequest, message).at(header).code("unknown_version"))
}

/// What the outer fields of the answer say.
pub(crate) fn context(ledger: &Ledger, plan: &Plan, include_usage: bool) -> Context {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // A client's own request id need not look like an id of the dialect.
    let (prefix, id) = (ledger.endpoint.id_prefix, ledger.id.as_str());
    let id = if id.starts_with(prefix) { id.to_owned() } else { format!("{prefix}{id}") };
    Context {
        id,
        request_id: ledger.id.as_str().to_owned(),
        created: now.map_or(0, |now| now.as_secs()),
        model: plan.question.snapshot.config.echo_alias.then(|| plan.asked.as_str().to_owned()),
        include_usage,
        array: plan.question.said.as_ref().is_some_and(|said| said.array),
        seal: ledger.local.shared.seal,
    }
}
