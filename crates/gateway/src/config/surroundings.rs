//! What the environment says of providers: keys, addresses, and what else an account needs.

use super::tree::Config;
use super::worker::{ModelCard, RuntimeName, WorkerSpec};
use super::worker_url::WorkerUrl;
use std::collections::BTreeMap;
use std::net::IpAddr;
use trunkline_core::Secret;
use trunkline_credentials::GoogleChain;
use trunkline_dialect::provider::{
    self, AZURE, BEDROCK, OLLAMA, OPENAI, PROVIDERS, Provider, VERTEX, VERTEX_CLAUDE, vertex,
};
use trunkline_dialect::region;

/// Where Ollama listens unless told otherwise.
const OLLAMA_PORT: u16 = 11434;

/// Variables of an Ollama's address.
pub(super) const OLLAMA_VARIABLES: [&str; 3] = ["OLLAMA_HOST", "OLLAMA_BASE_URL", "OLLAMA_API_BASE"];
/// Variables of the deployment that an Azure account is for.
pub(super) const DEPLOYMENT: [&str; 1] = ["AZURE_OPENAI_DEPLOYMENT"];
/// Variables of the version of Azure's API.
pub(super) const API_VERSION: [&str; 3] =
    ["AZURE_OPENAI_API_VERSION", "AZURE_API_VERSION", "OPENAI_API_VERSION"];

/// Variables of keys that sign for Amazon: an id, its secret, and the token of keys that end.
pub(super) const AWS_KEYS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
/// Variables of the region of Amazon's that is asked.
pub(super) const AWS_REGION: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// Variables of the organisation that is charged at OpenAI.
pub(super) const OPENAI_ORGANIZATION: [&str; 2] = ["OPENAI_ORG_ID", "OPENAI_ORGANIZATION"];
/// Variables of the project there.
pub(super) const OPENAI_PROJECT: [&str; 2] = ["OPENAI_PROJECT_ID", "OPENAI_PROJECT"];

/// Variables of the project that is for Vertex AI.
pub(super) const VERTEX_PROJECT: [&str; 4] =
    ["VERTEX_AI_PROJECT_ID", "VERTEXAI_PROJECT", "VERTEX_PROJECT", "ANTHROPIC_VERTEX_PROJECT_ID"];
/// Variables of the project of everything on Google Cloud.
pub(super) const CLOUD_PROJECT: [&str; 2] = ["GOOGLE_CLOUD_PROJECT", "GCP_PROJECT_ID"];
/// Variables of the location that Vertex AI is asked in.
pub(super) const VERTEX_LOCATION: [&str; 5] =
    ["VERTEX_AI_REGION", "VERTEXAI_LOCATION", "VERTEX_LOCATION", "GOOGLE_CLOUD_LOCATION", "CLOUD_ML_REGION"];
/// Variables of an address in place of the public ones of Vertex AI.
pub(super) const VERTEX_ADDRESS: [&str; 3] =
    ["VERTEX_AI_BASE_URL", "VERTEX_AI_API_BASE", "GOOGLE_VERTEX_BASE_URL"];

/// Says that Google's tools, and so this one, are to ask Vertex AI.
pub(super) const VERTEX_MEANT: &str = "GOOGLE_GENAI_USE_VERTEXAI";

/// The environment, in which what is set but empty counts as not set, as is usual in container manifests.
#[derive(Clone, Copy)]
pub(super) struct Environment<'a>(pub(super) &'a BTreeMap<String, String>);

impl<'a> Environment<'a> {
    /// The value of one variable.
    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The secret in one variable.
    pub(super) fn secret(self, name: &str) -> Option<Secret> {
        self.text(name).map(Secret::new)
    }

