//! Keys of AWS.

use crate::rig::{Home, ask, form, in_an_hour, is_about_an_hour, keys, only};
use trunkline_core::Secret;
use trunkline_credentials::{AwsChain, Chain};
use trunkline_testkit::Received;
use trunkline_testkit::script::{Reply, Upstream};

fn chain(home: &Home) -> Chain {
    Chain::Aws(AwsChain { region: "us-east-1".into(), env: home.env(), ..AwsChain::default() })
}

/// What the token service answers with keys called `name`.
fn lent(name: &str) -> Reply {
    let xml = format!(
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ID{name}</AccessKeyId>\
         <SecretAccessKey>secret{name}</SecretAccessKey><SessionToken>token{name}</SessionToken>\
         <Expiration>{}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
        in_an_hour()
    );
    Reply::new(200, "text/xml", xml)
}

/// The JSON of a container's endpoint and of the metadata service.
fn lent_json(name: &str) -> String {
    serde_json::json!({"Code": "Success", "AccessKeyId": format!("ID{name}"), "Token": format!("token{name}"),
        "SecretAccessKey": format!("secret{name}"), "Expiration": in_an_hour()})
    .to_string()
}

/// A token service that lends `IDrole1`, `IDrole2` ...
async fn sts() -> Upstream {
    Upstream::directed(|_, nth| lent(&format!("role{}", nth + 1))).await.unwrap()
}

async fn assert_lends(home: &Home, name: &str, what: &str) {
    let (id, secret, token, lifetime) =
        keys(ask(&chain(home)).await.unwrap_or_else(|why| panic!("{what}: {why}")));
    assert_eq!((id, secret), (format!("ID{name}"), format!("secret{name}")), "{what}");
    assert_eq!(token, Some(format!("token{name}")), "{what}");
    assert!(is_about_an_hour(lifetime), "{what}: {lifetime:?}");
}

/// Who signed a request, and what it asks for.
fn signed_by(request: &Received) -> Option<&str> {
    request.header("authorization")?.split_once("Credential=")?.1.split('/').next()
}

const BASE: &str = "[base]\naws_access_key_id = IDbase\naws_secret_access_key = secretbase\n";

#[tokio::test]
async fn roles_are_taken_one_with_the_keys_of_the_other() {
    let sts = sts().await;
    let config = "[profile dev]\nrole_arn = arn:aws:iam::1:role/dev\nsource_profile = middle\nexternal_id = e/1\n\
                  duration_seconds = 900\nrole_session_name = me\n\
                  [profile middle]\nrole_arn = arn:aws:iam::1:role/middle\nsource_profile = base\n";
    let home = Home::new()
        .file(".aws/config", config)
        .file(".aws/credentials", BASE)
        .var("AWS_PROFILE", "dev")
        .var("AWS_ENDPOINT_URL_STS", sts.url());
    assert_lends(&home, "role2", "a chain of roles").await;
    let requests = sts.requests();
    let [first, second] = &requests[..] else { panic!("{} requests", requests.len()) };
    assert_eq!([signed_by(first), signed_by(second)], [Some("IDbase"), Some("IDrole1")]);
    assert_eq!(second.header("x-amz-security-token"), Some("tokenrole1"));
    assert!(first.header("authorization").unwrap().contains("/us-east-1/sts/aws4_request"));
    let (first, second) = (form(&first.body), form(&second.body));
    assert_eq!((&*first["Action"], &*first["RoleArn"]), ("AssumeRole", "arn:aws:iam::1:role/middle"));
    assert_eq!((&*first["RoleSessionName"], first.get("ExternalId")), ("trunkline", None));
    let said = ["RoleArn", "ExternalId", "DurationSeconds", "RoleSessionName"].map(|name| &*second[name]);
    assert_eq!(said, ["arn:aws:iam::1:role/dev", "e/1", "900", "me"]);
}

