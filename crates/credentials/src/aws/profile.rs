//! AWS's shared files: `config`, whose sections are `[profile NAME]`, and `credentials`, whose sections are `[NAME]`.

use super::{Keys, read};
use crate::{Cause, Surroundings};
use std::collections::BTreeMap;
use std::path::PathBuf;
use trunkline_core::Secret;

type Settings = BTreeMap<String, Secret>;

/// All profiles of both files.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    config: BTreeMap<String, Settings>,
    credentials: BTreeMap<String, Settings>,
    logins: BTreeMap<String, Settings>,
}

/// One profile; keys of the file for keys go before those of the other.
#[derive(Debug)]
pub(super) struct Section<'a> {
    credentials: Option<&'a Settings>,
    config: Option<&'a Settings>,
}

impl Profiles {
    /// Where the files are: for settings, for keys.
    pub(super) fn files(env: &Surroundings) -> [Option<PathBuf>; 2] {
        [("AWS_CONFIG_FILE", ".aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")]
            .map(|(name, usual)| env.text(name).map(PathBuf::from).or_else(|| env.at_home(usual)))
    }

    /// Reads both. A file that is not there has no profiles.
    pub(super) async fn read(env: &Surroundings) -> Result<Self, Cause> {
        let [config, credentials] = Self::files(env);
        let (config, credentials) = (text(config).await?, text(credentials).await?);
        Ok(Self::parse(&config, &credentials))
    }

    fn parse(config: &str, credentials: &str) -> Self {
        let mut all = Self { credentials: sections(credentials), ..Self::default() };
        for (name, settings) in sections(config) {
            match name.split_once(char::is_whitespace) {
                Some(("profile", name)) => drop(all.config.insert(name.trim().to_owned(), settings)),
                Some(("sso-session", name)) => drop(all.logins.insert(name.trim().to_owned(), settings)),
                None if name == "default" => drop(all.config.entry(name).or_insert(settings)),
                Some(_) | None => {}
            }
        }
        all
    }

    pub(super) fn named(&self, name: &str) -> Option<Section<'_>> {
        let (credentials, config) = (self.credentials.get(name), self.config.get(name));
        (credentials.is_some() || config.is_some()).then_some(Section { credentials, config })
    }

    /// A setting of the single sign-on called `name`.
    pub(super) fn login(&self, name: &str, setting: &str) -> Option<&str> {
        self.logins.get(name)?.get(setting).map(Secret::reveal)
    }
}

impl<'a> Section<'a> {
    pub(super) fn get(&self, setting: &str) -> Option<&'a str> {
        let of = |settings: Option<&'a Settings>| settings?.get(setting).map(Secret::reveal);
        of(self.credentials).or_else(|| of(self.config))
    }

    /// Whether it says anything of where keys come from.
    pub(super) fn has_source(&self) -> bool {
        let sources = ["aws_access_key_id", "sso_session", "sso_start_url", "credential_process"];
        sources.into_iter().any(|setting| self.get(setting).is_some())
    }

    /// Keys of one of the files; parts of two do not fit each other.
    pub(super) fn keys(&self) -> Option<Keys> {
        let of = |settings: &Settings| {
            let (id, secret) = (settings.get("aws_access_key_id")?, settings.get("aws_secret_access_key")?);
            let token = settings.get("aws_session_token").cloned();
            Some(Keys { id: id.clone(), secret: secret.clone(), token, end: None })
        };
        self.credentials.and_then(of).or_else(|| self.config.and_then(of))
    }
}

async fn text(path: Option<PathBuf>) -> Result<String, Cause> {
    match path {
        Some(path) if path.exists() => read(&path).await,
        Some(_) | None => Ok(String::new()),
    }
}

/// The sections of a file. What is indented belongs to the setting above it, and none of those is read.
fn sections(text: &str) -> BTreeMap<String, Settings> {
    let mut sections: BTreeMap<String, Settings> = BTreeMap::new();
    let mut current = None;
    for line in text.lines().filter(|line| !line.starts_with([' ', '\t', '#', ';'])) {
        let line = line.trim_end();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let name: Vec<_> = name.split_whitespace().collect();
            current = Some(name.join(" ").replace('"', ""));
            continue;
        }
        let (Some(section), Some((name, value))) = (&current, line.split_once('=')) else { continue };
        let value = [" #", " ;", "\t#", "\t;"]
            .iter()
            .fold(value, |value, mark| value.split_once(mark).map_or(value, |(before, _)| before));
        let settings = sections.entry(section.clone()).or_default();
        settings.insert(name.trim().to_ascii_lowercase(), Secret::new(value.trim()));
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
[default]
region = us-east-1
[profile dev]   # of the team
role_arn = arn:aws:iam::1:role/dev ; yes
source_profile=base
s3 =
  aws_access_key_id = nested
[sso-session corp]
sso_region = eu-west-1
[profile \"two words\"]
aws_access_key_id = C
[base]
aws_access_key_id = not a profile here
";
    const CREDENTIALS: &str = "\
[base]
aws_access_key_id = AKID
aws_secret_access_key = a=b/c+d==
# aws_session_token = none
[two words]
AWS_SECRET_ACCESS_KEY = K
";

    #[test]
    fn both_files_are_read_as_their_own_tools_do() {
        let all = Profiles::parse(CONFIG, CREDENTIALS);
        let get = |profile: &str, setting: &str| all.named(profile)?.get(setting).map(str::to_owned);
        for (profile, setting, want) in [
            ("default", "region", Some("us-east-1")),
            ("dev", "role_arn", Some("arn:aws:iam::1:role/dev")),
            ("dev", "source_profile", Some("base")),
            ("dev", "aws_access_key_id", None),
            ("base", "aws_access_key_id", Some("AKID")),
            ("base", "aws_secret_access_key", Some("a=b/c+d==")),
            ("base", "aws_session_token", None),
            ("two words", "aws_secret_access_key", Some("K")),
            ("none", "region", None),
        ] {
            assert_eq!(get(profile, setting).as_deref(), want, "{profile} {setting}");
        }
        assert_eq!(all.login("corp", "sso_region"), Some("eu-west-1"));
        assert!(all.named("base").unwrap().keys().is_some());
        assert!(all.named("two words").unwrap().keys().is_none(), "half a key of each file");
    }
}