    /// The value of the first that is set; that others say something else is told in `warnings`.
    fn first(self, names: &[&'static str], warnings: &mut Vec<String>) -> Option<&'a str> {
        let mut set = names.iter().filter_map(|name| Some((*name, self.text(name)?)));
        let (name, value) = set.next()?;
        warnings.extend(set.filter(|(_, other)| *other != value).map(|(other, _)| {
            format!("{name} and {other} are both set, to different values; the former counts")
        }));
        Some(value)
    }
}

/// Takes over what is said of providers. What is odd about it is told of those alone that may be asked.
pub(super) fn providers(environment: Environment<'_>, config: &mut Config) {
    let mut warnings = Vec::new();
    let mut odd = Vec::new();
    vertex_ai(environment, config, &mut odd);
    warnings.extend(odd.drain(..).filter(|_| config.may_ask(&[VERTEX, VERTEX_CLAUDE])));
    for provider in PROVIDERS {
        account(environment, provider, config, &mut odd);
        warnings.extend(odd.drain(..).filter(|_| config.may_ask(&[provider.id])));
    }
    if let Some(address) = environment.first(&OLLAMA_VARIABLES, &mut warnings) {
        config.provider_urls.insert(OLLAMA.to_owned(), ollama(address));
    }
    if config.provider_urls.contains_key(AZURE) {
        config.azure.deployment = environment.first(&DEPLOYMENT, &mut odd).map(str::to_owned);
        config.azure.api_version = environment.first(&API_VERSION, &mut odd).map(str::to_owned);
        warnings.extend(odd.drain(..).filter(|_| config.may_ask(&[AZURE])));
    }
    if config.provider_keys.contains_key(OPENAI) {
        let organization = environment.first(&OPENAI_ORGANIZATION, &mut odd).map(str::to_owned);
        let project = environment.first(&OPENAI_PROJECT, &mut odd).map(str::to_owned);
        let account = &mut config.openai;
        account.organization = organization.or(account.organization.take());
        account.project = project.or(account.project.take());
        warnings.extend(odd.drain(..).filter(|_| config.may_ask(&[OPENAI])));
    }
    amazon_alone(config, &mut warnings);
    if config.workers.is_empty() && config.backends.is_empty() && !config.igw {
        warnings.extend(unplaced(config).map(|(provider, variable)| {
            format!("there is a key for {} but not where; set {variable}; it is not used", provider.id)
        }));
    }
    config.warnings.append(&mut warnings);
}

/// Takes over the key of an account with `provider`, and where it is.
fn account(
    environment: Environment<'_>,
    provider: &'static Provider,
    config: &mut Config,
    warnings: &mut Vec<String>,
) {
    if let Some(key) = environment.first(provider.key_variables, warnings) {
        config.provider_keys.insert(provider.id.to_owned(), Secret::new(key));
    }
    if !config.has_credentials(provider) && !config.has_unplaced(provider) {
        return;
    }
    let said = environment.first(provider.url_variables, warnings);
    if let Some(url) = said.filter(|url| is_elsewhere(url, provider.url_variables, config, warnings)) {
        config.provider_urls.insert(provider.id.to_owned(), url.to_owned());
    } else if let Some(url) =
        provider.base_url.filter(|url| url.contains('{')).and_then(|url| filled(url, environment))
    {
        config.provider_urls.entry(provider.id.to_owned()).or_insert(url);
    }
}

/// Where nothing but an account with Amazon is set up, either half of it is enough: what there is of it cannot be meant
/// for anything else.
fn amazon_alone(config: &mut Config, warnings: &mut Vec<String>) {
    /// Where Amazon's own tools fall back to.
    const REGION: &str = "us-east-1";
    let is_set_up = |provider: &Provider| provider.id != BEDROCK && config.has_credentials(provider);
    let has_others = !config.workers.is_empty()
        || !config.backends.is_empty()
        || config.igw
        || config.provider_urls.contains_key(OLLAMA)
        || PROVIDERS.iter().any(is_set_up);
    let has_key = config.aws.has_keys() || config.provider_keys.contains_key(BEDROCK);
    match &config.aws.region {
        _ if has_others => {}
        None if has_key => {
            warnings.push(format!("there are keys for AWS but no region; {REGION} it is; set AWS_REGION"));
            config.aws.region = Some(REGION.to_owned());
        }
        Some(region) if !has_key && !PROVIDERS.iter().any(|provider| config.has_credentials(provider)) => {
            warnings.push(format!(
                "there is nothing but AWS_REGION ({region}); Bedrock is called with the role of this machine"
            ));
            config.has_machine_role = true;
        }
        Some(_) | None => {}
    }
}

/// Accounts that have a key but no address, and the variables that would make them whole.
pub(super) fn unplaced(config: &Config) -> impl Iterator<Item = (&'static Provider, &'static str)> {
    let is_unplaced = |provider: &&Provider| {
        config.provider_keys.contains_key(provider.id)
            && config.address_of(provider, config.aws.region.as_deref()).is_none()
    };
    let wanted = |provider: &'static Provider| match provider.url_variables.first() {
        _ if provider.id == BEDROCK => AWS_REGION[0],
        Some(variable) => variable,
        None => "its `url`",
    };
    PROVIDERS.iter().filter(is_unplaced).map(move |provider| (provider, wanted(provider)))
}

/// An account with Vertex AI: where its models are, by project and location.
fn vertex_ai(environment: Environment<'_>, config: &mut Config, warnings: &mut Vec<String>) {
    /// Where Google's own tools fall back to.
    const REGION: &str = "us-central1";
    let own = environment.first(&VERTEX_PROJECT, warnings);
    let location = environment.first(&VERTEX_LOCATION, warnings);
    // Other tools read these, too: it takes more to mean Vertex AI by them.
    let is_meant = || {
        let asked = environment.text(VERTEX_MEANT);
        let lent = GoogleChain { file: None, env: config.surroundings.clone() };
        asked.is_some_and(|asked| ["true", "1"].contains(&&*asked.to_ascii_lowercase()))
            || (location.is_some() && lent.is_present())
    };
    let Some(project) = own.or_else(|| environment.first(&CLOUD_PROJECT, warnings).filter(|_| is_meant()))
    else {
        return;
    };
    let [say, ..] = VERTEX_LOCATION;
    let location = match location {
        Some(location) => location,
        None if own.is_some() => {
            warnings
                .push(format!("there is a project for Vertex AI but no region; {REGION} it is; set {say}"));
            REGION
        }
        None => {
            warnings
                .push(format!("there is a project for Vertex AI but no region; set {say}; it is not used"));
            return;
        }
    };
    let address = environment.first(&VERTEX_ADDRESS, warnings);
    for id in [VERTEX, VERTEX_CLAUDE] {
        let url = vertex::url(id, address, project, location);
        config.provider_urls.entry(id.to_owned()).or_insert(url);
    }
}

/// Whether `url` is not that of this very gateway, which whoever uses it from the same shell has set for clients.
fn is_elsewhere(url: &str, variables: &[&str], config: &Config, warnings: &mut Vec<String>) -> bool {
    let Ok(parsed) = WorkerUrl::parse(url) else { return true };
    let host = parsed.host().trim_matches(['[', ']']);
    let is_here =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified());
    if is_here && parsed.port() == Some(config.listen.port) {
        warnings.push(format!(
            "{} is the address of this gateway itself, which is meant for clients; it is not used",
            variables.join(" or ")
        ));
        return false;
    }
    true
}

