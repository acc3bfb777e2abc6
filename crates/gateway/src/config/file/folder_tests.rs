//! Folders of files, and TOML.

use super::*;
use crate::config::{ConfigError, Format, Part, PoolSpec, Strategy};
use std::path::Path;
use std::time::Duration;

/// What is in the files of `conf.d`, and its problems as they are told.
fn folder(files: &[(&str, &str)]) -> (Option<Config>, String) {
    let part =
        |(name, text): &(&str, &str)| Part { name: Path::new("conf.d").join(name), text: (*text).to_owned() };
    let text = Text { name: "conf.d".into(), parts: files.iter().map(part).collect() };
    let env = BTreeMap::from([("KEY".to_owned(), "sk-1".to_owned()), ("PORT".to_owned(), "81".to_owned())]);
    let mut problems = Vec::new();
    let config = read(&text, &env, Unset::Wrong, &mut problems).map(|(config, _)| config);
    (config, ConfigError::Invalid { file: Some("conf.d".into()), problems, warnings: Vec::new() }.to_string())
}

const POOLS: &str = r#"
# one account
[[backends]]
name = "openai"
provider = "openai"
api_key = "${KEY}"
timeout = "30s"

[[backends]]
name = "home"
url = "http://gpu:8000"
weight = 0x0a

[[pools]]
name = "both"
strategy = "latency"
fallback = true
backends = [
  {name = "openai", weight = 70},
  {name = "home", weight = 30},
]

[aliases]
fast = "both"

[listen]
port = "${PORT}"

[retry]
jitter = 0.50
"#;

#[test]
fn toml_says_what_yaml_says() {
    let (config, told) = folder(&[("all.toml", POOLS)]);
    let config = config.unwrap_or_else(|| panic!("{told}"));
    assert_eq!(told, "");
    let [openai, home] = &config.backends[..] else { panic!("{:?}", config.backends) };
    assert_eq!((openai.name.as_deref(), openai.timeout), (Some("openai"), Some(Duration::from_secs(30))));
    assert_eq!((home.name.as_deref(), home.weight), (Some("home"), 10));
    let [PoolSpec { strategy: Strategy::Latency, fallback: true, backends, .. }] = &config.pools[..] else {
        panic!("{:?}", config.pools)
    };
    assert_eq!(backends.iter().map(|member| member.weight).collect::<Vec<_>>(), [70, 30]);
    assert_eq!((config.listen.port, config.retry.jitter, config.aliases.len()), (81, 0.5, 1));
}

#[test]
fn problems_of_toml_have_their_places() {
    for (text, want) in [
        (
            "[listen]\nhost = \"::\"\n  prot = 1\n",
            "conf.d/a.toml:3:3: listen.prot: unknown key; did you mean `port`?\n  3 |   prot = ***\n    |   ^^^^",
        ),
        (
            "[auth]\napi_key = [\"very-secret\"]\n",
            "conf.d/a.toml:2:11: auth.api_key: expected a text; found a list\n  2 | api_key = [***]\n    |           ^^^^^",
        ),
        (
            "[auth]\napi_key = very-secret\n",
            "conf.d/a.toml:2:11: not valid TOML: string values must be quoted, expected literal string\n  2 | api_key = ***\n    |           ^",
        ),
        (
            "igw = true\nigw = false\n",
            "conf.d/a.toml:2:1: not valid TOML: duplicate key\n  2 | igw = ***\n    | ^",
        ),
    ] {
        let (_, told) = folder(&[("a.toml", text)]);
        assert_eq!(told, want, "{text}");
    }
}

