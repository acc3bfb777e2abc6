//! What a client receives for a whole answer (C63, C65, C66, C72, C73, C101, C103).

use crate::chain::{
    AM_AM, AM_OC, OC_AM, OC_OC, PAIRS, Pair, context, fold, idle, list, payloads, read_stream, told,
};
use crate::corpus::{CLAUDE_REPLY, ENGINE_REPLY};
use serde_json::{Value, json};
use trunkline_core::{Dialect, Losses, Reply};
use trunkline_dialect::{Context, read_reply, write_reply};

/// An Anthropic answer with these members changed.
fn claude(more: &Value) -> String {
    changed(CLAUDE_REPLY, more)
}

fn changed(reply: &str, more: &Value) -> String {
    let mut reply: Value = serde_json::from_str(reply).unwrap();
    reply.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    reply.to_string()
}

fn engine(message: &Value, finish: &str) -> String {
    let choice = json!([{"index": 0, "message": message, "finish_reason": finish}]);
    changed(ENGINE_REPLY, &json!({"choices": choice}))
}

#[test]
fn c63_the_model_is_the_alias_or_the_upstreams() {
    for pair in PAIRS {
        let body = upstream_reply(pair);
        let reply = read_reply(pair.upstream, body.as_bytes()).unwrap();
        for (model, want) in [(Some("fast"), "fast"), (None, reply.model.as_deref().unwrap())] {
            let context = Context { model: model.map(str::to_owned), ..context() };
            let out = write_reply(pair.client, &reply, &context, &mut Losses::default()).unwrap();
            let out: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(out["model"], want, "{pair:?}");
        }
    }
}

fn upstream_reply(pair: Pair) -> &'static str {
    match pair.upstream {
        Dialect::AnthropicMessages => CLAUDE_REPLY,
        _ => ENGINE_REPLY,
    }
}

#[test]
fn c65_thoughts_words_and_calls_of_claude() {
    let out = OC_AM.answer_whole(CLAUDE_REPLY);
    let message = &out["choices"][0]["message"];
    assert_eq!(message["content"], "Let me look at Zürich and Łódź 🌧.");
    assert_eq!(message["reasoning_content"], "The user wants weather in two cities.");
    assert_eq!(
        message["tool_calls"][0]["function"]["arguments"],
        r#"{"city": "Zürich", "id": 12345678901234567890, "ratio": 1.0}"#
    );
    assert_eq!(out["choices"][0]["finish_reason"], "tool_calls");
    let usage = &out["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]),
        (&json!(18), &json!(42), &json!(60))
    );
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 5);
    assert_eq!(usage["prompt_tokens_details"]["cache_write_tokens"], 3);
    insta::assert_snapshot!(serde_json::to_string_pretty(&out).unwrap());
}

#[test]
fn c66_a_refusal_and_why() {
    let body = claude(&json!({"content": [], "stop_reason": "refusal",
        "stop_details": {"type": "refusal", "category": "cyber", "explanation": "not this"}}));
    let out = OC_AM.answer_whole(&body);
    assert_eq!(out["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(out["choices"][0]["message"]["refusal"], "not this");
    let out = AM_AM.answer_whole(&body);
    assert_eq!(
        (&out["stop_reason"], &out["stop_details"]["explanation"]),
        (&json!("refusal"), &json!("not this"))
    );
    // The other way, the words of declining are what there is to show.
    let out = AM_OC
        .answer_whole(engine(&json!({"role": "assistant", "content": null, "refusal": "I won't"}), "stop"));
    assert_eq!((&out["stop_reason"], &out["content"][0]["text"]), (&json!("refusal"), &json!("I won't")));
}

#[test]
fn c72_an_engines_answer_for_an_anthropic_client() {
    let out = AM_OC.answer_whole(ENGINE_REPLY);
    assert_eq!(out["stop_reason"], "tool_use");
    let kinds: Vec<_> = out["content"].as_array().unwrap().iter().map(|block| &block["type"]).collect();
    assert_eq!(kinds, ["thinking", "text", "tool_use", "tool_use"]);
    assert_eq!((&out["content"][3]["input"], &out["content"][2]["name"]), (&json!({}), &json!("weather")));
    let usage = &out["usage"];
    assert_eq!(
        (&usage["input_tokens"], &usage["cache_read_input_tokens"], &usage["output_tokens"]),
        (&json!(13), &json!(5), &json!(42))
    );
    for (finish, want) in
        [("length", "max_tokens"), ("stop", "end_turn"), ("content_filter", "refusal"), ("eos", "end_turn")]
    {
        let out = AM_OC.answer_whole(engine(&json!({"role": "assistant", "content": "x"}), finish));
        assert_eq!((&out["stop_reason"], &out["stop_sequence"]), (&json!(want), &Value::Null), "{finish}");
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&out).unwrap());
}

#[test]
fn c72_the_stop_text_that_engines_report() {
    let body = changed(
        ENGINE_REPLY,
        &json!({"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop", "stop_reason": "END"}]}),
    );
    let out = AM_OC.answer_whole(body);
    assert_eq!((&out["stop_reason"], &out["stop_sequence"]), (&json!("stop_sequence"), &json!("END")));
}

