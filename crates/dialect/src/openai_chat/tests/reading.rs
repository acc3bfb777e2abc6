//! Requests of clients.

use super::read;
use crate::openai_chat::read_call;
use trunkline_core::{
    AllowedMode, Audio, CacheKind, CacheMark, Dialect, Document, DocumentSource, Effort, FaultKind, Image,
    Item, ItemKind, Losses, MediaSource, OriginRole, OutputFormat, Part, PartKind, Role, ToolCallKind,
    ToolChoice, ToolKind,
};

/// Every documented field, and the extensions engines share.
const EVERYTHING: &str = include_str!("everything.json");

#[test]
fn golden_everything() {
    let mut losses = Losses::default();
    let call = read_call(EVERYTHING.as_bytes(), &mut losses).unwrap();
    insta::assert_snapshot!(format!("{call:#?}\n{losses:#?}"));
}

#[test]
fn faults_name_the_path_and_say_what_to_do() {
    for (body, path, message) in [
        ("[]", None, "request body must be an object, not an array"),
        ("{}", Some("model"), "model is required"),
        (r#"{"model":""}"#, Some("model"), "model must name a model; GET /v1/models lists them"),
        (
            r#"{"model":"m"}"#,
            Some("messages"),
            "messages must hold at least one message, such as {\"role\": \"user\", \"content\": \"hi\"}",
        ),
        (
            r#"{"model":"m","messages":[]}"#,
            Some("messages"),
            "messages must hold at least one message, such as {\"role\": \"user\", \"content\": \"hi\"}",
        ),
        (r#"{"model":"m","messages":{}}"#, Some("messages"), "messages must be an array, not an object"),
        (
            r#"{"model":"m","messages":[7]}"#,
            Some("messages[0]"),
            "messages[0] must be an object, not a number",
        ),
        (r#"{"model":"m","messages":[{}]}"#, Some("messages[0].role"), "messages[0].role is required"),
        (
            r#"{"model":"m","messages":[{"role":"robot"}]}"#,
            Some("messages[0].role"),
            "messages[0].role must be system, developer, user, assistant, tool or function, not \"robot\"",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user"}]}"#,
            Some("messages[0].content"),
            "messages[0].content is required",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":7}]}"#,
            Some("messages[0].content"),
            "messages[0].content must be a string or an array of content parts, not a number",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"user","content":[{"type":7}]}]}"#,
            Some("messages[1].content[0].type"),
            "messages[1].content[0].type must be a string, not a number",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,***"}}]}]}"#,
            Some("messages[0].content[0].image_url.url"),
            "messages[0].content[0].image_url.url is not valid base64, nor a data URL or address",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{}}]}]}"#,
            Some("messages[0].content[0].file"),
            "messages[0].content[0].file needs file_data or file_id",
        ),
        (
            r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}]}"#,
            Some("messages[0].tool_calls[0].id"),
            "messages[0].tool_calls[0].id is required",
        ),
        (
            r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"a","type":"x"}]}]}"#,
            Some("messages[0].tool_calls[0].type"),
            "messages[0].tool_calls[0].type must be \"function\" or \"custom\", not \"x\"",
        ),
        (
            r#"{"model":"m","messages":[{"role":"tool","content":"x"}]}"#,
            Some("messages[0].tool_call_id"),
            "messages[0].tool_call_id is required",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":""}}]}"#,
            Some("tools[0].function.name"),
            "tools[0].function.name must not be empty",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":"a"}],"tool_choice":"maybe"}"#,
            Some("tool_choice"),
            "tool_choice must be \"none\", \"auto\", \"required\" or an object, not \"maybe\"",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":"a"}],"temperature":"hot"}"#,
            Some("temperature"),
            "temperature must be a number, not a string",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":"a"}],"stop":[1]}"#,
            Some("stop"),
            "stop must be a string or an array of strings, not an array",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":"a"}],"max_tokens":-1}"#,
            Some("max_tokens"),
            "max_tokens must be a whole number of at least 1, not -1",
        ),
    ] {
        let fault = read(body).unwrap_err();
        assert_eq!((fault.param.as_deref(), fault.message.as_str()), (path, message), "{body}");
        assert_eq!(fault.kind, FaultKind::InvalidRequest, "{body}");
    }
}

