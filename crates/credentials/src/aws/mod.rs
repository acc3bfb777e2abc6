//! Keys of AWS in the order of Amazon's own tools: environment, profile that takes a role, web identity, single sign-on,
//! keys in files, container, instance.

mod metadata;
mod profile;
mod sso;
mod sts;

use crate::{Cause, Grant, Surroundings, Web};
use profile::{Profiles, Section};
use std::path::Path;
use sts::{Role, Sts};
use trunkline_core::Secret;
use trunkline_upstream::Signer;

/// Where keys of AWS come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsChain {
    /// A profile that is said in the configuration, which goes before the environment.
    pub profile: Option<String>,
    /// A role to take with what the chain lends.
    pub role_arn: Option<String>,
    /// What the role's owner asks for.
    pub external_id: Option<Secret>,
    /// What signatures are for.
    pub region: Box<str>,
    /// The environment.
    pub env: Surroundings,
}

/// Keys, and when they end.
#[derive(Debug, Clone)]
struct Keys {
    id: Secret,
    secret: Secret,
    token: Option<Secret>,
    end: Option<std::time::SystemTime>,
}

impl Keys {
    fn signer(&self, region: &str, service: &'static str) -> Signer {
        Signer {
            access_key_id: self.id.clone(),
            secret_access_key: self.secret.clone(),
            session_token: self.token.clone(),
            region: region.into(),
            service,
        }
    }
}

/// Variables that name a profile.
const PROFILE: [&str; 2] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"];
/// Those of a web identity: its token, and the role that is taken with it.
const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const ROLE_ARN: &str = "AWS_ROLE_ARN";
/// Where a container asks.
const CONTAINER_PATH: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const CONTAINER_URL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
/// Where a machine asks, in place of its usual address.
const INSTANCE_URL: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

/// How many profiles may stand behind each other.
const DEEPEST: usize = 8;

