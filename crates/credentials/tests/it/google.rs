//! Tokens of Google Cloud.

use crate::rig::{Home, ask, form, in_an_hour, is_about_an_hour, only, token};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_credentials::{Chain, GoogleChain};
use trunkline_testkit::script::{Reply, Upstream};

const KEY: &str = include_str!("../data/service-account.pem");
const PUBLIC: &[u8] = include_bytes!("../data/service-account.pub.der");
const TOLD: &str = r#"{"access_token":"ya29.lent","expires_in":3599,"token_type":"Bearer"}"#;

fn chain(home: &Home) -> Chain {
    Chain::Google(GoogleChain { env: home.env(), ..GoogleChain::default() })
}

/// A home in which the environment names a file of `credentials`.
fn said(credentials: &Value) -> Home {
    let home = Home::new();
    let path = home.write("credentials.json", &credentials.to_string()).display().to_string();
    home.var("GOOGLE_APPLICATION_CREDENTIALS", path)
}

#[tokio::test]
async fn service_accounts_sign_what_they_claim() {
    let tokens = only("/token", TOLD.to_owned()).await;
    let account = json!({"type": "service_account", "client_email": "a@p.iam.gserviceaccount.com",
        "private_key": KEY, "private_key_id": "k1", "token_uri": format!("{}/token", tokens.url())});
    let inline = Home::new().var("VERTEX_AI_SERVICE_ACCOUNT_JSON", account.to_string());
    for home in [said(&account), inline] {
        let (lent, quota, lifetime) = token(ask(&chain(&home)).await.unwrap());
        assert_eq!((&*lent, quota, lifetime), ("ya29.lent", None, Some(Duration::from_secs(3599))));
    }
    let requests = tokens.requests();
    let form = form(&requests[0].body);
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (claim, signature) = form["assertion"].rsplit_once('.').unwrap();
    let decoded = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, PUBLIC);
    key.verify(claim.as_bytes(), &decoded(signature)).unwrap();
    let parts: Vec<Value> =
        claim.split('.').map(|part| serde_json::from_slice(&decoded(part)).unwrap()).collect();
    let [header, claims] = &parts[..] else { panic!("{parts:?}") };
    assert_eq!(*header, json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    assert_eq!(claims["iss"], account["client_email"]);
    assert_eq!(claims["aud"], account["token_uri"]);
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert_eq!(claims["exp"].as_u64(), claims["iat"].as_u64().map(|at| at + 3600));
}

#[tokio::test]
async fn what_gcloud_left_is_used_and_charged_where_it_says() {
    let tokens = only("/token", TOLD.to_owned()).await;
    let user = json!({"type": "authorized_user", "client_id": "c", "client_secret": "s/1",
        "refresh_token": "1//r", "quota_project_id": "pays", "token_uri": format!("{}/token", tokens.url())});
    let home = Home::new().file(".config/gcloud/application_default_credentials.json", &user.to_string());
    let (lent, quota, _) = token(ask(&chain(&home)).await.unwrap());
    assert_eq!((&*lent, quota.as_deref()), ("ya29.lent", Some("pays")));
    let form = form(&tokens.requests()[0].body);
    let said = ["grant_type", "client_id", "client_secret", "refresh_token"].map(|name| &*form[name]);
    assert_eq!(said, ["refresh_token", "c", "s/1", "1//r"]);
}