#[test]
fn files_of_a_folder_are_one_configuration() {
    let (config, told) = folder(&[
        ("10-listen.yaml", "listen: {host: 127.0.0.1}\naliases: {a: b}\nworkers:"),
        ("20-pools.toml", POOLS),
        ("30-more.json", r#"{"aliases": {"c": "d"}, "backends": [{"name": "third", "url": "http://x:1"}]}"#),
        ("40-none.yaml", "# nothing yet\n"),
    ]);
    let config = config.unwrap_or_else(|| panic!("{told}"));
    let names: Vec<_> = config.backends.iter().filter_map(|backend| backend.name.as_deref()).collect();
    assert_eq!(names, ["openai", "home", "third"]);
    assert_eq!(config.aliases.keys().collect::<Vec<_>>(), ["a", "c", "fast"]);
    assert_eq!((config.listen.host.to_string(), config.listen.port), ("127.0.0.1".to_owned(), 81));
}

/// Wherever it stands, a problem is told with its own file, line and column; nothing of another line is shown.
#[test]
fn problems_of_a_folder_name_the_file() {
    let (_, told) = folder(&[
        ("a.yaml", "\u{feff}igw: true\nauth: {api_key: very-secret}\nlisten:\n  port: 1\n"),
        ("b.yaml", "workers:\n- url: http://a\n  api_kee: very-secret"),
        ("c.toml", "[listen]\nprot = 2\n"),
    ]);
    let want = "conf.d/b.yaml:3:3: workers[0].api_kee: unknown key; did you mean `api_key`?\n  \
                3 |   api_kee: ***\n    |   ^^^^^^^\n\
                conf.d/c.toml:2:1: listen.prot: unknown key; did you mean `port`?\n  2 | prot = ***\n    | ^^^^";
    assert_eq!(told, want);
    let (config, told) = folder(&[
        ("a.yaml", "listen: {port: 1}\nigw: [\n"),
        ("b.yaml", "listen: {port: 1, host: '::'}\n"),
        ("c.toml", "listen = 3\n"),
    ]);
    assert!(config.is_none());
    assert!(told.starts_with("conf.d/a.yaml:") && told.contains("not valid YAML"), "{told}");
    let (_, told) = folder(&[
        ("a.yaml", "listen: {port: 1}\n"),
        ("b.yaml", "listen: {port: 1, host: '::'}\n"),
        ("c.toml", "listen = 3\n"),
    ]);
    let want = "conf.d/b.yaml:1:16: listen.port: is set in another file of this folder, too; keep one\n  \
                1 | listen: {port: 1, host: '::'}\n    |                ^\n\
                conf.d/c.toml:1:10: listen: is set in another file of this folder, too; keep one\n  \
                1 | listen = 3\n    |          ^";
    assert_eq!(told, want);
}

/// A mounted volume has its files behind links, and older versions of them in hidden folders.
#[test]
fn a_folder_is_read_as_it_is_mounted() {
    let dir = tempfile::tempdir().expect("the temporary directory can be written");
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("..2026")).expect("it is not there");
    std::fs::write(at("..2026/b.yaml"), "igw: true\n").expect("it can be written");
    std::os::unix::fs::symlink("..2026", at("..data")).expect("it is not there");
    std::os::unix::fs::symlink("..data/b.yaml", at("b.yaml")).expect("it is not there");
    for (name, text) in
        [("a.toml", "[aliases]\na = \"b\"\n"), (".hidden.yaml", "{"), ("README.md", "{"), ("b.yaml~", "{")]
    {
        std::fs::write(at(name), text).expect("it can be written");
    }
    let text = Text::read(dir.path().to_owned()).expect("it is readable");
    let names: Vec<_> = text.parts.iter().filter_map(|part| part.name.file_name()).collect();
    assert_eq!(names, ["a.toml", "b.yaml"]);
    let (config, _) = read(&text, &BTreeMap::new(), Unset::Wrong, &mut Vec::new()).expect("it is good");
    assert!(config.igw && config.aliases.len() == 1);
    std::fs::create_dir(at("none")).expect("it is not there");
    let error = Text::read(at("none")).expect_err("there is nothing");
    assert!(
        error.to_string().ends_with("no file of this folder ends in .yaml, .yml, .json or .toml"),
        "{error}"
    );
}

#[test]
fn a_configuration_is_the_same_in_every_format() {
    let text = Text::of("all.toml", POOLS);
    let imported = import(&text, None).expect("it is TOML");
    for (format, name) in [(Format::Yaml, "a.yaml"), (Format::Json, "a.json"), (Format::Toml, "a.toml")] {
        let written = imported.written(format).expect("it is a map");
        let again = import(&Text::of(name, &written), None).expect("it is what it says");
        let document = |imported: &Imported| imported.written(Format::Json).expect("it is a map");
        assert_eq!(document(&again), document(&imported), "{written}");
    }
}
