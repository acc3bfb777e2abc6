//! A table of what each client dialect costs against each upstream dialect in the whole gateway: processor time of its
//! process, user and system, per request and per delta of a saturated stream, as multiples of OpenAI Chat against
//! Anthropic Messages. `gateway-pairs PATH/TO/trunkline` starts that binary in front of mocks of every dialect.
//!
//! Pairs are missing where bytes pass untouched, and where no provider is asked in the upstream's dialect by others:
//! Responses and Ollama servers speak OpenAI's chat dialect as well, and are asked in that.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use trunkline_bench::pairs::table::{mark, place, table};
use trunkline_bench::pairs::{Answer, PIECES, Pair, clients, has_tools, reply, request, stream, target};
use trunkline_core::Dialect;
use trunkline_dialect::framing::Framing;
use trunkline_testkit::load::{self, Mode, Plan};
use trunkline_testkit::mock::{Mock, MockConfig, Says};

/// Passes over all pairs. The least of them counts: whatever else the machine does only adds.
const PASSES: usize = 3;

/// Time that one pass gives to one pair.
const WINDOW: Duration = Duration::from_millis(400);
const WARM: Duration = Duration::from_millis(100);

/// Enough to keep a core busy, and few enough that nobody waits long.
const CONNECTIONS: usize = 16;

/// How often a gateway is looked at that starts.
const TRIES: usize = 50;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What is measured: its title, what is asked for, and deltas it is shared by.
const MEASURED: [(&str, Wanted, usize); 3] = [
    ("plain, per request", Wanted::Whole, 1),
    ("streamed text, per delta", Wanted::Stream(Answer::Text), PIECES),
    ("streamed arguments, per delta", Wanted::Stream(Answer::ToolCall), PIECES),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Whole,
    Stream(Answer),
}

fn main() -> Outcome<()> {
    let binary: PathBuf = std::env::args_os().nth(1).ok_or("usage: gateway-pairs PATH/TO/trunkline")?.into();
    let mut out = io::stdout().lock();
    writeln!(out, "Multiples of {} to {}; rows are clients.", Pair::BASE.client, Pair::BASE.upstream)?;
    for (title, wanted, per) in MEASURED {
        let costs = costs(&binary, wanted)?;
        let base = costs.get(&place(Pair::BASE)).ok_or("the base was not measured")?.as_secs_f64();
        let shown = base * 1e6 / f64::from(u32::try_from(per)?);
        writeln!(out, "\n{title}: 1.00 is {shown:.2} µs\n")?;
        table(&mut out, &costs, |cost| mark(cost.as_secs_f64() / base))?;
    }
    Ok(())
}

/// The processor time of one request, by the places of client and upstream.
fn costs(binary: &Path, wanted: Wanted) -> Outcome<BTreeMap<(usize, usize), Duration>> {
    let answer = if let Wanted::Stream(answer) = wanted { answer } else { Answer::Text };
    let mocks = SERVED
        .iter()
        .filter_map(|(upstream, provider)| Some((*upstream, *provider, mock(*upstream, answer)?)))
        .collect::<Vec<_>>();
    let gateway = Gateway::start(binary, &mocks)?;
    let mut costs: BTreeMap<_, Duration> = BTreeMap::new();
    for _ in 0..PASSES {
        for (upstream, ..) in &mocks {
            for client in clients() {
                let pair = Pair { client, upstream: *upstream };
                if !is_translated(pair, wanted) {
                    continue;
                }
                let cost = gateway.measure(pair, wanted)?;
                let least = costs.entry(place(pair)).or_insert(cost);
                *least = cost.min(*least);
            }
        }
    }
    Ok(costs)
}

/// Upstreams that others are translated for, and a provider that is asked so. DeepSeek stands for whoever speaks
/// OpenAI's chat dialect and no other.
const SERVED: [(Dialect, &str); 6] = [
    (Dialect::OpenaiChat, "deepseek"),
    (Dialect::AnthropicMessages, "anthropic"),
    (Dialect::GeminiGenerate, "gemini"),
    (Dialect::BedrockConverse, "bedrock"),
    (Dialect::CohereChat, "cohere"),
    (Dialect::ReplicatePredictions, "replicate"),
];

fn is_translated(pair: Pair, wanted: Wanted) -> bool {
    let has_form = match wanted {
        Wanted::Whole => true,
        // A prediction is streamed from an address of its own, which no static server has.
        Wanted::Stream(_) if pair.upstream == Dialect::ReplicatePredictions => false,
        Wanted::Stream(Answer::Text) => true,
        Wanted::Stream(Answer::ToolCall) => has_tools(pair.client),
    };
    has_form && pair.client != pair.upstream
}

