//! Laws of the whole chain, over generated answers, calls and cuts.

use crate::chain::{
    AM_OC, CLAUDE, OC_AM, PAIRS, Pair, compatible, context, fold, idle, owner, payloads, read_stream, told,
};
use crate::replies::said;
use crate::streams::{check_blocks, ends};
use proptest::prelude::*;
use serde_json::{Value, json};
use trunkline_core::{
    Choice, Dialect, Finish, FinishReason, Item, ItemKind, Losses, Message, Part, PartKind, ReasoningItem,
    Reply, Role, ToolCall, ToolCallKind, Usage,
};
use trunkline_dialect::{read_call, read_error, read_reply, write_call, write_reply};

fn words() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[a-zA-Z0-9 \"\\\\\n\té🌧<>&\u{2028}]{1,24}").unwrap()
}

/// Arguments as models write them, spaces, large numbers and spelled-out floats included.
fn arguments() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("12345678901234567890".to_owned()),
        Just("1.0".to_owned()),
        Just("-0.00".to_owned()),
        Just("1E+30".to_owned()),
        Just("[ true,null ]".to_owned()),
        words().prop_map(|text| json!(text).to_string()),
    ];
    proptest::collection::vec(("[a-z]{1,6}", value), 0..4).prop_map(|members| {
        let members: Vec<_> =
            members.iter().enumerate().map(|(n, (key, value))| format!("\"{key}{n}\": {value}")).collect();
        format!("{{{}}}", members.join(", "))
    })
}

fn call(n: usize, name: &str, arguments: String) -> Item {
    Item::new(ItemKind::ToolCall(ToolCall {
        call_id: format!("call_{n}"),
        item_id: None,
        kind: ToolCallKind::Function,
        name: name.to_owned(),
        arguments,
        signature: None,
        cache: None,
    }))
}

/// A block of thoughts as Anthropic signs or withholds it.
fn thoughts() -> impl Strategy<Value = Item> {
    let proof = "[A-Za-z0-9+/]{8}";
    let item = |text: Option<String>, signature, redacted| {
        Item::new(ItemKind::Reasoning(ReasoningItem {
            text: text.into_iter().collect(),
            signature,
            redacted,
            stamp: Some(Dialect::AnthropicMessages),
            ..ReasoningItem::default()
        }))
    };
    prop_oneof![
        (words(), proof).prop_map(move |(text, signature)| item(Some(text), Some(signature), None)),
        proof.prop_map(move |data| item(None, None, Some(data))),
    ]
}

/// Words of the answer.
fn message() -> impl Strategy<Value = Item> {
    proptest::collection::vec(words(), 1..3)
        .prop_map(|texts| says(texts.into_iter().map(Part::text).collect()))
}

fn says(parts: Vec<Part>) -> Item {
    Item::new(ItemKind::Message(Message { role: Role::Assistant, name: None, id: None, parts }))
}

/// An answer: thoughts, words and calls in whatever order, and words of declining last, since OpenAI's
/// answers keep those apart.
fn any_reply() -> impl Strategy<Value = Reply> {
    let items = prop_oneof![
        thoughts().prop_map(|item| vec![item]),
        message().prop_map(|item| vec![item]),
        proptest::collection::vec(("[a-z_]{1,8}", arguments()), 1..4)
            .prop_map(|calls| calls.into_iter().map(|(name, input)| call(0, &name, input)).collect()),
    ];
    let counts = (0..9999_u64, 0..500_u64, 1..9999_u64);
    let refusal = proptest::option::weighted(0.2, words());
    (proptest::collection::vec(items, 0..5), refusal, any::<bool>(), counts).prop_map(
        |(items, refusal, long, (fresh, read, output))| {
            let mut items = items.concat();
            items.extend(refusal.map(|text| says(vec![Part::new(PartKind::Refusal(text))])));
            let mut called = 0;
            for item in &mut items {
                if let ItemKind::ToolCall(call) = &mut item.kind {
                    call.call_id = format!("call_{called}");
                    called += 1;
                }
            }
            let reason = match (long, called) {
                (true, _) => FinishReason::Length,
                (false, 0) => FinishReason::Stop,
                (false, _) => FinishReason::ToolCalls,
            };
            Reply {
                id: Some("msg_1".into()),
                model: Some("m".into()),
                created: Some(7),
                choices: vec![Choice { index: 0, items, finish: Some(Finish::new(reason)), logprobs: None }],
                usage: Some(Box::new(Usage {
                    input_total: Some(fresh + read),
                    cache_read: Some(read),
                    output_total: Some(output),
                    ..Usage::default()
                })),
                ..Reply::default()
            }
        },
    )
}

/// The bytes cut at these places.
fn pieces<'b>(bytes: &'b [u8], cuts: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect()
}

