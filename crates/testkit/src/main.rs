//! `testkit`: the simulated servers and the load generator from the command line, on loopback only.

mod flags;

use flags::Flags;
use serde_json::{Value, json};
use std::error::Error;
use std::future::pending;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider, Turns};
use trunkline_testkit::engine::{Engine, EngineConfig};
use trunkline_testkit::load::{self, ChatBody, Mode, Plan, Text};
use trunkline_testkit::loopback::{self, ANY_PORT};
use trunkline_testkit::mock::{Mock, MockConfig, Pacing};

const USAGE: &str = "\
testkit engine  a simulated inference engine
    --port 0  --address 127.0.0.1:0  --flavour generic  --models demo-model[,..]  --seed 0  --api-key KEY
    --prefill-tokens-per-s 8000  --step-base-ms 6  --step-per-running-ms 0.35  --max-running 256
    --kv-tokens 524288  --block-size 16  --time-scale 1  --record FILE
    flavours: sglang, vllm, llamacpp, ollama (its own /api as well), tgi, mlx, trtllm, generic
testkit cloud   a simulated provider
    --provider openai|anthropic|gemini|bedrock|cohere|replicate|vertex  --port 0  --address 127.0.0.1:0  --models ID[,..]  --seed 0
    --api-key sk-test  --first-delay-ms 0  --token-delay-ms 0  --record FILE
    --record: method, target, headers and body of every request, a line of JSON each
    --turns merged|alternating (anthropic, gemini: turns of one role in a row are merged or refused)
    openai     /v1/chat/completions, /v1/responses, /v1/completions, /v1/embeddings, /v1/models
    anthropic  /v1/messages, /v1/messages/count_tokens, /v1/models
    gemini     /v1beta/models, and under it :generateContent, :streamGenerateContent, :countTokens,
               :embedContent, :batchEmbedContents
    bedrock    /model/ID/converse, /model/ID/converse-stream, /foundation-models; the key as bearer
               token, or as secret of access key AKIDEXAMPLE, signed with
    cohere     /v2/chat, /v1/models
    replicate  /v1/models/{owner}/{name}/predictions, /v1/predictions, /v1/models
    vertex     /v1/projects/{p}/locations/{l}/publishers/{google|anthropic}/models/{m}:{verb}
testkit mock    static answers as fast as possible
    --ports 9001[,..]  --model mock-model  --chunks 64  --delay-ms 0  --ttft-ms 0  --latency-ms 0  --burst 1
    settings change while it runs: GET /ctl?chunks=64&delay_ms=20
testkit simulate  policies over a fleet of engines in simulated time; prints tables
    --engines 16  --seconds 60  --seed 1  --shape NAME  --ways NAME[,..]  --miss --answer --least: weights of cache_aware
    --write FILE: puts the tables into that page, and a plot beside it
testkit load    a load generator; prints one JSON line
    --mode closed|rate|stream|hold  --port P | --target 127.0.0.1:P  --path /v1/chat/completions
    --body FILE  --header 'name: value' (repeatable)  --connections 1  --warm-s 0.3  --window-s 3
    --rate 1000 (rate: requests/s; hold: streams opened/s)  --sessions 64  --cpu NAME=PID[,..] (repeatable)
testkit body    a chat request for it, on standard output
    --bytes 8192  --text prose|escaped  --stream true|false

Engines and providers fail on demand: a user's last message that holds simulate:rate-limit,
simulate:overload, simulate:reject, simulate:crash, simulate:break (halfway through a stream) or simulate:refusal
gets that instead of an answer.