/// `template` with the values of the variables that it names in braces; `None` when one is not set.
fn filled(template: &str, environment: Environment<'_>) -> Option<String> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}')?;
        text.push_str(before);
        text.push_str(environment.text(name)?.trim_end_matches('/'));
        rest = behind;
    }
    text.push_str(rest);
    Some(if text.contains("://") { text } else { format!("https://{text}") })
}

/// An address as Ollama's own tools take it: the scheme and the port may be left out, and where a server listens
/// on all of its addresses it is reached at home.
fn ollama(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    };
    let host = match host {
        "" | "0.0.0.0" | "[::]" => "127.0.0.1",
        host => host,
    };
    let port = port.map_or_else(|| default_port(scheme).to_string(), str::to_owned);
    format!("{scheme}://{host}:{port}{path}")
}

fn default_port(scheme: &str) -> u16 {
    match scheme {
        "https" => 443,
        _ => OLLAMA_PORT,
    }
}

impl Config {
    /// Whether there is what `provider` is paid with.
    #[must_use]
    pub fn has_credentials(&self, provider: &Provider) -> bool {
        let signs = provider.id == BEDROCK && self.aws.has_keys();
        let lent = || self.chain(&WorkerSpec::new(""), provider.id, self.aws.region.as_deref()).is_some();
        signs || self.provider_keys.contains_key(provider.id) || lent()
    }

