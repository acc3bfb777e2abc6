//! The built binary, as a user runs it: what it prints where, and how it exits.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod demo;
mod explain;

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs `trunkline` with `arguments` and an empty environment, so that no key or setting leaks in.
fn trunkline(arguments: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_trunkline")).args(arguments).env_clear().output().unwrap();
    Run::of(&output)
}

/// What became of one run.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Run {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// A file of this test run with `text` in it.
fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_version_goes_to_standard_output() {
    let short = format!("trunkline {}\n", env!("CARGO_PKG_VERSION"));
    for arguments in [&["--version"][..], &["-V"], &["version"], &["--worker-urls", "http://a", "--version"]]
    {
        let run = trunkline(arguments);
        assert_eq!(
            (run.code, run.out.as_str(), run.err.as_str()),
            (Some(0), short.as_str(), ""),
            "{arguments:?}"
        );
    }
    let verbose = trunkline(&["--version-verbose"]);
    assert!(verbose.out.starts_with(&short) && verbose.out.contains("target: "), "{verbose:?}");
}

#[test]
fn a_good_configuration_is_described() {
    let config = file(
        "good.yaml",
        "listen:\n  port: 8080\nworkers:\n  - url: http://gpu1:8000\n  - url: https://api.openai.com/v1\n    \
         api_key: sk-not-to-be-shown\npolicy: power_of_two\nlimits:\n  body_bytes: 2MiB\n",
    );
    let run = trunkline(&["check", "--config", &config, "--prometheus-port", "0"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    for line in [
        "configuration is good",
        &format!("  file     {config}"),
        "  listen   http://0.0.0.0:8080, metrics there under /metrics",
        "  workers  2",
        "           http://gpu1:8000, priority 50",
        "  policy   power_of_two, 5 attempts at most",
        "  limits   bodies up to 2MiB, any number of requests at once",
    ] {
        assert!(run.out.lines().any(|l| l == line), "{line:?} is missing in\n{}", run.out);
    }
    assert!(!run.out.contains("sk-not"), "{}", run.out);
    std::fs::remove_file(config).unwrap();
}

#[test]
fn a_bad_configuration_is_refused() {
    let config = file("bad.yaml", "listen:\n  prot: 8080\nworkers:\n  - url: http://gpu1:8000\n");
    for command in ["check", "launch", "explain"] {
        let more: &[&str] = if command == "explain" { &["--model", "m"] } else { &[] };
        let run = trunkline(&[&[command, "--config", &config], more].concat());
        assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{command}: {run:?}");
        assert!(run.err.starts_with(&format!("trunkline: {config}:2:3: ")), "{command}: {}", run.err);
        assert!(run.err.contains("`port`"), "{command} names no near key: {}", run.err);
    }
    std::fs::remove_file(config).unwrap();
    let absent = trunkline(&["check", "--config", "/nowhere/gateway.yaml"]);
    assert_eq!(absent.code, Some(1));
    assert!(absent.err.contains("/nowhere/gateway.yaml: cannot be read"), "{}", absent.err);
    let nobody = trunkline(&["check"]);
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.err.contains("pass --worker-urls"), "{}", nobody.err);
}

#[test]
fn what_is_not_in_this_build_is_refused_by_name() {
    for (arguments, said) in [
        (&["--ha-mesh"][..], "`--ha-mesh` is not in this build"),
        (&["launch", "--policy", "cache_aware"], "cache_aware"),
        (&["--worker-urls", "http://a", "--service-discovery"], "`--service-discovery` is not in this build"),
        (&["demo", "--worker-urls", "http://a"], "unexpected argument '--worker-urls'"),
        (&["explain", "--worker-urls", "http://a"], "--model"),
        (&["--nonsense"], "--nonsense"),
    ] {
        let run = trunkline(arguments);
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{arguments:?}: {run:?}");
        assert!(run.err.contains(said), "{arguments:?}: {}", run.err);
    }
}

/// A process that ends with the test, however that ends.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself, which is the test's to notice.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_second_gateway_does_not_share_the_port() {
    let gateway = |port: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
        command.args(["--enable-igw", "--host", "127.0.0.1", "--prometheus-port", "0", "--port", port]);
        command.env_clear();
        command
    };
    let mut first = Served(gateway("0").stdout(Stdio::piped()).spawn().unwrap());
    let log = BufReader::new(first.0.stdout.take().unwrap());
    let line = log.lines().map(Result::unwrap).find(|line| line.contains("address=")).unwrap();
    let address = line.split("address=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let (_, port) = address.rsplit_once(':').unwrap();

    let mut second = Served(gateway(port).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let end = Instant::now() + Duration::from_secs(20);
    let code = loop {
        match second.0.try_wait().unwrap() {
            Some(status) => break status.code(),
            None if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
            None => panic!("two gateways serve on {address}"),
        }
    };
    let mut said = String::new();
    second.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(code, Some(1), "{said}");
    let why = format!("trunkline: cannot listen on {address}; is another process there?: ");
    assert!(said.starts_with(&why), "{said}");
}