Only loopback addresses are listened on and called.
";

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let done = Flags::read(arguments).map_err(Into::into).and_then(|flags| match command.as_str() {
        "engine" => engine(flags),
        "cloud" => cloud(flags),
        "mock" => mock(flags),
        "load" => load(flags),
        "body" => body(flags),
        "simulate" => simulate(flags),
        "" | "help" | "--help" | "-h" => Ok(say(USAGE)?),
        other => Err(format!("unknown command `{other}`\n\n{USAGE}").into()),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell when standard error is closed.
            let _ = writeln!(std::io::stderr(), "testkit: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What stands around the tables of a page.
const BEGIN: &str = "<!-- simulated -->";
const END: &str = "<!-- end of simulated -->";

fn simulate(mut flags: Flags) -> Outcome {
    use trunkline_route::Weights;
    use trunkline_testkit::fleet::page::{Plan, plot, tables};
    let default = Weights::default();
    let plan = Plan {
        engines: flags.value("engines", 16)?,
        seconds: flags.value("seconds", 60.0)?,
        seed: flags.value("seed", 1)?,
        weights: Weights {
            miss: flags.value("miss", default.miss)?,
            answer: flags.value("answer", default.answer)?,
            least: flags.value("least", default.least)?,
        },
    };
    let only = flags.text("shape");
    let ways = flags.list("ways");
    let page = flags.text("write");
    flags.finish()?;
    let mut told = Ok(());
    let rows = plan.run(
        |shape, way| {
            only.as_ref().is_none_or(|only| shape.name().contains(only))
                && ways.as_ref().is_none_or(|ways| ways.iter().any(|name| name == way.name()))
        },
        |row| told = std::mem::replace(&mut told, Ok(())).and_then(|()| say(&row.line())),
    );
    told?;
    match page {
        None => say(&format!("\n{}", tables(&rows)))?,
        Some(page) => {
            let text = std::fs::read_to_string(&page)?;
            let parts = text.split_once(BEGIN).zip(text.split_once(END));
            let Some(((before, _), (_, after))) = parts else {
                return Err(format!("{page} has no `{BEGIN}` before a `{END}`").into());
            };
            std::fs::write(&page, format!("{before}{BEGIN}\n\n{}\n{END}{after}", tables(&rows)))?;
            std::fs::write(std::path::Path::new(&page).with_extension("svg"), plot(&rows))?;
        }
    }
    Ok(())
}

fn engine(mut flags: Flags) -> Outcome {
    let default = EngineConfig::default();
    let config = EngineConfig {
        address: address(&mut flags)?,
        flavour: flags.value("flavour", default.flavour)?,
        models: flags.list("models").unwrap_or(default.models),
        seed: flags.value("seed", default.seed)?,
        prefill_tokens_per_s: flags.value("prefill-tokens-per-s", default.prefill_tokens_per_s)?,
        step_base: flags.millis("step-base-ms", default.step_base)?,
        step_per_running: flags.millis("step-per-running-ms", default.step_per_running)?,
        max_running: flags.value("max-running", default.max_running)?,
        kv_tokens: flags.value("kv-tokens", default.kv_tokens)?,
        block_size: flags.value("block-size", default.block_size)?,
        time_scale: flags.value("time-scale", default.time_scale)?,
        api_key: flags.text("api-key"),
        record: 0,
        record_to: flags.text("record").map(Into::into),
    };
    flags.finish()?;
    let ready = json!({"serving": "engine", "flavour": config.flavour.name(), "models": config.models});
    runtime()?.block_on(async {
        let engine = Engine::start(config).await?;
        announce(ready, &[engine.url()])?;
        pending().await
    })
}

fn cloud(mut flags: Flags) -> Outcome {
    let provider: Provider = flags.text("provider").unwrap_or_default().parse()?;
    let default = CloudConfig::new(provider);
    let config = CloudConfig {
        address: address(&mut flags)?,
        api_key: flags.text("api-key").unwrap_or(default.api_key),
        models: flags.list("models").unwrap_or(default.models),
        seed: flags.value("seed", default.seed)?,
        first_delay: flags.millis("first-delay-ms", default.first_delay)?,
        token_delay: flags.millis("token-delay-ms", default.token_delay)?,
        record_to: flags.text("record").map(Into::into),
        turns: match flags.text("turns").as_deref() {
            None | Some("merged") => Turns::Merged,
            Some("alternating") => Turns::Alternating,
            Some(other) => return Err(format!("--turns must be merged or alternating, not {other}").into()),
        },
    };
    flags.finish()?;
    let ready = json!({"serving": "cloud", "provider": provider.name(), "models": config.models});
    runtime()?.block_on(async {
        let cloud = Cloud::start(provider, config).await?;
        announce(ready, &[cloud.url()])?;
        pending().await
    })
}

fn mock(mut flags: Flags) -> Outcome {
    let ports = flags.list("ports").unwrap_or_else(|| vec!["9001".to_owned()]);
    let ports = ports.iter().map(|port| port.parse()).collect::<Result<Vec<u16>, _>>();
    let ports = ports.map_err(|_| "--ports must be a list of port numbers")?;
    let default = MockConfig::default();
    let pacing = Pacing::default();
    let config = MockConfig {
        addresses: ports.into_iter().map(|port| SocketAddr::new(ANY_PORT.ip(), port)).collect(),
        model: flags.text("model").unwrap_or(default.model),
        pacing: Pacing {
            chunks: flags.value("chunks", pacing.chunks)?,
            delay: flags.millis("delay-ms", pacing.delay)?,
            ttft: flags.millis("ttft-ms", pacing.ttft)?,
            latency: flags.millis("latency-ms", pacing.latency)?,
            burst: flags.value("burst", pacing.burst)?,
        },
        says: None,
    };
    flags.finish()?;
    let mock = Mock::start(&config)?;
    announce(json!({"serving": "mock", "models": [config.model]}), &mock.urls())?;
    mock.wait();
    Ok(())
}

fn load(mut flags: Flags) -> Outcome {
    let default = Plan::default();
    let rate = flags.value("rate", 1000.0)?;
    let target = match (flags.value("port", 0)?, flags.text("target")) {
        (0, None) => return Err("load needs --port or --target".into()),
        (port, None) => SocketAddr::new(ANY_PORT.ip(), port),
        (_, Some(target)) => loopback::only(target.parse()?)?,
    };
    let headers = flags.all("header").into_iter().map(|header| match header.split_once(':') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => Err(format!("--header must be `name: value`, not `{header}`")),
    });
    let cpu = flags.all("cpu").into_iter().map(|group| {
        let pids = |list: &str| list.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>().ok();
        let parsed = group.split_once('=').and_then(|(name, list)| Some((name.to_owned(), pids(list)?)));
        parsed.ok_or_else(|| format!("--cpu must be `name=PID[,PID]`, not `{group}`"))
    });
    let plan = Plan {
        target,
        headers: headers.collect::<Result<_, _>>()?,
        cpu: cpu.collect::<Result<_, _>>()?,
        mode: match flags.text("mode").as_deref() {
            None | Some("closed") => Mode::Closed,
            Some("rate") => Mode::Rate(rate),
            Some("stream") => Mode::Streams,
            Some("hold") => Mode::Hold(rate),
            Some(other) => {
                return Err(format!("--mode must be closed, rate, stream or hold, not {other}").into());
            }
        },
        path: flags.text("path").unwrap_or(default.path),
        body: match flags.text("body") {
            Some(file) => std::fs::read(&file).map_err(|error| format!("--body {file}: {error}"))?,
            None => Vec::new(),
        },
        sessions: flags.value("sessions", default.sessions)?,
        connections: flags.value("connections", default.connections)?,
        warm: flags.seconds("warm-s", default.warm)?,
        window: flags.seconds("window-s", default.window)?,
    };
    flags.finish()?;
    let report = load::run(plan)?;
    say(&format!("{}\n", report.to_json()))?;
    Ok(())
}

fn body(mut flags: Flags) -> Outcome {
    let wanted = ChatBody {
        bytes: flags.value("bytes", 8 << 10)?,
        text: match flags.text("text").as_deref() {
            None | Some("prose") => Text::Prose,
            Some("escaped") => Text::Escaped,
            Some(other) => return Err(format!("--text must be prose or escaped, not {other}").into()),
        },
        stream: flags.value("stream", false)?,
    };
    flags.finish()?;
    std::io::stdout().write_all(&wanted.make())?;
    Ok(())
}

/// `--address`, or `--port` on 127.0.0.1; any free port when neither is given.
fn address(flags: &mut Flags) -> Result<SocketAddr, Box<dyn Error>> {
    let port = flags.value("port", 0)?;
    let address = flags.value("address", SocketAddr::new(ANY_PORT.ip(), port))?;
    Ok(loopback::only(address)?)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// One line of JSON once the server listens, for scripts that wait for it.
fn announce(mut ready: Value, urls: &[String]) -> std::io::Result<()> {
    if let Some(fields) = ready.as_object_mut() {
        fields.insert("urls".to_owned(), urls.into());
    }
    say(&format!("{ready}\n"))
}

fn say(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}
