//! Laws that hold for every input.

use super::answers::{read, written};
use super::streams::{check, upstream};
use super::{events_of, fold, sse, told};
use crate::openai_responses::{read_call, read_reply};
use crate::testing::{Contract, chunking_never_matters};
use proptest::prelude::*;
use serde_json::{Value, json};
use trunkline_core::Losses;

/// Streams with everything in them that a cut could break.
fn corpus() -> Vec<Vec<u8>> {
    let events = upstream();
    let lf = sse(&events);
    let crlf = String::from_utf8(lf.clone()).unwrap().replace('\n', "\r\n");
    let broken = sse(&[events[0].clone(), events[9].clone(), json!({"type": "error", "message": "é"})]);
    let commented = [b": hello\n\n".as_slice(), lf.trim_ascii_end()].concat();
    vec![lf, crlf.into_bytes(), broken, sse(&events[..8]), commented]
}

#[test]
fn c98_c104_chunking_never_matters() {
    corpus().iter().for_each(|stream| chunking_never_matters(&events_of, stream));
}

/// Anything an item can be, whole or as the end of one that was streamed.
fn any_item() -> impl Strategy<Value = Value> {
    let text = "[a \"\\\\\n<é😀]{0,6}";
    let part = (text, any::<bool>(), proptest::option::of("https://[a-c]")).prop_map(|(text, refusal, url)| {
        if refusal {
            return json!({"type": "refusal", "refusal": text});
        }
        let cited: Vec<_> = url
            .map(|url| json!({"type": "url_citation", "url": url, "title": "t", "start_index": 0, "end_index": 1}))
            .into_iter()
            .collect();
        json!({"type": "output_text", "text": text, "annotations": cited, "logprobs": []})
    });
    let parts = proptest::collection::vec(part, 0..3);
    prop_oneof![
        parts.prop_map(|content| json!({"type": "message", "id": "msg_1", "role": "assistant", "content": content})),
        (text, proptest::option::of("[a-z]{1,4}")).prop_map(|(text, state)| json!({"type": "reasoning",
            "summary": [], "content": [{"type": "reasoning_text", "text": text}], "encrypted_content": state})),
        ("[a-z]{1,4}", text).prop_map(|(id, arguments)| json!({"type": "function_call", "call_id": id,
            "name": "f", "arguments": arguments})),
        ("[a-z]{1,4}", text).prop_map(|(id, input)| json!({"type": "custom_tool_call", "call_id": id,
            "name": "g", "input": input})),
        Just(json!({"type": "web_search_call", "id": "ws_1"})),
    ]
}

fn any_answer() -> impl Strategy<Value = Value> {
    let cut = proptest::option::of(prop_oneof![Just("max_output_tokens"), Just("content_filter")]);
    (proptest::collection::vec(any_item(), 0..5), cut, proptest::option::of((0u64..99, 0u64..99))).prop_map(
        |(output, cut, usage)| {
            let usage = usage.map(|(input, output)| {
                json!({"input_tokens": input, "input_tokens_details": {"cached_tokens": 0},
                    "output_tokens": output, "output_tokens_details": {"reasoning_tokens": 0},
                    "total_tokens": input + output})
            });
            let status = if cut.is_some() { "incomplete" } else { "completed" };
            json!({"id": "resp_1", "created_at": 5, "model": "m", "status": status, "output": output,
                "incomplete_details": cut.map(|reason| json!({"reason": reason})), "usage": usage})
        },
    )
}

proptest! {
    /// The answer that ends a stream is the whole answer, and the stream keeps the grammar.
    #[test]
    fn c103_the_stream_ends_in_the_whole_answer(answer in any_answer()) {
        let reply = read(&answer).unwrap();
        let stream = told(&reply);
        let (whole, losses) = written(&reply);
        prop_assert!(losses.is_empty(), "{losses:?}");
        prop_assert_eq!(check(&stream), Ok(whole));
    }

    /// What we wrote we read back, whole and streamed alike.
    #[test]
    fn c103_reading_back_is_stable(answer in any_answer()) {
        let once = read(&answer).unwrap();
        let mut streamed = fold(told(&once).as_bytes()).unwrap();
        let mut twice = read(&written(&once).0).unwrap();
        (streamed.extra, twice.extra) = (Vec::new(), Vec::new());
        prop_assert_eq!(&streamed, &twice);
        // A call without arguments gets some, which clients parse.
        prop_assert_eq!(read(&written(&twice).0).unwrap().choices, twice.choices);
    }

    /// Streams of any events keep the contract, and end once.
    #[test]
    fn any_stream_keeps_the_contract(
        picks in proptest::collection::vec((any::<prop::sample::Index>(), 0u64..3), 0..20),
    ) {
        let events = upstream();
        let picked: Vec<_> = picks.iter().map(|(pick, at)| {
            let mut event = events[pick.index(events.len())].clone();
            event["output_index"] = json!(at);
            event
        }).collect();
        let mut contract = Contract::default();
        events_of(&[&sse(&picked)], &mut |event| contract.see(&event));
        prop_assert_eq!(contract.verdict(), Ok(()));
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_call(&bytes, &mut Losses::default());
        let _ = read_reply(&bytes);
        let _ = fold(&bytes);
    }

    /// Bodies that are almost right reach further than noise does.
    #[test]
    fn broken_json_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let call = super::calls::agent_call().to_string();
        let reply = super::answers::rich().to_string();
        let stream = String::from_utf8(sse(&upstream())).unwrap();
        for body in [call, reply, stream] {
            let mut body = body.into_bytes();
            let at = at.index(body.len());
            body[at] = byte;
            let _ = read_call(&body, &mut Losses::default());
            let _ = read_reply(&body);
            let _ = fold(&body);
        }
    }
}
