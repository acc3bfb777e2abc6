//! What the demo plays. Every scene speaks to the gateway over HTTP only and fails when the answer is not
//! what it should be, so that the demo is also a smoke test.

use super::books;
use super::json::{at, text, with};
use super::screen::Screen;
use super::tool_loop;
use super::world::{ALONE, CLAUDE, EMBEDDING, GEMINI, GPT, NOVA, SHARED, World};
use crate::table::aligned;
use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

pub(super) const CHAT: &str = "/v1/chat/completions";
pub(super) const MESSAGES: &str = "/v1/messages";

/// One scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    Chat,
    Stream,
    MessagesToEngine,
    ChatToAnthropic,
    Tools,
    OtherEndpoints,
    PrefixCache,
    Balance,
    Books,
}

impl Scene {
    /// In the order they are played.
    pub(super) const ALL: [Self; 9] = [
        Self::Chat,
        Self::Stream,
        Self::MessagesToEngine,
        Self::ChatToAnthropic,
        Self::Tools,
        Self::OtherEndpoints,
        Self::PrefixCache,
        Self::Balance,
        Self::Books,
    ];

    /// What it is called, and what it calls.
    pub(super) fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::Chat => ("A chat", "POST /v1/chat/completions  llama3"),
            Self::Stream => ("A streamed chat", "POST /v1/chat/completions  llama3"),
            Self::MessagesToEngine => {
                ("Anthropic Messages, answered by an OpenAI-dialect engine", "POST /v1/messages  qwen3")
            }
            Self::ChatToAnthropic => {
                ("OpenAI Chat, answered by Anthropic", "POST /v1/chat/completions  claude-sonnet-4-5")
            }
            Self::Tools => {
                ("Three tools at once, every client to every upstream", "chat, messages, generateContent")
            }
            Self::OtherEndpoints => ("The other endpoints", "POST path  to whom, how long, what came"),
            Self::PrefixCache => {
                ("The engine's prefix cache: one long prompt, twice", "POST /v1/chat/completions  qwen3")
            }
            Self::Balance => {
                ("Eight chats at once, two engines for one model", "POST /v1/chat/completions  llama3")
            }
            Self::Books => ("What the gateway saw", "GET /workers, GET /metrics, the access log"),
        }
    }

    /// What it shows, in a line.
    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Chat => "Client and engine speak OpenAI's dialect, so the bytes pass through as they are.",
            Self::Stream => "The same as a stream: every token leaves when it arrives.",
            Self::MessagesToEngine => "An Anthropic client, an engine of your own: read and written anew.",
            Self::ChatToAnthropic => "The other way round, and the stream as well.",
            Self::Tools => {
                "A stream asks for three tools, the client sends the results back, the model answers."
            }
            Self::OtherEndpoints => "The first three pass through, the others are translated.",
            Self::PrefixCache => "Engines keep what they read: the second time costs next to nothing.",
            Self::Balance => "Each engine takes half of them, and both work at the same time.",
            Self::Books => {
                "As operators see it; one stream is held open on purpose, hence IN FLIGHT 1 at gamma."
            }
        }
    }

    /// Plays it.
    ///
    /// # Errors
    /// When anything is not as it should be.
    pub(super) async fn play(self, world: &World, screen: &mut Screen<impl Write>) -> anyhow::Result<()> {
        match self {
            Self::Chat => chat(world, screen).await,
            Self::Stream => stream(world, screen).await,
            Self::MessagesToEngine => messages_to_engine(world, screen).await,
            Self::ChatToAnthropic => chat_to_anthropic(world, screen).await,
            Self::Tools => tool_loop::play(world, screen).await,
            Self::OtherEndpoints => other_endpoints(world, screen).await,
            Self::PrefixCache => prefix_cache(world, screen).await,
            Self::Balance => balance(world, screen).await,
            Self::Books => books::show(world, screen).await,
        }
    }
}

