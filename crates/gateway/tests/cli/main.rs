//! The built binary, as a user runs it: what it prints where, and how it exits.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod demo;
mod explain;
mod import;

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};
use trunkline_testkit::script::{Reply, Upstream};

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
        (&["launch", "--policy", "no_such_policy"], "no_such_policy"),
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

impl Served {
    /// Waits for its end.
    fn exit_code(&mut self) -> Option<i32> {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "{:?} goes on", self.0);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself, which is the test's to notice.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A gateway on loopback, about to be started.
fn gateway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command
        .args(["--enable-igw", "--host", "127.0.0.1", "--prometheus-port", "0"])
        .args(arguments)
        .env_clear();
    command
}

/// A gateway that serves on a free port.
struct Gateway {
    process: Served,
    log: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Gateway {
    fn start(arguments: &[&str]) -> Self {
        let mut command = gateway(&["--port", "0"]);
        let mut process =
            Served(command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        let mut log = BufReader::new(process.0.stdout.take().unwrap()).lines();
        let line = log.by_ref().map(Result::unwrap).find(|line| line.contains("address=")).unwrap();
        let address =
            line.split("address=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
        Self { process, log, address }
    }

    /// Sends it a signal by name.
    fn signal(&self, name: &str) {
        let id = self.process.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let upstream = Upstream::directed(|_, _| Reply::hang()).await.unwrap();
    for second in ["TERM", "INT"] {
        let mut gateway = Gateway::start(&["--backend", "openai", "--worker-urls", &upstream.url()]);
        let mut client = TcpStream::connect(&gateway.address).unwrap();
        let before = upstream.requests().len();
        let body = r#"{"model":"gpt-4.1","messages":[{"role":"user","content":"hi"}]}"#;
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json";
        write!(client, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while upstream.requests().len() == before {
            assert!(Instant::now() < end, "the request never arrived");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        gateway.signal("TERM");
        let told = gateway.log.by_ref().map(Result::unwrap).find(|line| line.contains("stopping: ")).unwrap();
        assert!(told.contains("in_flight=1") && told.contains("grace=3m"), "{told}");
        assert_eq!(gateway.process.0.try_wait().unwrap(), None, "the first one waits");
        gateway.signal(second);
        assert_eq!(gateway.process.exit_code(), Some(1));
        let mut said = String::new();
        gateway.process.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "trunkline: a second signal ended it at once, with 1 requests in flight\n");
    }
}

#[test]
fn a_second_gateway_does_not_share_the_port() {
    let first = Gateway::start(&[]);
    let address = &first.address;
    let (_, port) = address.rsplit_once(':').unwrap();

    let mut second =
        Served(gateway(&["--port", port]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let code = second.exit_code();
    let mut said = String::new();
    second.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(code, Some(1), "{said}");
    let why = format!("trunkline: cannot listen on {address}; is another process there?: ");
    assert!(said.starts_with(&why), "{said}");
}