#[tokio::test]
async fn a_role_of_the_configuration_is_taken_with_what_the_chain_lends() {
    let sts = sts().await;
    let home = Home::new()
        .file(".aws/credentials", BASE)
        .var("AWS_ENDPOINT_URL_STS", sts.url())
        .var("AWS_ACCESS_KEY_ID", "other")
        .var("AWS_SECRET_ACCESS_KEY", "other");
    let chain = AwsChain {
        profile: Some("base".to_owned()),
        role_arn: Some("arn:aws:iam::2:role/x".to_owned()),
        external_id: Some(Secret::new("hush")),
        region: "eu-west-1".into(),
        // What the configuration says goes before the environment.
        env: home.env(),
    };
    let (id, ..) = keys(ask(&Chain::Aws(chain)).await.unwrap());
    let requests = sts.requests();
    assert_eq!((&*id, signed_by(&requests[0])), ("IDrole1", Some("IDbase")));
    assert_eq!(form(&requests[0].body)["ExternalId"], "hush");
}

#[tokio::test]
async fn web_identity_shows_its_token_and_signs_nothing() {
    let sts = sts().await;
    let home = Home::new();
    let token = home.write("token", "jwt\n").display().to_string();
    let home = home
        .var("AWS_WEB_IDENTITY_TOKEN_FILE", token)
        .var("AWS_ROLE_ARN", "arn:aws:iam::1:role/pod")
        .var("AWS_ENDPOINT_URL_STS", sts.url());
    assert_lends(&home, "role1", "web identity").await;
    let requests = sts.requests();
    let form = form(&requests[0].body);
    assert_eq!((&*form["Action"], &*form["WebIdentityToken"]), ("AssumeRoleWithWebIdentity", "jwt"));
    assert_eq!(requests[0].header("authorization"), None);
}