/// A server that answers in `upstream`'s dialect; `None` where it has no such stream.
fn mock(upstream: Dialect, answer: Answer) -> Option<Mock> {
    let says = Says {
        whole: reply(upstream),
        stream_type: Framing::of(upstream).media_type().to_owned(),
        stream: stream(upstream, answer)?,
    };
    Mock::start(&MockConfig { says: Some(says), ..MockConfig::default() }).ok()
}

/// A gateway of its own process, ended with this.
struct Gateway {
    process: Child,
    address: SocketAddr,
    config: PathBuf,
}

impl Gateway {
    fn start(binary: &Path, mocks: &[(Dialect, &str, Mock)]) -> Outcome<Self> {
        let [port, metrics] = [free_port()?, free_port()?];
        let mut text = format!(
            "listen: {{host: 127.0.0.1, port: {port}}}\nmetrics: {{host: 127.0.0.1, port: {metrics}}}\nworkers:\n"
        );
        for (upstream, provider, mock) in mocks {
            let url = mock.urls().pop().unwrap_or_default();
            text.push_str(&format!(
                "  - {{url: '{url}', provider: {provider}, api_key: mock, models: ['{}']}}\n",
                target(*upstream).model
            ));
        }
        let config =
            std::env::temp_dir().join(format!("trunkline-gateway-pairs-{}.yaml", std::process::id()));
        std::fs::write(&config, text)?;
        // The access line is part of what a request costs, but somebody's terminal is not.
        let process = Command::new(binary)
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let gateway = Self { process, address: SocketAddr::from(([127, 0, 0, 1], port)), config };
        for _ in 0..TRIES {
            if gateway.measure(Pair::BASE, Wanted::Whole).is_ok() {
                return Ok(gateway);
            }
            std::thread::sleep(WARM);
        }
        Err("the gateway does not answer".into())
    }

    /// Processor time of one request of this pair.
    fn measure(&self, pair: Pair, wanted: Wanted) -> Outcome<Duration> {
        let (path, body) = asked(pair, wanted)?;
        let plan = Plan {
            mode: Mode::Closed,
            target: self.address,
            path,
            body,
            connections: CONNECTIONS,
            warm: WARM,
            window: WINDOW,
            cpu: vec![("gateway".to_owned(), vec![self.process.id()])],
            ..Plan::default()
        };
        let report = load::run(plan)?;
        let seen = &report.seen;
        let answered = u32::try_from(seen.ok)?;
        if answered == 0 || seen.refused > 0 || seen.failed > 0 {
            let said = (&seen.statuses, seen.failed);
            return Err(format!("{} to {}: {said:?}", pair.client, pair.upstream).into());
        }
        let cpu = report.cpu.iter().find(|(name, _)| name == "gateway").ok_or("no processor time")?;
        Ok((cpu.1.user + cpu.1.system) / answered)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself, and there is nobody to tell.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.config);
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The path and body of a request of `pair.client` for the model of `pair.upstream`.
fn asked(pair: Pair, wanted: Wanted) -> Outcome<(String, Vec<u8>)> {
    let (model, streams) = (target(pair.upstream).model, wanted != Wanted::Whole);
    let in_path = model.replace('/', "%2F");
    let choose = |whole: &str, stream: &str| if streams { stream.to_owned() } else { whole.to_owned() };
    let path = match pair.client {
        Dialect::OpenaiChat => "/v1/chat/completions".to_owned(),
        Dialect::OpenaiCompletions => "/v1/completions".to_owned(),
        Dialect::OpenaiResponses => "/v1/responses".to_owned(),
        Dialect::AnthropicMessages => "/v1/messages".to_owned(),
        Dialect::GeminiGenerate => {
            let operation = choose("generateContent", "streamGenerateContent?alt=sse");
            format!("/v1beta/models/{in_path}:{operation}")
        }
        Dialect::OllamaChat => "/api/chat".to_owned(),
        Dialect::OllamaGenerate => "/api/generate".to_owned(),
        Dialect::BedrockConverse => format!("/model/{in_path}/{}", choose("converse", "converse-stream")),
        Dialect::CohereChat | Dialect::ReplicatePredictions | Dialect::Surface(_) => {
            return Err("no client speaks it".into());
        }
    };
    let body = String::from_utf8(request(pair.client))?;
    let body = body.replacen(r#""model":"m""#, &format!(r#""model":"{model}","stream":{streams}"#), 1);
    Ok((path, body.into_bytes()))
}
