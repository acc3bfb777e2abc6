//! What this codec promises. The other side of each translation is the neutral model.

use super::{StreamWriter, read_call, write_reply};
use crate::codec::{Context, Vendor};
use crate::testing::{self, list, payloads, target};
use proptest::prelude::*;
use serde_json::{Value, json};
use trunkline_core::{
    Choice, Dialect, Event, Fault, FaultKind, Finish, FinishReason, Item, ItemKind, Losses, Message, Part,
    PartKind, ReasoningItem, Reply, Role, Usage, unfold,
};

fn context() -> Context {
    Context { include_usage: true, ..testing::context("cmpl-ours") }
}

#[test]
fn prompts_are_counted() {
    for (prompt, count) in [
        (r#""a, b""#, 1),
        (r#"["a"]"#, 1),
        (r#" [ "a" , "[b" ] "#, 2),
        ("[1, 2, 3]", 1),
        ("[[1, 2], [3]]", 2),
        ("[]", 1),
        ("null", 1),
        ("", 1),
    ] {
        assert_eq!(super::prompts(prompt.as_bytes()), count, "{prompt}");
    }
}

#[test]
fn a_prompt_becomes_one_message() {
    let body = json!({"model": "m", "prompt": ["once"], "max_tokens": 9, "temperature": 0.10, "top_p": 0.5,
        "stop": "\n", "n": 2, "seed": 7, "presence_penalty": 1, "frequency_penalty": 0.5, "logit_bias": {"1": 2},
        "user": "u", "stream": true, "stream_options": {"include_usage": true},
        "echo": true, "best_of": 3, "logprobs": 5, "suffix": null, "odd": [1.0]});
    let mut losses = Losses::default();
    let call = read_call(body.to_string().as_bytes(), &mut losses).unwrap();
    assert_eq!(list(&losses), ["echo dropped", "best_of dropped", "logprobs dropped"]);
    let target = target("gpt-4o", Vendor::Owner);
    let mut losses = Losses::default();
    let written = crate::write_call(Dialect::OpenaiChat, &call, &target, &mut losses).unwrap();
    let written: Value = serde_json::from_slice(&written.body).unwrap();
    assert_eq!(
        written,
        json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "once"}], "max_tokens": 9,
            "temperature": 0.10, "top_p": 0.5, "stop": ["\n"], "n": 2, "seed": 7, "presence_penalty": 1,
            "frequency_penalty": 0.5, "logit_bias": {"1": 2}, "user": "u", "stream": true,
            "stream_options": {"include_usage": true}})
    );
    assert_eq!(list(&losses), ["odd dropped"]);
}