/// Every reason Anthropic gives has a word that OpenAI's clients know.
#[test]
fn every_stop_reason_of_claude() {
    for (reason, want) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
    ] {
        let out = OC_AM.answer_whole(claude(&json!({"stop_reason": reason})));
        assert_eq!(out["choices"][0]["finish_reason"], want, "{reason}");
    }
}

#[test]
fn c73_an_empty_answer_has_no_empty_block() {
    for content in [Value::Null, json!(""), json!([])] {
        let out = AM_OC.answer_whole(engine(&json!({"role": "assistant", "content": content}), "stop"));
        assert_eq!((&out["content"], &out["stop_reason"]), (&json!([]), &json!("end_turn")));
    }
    let out = OC_AM.answer_whole(claude(&json!({"content": [], "stop_reason": "end_turn"})));
    assert_eq!(out["choices"][0]["message"]["content"], "");
}

/// The answer's `n` choices have no place at Anthropic's clients, and they are told.
#[test]
fn what_the_clients_dialect_cannot_show_is_recorded_whole_and_streamed() {
    let body = changed(
        ENGINE_REPLY,
        &json!({"choices": [
            {"index": 0, "message": {"content": "a"}, "logprobs": {"content": []}, "finish_reason": "stop"},
            {"index": 1, "message": {"content": "b"}, "finish_reason": "stop"}]}),
    );
    let want = ["choices[1] dropped", "logprobs dropped"];
    both_ways(AM_OC, &body, &want);
    let body = claude(&json!({"stop_reason": "end_turn", "content": [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "text", "text": "so", "citations": [
            {"type": "char_location", "cited_text": "c", "document_index": 0, "start_char_index": 0, "end_char_index": 1}]}]}));
    let want = [
        "choices[0].message.annotations dropped",
        "choices[0].message.content dropped",
        "choices[0].message.content dropped",
    ];
    both_ways(OC_AM, &body, &want);
}

fn both_ways(pair: Pair, body: &str, want: &[&str]) {
    let sorted = |losses: &Losses| {
        let mut list = list(losses);
        list.sort();
        list
    };
    let (_, losses) = pair.answer(body, &idle()).unwrap();
    assert_eq!(sorted(&losses), want);
    let reply = read_reply(pair.upstream, body.as_bytes()).unwrap();
    let mut writer = trunkline_dialect::StreamWriter::new(pair.client, context()).unwrap();
    let mut out = Vec::new();
    trunkline_core::unfold(&reply, |event| writer.write(event, &mut out));
    assert_eq!(sorted(writer.losses()), want);
}

/// Mistral's thoughts stand in the list that is its content, and are no words.
#[test]
fn c75_mistrals_thinking_chunk_is_a_thought() {
    let message = json!({"role": "assistant", "content": [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm, "}, {"type": "text", "text": "so"}]},
        {"type": "text", "text": "Yes"}, {"type": "text", "text": "."}]});
    let body = engine(&message, "stop");
    let out = OC_OC.answer_whole(&body);
    let message = &out["choices"][0]["message"];
    assert_eq!((&message["reasoning_content"], &message["content"]), (&json!("hm, so"), &json!("Yes.")));
    let out = AM_OC.answer_whole(&body);
    assert_eq!(
        (&out["content"][0]["thinking"], &out["content"][1]["text"]),
        (&json!("hm, so"), &json!("Yes."))
    );
    assert_eq!(out["content"].as_array().unwrap().len(), 2);
}

/// xAI's completion count leaves its reasoning out, which only the total shows.
#[test]
fn c76_xais_reasoning_is_part_of_the_completion() {
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 60,
        "completion_tokens_details": {"reasoning_tokens": 40}});
    let body = changed(ENGINE_REPLY, &json!({"usage": usage}));
    let out = &OC_OC.answer_whole(&body)["usage"];
    assert_eq!(
        (&out["prompt_tokens"], &out["completion_tokens"], &out["total_tokens"]),
        (&json!(10), &json!(50), &json!(60))
    );
    assert_eq!(out["completion_tokens_details"]["reasoning_tokens"], 40);
    let out = &AM_OC.answer_whole(&body)["usage"];
    assert_eq!((&out["input_tokens"], &out["output_tokens"]), (&json!(10), &json!(50)));
}

