//! Single sign-on: `aws sso login` leaves a token, with which a role's keys are had until it expires.

use super::profile::{Profiles, Section};
use super::{Keys, read};
use crate::web::{Ask, Web};
use crate::{Cause, Surroundings};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde::Deserialize;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use trunkline_core::{Secret, read_rfc3339};

/// What a profile says of it.
pub(super) struct Login<'a> {
    region: &'a str,
    account: &'a str,
    role: &'a str,
    /// What the file of the token is named after.
    named: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cached {
    access_token: Secret,
    expires_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    role_credentials: Credentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credentials {
    access_key_id: Secret,
    secret_access_key: Secret,
    session_token: Secret,
    /// Milliseconds since 1970.
    expiration: u64,
}

impl<'a> Login<'a> {
    /// What `section` says; `None` when it has nothing to do with single sign-on.
    pub(super) fn of(all: &'a Profiles, section: &Section<'a>) -> Option<Result<Self, Cause>> {
        let session = section.get("sso_session");
        let named = session.or_else(|| section.get("sso_start_url"))?;
        let region = match session {
            Some(session) => all.login(session, "sso_region"),
            None => section.get("sso_region"),
        };
        let parts = region.zip(section.get("sso_account_id")).zip(section.get("sso_role_name"));
        let missing = "single sign-on needs sso_region, sso_account_id and sso_role_name";
        let login = parts.map(|((region, account), role)| Self { region, account, role, named });
        Some(login.ok_or_else(|| Cause::setup(missing)))
    }

    pub(super) async fn keys(&self, web: &Web, env: &Surroundings) -> Result<Keys, Cause> {
        let again =
            || Cause::setup("the session of AWS's single sign-on is over or not begun; run `aws sso login`");
        let path = self.cached(env).filter(|path| path.exists()).ok_or_else(again)?;
        let cached: Cached = serde_json::from_str(&read(&path).await?).map_err(|_| again())?;
        if read_rfc3339(&cached.expires_at).is_none_or(|end| end <= SystemTime::now()) {
            return Err(again());
        }
        let base = env.first(&["AWS_ENDPOINT_URL_SSO", "AWS_ENDPOINT_URL"]).map(str::to_owned);
        let base = base.unwrap_or_else(|| super::sts::regional("portal.sso", self.region));
        let (base, role, account) = (base.trim_end_matches('/'), self.role, self.account);
        let url = format!("{base}/federation/credentials?role_name={role}&account_id={account}");
        let ask = Ask::get(&url).header("x-amz-sso_bearer_token", cached.access_token.reveal());
        let Told { role_credentials: keys } = web.ask(ask).await?.json("credentials")?;
        let end = UNIX_EPOCH + Duration::from_millis(keys.expiration);
        let token = Some(keys.session_token);
        Ok(Keys { id: keys.access_key_id, secret: keys.secret_access_key, token, end: Some(end) })
    }

    fn cached(&self, env: &Surroundings) -> Option<PathBuf> {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, self.named.as_bytes());
        let name = hash.as_ref().iter().fold(String::new(), |mut name, byte| {
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
            name
        });
        env.at_home(&format!(".aws/sso/cache/{name}.json"))
    }
}