fn items(messages: &str) -> Vec<Item> {
    read(&format!(r#"{{"model":"m","messages":{messages}}}"#)).unwrap().items
}

fn kinds(items: &[Item]) -> Vec<&'static str> {
    let name = |item: &Item| match &item.kind {
        ItemKind::Message(message) => match message.role {
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::System => "system",
            Role::Developer => "developer",
        },
        ItemKind::ToolCall(_) => "call",
        ItemKind::ToolResult(_) => "result",
        ItemKind::Reasoning(_) => "reasoning",
        ItemKind::ServerTool(_) | ItemKind::Reference(_) | ItemKind::Unknown { .. } => "other",
    };
    items.iter().map(name).collect()
}

#[test]
fn c02_c03_leading_instructions_are_hoisted_and_later_ones_stay() {
    let call = read(r#"{"model":"m","messages":[{"role":"system","content":"a"},{"role":"developer","content":"b"},{"role":"user","content":"c"},{"role":"assistant","content":"d"},{"role":"developer","content":"e"}]}"#).unwrap();
    let origins: Vec<_> = call.instructions.iter().map(|i| i.origin).collect();
    assert_eq!(origins, [OriginRole::System, OriginRole::Developer]);
    assert_eq!(kinds(&call.items), ["user", "assistant", "developer"]);
}

#[test]
fn c04_c05_c06_limits_stops_and_choices() {
    let body = |rest: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],{rest}}}"#);
    let call = read(&body(r#""max_completion_tokens":77,"max_tokens":50"#)).unwrap();
    assert_eq!(
        (call.limits.max_output_tokens, call.limits.spelled),
        (Some(77), Some("max_completion_tokens"))
    );
    let call = read(&body(r#""max_tokens":50.0"#)).unwrap();
    assert_eq!((call.limits.max_output_tokens, call.limits.spelled), (Some(50), Some("max_tokens")));
    assert_eq!(read(&body(r#""stop":"END""#)).unwrap().sampling.stop, ["END"]);
    assert_eq!(read(&body(r#""stop":null"#)).unwrap().sampling.stop, Vec::<String>::new());
    for (choice, want) in [
        (r#""none""#, ToolChoice::None),
        (r#""auto""#, ToolChoice::Auto),
        (r#""required""#, ToolChoice::Required),
        (
            r#"{"type":"function","function":{"name":"f"}}"#,
            ToolChoice::Named { name: "f".into(), custom: false },
        ),
        (r#"{"type":"custom","custom":{"name":"f"}}"#, ToolChoice::Named { name: "f".into(), custom: true }),
        (
            r#"{"type":"allowed_tools","allowed_tools":{"tools":[{"type":"custom","custom":{"name":"f"}}]}}"#,
            ToolChoice::Allowed { mode: AllowedMode::Auto, names: vec!["f".into()] },
        ),
    ] {
        let call = read(&body(&format!(r#""tool_choice":{choice}"#))).unwrap();
        assert_eq!(call.tool_choice, Some(want), "{choice}");
    }
    let other = read(&body(r#""tool_choice":{"type":"mystery"}"#)).unwrap().tool_choice;
    assert!(matches!(other, Some(ToolChoice::Other { dialect: Dialect::OpenaiChat, .. })), "{other:?}");
    assert_eq!(read(&body(r#""reasoning_effort":"none""#)).unwrap().reasoning.effort, Some(Effort::None));
    let odd = read(&body(r#""response_format":{"type":"structural_tag","x":1}"#)).unwrap();
    assert_eq!((odd.output.format, odd.extra.len()), (OutputFormat::Text, 1));
}

#[test]
fn c09_results_keep_their_order_and_texts_their_bytes() {
    let items = items(
        r#"[{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"n\": 1.0}"}},{"id":"b","type":"function","function":{"name":"f","arguments":"{bad"}}]},{"role":"tool","tool_call_id":"b","content":"2"},{"role":"tool","tool_call_id":"a","content":"1"},{"role":"user","content":"and?"}]"#,
    );
    assert_eq!(kinds(&items), ["call", "call", "result", "result", "user"]);
    let ItemKind::ToolCall(call) = &items[0].kind else { panic!("{items:?}") };
    assert_eq!((call.arguments.as_str(), call.kind), ("{\"n\": 1.0}", ToolCallKind::Function));
    let ItemKind::ToolCall(call) = &items[1].kind else { panic!("{items:?}") };
    assert_eq!(call.arguments, "{bad");
}

#[test]
fn c10_c11_c12_media() {
    let part = |part: &str| {
        let items = items(&format!(r#"[{{"role":"user","content":[{part}]}}]"#));
        let ItemKind::Message(message) = &items[0].kind else { panic!("{items:?}") };
        message.parts[0].clone()
    };
    let inline = |mime: &str| MediaSource::Base64 { mime: mime.into(), data: "aGk=".into() };
    let image = |source| PartKind::Image(Image { source, detail: None });
    let file = |source, title: Option<&str>| {
        PartKind::Document(Document {
            source: DocumentSource::Media(source),
            title: title.map(Into::into),
            context: None,
            citations: None,
        })
    };
    for (body, want) in [
        (
            r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}}"#,
            image(inline("image/png")),
        ),
        (
            r#"{"type":"image_url","image_url":{"url":"https://x/y"}}"#,
            image(MediaSource::Url("https://x/y".into())),
        ),
        (
            r#"{"type":"file","file":{"file_data":"data:application/pdf;base64,aGk=","filename":"a.pdf"}}"#,
            file(inline("application/pdf"), Some("a.pdf")),
        ),
        (r#"{"type":"file","file":{"file_data":"aGk"}}"#, file(inline("application/pdf"), None)),
        (r#"{"type":"file","file":{"file_id":"f1"}}"#, file(MediaSource::File("f1".into()), None)),
        (
            r#"{"type":"input_audio","input_audio":{"data":"aGk=","format":"wav"}}"#,
            PartKind::Audio(Audio {
                source: inline("audio/wav"),
                format: Some("wav".into()),
                transcript: None,
            }),
        ),
    ] {
        assert_eq!(part(body).kind, want, "{body}");
    }
    let odd = part(r#"{"type":"hologram","x":1.0}"#).kind;
    assert!(
        matches!(&odd, PartKind::Unknown { raw, .. } if raw.as_str() == r#"{"type":"hologram","x":1.0}"#)
    );
}

#[test]
fn c20_cache_marks_of_either_family() {
    let message = |mark: &str| {
        let items = items(&format!(r#"[{{"role":"user","content":[{{"type":"text","text":"a",{mark}}}]}}]"#));
        let ItemKind::Message(message) = &items[0].kind else { panic!("{items:?}") };
        message.parts[0].cache.clone().unwrap()
    };
    let mark = message(r#""prompt_cache_breakpoint":{"mode":"explicit","ttl":"12h"}"#);
    assert_eq!(mark, CacheMark { kind: CacheKind::Breakpoint, ttl: Some("12h".into()) });
    let mark = message(r#""cache_control":{"type":"ephemeral"}"#);
    assert_eq!(mark, CacheMark { kind: CacheKind::Ephemeral, ttl: None });
}

#[test]
fn assistant_messages_become_reasoning_words_and_calls() {
    for (name, message, want) in [
        (
            "empty words beside calls",
            r#""content":"","tool_calls":[{"id":"a","function":{"name":"f"}}]"#,
            vec!["call"],
        ),
        (
            "all of it",
            r#""content":"x","reasoning":"y","tool_calls":[{"id":"a","function":{"name":"f"}}]"#,
            vec!["reasoning", "assistant", "call"],
        ),
        ("refusal", r#""content":null,"refusal":"no""#, vec!["assistant"]),
        ("nothing", r#""content":null"#, vec!["assistant"]),
        (
            "reasoning parts",
            r#""content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"text","text":"x"}]"#,
            vec!["reasoning", "assistant"],
        ),
        (
            "an unknown field needs a message to ride on",
            r#""reasoning_details":[1],"tool_calls":[{"id":"a","function":{"name":"f"}}]"#,
            vec!["assistant", "call"],
        ),
        ("earlier audio", r#""audio":{"id":"aud_1"}"#, vec!["assistant"]),
    ] {
        assert_eq!(kinds(&items(&format!(r#"[{{"role":"assistant",{message}}}]"#))), want, "{name}");
    }
}

#[test]
fn thinking_blocks_come_back_whole() {
    let reasoning = |fields: &str| {
        let items = items(&format!(r#"[{{"role":"assistant","content":"x",{fields}}}]"#));
        let told = items.iter().filter_map(|item| match &item.kind {
            ItemKind::Reasoning(item) => Some(format!(
                "{}|{}|{}|{:?}",
                item.text.concat(),
                item.signature.as_deref().unwrap_or_default(),
                item.redacted.as_deref().unwrap_or_default(),
                item.stamp
            )),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    for (name, fields, want) in [
        ("text alone", r#""reasoning_content":"a""#, vec!["a|||None"]),
        (
            "blocks carry the text",
            r#""reasoning_content":"ab","thinking_blocks":[{"type":"thinking","thinking":"a","signature":"s"},{"type":"thinking","thinking":"b","signature":"t"}]"#,
            vec!["a|s||Some(AnthropicMessages)", "b|t||Some(AnthropicMessages)"],
        ),
        (
            "blocks of a collected stream carry the proof",
            r#""reasoning_content":"ab","thinking_blocks":[{"index":0,"type":"thinking","thinking":"","signature":"s"},{"index":1,"type":"redacted_thinking","data":"d"}]"#,
            vec!["ab|s||Some(AnthropicMessages)", "||d|Some(AnthropicMessages)"],
        ),
        (
            "one text and several proofs do not fit",
            r#""reasoning_content":"ab","thinking_blocks":[{"type":"thinking","thinking":"","signature":"s"},{"type":"thinking","thinking":"","signature":"t"}]"#,
            vec!["ab|||None"],
        ),
    ] {
        assert_eq!(reasoning(fields), want, "{name}");
    }
}

#[test]
fn legacy_functions_become_tools() {
    let call = read(r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"1"}],"functions":[{"name":"f","parameters":{"type":"object"}}],"function_call":{"name":"f"}}"#).unwrap();
    assert_eq!(kinds(&call.items), ["user", "call", "result"]);
    let (ItemKind::ToolCall(made), ItemKind::ToolResult(result)) = (&call.items[1].kind, &call.items[2].kind)
    else {
        panic!("{:?}", call.items)
    };
    assert_eq!(made.call_id, result.call_id);
    assert_eq!(result.parts, [Part::text("1")]);
    assert!(matches!(&call.tools[0].kind, ToolKind::Function { name, .. } if name == "f"));
    assert_eq!(call.tool_choice, Some(ToolChoice::Named { name: "f".into(), custom: false }));
}
