//! The claim a service account signs to get a token (RFC 7523).

use super::file::Account;
use crate::Cause;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// How long the claim holds; longer is refused.
const SECONDS: u64 = 3600;

pub(super) fn sign(account: &Account, scope: &str, now: SystemTime) -> Result<String, Cause> {
    let key = key(account)?;
    let issued = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": account.private_key_id});
    let claims = json!({
        "iss": account.client_email,
        "scope": scope,
        "aud": account.token_uri,
        "iat": issued,
        "exp": issued + SECONDS,
    });
    let encoded = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let told =
        format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(claims.to_string().as_bytes()));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), told.as_bytes(), &mut signature)
        .map_err(|_| Cause::setup("the service account's key does not sign"))?;
    Ok(format!("{told}.{}", encoded(&signature)))
}

fn key(account: &Account) -> Result<RsaKeyPair, Cause> {
    let bad = || Cause::setup("private_key of the service account is not an RSA key in PEM");
    // What came through an environment variable may have its line ends written out.
    let pem = account.private_key.reveal().replace("\\n", "\n");
    match PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| bad())? {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| bad()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()).map_err(|_| bad()),
        PrivateKeyDer::Sec1(_) | _ => Err(bad()),
    }
}
