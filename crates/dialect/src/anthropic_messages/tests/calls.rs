//! Conversations: what is sent upstream for what clients of other dialects say.

use super::super::read_call;
use super::{attempt, foreign, function, instruction, list, result, say, says, sent, target, use_tool};
use crate::codec::Target;
use crate::{inline, needs_inlining};
use serde_json::{Value, json};
use trunkline_core::{
    Audio, CacheKind, CacheMark, Dialect, Document, DocumentSource, FaultKind, Image, Item, ItemKind, Json,
    Losses, MediaSource, Part, PartKind, ReasoningItem, Role, ToolChoice,
};

#[test]
fn c01_max_tokens_and_system_are_filled_in() {
    let mut call = foreign(vec![say(Role::User, "hi")]);
    call.limits.max_output_tokens = None;
    call.instructions.push(instruction("be brief"));
    let to = Target { default_max_tokens: Some(777), ..target("claude-sonnet-4-5") };
    let (body, losses) = sent(&call, &to);
    assert_eq!(
        body,
        json!({
            "model": "claude-sonnet-4-5",
            "max_tokens": 777,
            "system": [{"type": "text", "text": "be brief"}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        })
    );
    assert_eq!(losses, ["max_tokens invented"]);
}

#[test]
fn c02_c03_a_late_system_message_keeps_its_place() {
    let mut call = foreign(vec![
        say(Role::Developer, "second"),
        say(Role::User, "a"),
        say(Role::Assistant, "b"),
        say(Role::Developer, "from now on"),
        say(Role::User, "c"),
    ]);
    call.instructions.push(instruction("first"));
    let (body, losses) = sent(&call, &target("claude-opus-4-8"));
    assert_eq!(
        body["system"],
        json!([{"type": "text", "text": "first"}, {"type": "text", "text": "second"}])
    );
    let roles: Vec<_> =
        body["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "system", "user"]);
    assert!(losses.is_empty(), "{losses:?}");

    let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
    assert_eq!(
        body["messages"][2],
        json!({"role": "user", "content": [
            {"type": "text", "text": "<system>from now on</system>"}, {"type": "text", "text": "c"}]})
    );
    assert_eq!(losses, ["messages[4] degraded"]);
}

#[test]
fn c08_names_are_rewritten_everywhere_and_restored() {
    let name = format!("files.{}", "x".repeat(130));
    let mut call =
        foreign(vec![say(Role::User, "a"), use_tool("call.1", &name, "{}"), result("call.1", "r")]);
    call.tools.push(function(&name));
    call.tool_choice = Some(ToolChoice::Named { name: name.clone(), custom: false });
    let (written, body, _) = attempt(&call, &target("claude-sonnet-4-5")).unwrap();
    let short = body["tools"][0]["name"].as_str().unwrap();
    assert!(short.len() <= 128 && short.starts_with("files_"), "{short}");
    assert_eq!(body["tool_choice"]["name"], short);
    assert_eq!(body["messages"][1]["content"][0]["name"], short);
    let id = &body["messages"][1]["content"][0]["id"];
    assert!(!id.as_str().unwrap().contains('.'));
    assert_eq!(body["messages"][2]["content"][0]["tool_use_id"], *id);
    assert_eq!(written.restore.names.original(short), name);
}

#[test]
fn c09_results_come_first_in_the_order_of_the_calls() {
    let mut call = foreign(vec![
        say(Role::User, "a"),
        use_tool("1", "f", "{\"n\": 1.0}"),
        use_tool("2", "g", ""),
        result("2", "second"),
        result("1", "first"),
        say(Role::User, "b"),
    ]);
    call.tools = vec![function("f"), function("g")];
    let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "1", "name": "f", "input": {"n": 1.0}},
                {"type": "tool_use", "id": "2", "name": "g", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "1", "content": "first"},
                {"type": "tool_result", "tool_use_id": "2", "content": "second"},
                {"type": "text", "text": "b"}]},
        ])
    );
    assert!(losses.is_empty(), "{losses:?}");
}

#[test]
fn calls_and_results_that_lost_each_other_are_mended() {
    let mut call = foreign(vec![
        say(Role::Assistant, "hello"),
        say(Role::User, "a"),
        use_tool("1", "f", "{}"),
        say(Role::System, "note"),
        result("9", "stray"),
        say(Role::Assistant, "  "),
        use_tool("2", "f", "{}"),
    ]);
    call.tools = vec![function("f")];
    let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
    let missing = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "no result provided", "is_error": true});
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "."}]},
            {"role": "assistant", "content": [{"type": "text", "text": "hello"}]},
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {}}]},
            {"role": "user", "content": [
                missing("1"),
                {"type": "text", "text": "<system>note</system>"},
                {"type": "text", "text": "[tool result for 9] stray"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "2", "name": "f", "input": {}}]},
            {"role": "user", "content": [missing("2")]},
        ])
    );
    assert_eq!(
        losses,
        [
            "messages[0] invented",
            "messages[2] invented",
            "messages[3] degraded",
            "messages[4] degraded",
            "messages[5] invented"
        ]
    );
}