fn whole(dialect: Dialect, reply: &Reply) -> Vec<u8> {
    write_reply(dialect, reply, &context(), &mut Losses::default()).unwrap()
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    proptest::collection::vec(any::<prop::sample::Index>(), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// C103, C104: an upstream's stream in any pieces tells a client what its whole answer would have.
    #[test]
    fn c103_streamed_and_whole_answers_say_the_same(reply in any_reply(), cuts in cuts()) {
        for pair in PAIRS {
            let stream = told(pair.upstream, &reply);
            let relayed = pair.stream(&pieces(stream.as_bytes(), &cuts), &idle(), context());
            prop_assert_eq!(&relayed, &pair.relay(&stream), "chunking never matters");
            prop_assert_eq!(ends(pair.client, &relayed), (1, 0));
            if pair.client == Dialect::AnthropicMessages {
                check_blocks(&relayed);
            }
            let streamed = fold(pair.client, relayed.as_bytes()).unwrap();
            let (answer, _) = pair.answer(whole(pair.upstream, &reply), &idle()).unwrap();
            let answer = read_reply(pair.client, answer.as_bytes()).unwrap();
            prop_assert_eq!(said(&streamed), said(&answer), "{:?}", pair);
            prop_assert_eq!(said(&streamed), said(&reply), "{:?}", pair);
            prop_assert_eq!(&streamed.choices[0].finish, &answer.choices[0].finish, "{:?}", pair);
            let counts = |reply: &Reply| {
                let usage = reply.usage.as_ref().unwrap();
                (usage.input_total, usage.cache_read.unwrap_or(0), usage.output_total)
            };
            prop_assert_eq!(counts(&streamed), counts(&reply), "{:?}", pair);
            prop_assert_eq!(counts(&answer), counts(&reply), "{:?}", pair);
        }
    }

    /// C99: wherever the upstream breaks off, the client is told once, and never that all is well before
    /// the finish was said.
    #[test]
    fn c99_a_cut_is_one_error_or_a_whole_answer(reply in any_reply(), cut in any::<prop::sample::Index>()) {
        for pair in PAIRS {
            let stream = told(pair.upstream, &reply);
            let cut = cut.index(stream.len() + 1);
            let relayed = pair.stream(&[&stream.as_bytes()[..cut]], &idle(), context());
            let (clean, errors) = ends(pair.client, &relayed);
            prop_assert_eq!(clean + errors, 1, "{:?} cut at {}: {}", pair, cut, relayed);
            if clean == 1 {
                prop_assert_eq!(said(&fold(pair.client, relayed.as_bytes()).unwrap()), said(&reply));
            } else {
                prop_assert!(fold(pair.client, relayed.as_bytes()).is_err());
                prop_assert!(payloads(&relayed).last().unwrap().get("error").is_some());
            }
        }
    }

    /// Names a target refuses come back as the client's own, in whole answers and streamed ones.
    #[test]
    fn names_come_back(names in proptest::collection::hash_set("[a-z./ é]{1,90}", 1..6), input in arguments()) {
        let names: Vec<_> = names.into_iter().collect();
        let tools: Vec<_> = names.iter().map(|name| json!({"type": "function", "function": {"name": name}})).collect();
        let body = json!({"model": "m", "max_tokens": 9, "tools": tools, "messages": [{"role": "user", "content": "x"}]});
        let sent = OC_AM.send(body.to_string(), &owner(CLAUDE)).unwrap();
        let theirs: Vec<_> = sent.body["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        let items = theirs.iter().enumerate().map(|(n, name)| call(n, name, input.clone())).collect();
        let choice = Choice { index: 0, items, finish: Some(Finish::new(FinishReason::ToolCalls)), logprobs: None };
        let reply = Reply { choices: vec![choice], ..Reply::default() };
        let own = |reply: &Reply| -> Vec<(String, String)> {
            let name = |item: &Item| match &item.kind {
                ItemKind::ToolCall(call) => (call.name.clone(), call.arguments.clone()),
                other => panic!("{other:?}"),
            };
            reply.choices[0].items.iter().map(name).collect()
        };
        let want: Vec<_> = names.iter().map(|name| (name.clone(), input.clone())).collect();
        let (answer, _) = OC_AM.answer(whole(Dialect::AnthropicMessages, &reply), &sent.restore).unwrap();
        prop_assert_eq!(own(&read_reply(Dialect::OpenaiChat, answer.as_bytes()).unwrap()), &want[..]);
        let stream = told(Dialect::AnthropicMessages, &reply);
        let relayed = OC_AM.stream(&[stream.as_bytes()], &sent.restore, context());
        prop_assert_eq!(own(&fold(Dialect::OpenaiChat, relayed.as_bytes()).unwrap()), want);
    }

    /// What was written for an upstream, read as a client's call and written again, is the same bytes:
    /// a chain of gateways changes nothing more.
    #[test]
    fn writing_what_was_written_is_stable(turns in proptest::collection::vec(any_turn(), 1..6), system in words()) {
        let messages: Vec<_> = turns.into_iter().enumerate().flat_map(|(n, turn)| turn.messages(n)).collect();
        let mut all = vec![json!({"role": "system", "content": system})];
        all.extend(messages);
        let body = json!({"model": "m", "max_tokens": 900, "temperature": 0.5, "stop": ["END"], "messages": all,
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {"enum": [1.0]}}}}}]});
        for (pair, target) in [
            (OC_AM, owner(CLAUDE)),
            (Pair { upstream: Dialect::OpenaiChat, ..OC_AM }, compatible("qwen3-32b")),
            (Pair { upstream: Dialect::OpenaiChat, ..OC_AM }, owner("gpt-4o")),
        ] {
            let once = pair.send(body.to_string(), &target).unwrap();
            let again = Pair { client: pair.upstream, ..pair }.send(&once.text, &target).unwrap();
            prop_assert_eq!(&again.text, &once.text, "{:?}", pair);
            // And into the other dialect and back, what is said stays said.
            let other = Pair { client: pair.upstream, upstream: pair.client };
            let there = other.send(&once.text, &compatible("claude-sonnet-4-5")).unwrap();
            let back = Pair { client: pair.client, upstream: pair.client }.send(&there.text, &compatible("claude-sonnet-4-5")).unwrap();
            prop_assert_eq!(back.text, there.text, "{:?}", pair);
        }
    }

    /// Noise on either side of the chain is refused, never fatal.
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), status in any::<u16>()) {
        for pair in PAIRS {
            let _ = pair.send(&bytes, &owner(CLAUDE));
            prop_assert!(pair.answer(&bytes, &idle()).is_err());
            prop_assert!(!read_error(pair.upstream, status, &bytes).message.is_empty());
            let stream = pair.stream(&[&bytes], &idle(), context());
            let (clean, errors) = ends(pair.client, &stream);
            prop_assert_eq!(clean + errors, 1, "{}", stream);
        }
    }

    /// The same for noise in a well-formed frame, which reaches further.
    #[test]
    fn framed_garbage_never_panics(text in "[{}\\[\\]\":,a-z0-9 ]{0,80}", kind in "(content_block_delta|content_block_start|message_delta|error|x)") {
        for payload in [text.clone(), format!("{{\"type\":\"{kind}\",\"delta\":{text},\"choices\":[{{\"delta\":{text}}}]}}")] {
            let stream = format!("event: {kind}\ndata: {payload}\n\n");
            for pair in PAIRS {
                let (clean, errors) = ends(pair.client, &pair.relay(&stream));
                prop_assert_eq!(clean + errors, 1);
            }
        }
    }
}

