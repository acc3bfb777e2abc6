//! Same dialect on both sides: bytes pass, all of them, as they are, whatever is written in them and
//! however the network cuts them.

use crate::client::{Answer, Line, post};
use crate::rig::{
    ALL, CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, Rig, Speech, cloud, engine, settings,
};
use bytes::Bytes;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trunkline_gateway::config::{ForceUsage, WorkerSpec};
use trunkline_testkit::script::{Reply, Upstream};

/// Bodies made up per endpoint.
const CASES: u64 = 300;

/// An upstream that answers with whatever was put before it last.
struct Puppet {
    upstream: Upstream,
    next: Arc<Mutex<Option<Reply>>>,
}

impl Puppet {
    async fn new() -> Self {
        let next = Arc::new(Mutex::new(None));
        let taken = Arc::clone(&next);
        let upstream = Upstream::directed(move |_, nth| {
            let next: Option<Reply> = taken.lock().unwrap().take();
            next.unwrap_or_else(|| Reply::json(500, format!("nothing is prepared for request {nth}")))
        });
        Self { upstream: upstream.await.unwrap(), next }
    }

    fn says(&self, reply: Reply) {
        *self.next.lock().unwrap() = Some(reply);
    }

    fn heard(&self) -> Vec<Bytes> {
        self.upstream.requests().into_iter().map(|request| request.body).collect()
    }
}

/// Makes up JSON as no serializer would write it, and streams as no engine would send them.
struct Fancy(fastrand::Rng);

impl Fancy {
    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.0.usize(..choices.len())]
    }

    fn space(&mut self) -> &'static str {
        self.one_of(&["", "", "", " ", "  ", "\t", " \n ", "\r\n"])
    }

    /// A JSON value that fits in one line when `line` says so.
    fn value(&mut self, depth: u32, line: bool) -> String {
        let leaf = depth == 0 || self.0.u8(..4) > 0;
        let space = |fancy: &mut Self| if line { " " } else { fancy.space() };
        if leaf {
            return self
                .one_of(&[
                    "1.0",
                    "1e5",
                    "-0",
                    "9007199254740993",
                    "18446744073709551615",
                    "-9223372036854775808",
                    "0.10",
                    "1E+2",
                    "-1.50e-7",
                    "true",
                    "false",
                    "null",
                    "\"\"",
                    r#""\u00e9\/\"\\ \u0041""#,
                    r#""\ud83d\ude00 two  spaces""#,
                    "\"Zürich — 東京 😀\"",
                    r#""data: [DONE]\n\n""#,
                    "[]",
                    "{}",
                    r#""\"model\":\"fake\"""#,
                ])
                .to_owned();
        }
        let members = self.0.usize(0..4);
        let parts: Vec<String> = if self.0.bool() {
            (0..members).map(|_| self.value(depth - 1, line)).collect::<Vec<_>>()
        } else {
            return format!("{{{}}}", self.members(members, depth - 1, line).join(","));
        };
        let gap = space(self);
        format!("[{gap}{}{gap}]", parts.join(&format!("{gap},")))
    }

    /// Members of an object; some keys stand twice, none is one the gateway owns.
    fn members(&mut self, count: usize, depth: u32, line: bool) -> Vec<String> {
        let member = |_| {
            let key = self.one_of(&[
                "x_unknown",
                "top_k",
                "model ",
                "Stream",
                "vendor.ext",
                "seed",
                "\\u0078",
                "messages_",
                "x_unknown",
            ]);
            let (a, b) = if line { ("", " ") } else { (self.space(), self.space()) };
            let value = self.value(depth, line);
            format!("\"{key}\"{a}:{b}{value}")
        };
        (0..count).map(member).collect()
    }

    /// A request at `speech` for the model written as `model`, which is nowhere else in it.
    fn request(&mut self, speech: &Speech, model: &str, streams: bool) -> String {
        let count = self.0.usize(0..6);
        let mut members = self.members(count, 3, false);
        members.push(format!("\"model\"{}:{}{model}", self.space(), self.space()));
        members.push(speech.prompt.to_owned());
        if streams {
            members.push(format!("\"stream\":{}true", self.space()));
        } else if self.0.bool() {
            members.push("\"stream\":  false".to_owned());
        }
        self.0.shuffle(&mut members);
        let gap = self.space();
        format!("{gap}{{{gap}{}{gap}}}{gap}", members.join(&format!("{gap},{}", self.space())))
    }

    fn reply(&mut self) -> String {
        let count = self.0.usize(1..8);
        let mut text = format!(
            "{{{}{}}}",
            self.space(),
            self.members(count, 4, false).join(self.one_of(&[",", " ,  "]))
        );
        if self.0.u8(..30) == 0 {
            // Too long to be held back until it is complete.
            text.insert_str(1, &format!("\"long\":\"{}\",", "x".repeat(400_000)));
        }
        text
    }

    /// A stream of `speech` with everything between its events that a stream may hold.
    fn stream(&mut self, speech: &Speech) -> String {
        let mut out = String::new();
        for part in speech.stream {
            for _ in 0..self.0.usize(0..3) {
                let value = self.value(2, true);
                out += &match self.0.u8(..6) {
                    0 => ": keep-alive\n\n".to_owned(),
                    1 => format!("id: 7\nretry: 5\nevent: x.unknown\ndata: {value}\n\n"),
                    2 => "event: split\ndata: {\"type\":\ndata:  \"x\",\ndata: \"y\": 1.0 }\n\n".to_owned(),
                    3 => format!("data:{value}\n\n"),
                    4 => "\n\n".to_owned(),
                    _ => format!("data: {{\"type\":\"x\",\"v\":  {value}}}\n: aside\n\n"),
                };
            }
            out += part;
        }
        if self.0.bool() {
            out += ": the end\n\n";
        }
        if self.0.u8(..3) == 0 { out.replace('\n', "\r\n") } else { out }
    }

    /// Cuts `text` anywhere, also inside characters.
    fn cut(&mut self, text: &str) -> Vec<Bytes> {
        let text = Bytes::copy_from_slice(text.as_bytes());
        let mut cuts: Vec<usize> = (0..self.0.usize(0..12)).map(|_| self.0.usize(0..=text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| text.slice(pair[0]..pair[1])).collect()
    }
}