#[test]
fn what_a_conversation_cannot_say_is_refused() {
    for (body, kind, param) in [
        (r#"{"model":"m"}"#, FaultKind::InvalidRequest, "prompt"),
        (r#"{"prompt":"a"}"#, FaultKind::InvalidRequest, "model"),
        (r#"{"model":"m","prompt":[]}"#, FaultKind::InvalidRequest, "prompt"),
        (r#"{"model":"m","prompt":{}}"#, FaultKind::InvalidRequest, "prompt"),
        (r#"{"model":"m","prompt":[true]}"#, FaultKind::InvalidRequest, "prompt"),
        (r#"{"model":"m","prompt":["a","b"]}"#, FaultKind::Unsupported, "prompt"),
        (r#"{"model":"m","prompt":[1,2]}"#, FaultKind::Unsupported, "prompt"),
        (r#"{"model":"m","prompt":[[1,2]]}"#, FaultKind::Unsupported, "prompt"),
        (r#"{"model":"m","prompt":"a","suffix":"b"}"#, FaultKind::Unsupported, "suffix"),
        (r#"{"model":"m","prompt":"a","tools":[{"type":"function"}]}"#, FaultKind::Unsupported, "tools"),
        (r#"{"model":"m","prompt":"a","stop":[1]}"#, FaultKind::InvalidRequest, "stop"),
        (r#"{"model":"m","prompt":"a","logit_bias":[]}"#, FaultKind::InvalidRequest, "logit_bias"),
    ] {
        let fault = read_call(body.as_bytes(), &mut Losses::default()).unwrap_err();
        assert_eq!((fault.kind, fault.param.as_deref()), (kind, Some(param)), "{body}");
    }
}

fn reply(items: Vec<Item>, reason: FinishReason) -> Reply {
    let choice = |index| Choice {
        index,
        items: items.clone(),
        finish: Some(Finish::new(reason.clone())),
        logprobs: None,
    };
    let usage = Usage { input_total: Some(3), output_total: Some(4), ..Usage::default() };
    Reply {
        id: Some("chatcmpl-1".into()),
        model: Some("m".into()),
        created: Some(5),
        choices: vec![choice(0), choice(1)],
        usage: Some(Box::new(usage)),
        ..Reply::default()
    }
}

fn words(parts: Vec<Part>) -> Item {
    Item::new(ItemKind::Message(Message { role: Role::Assistant, name: None, id: None, parts }))
}

#[test]
fn a_whole_answer() {
    let thought = ReasoningItem { text: vec!["hm".into()], ..ReasoningItem::default() };
    let items = vec![Item::new(ItemKind::Reasoning(thought)), words(vec![Part::text("hi")])];
    let mut losses = Losses::default();
    let out = write_reply(&reply(items, FinishReason::Length), &context(), &mut losses);
    let out: Value = serde_json::from_slice(&out).unwrap();
    let choice =
        |index: u32| json!({"text": "hi", "index": index, "logprobs": null, "finish_reason": "length"});
    assert_eq!(
        out,
        json!({"id": "cmpl-ours", "object": "text_completion", "created": 5, "model": "m",
            "choices": [choice(0), choice(1)],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}})
    );
    assert_eq!(list(&losses), ["choices[0].text dropped", "choices[1].text dropped"]);
}

fn stream(reply: &Reply, context: Context) -> (String, Vec<String>) {
    let mut writer = StreamWriter::new(context);
    let mut out = Vec::new();
    unfold(reply, |event| writer.write(event, &mut out));
    (String::from_utf8(out).unwrap(), list(writer.losses()))
}

#[test]
fn a_stream_ends_with_usage_only_when_asked() {
    let reply = reply(vec![words(vec![Part::text("hi")])], FinishReason::Stop);
    let (text, _) = stream(&reply, context());
    assert!(text.ends_with("data: [DONE]\n\n"));
    let all = payloads(&text);
    assert_eq!(
        all[0]["choices"][0],
        json!({"text": "hi", "index": 0, "logprobs": null, "finish_reason": null})
    );
    assert_eq!(all[1]["choices"][0]["finish_reason"], "stop");
    assert_eq!(all[4]["usage"]["total_tokens"], 7);
    assert!(all.iter().all(|chunk| chunk["id"] == "cmpl-ours" && chunk["object"] == "text_completion"));
    let (text, _) = stream(&reply, Context { include_usage: false, ..context() });
    assert!(payloads(&text).iter().all(|chunk| chunk.get("usage").is_none()));
}

#[test]
fn a_failing_stream_has_no_done() {
    let mut writer = StreamWriter::new(context());
    let mut out = Vec::new();
    writer.write(Event::Error(Fault::new(FaultKind::Overloaded, "busy")), &mut out);
    writer.write(Event::End, &mut out);
    let all = payloads(std::str::from_utf8(&out).unwrap());
    assert_eq!((all.len(), &all[0]["error"]["message"]), (1, &json!("busy")));
    assert!(!String::from_utf8(out).unwrap().contains("[DONE]"));
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_call(&bytes, &mut Losses::default());
    }

    #[test]
    fn c103_the_stream_says_what_the_whole_answer_says(
        texts in proptest::collection::vec("[a \"\\\\\n<é\u{2028}😀]{0,6}", 0..4),
        refused in any::<bool>(),
        thinks in any::<bool>(),
    ) {
        let mut parts: Vec<_> = texts.into_iter().map(Part::text).collect();
        parts.extend(refused.then(|| Part::new(PartKind::Refusal("no".into()))));
        let thought = thinks.then(|| Item::new(ItemKind::Reasoning(ReasoningItem::default())));
        let reply = reply(thought.into_iter().chain([words(parts)]).collect(), FinishReason::ContentFilter);
        let mut losses = Losses::default();
        let whole: Value = serde_json::from_slice(&write_reply(&reply, &context(), &mut losses)).unwrap();
        let (streamed, lost) = stream(&reply, context());
        prop_assert_eq!(lost, list(&losses));
        let all = payloads(&streamed);
        for choice in 0..2 {
            let mine = all.iter().filter_map(|chunk| chunk["choices"].get(0)).filter(|c| c["index"] == choice);
            let text: String = mine.clone().filter_map(|c| c["text"].as_str()).collect();
            prop_assert_eq!(&whole["choices"][choice]["text"], &json!(text));
            let reasons: Vec<_> = mine.map(|c| &c["finish_reason"]).filter(|r| !r.is_null()).collect();
            prop_assert_eq!(reasons, [&whole["choices"][choice]["finish_reason"]]);
        }
        prop_assert_eq!(&all.last().unwrap()["usage"], &whole["usage"]);
    }
}