/// C101: an upstream that answers a request for a stream in one piece, laid out over lines at that.
#[test]
fn c101_a_whole_answer_becomes_a_valid_stream() {
    for pair in PAIRS {
        let pretty: Value = serde_json::from_str(upstream_reply(pair)).unwrap();
        let pretty = serde_json::to_string_pretty(&pretty).unwrap();
        let reply = read_reply(pair.upstream, pretty.as_bytes()).unwrap();
        let stream = told(pair.client, &reply);
        let events = payloads(&stream);
        assert!(events.len() > 5, "{stream}");
        for line in stream.lines() {
            let framed = ["data: ", "event: ", ": "].iter().any(|prefix| line.starts_with(prefix));
            assert!(framed || line.is_empty(), "{pair:?}: {line}");
        }
        assert_eq!(said(&fold(pair.client, stream.as_bytes()).unwrap()), said(&reply), "{pair:?}");
    }
}

/// What an answer says, free of ids, signatures and the spelling of its counts.
pub(crate) fn said(reply: &Reply) -> Vec<(u32, String, String, String)> {
    use trunkline_core::{ItemKind, PartKind};
    let choice = |choice: &trunkline_core::Choice| {
        let (mut words, mut thoughts, mut calls) = (String::new(), String::new(), String::new());
        for item in &choice.items {
            match &item.kind {
                ItemKind::Message(message) => {
                    for part in &message.parts {
                        match &part.kind {
                            PartKind::Text { text, .. } | PartKind::Refusal(text) => words.push_str(text),
                            other => panic!("no answer of the corpus holds {other:?}"),
                        }
                    }
                }
                ItemKind::Reasoning(item) => thoughts.extend(item.text.iter().map(String::as_str)),
                ItemKind::ToolCall(call) => {
                    let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
                    calls.push_str(&format!("{} {} {:?} {arguments}\n", call.call_id, call.name, call.kind));
                }
                other => panic!("no answer of the corpus holds {other:?}"),
            }
        }
        (choice.index, words, thoughts, calls)
    };
    reply.choices.iter().map(choice).collect()
}

/// C103, on the corpus: a stream amounts to the whole answer, in each dialect by itself and translated.
#[test]
fn c103_streams_fold_to_the_whole_answer() {
    use crate::chain::{chunks, frames};
    use crate::corpus::{CLAUDE_STREAM, ENGINE_STREAM};
    for (pair, stream, whole) in [
        (OC_AM, frames(CLAUDE_STREAM), CLAUDE_REPLY),
        (AM_AM, frames(CLAUDE_STREAM), CLAUDE_REPLY),
        (AM_OC, chunks(ENGINE_STREAM), ENGINE_REPLY),
        (OC_OC, chunks(ENGINE_STREAM), ENGINE_REPLY),
    ] {
        let streamed = fold(pair.upstream, stream.as_bytes()).unwrap();
        let unary = read_reply(pair.upstream, whole.as_bytes()).unwrap();
        assert_eq!(said(&streamed), said(&unary), "{pair:?}");
        assert_eq!(streamed.choices[0].finish, unary.choices[0].finish, "{pair:?}");
        let items = |reply: &Reply| reply.choices[0].items.clone();
        if pair.upstream == Dialect::AnthropicMessages {
            assert_eq!(items(&streamed), items(&unary), "signatures and whose they are included");
        }
        let translated = fold(pair.client, pair.relay(&stream).as_bytes()).unwrap();
        let (answer, _) = pair.answer(whole, &idle()).unwrap();
        let answer = read_reply(pair.client, answer.as_bytes()).unwrap();
        assert_eq!(said(&translated), said(&answer), "{pair:?}");
        assert_eq!(said(&translated), said(&unary), "{pair:?}");
        assert_eq!(translated.choices[0].finish, answer.choices[0].finish, "{pair:?}");
        let counts = |reply: &Reply| {
            let usage = reply.usage.as_ref().unwrap();
            (usage.input_total, usage.output_total, usage.cache_read, usage.cache_write())
        };
        assert_eq!(counts(&translated), counts(&answer), "{pair:?}");
    }
}

/// Through the neutral model into the same dialect, nothing the model has a place for changes.
#[test]
fn the_same_dialect_on_both_sides_says_the_same() {
    for (pair, body) in [(AM_AM, CLAUDE_REPLY), (OC_OC, ENGINE_REPLY)] {
        let before = read_reply(pair.upstream, body.as_bytes()).unwrap();
        let (text, losses) = pair.answer(body, &idle()).unwrap();
        assert_eq!(list(&losses), Vec::<String>::new());
        assert_eq!(read_reply(pair.client, text.as_bytes()).unwrap(), before, "{pair:?}");
        let mut folded = trunkline_core::Fold::default();
        trunkline_core::unfold(&before, |event| folded.push(event));
        assert_eq!(folded.finish().unwrap(), before, "{pair:?}");
        let mut events = 0;
        read_stream(pair.client, &[told(pair.client, &before).as_bytes()], |_| events += 1);
        assert!(events > 10, "{pair:?}");
    }
}