#[tokio::test]
async fn single_sign_on_uses_the_token_that_was_left_for_it() {
    let body = serde_json::json!({"roleCredentials": {"accessKeyId": "IDsso", "secretAccessKey": "secretsso",
        "sessionToken": "tokensso", "expiration": 4_102_444_800_000_u64}});
    let portal = only("/federation/credentials", body.to_string()).await;
    let config = "[profile dev]\nsso_session = corp\nsso_account_id = 123\nsso_role_name = reader\n\
                  [sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.example\n";
    // The SHA-1 of `corp`.
    let cache = ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
    let left = format!(r#"{{"accessToken":"sso-token","expiresAt":"{}"}}"#, in_an_hour());
    let home = || {
        let home = Home::new().file(".aws/config", config).var("AWS_PROFILE", "dev");
        home.var("AWS_ENDPOINT_URL_SSO", portal.url())
    };
    let (id, ..) = keys(ask(&chain(&home().file(cache, &left))).await.unwrap());
    assert_eq!(id, "IDsso");
    let requests = portal.requests();
    assert_eq!(requests[0].uri.query(), Some("role_name=reader&account_id=123"));
    assert_eq!(requests[0].header("x-amz-sso_bearer_token"), Some("sso-token"));
    for (what, home) in [
        ("never begun", home()),
        ("over", home().file(cache, r#"{"accessToken":"sso-token","expiresAt":"2020-01-01T00:00:00Z"}"#)),
    ] {
        let why = ask(&chain(&home)).await.unwrap_err();
        assert!(why.to_string().contains("run `aws sso login`") && !why.is_passing(), "{what}: {why}");
    }
    assert_eq!(portal.requests().len(), 1);
}

#[tokio::test]
async fn containers_and_instances_lend_what_they_have() {
    let container = only("/creds", lent_json("pod")).await;
    let home = Home::new();
    let token = home.write("token", "first\n");
    let home = home
        .var("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/creds", container.url()))
        .var("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.display().to_string());
    assert_lends(&home, "pod", "a container").await;
    home.write("token", "second");
    assert_lends(&home, "pod", "a container again").await;
    let shown: Vec<_> =
        container.requests().iter().map(|asked| asked.header("authorization").map(str::to_owned)).collect();
    assert_eq!(shown, [Some("first".to_owned()), Some("second".to_owned())]);

    let machine = Upstream::directed(|asked, _| match (asked.method.as_str(), asked.path()) {
        ("PUT", "/latest/api/token") => Reply::new(200, "text/plain", "session"),
        ("GET", "/latest/meta-data/iam/security-credentials/") => Reply::new(200, "text/plain", "web\n"),
        ("GET", "/latest/meta-data/iam/security-credentials/web") => Reply::json(200, lent_json("ec2")),
        _ => Reply::json(404, "{}"),
    })
    .await
    .unwrap();
    let home = Home::new().var("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine.url());
    assert_lends(&home, "ec2", "an instance").await;
    let requests = machine.requests();
    assert_eq!(requests[0].header("x-aws-ec2-metadata-token-ttl-seconds"), Some("21600"));
    assert!(requests[1..].iter().all(|asked| asked.header("x-aws-ec2-metadata-token") == Some("session")));
}

#[tokio::test]
async fn keys_of_a_profile_and_of_the_environment_are_lent_as_they_are() {
    let home = Home::new().file(".aws/credentials", BASE).var("AWS_PROFILE", "base");
    let (id, secret, token, lifetime) = keys(ask(&chain(&home)).await.unwrap());
    assert_eq!((&*id, &*secret, token, lifetime), ("IDbase", "secretbase", None, None));
    let home = home
        .var("AWS_ACCESS_KEY_ID", "IDenv")
        .var("AWS_SECRET_ACCESS_KEY", "s")
        .var("AWS_SECURITY_TOKEN", "t");
    let (id, _, token, _) = keys(ask(&chain(&home)).await.unwrap());
    assert_eq!((&*id, token.as_deref()), ("IDenv", Some("t")));
}

#[tokio::test]
async fn what_is_wrong_is_named_and_no_other_identity_is_used_instead() {
    let refusing = Upstream::directed(|_, _| {
        Reply::new(
            403,
            "text/xml",
            "<Error><Code>AccessDenied</Code><Message>hush secretbase</Message></Error>",
        )
    })
    .await
    .unwrap();
    let off = |home: Home| home.var("AWS_EC2_METADATA_DISABLED", "true");
    let circle =
        "[profile a]\nrole_arn = r\nsource_profile = b\n[profile b]\nrole_arn = r\nsource_profile = a\n";
    let role = "[profile dev]\nrole_arn = r\nsource_profile = base\n";
    for (what, home, passes, says) in [
        (
            "nothing",
            off(Home::new()),
            false,
            "tried environment, web identity, profile, container): none of them",
        ),
        ("no such profile", off(Home::new()).var("AWS_PROFILE", "x"), false, "profile `x` is in neither"),
        (
            "no token",
            off(Home::new()).var("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such").var("AWS_ROLE_ARN", "r"),
            false,
            "/no/such cannot be read",
        ),
        (
            "a refusal",
            off(Home::new())
                .file(".aws/config", role)
                .file(".aws/credentials", BASE)
                .var("AWS_PROFILE", "dev")
                .var("AWS_ENDPOINT_URL_STS", refusing.url()),
            false,
            "answers 403 (AccessDenied)",
        ),
        (
            "a circle",
            off(Home::new()).file(".aws/config", circle).var("AWS_PROFILE", "a"),
            false,
            "in a circle",
        ),
        (
            "a program",
            off(Home::new()).file(".aws/config", "[default]\ncredential_process = /bin/true\n"),
            false,
            "programs are not run here",
        ),
        (
            "a role without keys",
            off(Home::new()).file(".aws/config", "[default]\nrole_arn = r\n"),
            false,
            "neither `source_profile`",
        ),
        (
            "an endpoint elsewhere",
            off(Home::new()).var("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/x"),
            false,
            "must be https",
        ),
        (
            "nobody there",
            Home::new().var("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"),
            true,
            "cannot be reached",
        ),
    ] {
        let why = ask(&chain(&home)).await.unwrap_err();
        let text = why.to_string();
        assert!(text.contains(says), "{what}: {text}");
        assert_eq!(why.is_passing(), passes, "{what}: {text}");
        assert!(!text.contains("hush") && !text.contains("secretbase"), "{what}: {text}");
    }
}