async fn chat(world: &World, screen: &mut Screen<impl Write>) -> anyhow::Result<()> {
    let question = "Why do ships trust lighthouses?";
    screen.question(question)?;
    let (answer, took) = world.client.ask(CHAT, "demo-chat", &asks(SHARED, question)).await?;
    let text = chat_text(&answer)?;
    ensure!(text.contains(question), "the answer does not show that the question arrived: {text}");
    screen.beginning(text)?;
    let engine = world.answerer("demo-chat").await?;
    let tokens = counted(&answer, "prompt_tokens", "completion_tokens")?;
    screen.note(&format!("{} ({}), {tokens}, {}", engine.name, engine.kind, ms(took)))?;
    Ok(())
}

async fn stream(world: &World, screen: &mut Screen<impl Write>) -> anyhow::Result<()> {
    let question = "And who keeps the light?";
    screen.question(question)?;
    let body = with(asks(SHARED, question), streamed());
    let mut answer = String::new();
    let streamed = world.client.stream(CHAT, "demo-stream", &body, |chunk| {
        let piece = text(chunk, "/choices/0/delta/content");
        answer.push_str(piece);
        screen.told(piece).map(|()| !piece.is_empty()).map_err(Into::into)
    });
    let streamed = streamed.await?;
    screen.told_all()?;
    ensure!(answer.contains(question), "the answer does not show that the question arrived: {answer}");
    ensure!(streamed.pieces > 5, "the stream came in {} pieces", streamed.pieces);
    let (_, last) = streamed.events.last().context("the stream is empty")?;
    ensure!(last == "[DONE]", "the stream ends with {last} instead of [DONE]");
    let engine = world.answerer("demo-stream").await?;
    let between = streamed.took.saturating_sub(streamed.ttft) / streamed.pieces.saturating_sub(1).max(1);
    screen.note(&format!(
        "{} ({}), {} tokens, TTFT {}, then one every {}",
        engine.name,
        engine.kind,
        streamed.pieces,
        ms(streamed.ttft),
        ms(between)
    ))?;
    Ok(())
}

async fn messages_to_engine(world: &World, screen: &mut Screen<impl Write>) -> anyhow::Result<()> {
    let question = "What does a foghorn say?";
    screen.question(question)?;
    let body = with(asks(ALONE, question), json!({"max_tokens": 200, "system": "You keep a lighthouse."}));
    let (answer, took) = world.client.ask(MESSAGES, "demo-messages", &body).await?;
    ensure!(
        text(&answer, "/type") == "message" && text(&answer, "/role") == "assistant",
        "not a message: {answer}"
    );
    ensure!(text(&answer, "/stop_reason") == "end_turn", "stop_reason is not end_turn: {answer}");
    let text = said(&answer, "/content/0/text")?;
    ensure!(text.contains(question), "the answer does not show that the question arrived: {text}");
    screen.beginning(text)?;
    let engine = world.answerer("demo-messages").await?;
    let tokens = counted(&answer, "input_tokens", "output_tokens")?;
    screen.note(&format!("{} ({}), {tokens}, {}", engine.name, engine.kind, ms(took)))?;

    let body = with(body, json!({"stream": true}));
    let streamed = world
        .client
        .stream(MESSAGES, "demo-messages-stream", &body, |event| Ok(event.pointer("/delta/text").is_some()))
        .await?;
    let names: Vec<&str> = streamed.events.iter().map(|(name, _)| name.as_str()).collect();
    ensure!(names.first() == Some(&"message_start"), "the stream begins with {:?}", names.first());
    ensure!(names.last() == Some(&"message_stop"), "the stream ends with {:?}", names.last());
    ensure!(streamed.pieces > 5, "the stream came in {} pieces", streamed.pieces);
    let (count, ttft) = (names.len(), ms(streamed.ttft));
    screen.note(&format!("streamed: {count} events, message_start to message_stop, TTFT {ttft}"))?;
    Ok(())
}

