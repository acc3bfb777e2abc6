//! Client to neutral: the body of `POST /v1/messages`, field list of Anthropic's API reference with the
//! fields its SDKs of late 2026 send. Unknown fields are kept, never refused: agents send new ones
//! before anybody documents them.

use super::{read_part, read_tool, read_turn};
use crate::json::{Fields, invalid, object_of, string};
use serde_json::value::RawValue;
use trunkline_core::{
    Call, Dialect, Effort, Extra, ExtraField, Fault, Instruction, Losses, Model, OriginRole, OutputFormat,
    ReasoningMode,
};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Reads a request body.
///
/// # Errors
/// [`FaultKind::InvalidRequest`](trunkline_core::FaultKind::InvalidRequest) naming the field.
pub fn read_call(body: &[u8], losses: &mut Losses) -> Result<Call, Fault> {
    let call = read_counted(body, losses)?;
    match call.limits.max_output_tokens {
        Some(_) => Ok(call),
        None => Err(invalid("max_tokens", "is required").code("missing_required_parameter")),
    }
}

/// Reads the body of a request to count its tokens, which is the same without a limit on the answer.
///
/// # Errors
/// [`FaultKind::InvalidRequest`](trunkline_core::FaultKind::InvalidRequest) naming the field.
pub fn read_counted(body: &[u8], losses: &mut Losses) -> Result<Call, Fault> {
    let mut fields = Fields::body(body)?;
    let mut call = Call::new(DIALECT, Model::new(fields.need_string("model")?));
    call.limits.max_output_tokens = fields.positive("max_tokens")?;
    call.limits.spelled = Some("max_tokens");
    if let Some(system) = fields.raw("system") {
        call.instructions.push(instruction(system, losses)?);
    }
    let messages = fields.array("messages")?.ok_or_else(|| fields.missing("messages"))?;
    if messages.is_empty() {
        return Err(invalid("messages", "must hold at least one message"));
    }
    for (at, message) in messages.into_iter().enumerate() {
        read_turn::read(message, format!("messages[{at}]"), &mut call.items, losses)?;
        call.origins.resize(call.items.len(), at);
    }
    for (at, tool) in fields.array("tools")?.unwrap_or_default().into_iter().enumerate() {
        call.tools.push(read_tool::tool(tool, format!("tools[{at}]"), losses)?);
    }
    if let Some(choice) = fields.raw("tool_choice") {
        (call.tool_choice, call.parallel_tool_calls) = read_tool::choice(choice, losses)?;
    }
    read_reasoning(&mut fields, &mut call)?;
    read_output(&mut fields, &mut call, losses)?;
    call.sampling.temperature = fields.number("temperature")?;
    call.sampling.top_p = fields.number("top_p")?;
    call.sampling.top_k = fields.number("top_k")?;
    for (at, stop) in fields.array("stop_sequences")?.unwrap_or_default().into_iter().enumerate() {
        let path = format!("stop_sequences[{at}]");
        let text = string(stop).ok_or_else(|| invalid(&path, "must be a string"))?;
        call.sampling.stop.push(text.into());
    }
    if let Some(mut metadata) = fields.object("metadata")? {
        call.identity.user = metadata.string("user_id")?.map(Into::into);
        call.identity.metadata = object_of(&metadata.rest(DIALECT), DIALECT);
    }
    call.service.tier = fields.string("service_tier")?.map(Into::into);
    call.service.speed = fields.string("speed")?.map(Into::into);
    call.service.geo = fields.string("inference_geo")?.map(Into::into);
    call.state.container = fields.json("container");
    call.state.context_management = fields.json("context_management");
    call.cache.automatic = read_part::cache(&mut fields, losses)?;
    call.stream.on = fields.bool("stream")?.unwrap_or(false);
    call.extra.extend(fields.rest(DIALECT));
    Ok(call)
}

fn instruction(raw: &RawValue, losses: &mut Losses) -> Result<Instruction, Fault> {
    let parts = read_part::Parts::new(losses).content(raw, "system")?;
    Ok(Instruction { origin: OriginRole::System, name: None, parts })
}