fn same(got: &[u8], want: &str, what: &str) {
    assert!(got == want.as_bytes(), "{what}\ngot:  {:?}\nwant: {want:?}", String::from_utf8_lossy(got));
}

#[tokio::test]
async fn every_byte_passes_in_both_directions() {
    for (nth, speech) in (0u64..).zip(ALL) {
        let puppet = Puppet::new().await;
        let rig = Rig::start(settings([speech.worker(puppet.upstream.url())])).await;
        let mut line = Line::open(rig.address()).await;
        let mut sent = Vec::new();
        for case in 0..CASES {
            let seed = nth * CASES + case;
            let what = format!("{} seed {seed}", speech.path);
            let mut fancy = Fancy(fastrand::Rng::with_seed(seed));
            let streams = !speech.stream[0].is_empty() && fancy.0.bool();
            let model = fancy.one_of(&["\"m\"", "\"\\u006d\"", "\"m\""]);
            let request = fancy.request(&speech, model, streams);
            let (reply, said) = if streams {
                let text = fancy.stream(&speech);
                (Reply::events(fancy.cut(&text), Duration::ZERO), text)
            } else {
                let text = fancy.reply();
                let whole = Reply::json(200, "").header("x-own", "kept");
                let pieces = fancy.cut(&text).into_iter().map(|piece| (Duration::ZERO, piece)).collect();
                (Reply { pieces, ..whole }, text)
            };
            puppet.says(reply);
            let chunks = fancy.cut(&request).iter().map(Bytes::len).filter(|size| *size > 0).collect();
            let ask = post(speech.path, request.clone());
            let answer = line.ask(&if fancy.0.bool() { ask.chunked(chunks) } else { ask }).await;
            assert_eq!(answer.status, 200, "{what}: {}", answer.text());
            same(&answer.body, &said, &what);
            let kind = answer.header("content-type");
            assert_eq!(kind, if streams { "text/event-stream" } else { "application/json" }, "{what}");
            assert!(streams || answer.header("x-own") == "kept", "{what}");
            sent.push(request);
        }
        for (case, (got, want)) in puppet.heard().iter().zip(&sent).enumerate() {
            same(got, want, &format!("{} request {case}", speech.path));
        }
        assert_eq!(puppet.heard().len(), sent.len());
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn an_alias_changes_the_models_name_and_nothing_else() {
    for (nth, speech) in (0u64..).zip(ALL) {
        let puppet = Puppet::new().await;
        let mut config = settings([speech.worker(puppet.upstream.url())]);
        config.aliases.insert("fast \"one\"".to_owned(), "m".to_owned());
        let rig = Rig::start(config).await;
        let mut line = Line::open(rig.address()).await;
        for case in 0..40 {
            let seed = 10_000 + nth * 100 + case;
            let what = format!("{} seed {seed}", speech.path);
            let alias = r#""fast \u0022one\"""#;
            let mut fancy = Fancy(fastrand::Rng::with_seed(seed));
            let body = fancy.request(&speech, alias, false);
            puppet.says(Reply::json(200, speech.reply));
            let answer = line.ask(&post(speech.path, body.clone())).await;
            same(&answer.body, speech.reply, &what);
            same(puppet.heard().last().unwrap(), &body.replace(alias, "\"m\""), &what);
        }
    }
}

#[tokio::test]
async fn an_alias_is_echoed_where_the_operator_wants_it() {
    for (nth, speech) in (0u64..).zip(ALL) {
        let puppet = Puppet::new().await;
        let mut config = settings([speech.worker(puppet.upstream.url())]);
        config.aliases.insert("fast \"one\"".to_owned(), "m".to_owned());
        config.echo_alias = true;
        let rig = Rig::start(config).await;
        let mut line = Line::open(rig.address()).await;
        let alias = r#""fast \"one\"""#;
        for case in 0..40 {
            let mut fancy = Fancy(fastrand::Rng::with_seed(20_000 + nth * 100 + case));
            let streams = !speech.stream[0].is_empty() && fancy.0.bool();
            let said = if streams { fancy.stream(&speech) } else { speech.reply.to_owned() };
            let reply = if streams {
                Reply::events(fancy.cut(&said), Duration::ZERO)
            } else {
                Reply::json(200, said.clone())
            };
            // A client that names the model itself is told what the upstream tells.
            for model in [alias, "\"m\""] {
                puppet.says(reply.clone());
                let answer = line.ask(&post(speech.path, fancy.request(&speech, model, streams))).await;
                let want = said.replace("\"model\":\"m\"", &format!("\"model\":{model}"));
                same(&answer.body, &want, &format!("{} case {case} {model}", speech.path));
            }
        }
    }
}

/// An engine may end without a blank line; the name stands in its last event all the same.
#[tokio::test]
async fn an_alias_is_echoed_in_a_last_event_without_an_end() {
    let said = CHAT.stream.concat().replace("\n\ndata: [DONE]\n\n", "");
    let upstream = Upstream::replying([Reply::events([said.clone()], Duration::ZERO)]).await.unwrap();
    let mut config = settings([CHAT.worker(upstream.url())]);
    config.aliases.insert("alias".to_owned(), "m".to_owned());
    config.echo_alias = true;
    let rig = Rig::start(config).await;
    let answer = rig.post(CHAT.path, &CHAT.body("alias", true)).await;
    assert_eq!(answer.text(), said.replace("\"model\":\"m\"", "\"model\":\"alias\""));
}

/// What an upstream got for `options`, and what the client got back, with usage asked for by the gateway.
async fn with_usage(speech: &Speech, options: &str) -> (String, Answer) {
    let upstream = Upstream::replying([speech.answer(true)]).await.unwrap();
    let mut config = settings([speech.worker(upstream.url())]);
    config.translate.force_include_usage = ForceUsage::Always;
    let rig = Rig::start(config).await;
    let body = format!("{{\"model\":\"m\",\"stream\":true{options},{}}}", speech.prompt);
    let answer = rig.post(speech.path, &body).await;
    let heard = String::from_utf8(upstream.requests()[0].body.to_vec()).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&heard).is_ok(), "{heard}");
    (heard, answer)
}

