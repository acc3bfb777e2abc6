//! Keys of roles, from AWS's security token service.

use super::Keys;
use crate::web::{Ask, Told, Web};
use crate::{Cause, Surroundings};
use trunkline_core::{Secret, read_rfc3339};
use trunkline_upstream::Signer;

/// A role, and how it is taken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Role<'a> {
    pub(super) arn: &'a str,
    pub(super) session: Option<&'a str>,
    pub(super) external_id: Option<&'a str>,
    pub(super) seconds: Option<&'a str>,
}

/// Where roles are taken.
pub(super) struct Sts<'a> {
    pub(super) web: &'a Web,
    pub(super) env: &'a Surroundings,
    pub(super) region: &'a str,
}

/// What sessions are called in AWS's own books where nobody says otherwise.
const SESSION: &str = "trunkline";

impl Sts<'_> {
    /// The keys of `role` for whoever has `keys`.
    pub(super) async fn assume(&self, role: &Role<'_>, keys: &Keys) -> Result<Keys, Cause> {
        let signer = keys.signer(self.region, Signer::STS);
        let (url, fields) = (self.url(), role.fields("AssumeRole", None));
        read(&self.web.ask(Ask::form(&url, &fields).signed(&signer)).await?)
    }

    /// The keys of `role` for whomever `token` speaks of.
    pub(super) async fn assume_with_token(&self, role: &Role<'_>, token: &str) -> Result<Keys, Cause> {
        let (url, fields) = (self.url(), role.fields("AssumeRoleWithWebIdentity", Some(token)));
        read(&self.web.ask(Ask::form(&url, &fields)).await?)
    }

    fn url(&self) -> String {
        let said = self.env.first(&["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"]);
        said.map_or_else(|| regional("sts", self.region), |url| format!("{}/", url.trim_end_matches('/')))
    }
}

/// The address of one of AWS's services in a region.
pub(super) fn regional(service: &str, region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{service}.{region}.{domain}/")
}

impl<'a> Role<'a> {
    fn fields(&self, action: &'a str, token: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
        let always = [
            ("Action", action),
            ("Version", "2011-06-15"),
            ("RoleArn", self.arn),
            ("RoleSessionName", self.session.unwrap_or(SESSION)),
        ];
        let perhaps = [
            ("ExternalId", self.external_id),
            ("DurationSeconds", self.seconds),
            ("WebIdentityToken", token),
        ];
        always
            .into_iter()
            .chain(perhaps.into_iter().filter_map(|(name, value)| Some((name, value?))))
            .collect()
    }
}

/// The answer is XML of which four texts are wanted; none of them has characters that XML would escape.
fn read(told: &Told) -> Result<Keys, Cause> {
    let xml = told.text("credentials")?;
    let inside = |tag: &str| {
        let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
        rest.split_once(&format!("</{tag}>")).map(|(text, _)| text.trim())
    };
    let secret = |tag: &str| inside(tag).map(Secret::new).ok_or_else(|| told.lacks("credentials"));
    let end =
        inside("Expiration").and_then(read_rfc3339).ok_or_else(|| told.lacks("when its keys expire"))?;
    Ok(Keys {
        id: secret("AccessKeyId")?,
        secret: secret("SecretAccessKey")?,
        token: Some(secret("SessionToken")?),
        end: Some(end),
    })
}