/// A round of a conversation.
#[derive(Debug, Clone)]
struct Turn {
    question: String,
    words: Option<String>,
    calls: Vec<(String, String)>,
}

fn any_turn() -> impl Strategy<Value = Turn> {
    // Text that begins or ends in white space, or is nothing else, is trimmed by one side or refused.
    let words = || words().prop_map(|text| format!("x{text}x"));
    let calls = proptest::collection::vec((arguments(), words()), 0..3);
    (words(), proptest::option::of(words()), calls).prop_map(|(question, words, calls)| Turn {
        question,
        words,
        calls,
    })
}

impl Turn {
    fn messages(self, n: usize) -> Vec<Value> {
        let mut out = vec![json!({"role": "user", "content": self.question})];
        let id = |call: usize| format!("call_{n}_{call}");
        let calls: Vec<_> = self
            .calls
            .iter()
            .enumerate()
            .map(|(at, (arguments, _))| {
                json!({"id": id(at), "type": "function", "function": {"name": "f", "arguments": arguments}})
            })
            .collect();
        if self.words.is_some() || !calls.is_empty() {
            let mut message = json!({"role": "assistant", "content": self.words});
            if !calls.is_empty() {
                message["tool_calls"] = calls.into();
            }
            out.push(message);
        }
        let results = self.calls.into_iter().enumerate();
        out.extend(
            results
                .map(|(at, (_, result))| json!({"role": "tool", "tool_call_id": id(at), "content": result})),
        );
        out.push(json!({"role": "user", "content": "go on"}));
        out
    }
}

/// A call from one dialect, written for the other by what was read of it, never names the first one's
/// fields: both writers list what they know.
#[test]
fn a_call_is_written_from_what_was_read() {
    for (pair, call, target) in [
        (OC_AM, crate::corpus::CHAT_CALL, owner(CLAUDE)),
        (AM_OC, crate::corpus::MESSAGES_CALL, compatible("qwen3-32b")),
    ] {
        let mut losses = Losses::default();
        let call = read_call(pair.client, call.as_bytes(), &mut losses).unwrap();
        let written = write_call(pair.upstream, &call, &target, &mut losses).unwrap();
        let body: Value = serde_json::from_slice(&written.body).unwrap();
        assert_eq!(body.get("unknown"), None, "{pair:?}");
        assert!(losses.iter().any(|loss| loss.path == "unknown"), "{pair:?}: {losses:?}");
    }
    let mut events = 0;
    read_stream(Dialect::OpenaiChat, &[b"data: [DONE]\n\n"], |_| events += 1);
    assert_eq!(events, 1, "an end without an answer is one error");
}