/// `thinking`, and what of it the model has no place for.
fn read_reasoning(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    let Some(mut thinking) = fields.object("thinking")? else { return Ok(()) };
    call.reasoning.mode = Some(match thinking.need_string("type")?.as_ref() {
        "disabled" => ReasoningMode::Off,
        "enabled" => ReasoningMode::Enabled,
        "adaptive" => ReasoningMode::Adaptive,
        "between_tools" => ReasoningMode::BetweenTools,
        other => ReasoningMode::Other(other.into()),
    });
    call.reasoning.budget_tokens = thinking.positive("budget_tokens")?;
    call.reasoning.display = thinking.string("display")?.map(Into::into);
    keep(call, "thinking", thinking.rest(DIALECT));
    Ok(())
}

/// `output_config` with `effort` and `format`, or the older `output_format` beside it.
fn read_output(fields: &mut Fields<'_>, call: &mut Call, losses: &mut Losses) -> Result<(), Fault> {
    let mut format = fields.object("output_format")?;
    if let Some(mut config) = fields.object("output_config")? {
        call.reasoning.effort = config.string("effort")?.map(|text| Effort::parse(&text));
        format = config.object("format")?.or(format);
        keep(call, "output_config", config.rest(DIALECT));
    }
    let Some(mut format) = format else { return Ok(()) };
    match format.need_string("type")?.as_ref() {
        "json_schema" => {
            call.output.format = OutputFormat::JsonSchema {
                name: None,
                description: None,
                schema: format.json("schema").ok_or_else(|| format.missing("schema"))?,
                strict: None,
            };
            read_part::leftover(format, losses);
            Ok(())
        }
        other => Err(invalid(&format.path("type"), format!("must be json_schema, not {other:?}"))),
    }
}