#[tokio::test]
async fn usage_is_asked_for_where_the_client_does_not() {
    for (what, speech, options, want) in [
        ("none", CHAT, "", Some("{\"stream_options\":{\"include_usage\":true},\"model\"")),
        (
            "none, completions",
            COMPLETIONS,
            "",
            Some("{\"stream_options\":{\"include_usage\":true},\"model\""),
        ),
        (
            "others",
            CHAT,
            ",\"stream_options\": { \"x\": 1.0}",
            Some(",\"stream_options\": {\"include_usage\":true, \"x\": 1.0}"),
        ),
        (
            "its own no",
            CHAT,
            ",\"stream_options\":{\"include_usage\":false}",
            Some(",\"stream_options\":{\"include_usage\":true}"),
        ),
        ("its own yes", CHAT, ",\"stream_options\":{\"include_usage\" :true}", None),
        ("a dialect without them", RESPONSES, "", None),
        ("another dialect without them", MESSAGES, "", None),
    ] {
        let (heard, answer) = with_usage(&speech, options).await;
        let sent = format!("{{\"model\":\"m\",\"stream\":true{options},{}}}", speech.prompt);
        match want {
            Some(want) => assert!(heard.contains(want) && heard != sent, "{what}: {heard}"),
            None => assert_eq!(heard, sent, "{what}"),
        }
        assert_eq!(answer.text(), speech.stream.concat(), "{what}");
    }
}

