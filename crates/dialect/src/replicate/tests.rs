//! What this codec promises, case by case.

use super::{Prediction, StreamReader, read_error, version};
use crate::codec::Vendor;
use crate::testing::{list, target};
use serde_json::{Value, json};
use trunkline_core::{Dialect, Event, Fault, FaultKind, Fold, ItemKind, Losses, Part, Reply};

fn write(body: &Value, model: &str) -> Result<(Value, Vec<String>), Fault> {
    let mut losses = Losses::default();
    let call = crate::read_call(Dialect::OpenaiChat, body.to_string().as_bytes(), &mut losses)?;
    let target = target(model, Vendor::Compatible);
    let written = crate::write_call(Dialect::ReplicatePredictions, &call, &target, &mut losses)?;
    let losses = list(&losses);
    Ok((serde_json::from_slice(&written.body).unwrap(), losses))
}

fn said(reply: &Reply) -> String {
    let items = reply.choices[0].items.iter().filter_map(|item| {
        let ItemKind::Message(message) = &item.kind else { return None };
        message.parts.first().and_then(Part::as_text)
    });
    items.collect()
}

#[test]
fn one_message_is_the_prompt_as_it_is() {
    let body = json!({"model": "x", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}],
        "max_tokens": 9, "temperature": 0.50, "stop": ["a", "b"], "seed": 3, "stream": true});
    let (written, losses) = write(&body, "meta/llama-3").unwrap();
    let input = json!({"prompt": "hi", "system_prompt": "s", "max_tokens": 9, "temperature": 0.50, "seed": 3,
        "stop_sequences": "a,b"});
    assert_eq!((written, losses), (json!({"stream": true, "input": input}), vec![]));
    let hash = "0123456789abcdef".repeat(4);
    let model = format!("owner/name:{hash}");
    assert_eq!(version(&model), Some(hash.as_str()));
    assert_eq!(write(&body, &model).unwrap().0["version"], hash.as_str());
    assert_eq!(version("owner/name:latest"), None);
}

#[test]
fn c44_history_is_flattened_with_roles() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let body = json!({"model": "x", "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "r"}, {"role": "user", "content": "d"}],
        "tools": [{"type": "function", "function": {"name": "f"}}], "stop": ["x,y", "z"], "n": 2,
        "response_format": {"type": "json_object"}});
    let (written, losses) = write(&body, "m/n").unwrap();
    assert_eq!(
        written["input"]["prompt"],
        "User: a\n\nAssistant: b\n\nAssistant: [called f with {}]\n\nUser: [result] r\n\nUser: d\n\nAssistant:"
    );
    assert_eq!(written["input"]["stop_sequences"], "z");
    assert_eq!(written["input"]["system_prompt"], "Answer with one JSON object and nothing else.");
    assert_eq!(
        losses,
        [
            "messages[1] degraded",
            "messages[2] degraded",
            "messages degraded",
            "response_format emulated",
            "n emulated",
            "stop emulated",
            "tools dropped"
        ]
    );
}

#[test]
fn one_image_goes_along_and_other_media_are_refused() {
    let image = json!({"type": "image_url", "image_url": {"url": "https://x/y.png"}});
    let wav = json!({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}});
    let ask =
        |parts: Value| write(&json!({"model": "x", "messages": [{"role": "user", "content": parts}]}), "m/n");
    assert_eq!(ask(json!([image])).unwrap().0["input"]["image"], "https://x/y.png");
    for parts in [json!([image, image]), json!([wav])] {
        let fault = ask(parts).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unsupported);
        assert!(fault.param.unwrap().starts_with("messages[0].content["));
    }
}

#[test]
fn predictions_are_followed_until_they_are_over() {
    for (status, over) in [
        ("starting", false),
        ("processing", false),
        ("succeeded", true),
        ("failed", true),
        ("canceled", true),
        ("aborted", true),
    ] {
        let body = json!({"id": "p1", "status": status, "urls": {"stream": "https://s"}}).to_string();
        let read = Prediction::read(body.as_bytes()).unwrap();
        assert_eq!((read.id.as_str(), read.is_over, read.stream.as_deref()), ("p1", over, Some("https://s")));
    }
    assert_eq!(Prediction::read(br#"{"id":"../x","status":"starting"}"#), None);
    assert_eq!(Prediction::read(b"[]"), None);
}

#[test]
fn c78_output_comes_whole_or_in_pieces() {
    let reply = |output: Value| {
        let metrics = json!({"input_token_count": 3, "output_token_count": 2});
        let body = json!({"id": "p", "status": "succeeded", "output": output, "metrics": metrics});
        super::read_reply(body.to_string().as_bytes()).unwrap()
    };
    assert_eq!(said(&reply(json!(["a", "b\n"]))), "ab\n");
    assert_eq!(said(&reply(json!("a"))), "a");
    assert_eq!(reply(json!("a")).usage.unwrap().output_total, Some(2));
    let failed = super::read_reply(br#"{"status":"failed","error":"out of memory"}"#).unwrap_err();
    assert_eq!((failed.kind, failed.message.as_str()), (FaultKind::Upstream, "out of memory"));
    assert_eq!(super::read_reply(b"{}").unwrap_err().kind, FaultKind::Upstream);
}

#[test]
fn streams_say_the_same_however_they_are_cut() {
    let stream = "event: output\ndata: Hé\n\nevent: logs\ndata: x\n\nevent: output\ndata: a\ndata: b\n\nevent: done\ndata: {}\n\n";
    for size in 1..stream.len() {
        let (mut reader, mut fold) = (StreamReader::new(1 << 16), Fold::default());
        let mut ends = 0;
        let mut each = |event: Event<'_>| {
            ends += u32::from(matches!(event, Event::End | Event::Error(_)));
            fold.push(event);
        };
        stream.as_bytes().chunks(size).for_each(|piece| reader.push(piece, &mut each));
        reader.close(&mut each);
        assert_eq!((said(&fold.finish().unwrap()).as_str(), ends), ("Héa\nb", 1), "by {size}");
    }
    for (stream, message) in [
        ("event: output\ndata: x\n\n", "closed the stream early"),
        ("event: output\ndata: x\n\nevent: done\ndata: {\"reason\":\"err", "closed the stream early"),
        ("event: output\ndata: x\n\nevent: done\n", "closed the stream early"),
        ("event: done\ndata: {\"reason\":\"canceled\"}\n\n", "cancelled"),
        ("event: error\ndata: {\"detail\":\"too hot\"}\n\nevent: done\ndata: {}\n\n", "too hot"),
    ] {
        let (mut reader, mut fold) = (StreamReader::new(1 << 16), Fold::default());
        reader.push(stream.as_bytes(), &mut |event| fold.push(event));
        reader.close(&mut |event| fold.push(event));
        let fault = fold.finish().unwrap_err();
        assert!(fault.message.contains(message), "{}", fault.message);
    }
}

#[test]
fn errors_say_their_detail() {
    let fault = read_error(422, br#"{"title":"Invalid","detail":"input: prompt is required","status":422}"#);
    assert_eq!(
        (fault.kind, fault.message.as_str()),
        (FaultKind::InvalidRequest, "input: prompt is required")
    );
    assert!(!read_error(502, b"<html>SECRET").message.contains("SECRET"));
}