/// Keeps the unknown members of an inner object under the object's own key.
fn keep(call: &mut Call, key: &str, rest: Extra) {
    if let Some(value) = object_of(&rest, DIALECT) {
        call.extra.push(ExtraField { dialect: DIALECT, key: key.into(), value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trunkline_core::{ItemKind, Json, Role, ToolChoice, ToolKind};

    fn read(body: &str) -> Result<Call, Fault> {
        read_call(body.as_bytes(), &mut Losses::default())
    }

    #[test]
    fn faults_name_the_field() {
        for (body, path) in [
            (r#"{"max_tokens":1,"messages":[]}"#, "model"),
            (r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#, "max_tokens"),
            (r#"{"model":"m","max_tokens":1}"#, "messages"),
            (r#"{"model":"m","max_tokens":1,"messages":[]}"#, "messages"),
            (r#"{"model":"m","max_tokens":"1","messages":[]}"#, "max_tokens"),
            (r#"{"model":"m","max_tokens":1,"messages":[{"role":"user"}]}"#, "messages[0].content"),
            (
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"tool","content":"x"}]}"#,
                "messages[0].role",
            ),
            (
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":7}]}"#,
                "messages[0].content",
            ),
            (
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"},{"role":"user","content":[{"type":7}]}]}"#,
                "messages[2].content[0].type",
            ),
            (
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"tool_result"}]}]}"#,
                "messages[0].content[0].tool_use_id",
            ),
            (
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":"{}"}]}]}"#,
                "messages[0].content[0].input",
            ),
            (
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}],"tools":[{}]}"#,
                "tools[0].name",
            ),
            (
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}],"stop_sequences":[1]}"#,
                "stop_sequences[0]",
            ),
            (
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}],"tool_choice":{"type":"tool"}}"#,
                "tool_choice.name",
            ),
        ] {
            let fault = read(body).unwrap_err();
            assert_eq!(fault.param.as_deref(), Some(path), "{body}");
        }
    }

    #[test]
    fn a_user_turn_gives_results_first_and_then_words() {
        let call = read(
            r#"{"model":"m","max_tokens":1,"messages":[
                {"role":"assistant","content":[{"type":"text","text":"a"},{"type":"text","text":"b"},
                    {"type":"tool_use","id":"t1","name":"f","input":{"n":1.0,"big":12345678901234567890}}]},
                {"role":"user","content":[{"type":"text","text":"look"},
                    {"type":"tool_result","tool_use_id":"t1","is_error":true,"content":"no"}]}]}"#,
        )
        .unwrap();
        let kinds: Vec<_> = call
            .items
            .iter()
            .map(|item| match &item.kind {
                ItemKind::Message(m) => format!("{:?} {}", m.role, m.parts.len()),
                ItemKind::ToolCall(c) => c.arguments.clone(),
                ItemKind::ToolResult(r) => format!("{} {:?}", r.call_id, r.is_error),
                ItemKind::Reasoning(_)
                | ItemKind::ServerTool(_)
                | ItemKind::Reference(_)
                | ItemKind::Unknown { .. } => "other".to_owned(),
            })
            .collect();
        assert_eq!(
            kinds,
            ["Assistant 2", r#"{"n":1.0,"big":12345678901234567890}"#, "t1 Some(true)", "User 1"]
        );
    }

    #[test]
    fn c48_our_own_seals_are_recognised() {
        for (signature, kept) in [("tl1.abc", None), ("", None), ("EqQB", Some("EqQB"))] {
            let call = read(&format!(
                r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"assistant","content":[{{"type":"thinking","thinking":"hm","signature":"{signature}"}}]}}]}}"#,
            ))
            .unwrap();
            let ItemKind::Reasoning(item) = &call.items[0].kind else { panic!("{call:?}") };
            assert_eq!(item.text, ["hm"]);
            assert_eq!((item.signature.as_deref(), item.stamp), (kept, kept.map(|_| DIALECT)), "{signature}");
        }
    }

    #[test]
    fn settings_find_their_place() {
        let call = read(
            r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"system","content":"now"}],
            "system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b"}],
            "thinking":{"type":"enabled","budget_tokens":2000,"novel":1},"output_config":{"effort":"xhigh","task_budget":7},
            "output_format":{"type":"json_schema","schema":{"type":"object"}},"metadata":{"user_id":"u","x":1},
            "tool_choice":{"type":"any","disable_parallel_tool_use":true},
            "tools":[{"name":"f","input_schema":{"type":"object"},"defer_loading":true},{"type":"web_search_20250305","name":"web_search"}],
            "stop_sequences":["s"],"top_k":5,"speed":"fast","thread":{"id":"t"}}"#,
        )
        .unwrap();
        assert_eq!((call.instructions.len(), call.instructions[0].parts.len()), (1, 2));
        assert!(call.instructions[0].parts[0].cache.is_some());
        let ItemKind::Message(message) = &call.items[1].kind else { panic!("{call:?}") };
        assert_eq!(message.role, Role::System);
        assert_eq!(
            (call.reasoning.mode, call.reasoning.budget_tokens),
            (Some(ReasoningMode::Enabled), Some(2000))
        );
        assert_eq!(call.reasoning.effort, Some(Effort::Xhigh));
        assert!(matches!(call.output.format, OutputFormat::JsonSchema { .. }));
        assert_eq!(call.identity.user.as_deref(), Some("u"));
        assert_eq!(call.identity.metadata.as_ref().map(Json::as_str), Some(r#"{"x":1}"#));
        assert_eq!((call.tool_choice, call.parallel_tool_calls), (Some(ToolChoice::Required), Some(false)));
        assert!(matches!(call.tools[1].kind, ToolKind::Server { .. }));
        assert_eq!(call.tools[0].extra[0].key.as_ref(), "defer_loading");
        let extra: Vec<_> = call.extra.iter().map(|f| (f.key.as_ref(), f.value.as_str())).collect();
        assert_eq!(
            extra,
            [
                ("thinking", r#"{"novel":1}"#),
                ("output_config", r#"{"task_budget":7}"#),
                ("thread", r#"{"id":"t"}"#)
            ]
        );
    }

    proptest! {
        #[test]
        fn garbage_never_panics(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(read_call(&body, &mut Losses::default()).is_err());
        }

        #[test]
        fn cut_or_patched_requests_never_panic(at in 0usize..400, patch in "[\\[\\]{}\",:0a]{0,3}") {
            let body = include_str!("testdata/agent_call.json");
            let (head, tail) = body.split_at(at.min(body.len()));
            let _ = read(head);
            let _ = read(&format!("{head}{patch}{tail}"));
        }
    }
}
