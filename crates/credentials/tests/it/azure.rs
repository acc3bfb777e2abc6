//! Tokens of Microsoft Entra.

use crate::rig::{Home, ask, form, only, token};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use trunkline_core::Secret;
use trunkline_credentials::{AzureChain, Chain};
use trunkline_testkit::script::{Reply, Upstream};

const TOLD: &str = r#"{"token_type":"Bearer","expires_in":3599,"access_token":"eyJ.lent"}"#;
const PLACE: &str = "/tenant/oauth2/v2.0/token";

fn chain(chain: AzureChain, home: &Home) -> Chain {
    Chain::Azure(chain.completed(&home.env()))
}

fn of_environment(entra: &Upstream) -> Home {
    Home::new()
        .var("AZURE_TENANT_ID", "tenant")
        .var("AZURE_CLIENT_ID", "client")
        .var("AZURE_AUTHORITY_HOST", format!("{}/", entra.url()))
}

#[tokio::test]
async fn applications_show_a_secret_or_the_token_of_another_party() {
    let entra = only(PLACE, TOLD.to_owned()).await;
    let home = of_environment(&entra).var("AZURE_CLIENT_SECRET", "s~1");
    let (lent, _, lifetime) = token(ask(&chain(AzureChain::default(), &home)).await.unwrap());
    assert_eq!((&*lent, lifetime), ("eyJ.lent", Some(Duration::from_secs(3599))));
    let home = of_environment(&entra);
    let file = home.write("token", "federated\n").display().to_string();
    let home = home.var("AZURE_FEDERATED_TOKEN_FILE", file);
    let own = AzureChain { scope: Some("https://ai.azure.com/.default".to_owned()), ..AzureChain::default() };
    ask(&chain(own, &home)).await.unwrap();
    let sent: Vec<_> = entra.requests().iter().map(|asked| form(&asked.body)).collect();
    assert_eq!(
        ["grant_type", "client_id", "client_secret", "scope"].map(|name| &*sent[0][name]),
        ["client_credentials", "client", "s~1", "https://cognitiveservices.azure.com/.default"]
    );
    assert_eq!(
        ["client_assertion_type", "client_assertion", "scope"].map(|name| &*sent[1][name]),
        [
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "federated",
            "https://ai.azure.com/.default"
        ]
    );
}

/// A secret of the environment is not shown for an application that it is not of.
#[tokio::test]
async fn an_application_of_the_configuration_has_its_own_secret() {
    let entra = only(PLACE, TOLD.to_owned()).await;
    let home = of_environment(&entra).var("AZURE_CLIENT_SECRET", "of-environment");
    let own = AzureChain { client: Some("own".to_owned()), ..AzureChain::default() };
    let why = ask(&chain(own.clone(), &home)).await.unwrap_err();
    assert!(why.to_string().contains("(tried managed identity): none of them is set up"), "{why}");
    assert_eq!(entra.requests().len(), 0);
    let own = AzureChain { secret: Some(Secret::new("of-own")), ..own };
    ask(&chain(own, &home)).await.unwrap();
    let sent = form(&entra.requests()[0].body);
    assert_eq!((&*sent["client_id"], &*sent["client_secret"]), ("own", "of-own"));
}

#[tokio::test]
async fn managed_identities_are_those_of_the_service_or_the_machine() {
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    let body = format!(r#"{{"access_token":"eyJ.lent","expires_on":"{end}","token_type":"Bearer"}}"#);
    let service = only("/msi", body).await;
    let home =
        Home::new().var("IDENTITY_ENDPOINT", format!("{}/msi", service.url())).var("IDENTITY_HEADER", "hush");
    let (lent, _, lifetime) = token(ask(&chain(AzureChain::default(), &home)).await.unwrap());
    assert_eq!(lent, "eyJ.lent");
    assert!((3500..=3600).contains(&lifetime.unwrap().as_secs()));
    let asked = service.requests().remove(0);
    assert_eq!(asked.header("x-identity-header"), Some("hush"));
    let resource = "resource=https://cognitiveservices.azure.com";
    assert_eq!(asked.uri.query(), Some(&*format!("api-version=2019-08-01&{resource}")));

    let machine = only(
        "/metadata/identity/oauth2/token",
        r#"{"access_token":"eyJ.machine","expires_in":"86399"}"#.to_owned(),
    )
    .await;
    let home = Home::new().var("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.url());
    let own = AzureChain { managed: true, client: Some("assigned".to_owned()), ..AzureChain::default() };
    let (lent, _, lifetime) = token(ask(&chain(own, &home)).await.unwrap());
    assert_eq!((&*lent, lifetime), ("eyJ.machine", Some(Duration::from_secs(86_399))));
    let asked = machine.requests().remove(0);
    assert_eq!(asked.header("metadata"), Some("true"));
    assert!(asked.uri.query().unwrap().ends_with("&client_id=assigned"), "{}", asked.uri);
}

#[tokio::test]
async fn refusals_are_told_by_their_name_alone() {
    let entra = Upstream::directed(|_, _| {
        Reply::json(401, r#"{"error":"invalid_client","error_description":"AADSTS7000215: hush"}"#)
    })
    .await
    .unwrap();
    let home = of_environment(&entra).var("AZURE_CLIENT_SECRET", "hush");
    let why = ask(&chain(AzureChain::default(), &home)).await.unwrap_err();
    let text = why.to_string();
    assert!(text.contains("(tried client secret)") && text.contains("401 (invalid_client)"), "{text}");
    assert!(!text.contains("hush") && !why.is_passing(), "{text}");
}