#[tokio::test]
async fn workloads_exchange_the_token_of_whoever_vouches_for_them() {
    let cloud = Upstream::directed(|asked, _| match asked.path() {
        "/subject" => Reply::json(200, r#"{"value":"subject-token"}"#),
        "/exchange" => Reply::json(200, r#"{"access_token":"federated","expires_in":3600}"#),
        "/impersonate" => {
            Reply::json(200, format!(r#"{{"accessToken":"of-account","expireTime":"{}"}}"#, in_an_hour()))
        }
        _ => Reply::json(404, "{}"),
    })
    .await
    .unwrap();
    let url = |path: &str| format!("{}{path}", cloud.url());
    let external = |source: Value, impersonated: bool| {
        let mut external = json!({"type": "external_account", "audience": "//iam/pool",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": url("/exchange"),
            "credential_source": source});
        if impersonated {
            external["service_account_impersonation_url"] = url("/impersonate").into();
        }
        external
    };
    let source = json!({"url": url("/subject"), "headers": {"x-flavour": "f"},
        "format": {"type": "json", "subject_token_field_name": "value"}});
    let (lent, ..) = token(ask(&chain(&said(&external(source, false)))).await.unwrap());
    assert_eq!(lent, "federated");
    let requests = cloud.requests();
    assert_eq!(requests[0].header("x-flavour"), Some("f"));
    let exchange = form(&requests[1].body);
    assert_eq!((&*exchange["subject_token"], &*exchange["audience"]), ("subject-token", "//iam/pool"));

    let home = Home::new();
    let file = home.write("oidc", "from-file\n");
    let (lent, _, lifetime) =
        token(ask(&chain(&said(&external(json!({"file": file}), true)))).await.unwrap());
    assert_eq!(lent, "of-account");
    assert!(is_about_an_hour(lifetime));
    let requests = cloud.requests();
    assert_eq!(form(&requests[2].body)["subject_token"], "from-file");
    assert_eq!(requests[3].header("authorization"), Some("Bearer federated"));
    let refused = ask(&chain(&said(&external(json!({"environment_id": "aws1"}), false)))).await.unwrap_err();
    assert!(refused.to_string().contains("neither `file` nor `url`"), "{refused}");
}

#[tokio::test]
async fn one_account_acts_in_the_name_of_another() {
    let cloud = Upstream::directed(|asked, _| match asked.path() {
        "/token" => Reply::json(200, TOLD),
        _ => Reply::json(200, format!(r#"{{"accessToken":"of-account","expireTime":"{}"}}"#, in_an_hour())),
    })
    .await
    .unwrap();
    let file = json!({"type": "impersonated_service_account",
        "service_account_impersonation_url": format!("{}/impersonate", cloud.url()),
        "source_credentials": {"type": "authorized_user", "client_id": "c", "client_secret": "s",
            "refresh_token": "r", "token_uri": format!("{}/token", cloud.url())}});
    assert_eq!(token(ask(&chain(&said(&file))).await.unwrap()).0, "of-account");
    assert_eq!(cloud.requests()[1].header("authorization"), Some("Bearer ya29.lent"));
}

#[tokio::test]
async fn machines_of_googles_are_asked_last() {
    let machine = only("/computeMetadata/v1/instance/service-accounts/default/token", TOLD.to_owned()).await;
    let home = Home::new().var("GCE_METADATA_HOST", machine.address().to_string());
    assert_eq!(token(ask(&chain(&home)).await.unwrap()).0, "ya29.lent");
    assert_eq!(machine.requests()[0].header("metadata-flavor"), Some("Google"));
}

#[tokio::test]
async fn what_is_wrong_is_named_without_what_is_in_the_file() {
    let refusing = Upstream::directed(|_, _| {
        Reply::json(400, r#"{"error":"invalid_grant","error_description":"hush hush-refresh"}"#)
    })
    .await
    .unwrap();
    let user = |url: String| {
        json!({"type": "authorized_user", "client_id": "c", "client_secret": "hush-secret",
            "refresh_token": "hush-refresh", "token_uri": url})
    };
    let account = |key: &str| {
        json!({"type": "service_account", "client_email": "a", "private_key": key,
            "token_uri": refusing.url()})
    };
    for (what, home, passes, says) in [
        ("a refusal", said(&user(format!("{}/token", refusing.url()))), false, "answers 400 (invalid_grant)"),
        ("nobody there", said(&user("http://127.0.0.1:1/token".to_owned())), true, "cannot be reached"),
        ("no TLS", said(&user("http://192.0.2.1/token".to_owned())), false, "must be asked over https"),
        ("no key", said(&account("hush-secret")), false, "not an RSA key in PEM"),
        ("another kind", said(&json!({"type": "hush-secret"})), false, "is none of service_account"),
        (
            "no file",
            Home::new().var("GOOGLE_APPLICATION_CREDENTIALS", "/no/such"),
            false,
            "(tried GOOGLE_APPLICATION_CREDENTIALS): /no/such cannot be read",
        ),
    ] {
        let why = ask(&chain(&home)).await.unwrap_err();
        let text = why.to_string();
        assert!(text.contains(says), "{what}: {text}");
        assert_eq!(why.is_passing(), passes, "{what}: {text}");
        assert!(!text.contains("hush"), "{what}: {text}");
    }
}