    /// Where `provider` is reached by this configuration, in `region` where that matters.
    #[must_use]
    pub fn address_of(&self, provider: &Provider, region: Option<&str>) -> Option<String> {
        match (self.provider_urls.get(provider.id), provider.base_url) {
            (Some(said), _) => Some(said.clone()),
            (None, None) if provider.id == BEDROCK => region.map(region::url),
            (None, public) => public.filter(|url| !url.contains('{')).map(str::to_owned),
        }
    }

    /// Whether one of the providers `ids` is asked, or may be: by workers that are named, or else by those that keys make.
    fn may_ask(&self, ids: &[&str]) -> bool {
        let mut named = self.workers.iter().chain(&self.backends).peekable();
        let is_of = |worker: &WorkerSpec| {
            let by_name = worker.provider.as_deref().and_then(provider::named);
            let known = || worker.known_provider(&WorkerUrl::parse(&worker.url).ok()?);
            known().or(by_name).is_some_and(|provider| ids.contains(&provider.id))
        };
        self.igw || named.peek().is_none() || named.any(is_of)
    }

    /// Whether a worker is of `provider` and leaves its address to us.
    fn has_unplaced(&self, provider: &Provider) -> bool {
        let is_of = |worker: &WorkerSpec| {
            worker.url.is_empty() && worker.provider.as_deref().and_then(provider::named) == Some(provider)
        };
        self.workers.iter().chain(&self.backends).any(is_of)
    }

    /// Gives workers that only say whose they are the address of that provider, and what the environment knows of
    /// an account with it.
    pub(super) fn place_backends(&mut self) {
        let mut lists = [std::mem::take(&mut self.workers), std::mem::take(&mut self.backends)];
        for worker in lists.iter_mut().flatten().filter(|worker| worker.url.is_empty()) {
            self.place(worker);
        }
        let [workers, backends] = lists;
        self.workers = workers;
        self.backends = backends;
    }

    fn place(&self, worker: &mut WorkerSpec) {
        let known = worker.provider.as_deref().and_then(provider::named);
        if let Some(location) = worker.location.as_deref().filter(|_| worker.is_of_vertex()) {
            worker.url = vertex::host(location);
        } else if let Some(known) = known {
            let region = worker.aws.region.as_deref().or(self.aws.region.as_deref());
            let has_key = worker.api_key.is_some() || self.provider_keys.contains_key(known.id);
            // The public address of Vertex AI takes keys of its own alone ("express mode"), and nothing that is lent.
            let is_closed = |url: &String| known.id == VERTEX && known.base_url == Some(&**url) && !has_key;
            worker.url = self.address_of(known, region).filter(|url| !is_closed(url)).unwrap_or_default();
        } else if worker.provider.is_none() && worker.runtime == Some(RuntimeName::Ollama) {
            worker.url = self.provider_urls.get(OLLAMA).cloned().unwrap_or_else(|| ollama(""));
        }
        if known.is_some_and(|known| known.id == AZURE) {
            worker.api_version = worker.api_version.take().or_else(|| self.azure.api_version.clone());
            if worker.models.is_empty() {
                worker.models.extend(self.azure.deployment.iter().cloned().map(ModelCard::Name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_ollama_are_completed() {
        for (said, url) in [
            ("127.0.0.1:11434", "http://127.0.0.1:11434"),
            ("0.0.0.0", "http://127.0.0.1:11434"),
            (":8080", "http://127.0.0.1:8080"),
            ("gpu1", "http://gpu1:11434"),
            ("http://gpu1:1/", "http://gpu1:1/"),
            ("https://ollama.example/api", "https://ollama.example:443/api"),
            ("[::1]", "http://[::1]:11434"),
            ("[::]:5", "http://127.0.0.1:5"),
        ] {
            assert_eq!(ollama(said), url, "{said}");
        }
    }

    #[test]
    fn addresses_name_accounts() {
        let env =
            BTreeMap::from([("A".to_owned(), "https://x/".to_owned()), ("B".to_owned(), "b".to_owned())]);
        for (template, url) in [
            ("{A}/serving", Some("https://x/serving")),
            ("https://h/{B}/ai", Some("https://h/b/ai")),
            ("{B}.example", Some("https://b.example")),
            ("https://h/{C}/ai", None),
        ] {
            assert_eq!(filled(template, Environment(&env)).as_deref(), url, "{template}");
        }
    }
}