fn image(source: MediaSource) -> Part {
    Part::new(PartKind::Image(Image { source, detail: None }))
}

fn inline_data(mime: &str, data: &str) -> MediaSource {
    MediaSource::Base64 { mime: mime.into(), data: data.into() }
}

#[test]
fn c10_images_by_data_and_address() {
    let mut call = foreign(vec![says(
        Role::User,
        vec![
            image(inline_data("image/png", "_-8")),
            image(MediaSource::Url("https://x/a.jpg".into())),
            image(MediaSource::Url("http://x/b.jpg".into())),
        ],
    )]);
    let fault = attempt(&call, &target("claude-sonnet-4-5")).unwrap_err();
    assert_eq!(
        (fault.kind, fault.param.as_deref()),
        (FaultKind::Unsupported, Some("messages[0].content[2]"))
    );
    for url in needs_inlining(Dialect::AnthropicMessages, &call) {
        inline(&mut call, &url, "image/jpg", "QUJD");
    }
    let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
    assert_eq!(
        body["messages"][0]["content"],
        json!([
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "/+8="}},
            {"type": "image", "source": {"type": "url", "url": "https://x/a.jpg"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "QUJD"}},
        ])
    );
    assert!(losses.is_empty(), "{losses:?}");
}

fn document(source: MediaSource, title: &str) -> Part {
    Part::new(PartKind::Document(Document {
        source: DocumentSource::Media(source),
        title: Some(title.into()),
        context: None,
        citations: None,
    }))
}