/// Who is asked when nothing is said: whoever is paid and takes the question.
#[tokio::test]
async fn usage_is_asked_of_whoever_is_paid() {
    for (what, setting, provider, prices, is_asked) in [
        ("a provider", ForceUsage::Paid, Some("openai"), "", true),
        ("one that knows no such question", ForceUsage::Always, Some("mistral"), "", false),
        ("an engine", ForceUsage::Paid, None, "", false),
        ("an engine with a price", ForceUsage::Paid, None, "input 1", true),
        ("an engine, always", ForceUsage::Always, None, "", true),
        ("a provider, never", ForceUsage::Never, Some("openai"), "", false),
    ] {
        let upstream = Upstream::replying([CHAT.answer(true)]).await.unwrap();
        let provider = provider.map(str::to_owned);
        let prices = [prices].into_iter().filter(|price| !price.is_empty()).map(str::to_owned).collect();
        let mut config = settings([WorkerSpec { provider, prices, ..engine(upstream.url(), "m") }]);
        config.translate.force_include_usage = setting;
        let rig = Rig::start(config).await;
        assert_eq!(rig.ask(&CHAT.ask(true)).await.text(), CHAT.stream.concat(), "{what}");
        let heard = upstream.requests()[0].json();
        assert_eq!(heard["stream_options"]["include_usage"] == true, is_asked, "{what}: {heard}");
        assert!(is_asked || upstream.requests()[0].body == CHAT.body("m", true), "{what}: {heard}");
    }
}

/// Streams of those that were asked, in the two ways there are: what a client gets that did not ask, and what it
/// gets that did.
fn asked_streams() -> [(Speech, String, String); 5] {
    let chunk = |members: &str| format!("data: {{\"id\":\"c1\",\"model\":\"m\",{members}}}\n\n");
    let [hello, end] = [
        r#""choices":[{"index":0,"delta":{"content":"héllo \"usage\":null"},"finish_reason":null}]"#,
        r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#,
    ];
    let counts = r#""usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}"#;
    let with = |more: &str, last: &str| {
        let [hello, end] = [hello, end].map(|members| chunk(&format!("{members}{more}")));
        format!(": begin\n\n{hello}{end}{last}")
    };
    let (done, last) = ("data: [DONE]\n\n", chunk(&format!("\"choices\":[],{counts}")));
    let plain = with("", done);
    let silent = with("", &format!("{last}{done}"));
    let null = with(",\"usage\":null", &format!("{last}{done}"));
    let lines = |text: &str| text.replace('\n', "\r\n");
    [
        (CHAT, plain.clone(), silent.clone()),
        (CHAT, plain.clone(), null.clone()),
        (CHAT, lines(&plain), lines(&null)),
        (COMPLETIONS, plain, silent),
        // Engines may end without `[DONE]`, and without a blank line.
        (CHAT, with("", ""), with("", last.trim_ascii_end())),
    ]
}