impl AwsChain {
    /// Variables that set it up, besides those of keys and the region.
    pub const VARIABLES: [&'static str; 7] =
        [PROFILE[0], PROFILE[1], TOKEN_FILE, ROLE_ARN, CONTAINER_PATH, CONTAINER_URL, INSTANCE_URL];

    /// Whether anything of it is set up, without asking anybody. That this may be a machine of Amazon's is not looked at.
    #[must_use]
    pub fn is_present(&self) -> bool {
        let mut said = Self::VARIABLES.iter().filter(|name| **name != ROLE_ARN);
        self.profile.is_some()
            || self.role_arn.is_some()
            || said.any(|name| self.env.text(name).is_some())
            || Profiles::files(&self.env).into_iter().flatten().any(|path| path.exists())
    }

    pub(crate) async fn ask(&self, web: &Web, tried: &mut Vec<&'static str>) -> Result<Grant, Cause> {
        let mut keys = self.keys(web, tried).await?;
        if let Some(arn) = &self.role_arn {
            tried.push("role");
            let role =
                Role { arn, external_id: self.external_id.as_ref().map(Secret::reveal), ..Role::default() };
            keys = self.sts(web).assume(&role, &keys).await?;
        }
        Ok(Grant::keys(keys.signer(&self.region, Signer::BEDROCK), keys.end))
    }

    fn sts<'a>(&'a self, web: &'a Web) -> Sts<'a> {
        Sts { web, env: &self.env, region: &self.region }
    }

    /// What the sources lend, in their order.
    async fn keys(&self, web: &Web, tried: &mut Vec<&'static str>) -> Result<Keys, Cause> {
        if self.profile.is_none() {
            tried.push("environment");
            if let Some(keys) = of_environment(&self.env) {
                return Ok(keys);
            }
        }
        let said = self.profile.as_deref().or_else(|| self.env.first(&PROFILE));
        let profiles = Profiles::read(&self.env).await?;
        let name = said.unwrap_or("default");
        let section = profiles.named(name);
        if let (Some(name), None) = (said, &section) {
            tried.push("profile");
            return Err(Cause::setup(format!("profile `{name}` is in neither of AWS's files")));
        }
        if section.as_ref().is_some_and(|section| section.get("role_arn").is_some()) {
            tried.push("profile");
            return Box::pin(self.of_profile(web, &profiles, name, 0)).await;
        }
        tried.push("web identity");
        if let Some(keys) = self.of_web_identity(web).await? {
            return Ok(keys);
        }
        tried.push("profile");
        if section.is_some_and(|section| section.has_source()) {
            return Box::pin(self.of_profile(web, &profiles, name, 0)).await;
        }
        self.of_machine(web, tried).await
    }

    async fn of_machine(&self, web: &Web, tried: &mut Vec<&'static str>) -> Result<Keys, Cause> {
        tried.push("container");
        if let Some(keys) = metadata::of_container(web, &self.env).await? {
            return Ok(keys);
        }
        if self.env.is_true("AWS_EC2_METADATA_DISABLED") {
            return Err(Cause::Absent);
        }
        tried.push("instance metadata");
        metadata::of_instance(web, &self.env).await
    }

    async fn of_web_identity(&self, web: &Web) -> Result<Option<Keys>, Cause> {
        let said = self.env.text(TOKEN_FILE).zip(self.env.text(ROLE_ARN));
        let Some((file, arn)) = said else { return Ok(None) };
        let role = Role { arn, session: self.env.text("AWS_ROLE_SESSION_NAME"), ..Role::default() };
        self.sts(web).assume_with_token(&role, read(file.as_ref()).await?.trim()).await.map(Some)
    }

    /// What profile `name` lends: keys of its own, or those of a role that it takes with another's.
    async fn of_profile(&self, web: &Web, all: &Profiles, name: &str, depth: usize) -> Result<Keys, Cause> {
        let missing = || Cause::setup(format!("profile `{name}` is in neither of AWS's files"));
        let section = all.named(name).ok_or_else(missing)?;
        let Some(arn) = section.get("role_arn").filter(|_| depth < DEEPEST) else {
            return self.plain(web, all, name, &section).await;
        };
        let role = Role {
            arn,
            session: section.get("role_session_name"),
            external_id: section.get("external_id"),
            seconds: section.get("duration_seconds"),
        };
        if section.get("mfa_serial").is_some() {
            return Err(Cause::setup(format!(
                "profile `{name}` asks for a one-time code, which nobody is here to type"
            )));
        }
        if let Some(file) = section.get("web_identity_token_file") {
            return self.sts(web).assume_with_token(&role, read(file.as_ref()).await?.trim()).await;
        }
        let keys = match (section.get("source_profile"), section.get("credential_source")) {
            (Some(source), _) if source == name => self.plain(web, all, name, &section).await?,
            (Some(source), _) => Box::pin(self.of_profile(web, all, source, depth + 1)).await?,
            (None, Some("Environment")) => of_environment(&self.env).ok_or(Cause::Absent)?,
            (None, Some("EcsContainer")) => {
                metadata::of_container(web, &self.env).await?.ok_or(Cause::Absent)?
            }
            (None, Some("Ec2InstanceMetadata")) => metadata::of_instance(web, &self.env).await?,
            (None, Some(_) | None) => {
                let what = "names a role but neither `source_profile` nor a known `credential_source` to take it with";
                return Err(Cause::setup(format!("profile `{name}` {what}")));
            }
        };
        self.sts(web).assume(&role, &keys).await
    }

    /// What a profile has without taking a role.
    async fn plain(
        &self,
        web: &Web,
        all: &Profiles,
        name: &str,
        section: &Section<'_>,
    ) -> Result<Keys, Cause> {
        if let Some(login) = sso::Login::of(all, section) {
            return login?.keys(web, &self.env).await;
        }
        if let Some(keys) = section.keys() {
            return Ok(keys);
        }
        let why = if section.get("credential_process").is_some() {
            "has its keys from `credential_process`, and programs are not run here; use another source"
        } else {
            "has no keys and no source of them, or its profiles stand behind each other in a circle"
        };
        Err(Cause::setup(format!("profile `{name}` {why}")))
    }
}

fn of_environment(env: &Surroundings) -> Option<Keys> {
    let (id, secret) = env.secret("AWS_ACCESS_KEY_ID").zip(env.secret("AWS_SECRET_ACCESS_KEY"))?;
    let token = env.first(&["AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"]).map(Secret::new);
    Some(Keys { id, secret, token, end: None })
}

/// A file of the chain.
pub(crate) async fn read(path: &Path) -> Result<String, Cause> {
    let read = tokio::fs::read_to_string(path).await;
    read.map_err(|why| Cause::File { path: path.display().to_string(), why: why.kind().to_string() })
}
