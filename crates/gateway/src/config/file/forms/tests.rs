use super::Form;
use crate::cli::Flags;
use crate::config::{Config, ConfigError, ModelCard, Sources, load};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configurations").join(name)
}

/// A file that is gone when the test is.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("trunkline-forms-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("the temporary directory can be written");
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Every variable that the fixtures name, but for an organisation's that most do not have.
fn environment() -> BTreeMap<String, String> {
    [
        ("OPENAI_API_KEY", "key-openai"),
        ("ANTHROPIC_API_KEY", "key-anthropic"),
        ("AZURE_OPENAI_API_KEY", "key-azure"),
        ("AZURE_OPENAI_ENDPOINT", "https://myresource.openai.azure.com"),
        ("AZURE_API_KEY", "key-azure"),
        ("AZURE_API_BASE", "https://myresource.openai.azure.com"),
        ("GOOGLE_AI_API_KEY", "key-google"),
        ("GCP_PROJECT_ID", "project-1"),
        ("LLAMA_ENDPOINT_URL", "https://llama.example/v1"),
        ("LLAMA_API_KEY", "key-llama"),
        ("MISTRAL_API_KEY", "key-mistral"),
        ("GROQ_API_KEY", "key-groq"),
        ("LITELLM_MASTER_KEY", "key-gateway"),
        ("DATABASE_URL", "postgres://db.example"),
        ("TRUNKLINE_API_KEY", "key-gateway"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn loaded(file: &Path) -> Result<Config, ConfigError> {
    load(&Sources { file: Some(file.to_owned()), env: environment(), flags: Flags::default() })
}

/// What was made of a file, a line for each backend, pool, member and route, and each warning without its file.
fn told(config: &Config, file: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for worker in &config.workers {
        let mut said = vec![worker.name.clone().unwrap_or_default(), worker.url.clone()];
        said.extend(worker.provider.clone());
        said.extend(worker.runtime.map(|runtime| format!("{runtime:?}")));
        said.extend(worker.api_key.as_ref().map(|key| key.reveal().to_owned()));
        said.extend(worker.default_model.as_ref().map(|model| format!("default={model}")));
        for model in &worker.models {
            let (ModelCard::Name(id) | ModelCard::Card { id, .. }) = model;
            said.push(format!("model={id}"));
        }
        let more = [
            ("timeout", worker.timeout.map(|timeout| timeout.as_secs().to_string())),
            ("retries", worker.max_retries.map(|n| n.to_string())),
            ("max_tokens", worker.max_tokens.map(|n| n.to_string())),
            ("organization", worker.organization.clone()),
            ("project", worker.project.clone()),
            ("version", worker.api_version.clone()),
            ("region", worker.aws.region.clone()),
        ];
        said.extend(more.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))));
        lines.push(said.join(" "));
    }
    for pool in &config.pools {
        let member = |member: &crate::config::MemberSpec| {
            let model = member.model.as_ref().map(|model| format!(" as {model}")).unwrap_or_default();
            format!("{}*{}{model}", member.name, member.weight)
        };
        let members: Vec<_> = pool.backends.iter().map(member).collect();
        lines.push(format!(
            "pool {} {:?} {} [{}]",
            pool.name,
            pool.strategy,
            pool.fallback,
            members.join(", ")
        ));
    }
    for route in &config.routes {
        let mut said = vec![format!("route {}", route.name), route.priority.to_string()];
        said.extend(route.path.clone());
        said.extend([&route.methods, &route.models].into_iter().flatten().cloned());
        said.extend(route.headers.iter().map(|(name, value)| format!("{name}={value}")));
        said.extend(route.content.as_ref().map(|rule| format!("{rule:?}")));
        lines.push(format!("{} to {}", said.join(" "), route.backend));
    }
    lines.extend(config.aliases.iter().map(|(alias, model)| format!("alias {alias}={model}")));
    let prefix = format!("{}:", file.display());
    lines.extend(config.warnings.iter().map(|line| line.replace(&prefix, "")));
    lines
}

const OPENAI: &str = "https://api.openai.com openai key-openai";
const ANTHROPIC: &str = "https://api.anthropic.com anthropic key-anthropic";
const CLAUDE: &str = "claude-3-5-sonnet-20241022";