#[tokio::test]
async fn usage_that_nobody_asked_for_is_cut_out_wherever_the_network_cuts() {
    for (speech, shown, said) in asked_streams() {
        let puppet = Puppet::new().await;
        let account = cloud(puppet.upstream.url(), "openai", "m", Some("k"));
        let rig = Rig::start(settings([account])).await;
        let mut line = Line::open(rig.address()).await;
        let text = Bytes::from(said.clone());
        for at in 0..=text.len() {
            puppet.says(Reply::events([text.slice(..at), text.slice(at..)], Duration::ZERO));
            let answer = line.ask(&speech.ask(true)).await;
            same(&answer.body, &shown, &format!("{} cut at {at}", speech.path));
        }
        // Who asks gets all of it.
        let body = speech
            .body("m", true)
            .replace("\"stream\":true", "\"stream\":true,\"stream_options\":{\"include_usage\":true}");
        puppet.says(Reply::events([text.clone()], Duration::ZERO));
        same(&line.ask(&post(speech.path, body)).await.body, &said, speech.path);
    }
}

/// An upstream that answers in one piece though it was asked for a stream.
#[tokio::test]
async fn a_stream_made_of_a_whole_answer_shows_usage_to_who_asks() {
    for (options, shows) in [("", false), (",\"stream_options\":{\"include_usage\":true}", true)] {
        let upstream = Upstream::replying([CHAT.answer(false)]).await.unwrap();
        let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
        let body = format!("{{\"model\":\"m\",\"stream\":true{options},{}}}", CHAT.prompt);
        let answer = rig.post(CHAT.path, &body).await;
        assert_eq!(answer.text().contains("\"prompt_tokens\":3"), shows, "{}", answer.text());
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    }
}

#[tokio::test]
async fn what_is_not_a_stream_is_never_asked_for_usage() {
    let upstream = Upstream::replying([EMBEDDINGS.answer(false), CHAT.answer(false)]).await.unwrap();
    let mut config = settings([CHAT.worker(upstream.url())]);
    config.translate.force_include_usage = ForceUsage::Always;
    let rig = Rig::start(config).await;
    for (speech, nth) in [(EMBEDDINGS, 0), (CHAT, 1)] {
        assert_eq!(rig.ask(&speech.ask(false)).await.status, 200);
        assert_eq!(upstream.requests()[nth].body, speech.body("m", false));
    }
}

#[tokio::test]
async fn large_bodies_pass_in_both_directions() {
    const SIZE: usize = 8 << 20;
    let puppet = Puppet::new().await;
    let mut config = settings([EMBEDDINGS.worker(puppet.upstream.url())]);
    config.aliases.insert("alias".to_owned(), "m".to_owned());
    config.echo_alias = true;
    let rig = Rig::start(config).await;
    let mut line = Line::open(rig.address()).await;
    let large = |model: &str| format!("{{\"input\":\"{}\",\"model\":\"{model}\"}}", "x ".repeat(SIZE / 2));
    for (model, shown) in [("m", "m"), ("alias", "alias")] {
        puppet.says(Reply::json(200, large("m")));
        let ask = post(EMBEDDINGS.path, large(model));
        let ask = if model == "m" { ask } else { ask.chunked(vec![1, 100_000, 1 << 20]) };
        let answer = line.ask(&ask).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == large(shown).as_bytes(), "{model}: the answer differs");
        assert!(puppet.heard().last().unwrap() == large("m").as_bytes(), "{model}: the request differs");
    }
    // What clients with large bodies ask before they send them.
    puppet.says(Reply::json(200, EMBEDDINGS.reply));
    let body = EMBEDDINGS.body("m", false);
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        EMBEDDINGS.path,
        body.len()
    );
    line.write(head.as_bytes()).await.unwrap();
    assert_eq!(line.head().await.unwrap().status, 100);
    line.write(body.as_bytes()).await.unwrap();
    let mut head = line.head().await.unwrap();
    assert_eq!(line.rest(&mut head).await.unwrap(), EMBEDDINGS.reply.as_bytes());
}