async fn chat_to_anthropic(world: &World, screen: &mut Screen<impl Write>) -> anyhow::Result<()> {
    let question = "How far can a lamp be seen?";
    screen.question(question)?;
    let body = asks(CLAUDE, question);
    let (answer, took) = world.client.ask(CHAT, "demo-claude", &body).await?;
    ensure!(text(&answer, "/object") == "chat.completion", "not a chat completion: {answer}");
    ensure!(text(&answer, "/choices/0/finish_reason") == "stop", "not finished: {answer}");
    let text = chat_text(&answer)?;
    ensure!(text.contains(question), "the answer does not show that the question arrived: {text}");
    screen.beginning(text)?;
    let cloud = world.answerer("demo-claude").await?;
    let (path, call) = cloud.last_call().context("the answer did not come from a cloud")?;
    ensure!(path == MESSAGES && at(&call, "/max_tokens").is_u64(), "{path} received {call}");
    let tokens = counted(&answer, "prompt_tokens", "completion_tokens")?;
    screen.note(&format!("{}, {tokens}, {}; it received POST {path}", cloud.name, ms(took)))?;

    let body = with(body, json!({"stream": true}));
    let streamed = world.client.stream(CHAT, "demo-claude-stream", &body, |chunk| Ok(tells(chunk)));
    let streamed = streamed.await?;
    let (_, last) = streamed.events.last().context("the stream is empty")?;
    ensure!(last == "[DONE]", "the stream ends with {last} instead of [DONE]");
    ensure!(streamed.pieces > 5, "the stream came in {} pieces", streamed.pieces);
    let (count, ttft) = (streamed.events.len() - 1, ms(streamed.ttft));
    screen.note(&format!("streamed: {count} chunks and [DONE], TTFT {ttft}"))?;
    Ok(())
}

async fn other_endpoints(world: &World, screen: &mut Screen<impl Write>) -> anyhow::Result<()> {
    let prompt = "The lamp was lit";
    let mut rows = Vec::new();
    for (path, id, body, shows) in [
        (
            "/v1/completions",
            "demo-completions",
            json!({"model": SHARED, "prompt": prompt, "max_tokens": 8}),
            "/choices/0/text",
        ),
        (
            "/v1/responses",
            "demo-responses",
            json!({"model": GPT, "input": prompt, "max_output_tokens": 16}),
            "/output/0/content/0/text",
        ),
        (
            "/v1/embeddings",
            "demo-embeddings",
            json!({"model": EMBEDDING, "input": prompt}),
            "/data/0/embedding",
        ),
        (
            &format!("/v1beta/models/{CLAUDE}:generateContent"),
            "demo-gemini",
            json!({"contents": [{"role": "user", "parts": [{"text": prompt}]}]}),
            "/candidates/0/content/parts/0/text",
        ),
        (
            &format!("/model/{GEMINI}/converse"),
            "demo-converse",
            json!({"messages": [{"role": "user", "content": [{"text": prompt}]}]}),
            "/output/message/content/0/text",
        ),
        ("/api/chat", "demo-ollama", with(asks(NOVA, prompt), json!({"stream": false})), "/message/content"),
    ] {
        let (answer, took) = world.client.ask(path, id, &body).await?;
        let shown = match answer.pointer(shows) {
            Some(Value::String(text)) => format!("“{}…”", text.chars().take(24).collect::<String>().trim()),
            Some(Value::Array(numbers)) if !numbers.is_empty() => format!("{} numbers", numbers.len()),
            Some(_) | None => anyhow::bail!("{path} answered without {shows}: {answer}"),
        };
        rows.push([path.to_owned(), world.answerer(id).await?.name.to_owned(), ms(took), shown]);
    }
    screen.block(&aligned(3, &rows))?;
    Ok(())
}

