//! `trunkline connect`: what a client has to be told to reach this gateway, in the form it wants to be told it.
//!
//! The key is never printed, only the variable that holds it. What is printed for a shell can be evaluated there.

use crate::cli::{Client, ConnectFlags, Shell};
use crate::config::WorkerUrl;
use anyhow::{Context as _, ensure};
use std::fmt::Write as _;

/// What stands where the model's name has to be, while none is said.
const SOME_MODEL: &str = "MODEL";

/// One line for a shell.
enum Line<'a> {
    /// A variable with the gateway's address, and this behind it.
    Url(&'static str, &'static str),
    /// A variable with the gateway's key.
    Key(&'static str),
    /// A variable with the model's name, if one was said.
    Model(&'static str),
    /// A variable that would go before those above.
    Unset(&'static str),
    /// For people.
    Note(&'a str),
}

/// What to print.
///
/// # Errors
/// When the address is none, or a name cannot be one.
pub fn lines(flags: &ConnectFlags) -> anyhow::Result<String> {
    let url = WorkerUrl::parse(&flags.url).with_context(|| format!("--url {}", flags.url))?;
    let url = url.base().trim_end_matches('/');
    ensure!(!url.contains(['\'', '"', '\\']), "--url has quotes in it");
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let key = flags.key_env.as_str();
    ensure!(
        !key.is_empty() && key.chars().all(is_name) && !key.starts_with(|c: char| c.is_ascii_digit()),
        "--key-env is the name of a variable, not a key"
    );
    let model = flags.model.as_deref().unwrap_or(SOME_MODEL);
    ensure!(
        !model.contains(|c: char| c.is_control() || matches!(c, '\'' | '"' | '\\' | '$' | '`')),
        "--model has characters in it that no model's name has"
    );
    let asked = Asked { url, key, model: flags.model.as_deref(), shell: flags.shell };
    let openai_model = format!("models are called openai/{model}");
    Ok(match flags.client {
        Client::ClaudeCode => asked.shell_lines(&[
            Line::Url("ANTHROPIC_BASE_URL", ""),
            Line::Key("ANTHROPIC_AUTH_TOKEN"),
            Line::Model("ANTHROPIC_MODEL"),
            Line::Model("ANTHROPIC_DEFAULT_HAIKU_MODEL"),
            Line::Note(
                "A key of Anthropic's in this variable would be sent, too, and go before the gateway's.",
            ),
            Line::Unset("ANTHROPIC_API_KEY"),
        ]),
        Client::Openai => {
            asked.shell_lines(&[Line::Url("OPENAI_BASE_URL", "/v1"), Line::Key("OPENAI_API_KEY")])
        }
        Client::Anthropic => asked.shell_lines(&[
            Line::Url("ANTHROPIC_BASE_URL", ""),
            Line::Key("ANTHROPIC_API_KEY"),
            Line::Unset("ANTHROPIC_AUTH_TOKEN"),
        ]),
        Client::GoogleGenai => asked.shell_lines(&[
            Line::Url("GOOGLE_GEMINI_BASE_URL", ""),
            Line::Key("GEMINI_API_KEY"),
            Line::Note("These would go before."),
            Line::Unset("GOOGLE_API_KEY"),
            Line::Unset("GOOGLE_GENAI_USE_VERTEXAI"),
        ]),
        Client::Ollama => asked.shell_lines(&[
            Line::Url("OLLAMA_HOST", ""),
            Line::Note("Read by Ollama's libraries for Python and JavaScript."),
            Line::Key("OLLAMA_API_KEY"),
        ]),
        Client::Litellm => asked.shell_lines(&[
            Line::Url("OPENAI_BASE_URL", "/v1"),
            Line::Url("OPENAI_API_BASE", "/v1"),
            Line::Key("OPENAI_API_KEY"),
            Line::Note(&openai_model),
        ]),
        Client::Aider => asked.shell_lines(&[
            Line::Url("OPENAI_API_BASE", "/v1"),
            Line::Key("OPENAI_API_KEY"),
            Line::Note(&format!("aider --model openai/{model}")),
        ]),
        Client::Codex => codex(url, key, model),
        Client::Opencode => opencode(url, key, model),
        Client::Cursor => format!(
            "# Settings, Models, API Keys:\n#   OpenAI API Key            the value of {key}\n#   Override OpenAI Base URL  {url}/v1\n\
             # and add {model} under Models. Cursor's own servers make the calls, so the address must be one that\n\
             # they can reach.\n"
        ),
        Client::Curl => asked.curl(model),
    })
}

/// What was asked for, checked.
struct Asked<'a> {
    url: &'a str,
    key: &'a str,
    model: Option<&'a str>,
    shell: Shell,
}

impl Asked<'_> {
    fn shell_lines(&self, lines: &[Line<'_>]) -> String {
        let mut text = String::new();
        for line in lines {
            // A text takes all that is written to it.
            let _ = match line {
                Line::Url(name, behind) => {
                    writeln!(text, "{}", self.set(name, &format!("'{}{behind}'", self.url)))
                }
                Line::Key(name) if *name == self.key => Ok(()),
                Line::Key(name) => writeln!(text, "{}", self.set(name, &self.variable())),
                Line::Model(name) => match self.model {
                    Some(model) => writeln!(text, "{}", self.set(name, &format!("'{model}'"))),
                    None => Ok(()),
                },
                Line::Unset(name) => writeln!(text, "{}", self.unset(name)),
                Line::Note(note) => writeln!(text, "# {note}"),
            };
        }
        text
    }

    fn set(&self, name: &str, value: &str) -> String {
        match self.shell {
            Shell::Bash => format!("export {name}={value}"),
            Shell::Fish => format!("set -gx {name} {value}"),
            Shell::Powershell => format!("$env:{name} = {value}"),
        }
    }

    fn unset(&self, name: &str) -> String {
        match self.shell {
            Shell::Bash => format!("unset {name}"),
            Shell::Fish => format!("set -e {name}"),
            Shell::Powershell => format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue"),
        }
    }

    /// The key, as a value that the shell looks up.
    fn variable(&self) -> String {
        match self.shell {
            Shell::Bash | Shell::Fish => format!("\"${}\"", self.key),
            Shell::Powershell => format!("$env:{}", self.key),
        }
    }

    fn curl(&self, model: &str) -> String {
        let Self { url, key, shell, .. } = self;
        let (command, key) = match shell {
            Shell::Bash | Shell::Fish => ("curl", format!("${key}")),
            Shell::Powershell => ("curl.exe", format!("$env:{key}")),
        };
        format!(
            "{command} '{url}/v1/chat/completions' -H \"Authorization: Bearer {key}\" \
             -H 'Content-Type: application/json' \
             -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello!\"}}]}}'\n"
        )
    }
}

fn codex(url: &str, key: &str, model: &str) -> String {
    format!(
        "# ~/.codex/config.toml\nmodel = \"{model}\"\nmodel_provider = \"trunkline\"\n\n\
         [model_providers.trunkline]\nname = \"Trunkline\"\nbase_url = \"{url}/v1\"\nenv_key = \"{key}\"\n\
         wire_api = \"responses\"\n"
    )
}

fn opencode(url: &str, key: &str, model: &str) -> String {
    format!(
        "// opencode.json, of a project or in ~/.config/opencode\n{{\n  \"$schema\": \"https://opencode.ai/config.json\",\n  \
         \"provider\": {{\n    \"trunkline\": {{\n      \"npm\": \"@ai-sdk/openai-compatible\",\n      \
         \"name\": \"Trunkline\",\n      \
         \"options\": {{\"baseURL\": \"{url}/v1\", \"apiKey\": \"{{env:{key}}}\"}},\n      \
         \"models\": {{\"{model}\": {{}}}}\n    }}\n  }}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    fn printed(client: Client, shell: Shell) -> String {
        lines(&ConnectFlags {
            client,
            url: "https://gw.example/v1/".to_owned(),
            key_env: "GW_KEY".to_owned(),
            model: Some("m1".to_owned()),
            shell,
        })
        .unwrap()
    }

    #[test]
    fn every_client_is_told_where_and_with_which_key() {
        for client in Client::value_variants() {
            for shell in Shell::value_variants() {
                let text = printed(*client, *shell);
                assert!(text.contains("https://gw.example"), "{client:?} {shell:?}: {text}");
                assert!(text.contains("GW_KEY"), "{client:?} {shell:?}: {text}");
                assert!(!text.contains("/v1/v1"), "{client:?} {shell:?}: {text}");
                assert!(text.ends_with('\n'), "{client:?} {shell:?}: {text}");
            }
        }
    }

    #[test]
    fn shells_are_spoken_to_in_their_language() {
        for (client, shell, want) in [
            (
                Client::Openai,
                Shell::Bash,
                "export OPENAI_BASE_URL='https://gw.example/v1'\nexport OPENAI_API_KEY=\"$GW_KEY\"\n",
            ),
            (
                Client::Openai,
                Shell::Fish,
                "set -gx OPENAI_BASE_URL 'https://gw.example/v1'\nset -gx OPENAI_API_KEY \"$GW_KEY\"\n",
            ),
            (
                Client::Anthropic,
                Shell::Powershell,
                "$env:ANTHROPIC_BASE_URL = 'https://gw.example'\n$env:ANTHROPIC_API_KEY = $env:GW_KEY\n\
                 Remove-Item Env:ANTHROPIC_AUTH_TOKEN -ErrorAction SilentlyContinue\n",
            ),
        ] {
            assert_eq!(printed(client, shell), want);
        }
    }

    #[test]
    fn files_are_what_their_readers_read() {
        let text = printed(Client::Opencode, Shell::Bash);
        let json: serde_json::Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
        let provider = &json["provider"]["trunkline"];
        assert_eq!(provider["options"]["baseURL"], "https://gw.example/v1");
        assert_eq!(provider["options"]["apiKey"], "{env:GW_KEY}");
        assert!(provider["models"]["m1"].is_object());
        let text = printed(Client::Codex, Shell::Bash);
        assert!(text.contains("base_url = \"https://gw.example/v1\"\nenv_key = \"GW_KEY\"\n"), "{text}");
    }

    #[test]
    fn what_would_break_out_of_a_quote_is_refused() {
        let good = ConnectFlags {
            client: Client::Openai,
            url: "http://a".to_owned(),
            key_env: "K".to_owned(),
            model: None,
            shell: Shell::Bash,
        };
        assert!(lines(&good).is_ok());
        for flags in [
            ConnectFlags { url: "http://a/'; rm".to_owned(), ..good.clone() },
            ConnectFlags { url: "ftp://a".to_owned(), ..good.clone() },
            ConnectFlags { key_env: "sk-123".to_owned(), ..good.clone() },
            ConnectFlags { key_env: String::new(), ..good.clone() },
            ConnectFlags { model: Some("m\n'".to_owned()), ..good.clone() },
        ] {
            assert!(lines(&flags).is_err(), "{flags:?}");
        }
    }
}