#[test]
fn files_of_others_load_unchanged() {
    let pool = [
        format!("openai-backend {OPENAI} default=gpt-4o"),
        format!("anthropic-backend {ANTHROPIC} default={CLAUDE}"),
        "pool llm-pool Latency true [openai-backend*70, anthropic-backend*30]".into(),
        "route chat 0 /v1/chat/completions POST to llm-pool".into(),
    ];
    for (name, want) in [
        (
            "rtd/openai.yaml",
            vec![
                format!("openai-backend {OPENAI} default=gpt-4o timeout=30 retries=3"),
                "6:14: backends[0].config.orgId: environment variable `OPENAI_ORG_ID` is not set, so this is left out; \
                 set it, or write `${OPENAI_ORG_ID:-}`"
                    .into(),
            ],
        ),
        (
            "rtd/anthropic.yaml",
            vec![format!("anthropic-backend {ANTHROPIC} default={CLAUDE} timeout=60 max_tokens=8192")],
        ),
        (
            "rtd/azure.yaml",
            vec![
                "azure-backend https://myresource.openai.azure.com azure-openai key-azure default=gpt-4o-prod \
                 model=gpt-4o-prod timeout=30 version=2024-08-01-preview"
                    .into(),
            ],
        ),
        (
            "rtd/gemini.yaml",
            vec!["gemini-backend https://generativelanguage.googleapis.com gemini key-google default=gemini-1.5-pro".into()],
        ),
        (
            "rtd/vertex.yaml",
            vec![
                "gemini-backend https://us-central1-aiplatform.googleapis.com vertex default=gemini-1.5-pro \
                 project=project-1"
                    .into(),
            ],
        ),
        (
            "rtd/llama.yaml",
            vec![
                "llama-backend https://llama.example/v1 meta-llama key-llama default=llama-3.3-70b-instruct timeout=60"
                    .into(),
            ],
        ),
        (
            "rtd/mistral.yaml",
            vec!["mistral-backend https://api.mistral.ai mistral key-mistral default=mistral-large-latest timeout=30".into()],
        ),
        ("rtd/pool.yaml", pool.to_vec()),
        (
            "ferro/minimal.yaml",
            vec![
                "openai https://api.openai.com openai".into(),
                "anthropic https://api.anthropic.com anthropic".into(),
                "pool targets Priority true [openai*1, anthropic*1]".into(),
                "route targets 0 to targets".into(),
                "alias fast=gpt-4o-mini".into(),
                format!("alias smart={CLAUDE}"),
            ],
        ),
        (
            "litellm/two-deployments.yaml",
            vec![
                "azure-openai https://myresource.openai.azure.com azure-openai key-azure model=gpt-4o-eu \
                 version=2024-10-21"
                    .into(),
                format!("openai {OPENAI} model=gpt-4o-2024-08-06"),
                "pool gpt-4o Random true [azure-openai*900 as gpt-4o-eu, openai*100 as gpt-4o-2024-08-06]".into(),
                "8:12: model_list[0].litellm_params.rpm: is no limit here; deployments without `weight` are drawn by it"
                    .into(),
                "13:12: model_list[1].litellm_params.rpm: is no limit here; deployments without `weight` are drawn by it"
                    .into(),
            ],
        ),
    ] {
        let file = fixture(name);
        let config = loaded(&file).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(told(&config, &file), want, "{name}");
    }
}

/// What is printed says the same as the file it was made of, and needs no more of the environment.
#[test]
fn what_is_imported_means_the_same() {
    for (name, form) in [
        ("rtd/openai.yaml", Form::Rtd),
        ("rtd/anthropic.yaml", Form::Rtd),
        ("rtd/azure.yaml", Form::Rtd),
        ("rtd/gemini.yaml", Form::Rtd),
        ("rtd/vertex.yaml", Form::Rtd),
        ("rtd/llama.yaml", Form::Rtd),
        ("rtd/mistral.yaml", Form::Rtd),
        ("rtd/pool.yaml", Form::Rtd),
        ("rtd/whole.yaml", Form::Rtd),
        ("ferro/minimal.yaml", Form::Ferro),
        ("ferro/whole.yaml", Form::Ferro),
        ("litellm/two-deployments.yaml", Form::Litellm),
        ("litellm/whole.yaml", Form::Litellm),
        ("native/pool.yaml", Form::Native),
    ] {
        let direct = loaded(&fixture(name)).unwrap_or_else(|why| panic!("{name}: {why}"));
        let imported =
            crate::config::import(&fixture(name), None).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(imported.form, form, "{name}");
        let file = Temporary::new(&name.replace('/', "-"), &imported.yaml);
        let again = loaded(&file.0).unwrap_or_else(|why| panic!("{name}: {why}\n{}", imported.yaml));
        let json = |config: &Config| serde_json::to_value(config).expect("the tree serialises");
        assert_eq!(json(&again), json(&direct), "{name}\n{}", imported.yaml);
        let key = |config: &Config| config.auth.api_key.as_ref().map(|key| key.reveal().to_owned());
        assert_eq!(key(&again), key(&direct), "{name}");
        for secret in environment().into_values().filter(|value| value.starts_with("key-")) {
            assert!(!imported.yaml.contains(&secret), "{name}: secrets stay references\n{}", imported.yaml);
        }
        let again = crate::config::import(&file.0, None).expect("it is read");
        assert_eq!((again.form, again.yaml), (Form::Native, imported.yaml), "{name}: it is in our form now");
    }
}
