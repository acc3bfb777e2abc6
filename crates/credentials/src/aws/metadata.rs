//! What the surroundings of a process lend it: a container's own endpoint, and an instance's metadata service in its
//! second version.

use super::{Keys, read};
use crate::web::{Ask, Told, Web, is_private};
use crate::{Cause, Surroundings};
use http::{Method, Uri};
use serde::Deserialize;
use trunkline_core::{Secret, read_rfc3339};

/// Where containers ask.
const CONTAINER: &str = "http://169.254.170.2";
/// Where containers may ask without TLS: what other machines can stand in for is not among them.
const NEAR: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];
/// Where instances ask, by the kind of their network.
const INSTANCE: [&str; 2] = ["http://169.254.169.254", "http://[fd00:ec2::254]"];
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Lent {
    access_key_id: Secret,
    secret_access_key: Secret,
    token: Option<Secret>,
    expiration: Option<String>,
}

/// What a container's endpoint lends; `None` outside of one.
pub(super) async fn of_container(web: &Web, env: &Surroundings) -> Result<Option<Keys>, Cause> {
    let url = match env.text(super::CONTAINER_PATH) {
        Some(path) => format!("{CONTAINER}{path}"),
        None => match env.text(super::CONTAINER_URL) {
            Some(url) => url.to_owned(),
            None => return Ok(None),
        },
    };
    if !may_ask(&url) {
        let what = "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, of this machine, or the container's own endpoint";
        return Err(Cause::setup(what));
    }
    // Read each time: it is changed while we run.
    let token = match env.text("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => Some(read(file.as_ref()).await?),
        None => env.text("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(str::to_owned),
    };
    let ask = Ask::get(&url).near();
    let ask = match &token {
        Some(token) => ask.header("authorization", token.trim()),
        None => ask,
    };
    keys(&web.ask(ask).await?).map(Some)
}

fn may_ask(url: &str) -> bool {
    let Some(host) = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)) else {
        return false;
    };
    let host = host.trim_matches(['[', ']']);
    is_private(url, host) || NEAR.contains(&host)
}

/// What the role of this machine lends.
pub(super) async fn of_instance(web: &Web, env: &Surroundings) -> Result<Keys, Cause> {
    let [four, six] = INSTANCE;
    let mode = env.text("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").unwrap_or_default();
    let usual = if mode.eq_ignore_ascii_case("ipv6") { six } else { four };
    let base = env.text(super::INSTANCE_URL).unwrap_or(usual).trim_end_matches('/');
    let url = format!("{base}/latest/api/token");
    let ask = Ask::get(&url).near().method(Method::PUT);
    let session = web.ask(ask.header("x-aws-ec2-metadata-token-ttl-seconds", "21600")).await?;
    let session = session.text("a token")?;
    let get =
        async |url: String| web.ask(Ask::get(&url).near().header("x-aws-ec2-metadata-token", session)).await;
    let roles = get(format!("{base}{ROLES}")).await?;
    let role = roles.text("a role")?.lines().next().unwrap_or_default().trim();
    keys(&get(format!("{base}{ROLES}{role}")).await?)
}

fn keys(told: &Told) -> Result<Keys, Cause> {
    let lent: Lent = told.json("credentials")?;
    let end = lent.expiration.as_deref().and_then(read_rfc3339);
    if lent.expiration.is_some() && end.is_none() {
        return Err(told.lacks("a date that its keys expire at"));
    }
    Ok(Keys { id: lent.access_key_id, secret: lent.secret_access_key, token: lent.token, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_ask_near_or_over_tls() {
        for (url, may) in [
            ("http://169.254.170.2/v2/x", true),
            ("http://169.254.170.23/v1/credentials", true),
            ("http://[fd00:ec2::23]/v1/credentials", true),
            ("http://127.0.0.1:80/x", true),
            ("https://credentials.example/x", true),
            ("http://credentials.example/x", false),
            ("http://169.254.170.2.example/x", false),
            ("http://10.0.0.1/x", false),
            ("no url", false),
        ] {
            assert_eq!(may_ask(url), may, "{url}");
        }
    }
}