async fn prefix_cache(world: &World, screen: &mut Screen<impl Write>) -> anyhow::Result<()> {
    let rule = |n: u32| {
        format!("Rule {n}: trim the lamp at dusk, log the weather, answer every signal within the minute. ")
    };
    let handbook: String = (1..=120).map(rule).collect();
    let messages = json!([
        {"role": "system", "content": handbook},
        {"role": "user", "content": "Which rule comes first?"},
    ]);
    let body = with(json!({"model": ALONE, "messages": messages, "max_tokens": 8}), streamed());
    let mut seen = Vec::new();
    for (turn, id) in [("first", "demo-cache-1"), ("again", "demo-cache-2")] {
        let mut usage = Value::Null;
        let streamed = world.client.stream(CHAT, id, &body, |chunk| {
            if at(chunk, "/usage").is_object() {
                usage = at(chunk, "/usage").clone();
            }
            Ok(tells(chunk))
        });
        let streamed = streamed.await?;
        let prompt = at(&usage, "/prompt_tokens").as_u64().context("the stream says nothing of usage")?;
        let cached = at(&usage, "/prompt_tokens_details/cached_tokens").as_u64().unwrap_or(0);
        let ttft = ms(streamed.ttft);
        screen
            .line(&format!("{turn}: {cached:>4} of {prompt} prompt tokens from the cache, TTFT {ttft:>6}"))?;
        seen.push((cached, prompt, streamed.ttft));
    }
    let &[(before, _, cold), (cached, prompt, warm)] = seen.as_slice() else {
        anyhow::bail!("not asked twice")
    };
    ensure!(before == 0, "the cache knew {before} tokens of a new prompt");
    ensure!(cached * 10 > prompt * 9, "the cache knew {cached} of {prompt} tokens the second time");
    ensure!(warm < cold, "the second time took no less: {warm:?} after {cold:?}");
    Ok(())
}

async fn balance(world: &World, screen: &mut Screen<impl Write>) -> anyhow::Result<()> {
    let ids: Vec<String> = (1..=8).map(|n| format!("demo-balance-{n}")).collect();
    let bodies: Vec<Value> = (1..=8).map(|n| asks(SHARED, &format!("Light number {n}?"))).collect();
    let calls = ids.iter().zip(&bodies).map(|(id, body)| world.client.ask(CHAT, id, body));
    let began = tokio::time::Instant::now();
    let answers = futures_util::future::try_join_all(calls).await?;
    let (took, summed) = (began.elapsed(), answers.iter().map(|(_, took)| *took).sum());
    let mut shares: BTreeMap<&str, u32> = BTreeMap::new();
    for id in &ids {
        *shares.entry(world.answerer(id).await?.name).or_default() += 1;
    }
    ensure!(shares.len() == 2, "one engine got them all: {shares:?}");
    let shares: Vec<_> = shares.iter().map(|(name, count)| format!("{name} {count}")).collect();
    screen.line(&format!("{}; {} of answering in {}", shares.join(", "), ms(summed), ms(took)))?;
    Ok(())
}

/// What a chat that wants a stream adds.
fn streamed() -> Value {
    json!({"stream": true, "stream_options": {"include_usage": true}})
}

/// Whether a chunk of a chat has text in it.
fn tells(chunk: &Value) -> bool {
    !text(chunk, "/choices/0/delta/content").is_empty()
}

/// A request with one message; a chat or, given `max_tokens`, a Messages call.
fn asks(model: &str, question: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": question}]})
}

pub(super) fn said<'a>(answer: &'a Value, at: &str) -> anyhow::Result<&'a str> {
    answer.pointer(at).and_then(Value::as_str).with_context(|| format!("no text at {at} in {answer}"))
}

fn chat_text(answer: &Value) -> anyhow::Result<&str> {
    said(answer, "/choices/0/message/content")
}

fn counted(answer: &Value, input: &str, output: &str) -> anyhow::Result<String> {
    let count = |name: &str| at(answer, &format!("/usage/{name}")).as_u64().filter(|count| *count > 0);
    let (input, output) = count(input).zip(count(output)).with_context(|| format!("no usage in {answer}"))?;
    Ok(format!("{input} tokens in, {output} out"))
}

pub(super) fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}