#[test]
fn c11_files_become_documents() {
    let parts = vec![
        document(inline_data("application/pdf", "JVBERi0="), "a.pdf"),
        document(inline_data("text/plain;charset=utf-8", "aMOpIQ=="), "b.txt"),
    ];
    let (body, _) = sent(&foreign(vec![says(Role::User, parts)]), &target("claude-sonnet-4-5"));
    assert_eq!(
        body["messages"][0]["content"],
        json!([
            {"type": "document", "title": "a.pdf",
             "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
            {"type": "document", "title": "b.txt",
             "source": {"type": "text", "media_type": "text/plain", "data": "h\u{e9}!"}},
        ])
    );
}

#[test]
fn c12_what_the_model_would_not_see_is_refused() {
    let audio = Part::new(PartKind::Audio(Audio {
        source: inline_data("audio/wav", ""),
        format: Some("wav".into()),
        transcript: None,
    }));
    let foreign_part = PartKind::Unknown { dialect: Dialect::OpenaiChat, raw: Json::object() };
    for part in [
        audio,
        image(inline_data("image/tiff", "AAAA")),
        image(MediaSource::File("file-1".into())),
        image(MediaSource::Url("gs://b/a.png".into())),
        document(inline_data("application/zip", "AAAA"), "a.zip"),
        Part::new(foreign_part),
    ] {
        let call = foreign(vec![says(Role::User, vec![Part::text("look"), part])]);
        let fault = attempt(&call, &target("claude-sonnet-4-5")).unwrap_err();
        assert_eq!(
            (fault.kind, fault.code.as_deref(), fault.param.as_deref()),
            (FaultKind::Unsupported, Some("unsupported_content"), Some("messages[0].content[1]")),
            "{call:?}"
        );
    }
}

#[test]
fn c20_cache_marks_are_four_and_the_last() {
    let marked = |text: &str, ttl: Option<&str>| Part {
        cache: Some(CacheMark { kind: CacheKind::Breakpoint, ttl: ttl.map(Into::into) }),
        ..Part::text(text)
    };
    let mut call = foreign(vec![
        says(Role::User, vec![marked("a", Some("12h")), marked("b", None)]),
        say(Role::Assistant, "x"),
        says(Role::User, vec![marked("c", Some("30m")), marked("d", Some("5m"))]),
    ]);
    let mut tool = function("f");
    tool.cache = Some(CacheMark { kind: CacheKind::Breakpoint, ttl: None });
    call.tools.push(tool);
    let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
    let mark = |message: usize, block: usize| &body["messages"][message]["content"][block]["cache_control"];
    assert_eq!(body["tools"][0].get("cache_control"), None);
    assert_eq!(*mark(0, 0), json!({"type": "ephemeral", "ttl": "1h"}));
    assert_eq!(*mark(0, 1), json!({"type": "ephemeral"}));
    assert_eq!(*mark(2, 0), json!({"type": "ephemeral"}));
    assert_eq!(*mark(2, 1), json!({"type": "ephemeral", "ttl": "5m"}));
    let hints = [
        "messages[0].content[0].prompt_cache_breakpoint dropped",
        "messages[2].content[0].prompt_cache_breakpoint dropped",
    ];
    assert_eq!(losses, [hints[0], hints[1], "tools[0].cache_control dropped"]);

    call.tools.clear();
    call.instructions.push(instruction("x"));
    call.instructions[0].parts[0].cache = Some(CacheMark { kind: CacheKind::Ephemeral, ttl: None });
    call.items.truncate(1);
    let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
    assert_eq!(body["messages"][0]["content"][0]["cache_control"], json!({"type": "ephemeral"}));
    let paths = [
        "messages[1].content[0].prompt_cache_breakpoint dropped",
        "messages[1].content[0].cache_control dropped",
    ];
    assert_eq!(losses, paths, "an hour may not follow five minutes");
}

#[test]
fn c64_arguments_that_are_not_an_object() {
    for (arguments, want) in
        [("{\"a\":", json!({"_raw": "{\"a\":"})), ("[1]", json!({"_raw": "[1]"})), (" {} ", json!({}))]
    {
        let mut call = foreign(vec![say(Role::User, "a"), use_tool("1", "f", arguments), result("1", "r")]);
        call.tools.push(function("f"));
        let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
        assert_eq!(body["messages"][1]["content"][0]["input"], want);
        let degraded = want.get("_raw").is_some();
        assert_eq!(losses, if degraded { vec!["messages[1] degraded"] } else { vec![] }, "{arguments}");
        let strict = Target { strict_arguments: true, ..target("claude-sonnet-4-5") };
        assert_eq!(attempt(&call, &strict).is_err(), degraded, "{arguments}");
    }
}

#[test]
fn prefill_is_trimmed_and_not_sent_where_refused() {
    let call = foreign(vec![say(Role::User, "a"), say(Role::Assistant, "so it \n")]);
    let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
    assert_eq!((&body["messages"][1]["content"][0]["text"], losses.len()), (&json!("so it"), 0));
    let (body, losses) = sent(&call, &target("claude-opus-4-8"));
    assert_eq!(body["messages"].as_array().unwrap().len(), 1);
    assert_eq!(losses, ["messages[1] dropped"]);
}

#[test]
fn thoughts_go_back_only_to_who_signed_them() {
    let thoughts = |stamp, signature: Option<&str>| {
        Item::new(ItemKind::Reasoning(ReasoningItem {
            text: vec!["hm".into()],
            signature: signature.map(Into::into),
            stamp,
            ..ReasoningItem::default()
        }))
    };
    let own = Some(Dialect::AnthropicMessages);
    for (item, kept) in [
        (thoughts(own, Some("sig")), true),
        (thoughts(None, None), false),
        (thoughts(Some(Dialect::OpenaiResponses), Some("sig")), false),
    ] {
        let call = foreign(vec![say(Role::User, "a"), item, say(Role::Assistant, "b"), say(Role::User, "c")]);
        let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
        let first = &body["messages"][1]["content"][0];
        let thinking = json!({"type": "thinking", "thinking": "hm", "signature": "sig"});
        assert_eq!(*first == thinking, kept, "{first}");
        assert_eq!(losses, if kept { vec![] } else { vec!["messages[1] dropped"] });
    }
}

/// One agent's request, as models of several generations receive it.
#[test]
fn golden_agent_call() {
    let call = read_call(include_bytes!("../testdata/agent_call.json"), &mut Losses::default()).unwrap();
    let original: Value = serde_json::from_str(include_str!("../testdata/agent_call.json")).unwrap();
    let (_, body, losses) = attempt(&call, &target("claude-sonnet-4-5")).unwrap();
    assert_eq!((body, list(&losses)), (original, vec![]), "its own dialect loses nothing");
    for (model, version) in [("claude-opus-4-8", "2026-10-21"), ("claude-3-5-haiku-20241022", "2023-06-01")] {
        let to = Target { anthropic_version: version, ..target(model) };
        let (_, body, losses) = attempt(&call, &to).unwrap();
        let shown = format!("{}\n{}", serde_json::to_string_pretty(&body).unwrap(), losses.header(4096));
        insta::assert_snapshot!(format!("agent_call_for_{model}"), shown);
    }
}
