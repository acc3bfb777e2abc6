//! Clients' requests.

use super::{list, own, sent};
use crate::gemini::read_call;
use serde_json::json;
use trunkline_core::{
    AllowedMode, Dialect, Effort, ItemKind, Json, Losses, MediaSource, OutputFormat, Part, PartKind,
    ReasoningMode, Role, ToolChoice, ToolKind,
};

/// Everything a request may say, in camelCase.
const FULL: &str = r#"{"systemInstruction":{"parts":[{"text":"be brief"}]},"contents":[{"role":"user","parts":[{"text":"hi"},{"inlineData":{"mimeType":"image/png","data":"-_-_"}}]},{"role":"model","parts":[{"text":"hm","thought":true,"thoughtSignature":"AA=="},{"functionCall":{"name":"f","args":{"n":12345678901234567890,"x":1.0}},"thoughtSignature":"BB=="}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"ok"}}}]}],"tools":[{"functionDeclarations":[{"name":"f","description":"d","parametersJsonSchema":{"type":"object","properties":{"n":{"type":"integer"}}}}]},{"googleSearch":{}}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]},"retrievalConfig":{"languageCode":"de"}},"safetySettings":[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"BLOCK_NONE"}],"generationConfig":{"temperature":0.70,"topP":0.9,"topK":40,"candidateCount":2,"maxOutputTokens":100,"stopSequences":["END"],"presencePenalty":0.1,"frequencyPenalty":0.2,"seed":7,"responseLogprobs":true,"logprobs":3,"responseMimeType":"application/json","responseJsonSchema":{"type":"object","properties":{"a":{"type":"string"}}},"mediaResolution":"MEDIA_RESOLUTION_LOW","thinkingConfig":{"includeThoughts":true,"thinkingLevel":"low"}},"cachedContent":"cachedContents/1","labels":{"team":"a"},"serviceTier":"flex","brandNew":{"k":1.0}}"#;

#[test]
fn every_setting_is_read() {
    let call = own(FULL);
    let sampling = &call.sampling;
    assert_eq!(sampling.temperature.as_ref().unwrap().as_str(), "0.70");
    assert_eq!((sampling.n, sampling.logprobs, sampling.top_logprobs), (Some(2), Some(true), Some(3)));
    assert_eq!(
        (sampling.stop.as_slice(), call.limits.max_output_tokens),
        (&["END".to_owned()][..], Some(100))
    );
    assert_eq!(call.reasoning.effort, Some(Effort::Low));
    assert_eq!(call.reasoning.display.as_deref(), Some("summarized"));
    assert!(matches!(&call.output.format, OutputFormat::JsonSchema { .. }));
    assert_eq!(call.tool_choice, Some(ToolChoice::Named { name: "f".into(), custom: false }));
    assert_eq!(call.cache.resource.as_deref(), Some("cachedContents/1"));
    assert_eq!(call.service.tier.as_deref(), Some("flex"));
    assert_eq!(call.safety.len(), 1);
    assert_eq!(call.instructions[0].parts, [Part::text("be brief")]);
    assert!(
        matches!(&call.tools[1].kind, ToolKind::Server { native_type, .. } if native_type == "googleSearch")
    );
}

#[test]
fn what_is_read_is_written_back() {
    let (body, losses) = sent(&own(FULL), "gemini-3-flash");
    let mut want: serde_json::Value = serde_json::from_str(FULL).unwrap();
    want["contents"][0]["parts"][1]["inlineData"]["data"] = json!("+/+/");
    want["contents"][1]["parts"][1]["functionCall"]["id"] = json!("call_unnamed_1");
    want["contents"][2]["parts"][0]["functionResponse"]["id"] = json!("call_unnamed_1");
    want["toolConfig"]["includeServerSideToolInvocations"] = json!(true);
    assert_eq!(body, want);
    assert_eq!(losses, Vec::<String>::new());
}

#[test]
fn snake_case_means_the_same() {
    let snake = r#"{"system_instruction":{"parts":[{"text":"s"}]},"contents":[{"parts":[{"inline_data":{"mime_type":"image/png","data":"aGk="}}]},{"role":"model","parts":[{"function_call":{"name":"f","args":{"a_b":1}},"thought_signature":"AA=="}]},{"parts":[{"function_response":{"name":"f","response":{"c_d":2}}}]}],"generation_config":{"max_output_tokens":5,"stop_sequences":["x"],"thinking_config":{"thinking_budget":100,"include_thoughts":false}},"tool_config":{"function_calling_config":{"mode":"ANY","allowed_function_names":["f","g"]}},"safety_settings":[{"category":"C"}],"cached_content":"c"}"#;
    let camel = r#"{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"aGk="}}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{"a_b":1}},"thoughtSignature":"AA=="}]},{"parts":[{"functionResponse":{"name":"f","response":{"c_d":2}}}]}],"generationConfig":{"maxOutputTokens":5,"stopSequences":["x"],"thinkingConfig":{"thinkingBudget":100,"includeThoughts":false}},"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f","g"]}},"safetySettings":[{"category":"C"}],"cachedContent":"c"}"#;
    assert_eq!(own(snake), own(camel));
    assert_eq!(own(snake).reasoning.budget_tokens, Some(100));
}

#[test]
fn c58_responses_answer_calls_by_name_in_order() {
    let call = own(
        r#"{"contents":[{"role":"user","parts":[{"text":"go"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}},{"functionCall":{"name":"g"}},{"functionCall":{"name":"f","args":{}}},{"functionCall":{"id":"own","name":"f"}}]},{"role":"user","parts":[{"functionResponse":{"id":"own","name":"f","response":{"result":"4"}}},{"functionResponse":{"name":"f","response":{"output":"1"}}},{"functionResponse":{"name":"f","response":{"error":"3"}}},{"functionResponse":{"name":"g","response":{"a":2}}}]}]}"#,
    );
    let ids: Vec<_> = call
        .items
        .iter()
        .filter_map(|item| match &item.kind {
            ItemKind::ToolCall(call) => Some((call.call_id.as_str(), call.arguments.as_str())),
            _ => None,
        })
        .collect();
    let names = ["call_unnamed_1", "call_unnamed_2", "call_unnamed_3", "own"];
    assert_eq!(ids, names.map(|id| (id, "{}")));
    let results: Vec<_> = call
        .items
        .iter()
        .filter_map(|item| match &item.kind {
            ItemKind::ToolResult(result) => {
                Some((result.call_id.as_str(), result.parts.as_slice(), result.is_error))
            }
            _ => None,
        })
        .collect();
    let object = Part::new(PartKind::Json(Json::parse(r#"{"a":2}"#).unwrap()));
    assert_eq!(
        results,
        [
            ("own", &[Part::text("4")][..], None),
            (names[0], &[Part::text("1")][..], None),
            (names[2], &[Part::text("3")][..], Some(true)),
            (names[1], &[object][..], None),
        ]
    );
}

#[test]
fn media_is_what_its_type_says() {
    let call = own(
        r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"audio/x-wav","data":"aGk"}},{"fileData":{"mimeType":"application/pdf","fileUri":"gs://b/a"}},{"fileData":{"fileUri":"https://youtu.be/x"},"videoMetadata":{"fps":2}},{"fileData":{"mimeType":"image/png","fileUri":"https://generativelanguage.googleapis.com/v1beta/files/1"}},{"executableCode":{"language":"PYTHON","code":"1"}},{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"1"}},{"brandNew":1}]}]}"#,
    );
    let ItemKind::Message(message) = &call.items[0].kind else { panic!("{:?}", call.items) };
    assert_eq!(message.role, Role::User);
    let kinds: Vec<_> = message.parts.iter().map(|part| &part.kind).collect();
    assert!(matches!(kinds[0], PartKind::Audio(audio) if audio.format.as_deref() == Some("wav")
        && audio.source == MediaSource::Base64 { mime: "audio/x-wav".into(), data: "aGk=".into() }));
    assert!(matches!(kinds[1], PartKind::Document(_)));
    assert!(matches!(kinds[2], PartKind::Video(video) if video.meta.is_some()));
    assert!(matches!(kinds[3], PartKind::Image(image) if matches!(image.source, MediaSource::File(_))));
    assert!(matches!(kinds[4], PartKind::ExecutableCode { .. }));
    assert!(matches!(kinds[5], PartKind::CodeResult { .. }));
    assert!(matches!(kinds[6], PartKind::Unknown { dialect: Dialect::GeminiGenerate, .. }));
}

#[test]
fn modes_become_choices() {
    let names = || vec!["a".to_owned(), "b".to_owned()];
    for (config, want) in [
        (r#"{"mode":"AUTO"}"#, Some(ToolChoice::Auto)),
        (r#"{"mode":"any"}"#, Some(ToolChoice::Required)),
        (r#"{"mode":"NONE"}"#, Some(ToolChoice::None)),
        (r#"{"mode":"MODE_UNSPECIFIED"}"#, None),
        (
            r#"{"mode":"ANY","allowedFunctionNames":["a","b"]}"#,
            Some(ToolChoice::Allowed { mode: AllowedMode::Required, names: names() }),
        ),
        (
            r#"{"mode":"VALIDATED","allowedFunctionNames":["a","b"]}"#,
            Some(ToolChoice::Allowed { mode: AllowedMode::Auto, names: names() }),
        ),
        (
            r#"{"mode":"VALIDATED"}"#,
            Some(ToolChoice::Other {
                dialect: Dialect::GeminiGenerate,
                raw: Json::parse(r#"{"mode":"VALIDATED"}"#).unwrap(),
            }),
        ),
    ] {
        let call = own(&format!(
            r#"{{"contents":[{{"parts":[{{"text":"x"}}]}}],"toolConfig":{{"functionCallingConfig":{config}}}}}"#
        ));
        assert_eq!(call.tool_choice, want, "{config}");
    }
}

#[test]
fn budgets_say_how_to_think() {
    for (config, mode, effort, budget) in [
        (r#"{"thinkingBudget":0}"#, Some(ReasoningMode::Off), Some(Effort::None), None),
        (r#"{"thinkingBudget":-1}"#, Some(ReasoningMode::Adaptive), None, None),
        (r#"{"thinkingBudget":99}"#, Some(ReasoningMode::Enabled), None, Some(99)),
        (r#"{"thinkingLevel":"HIGH"}"#, None, Some(Effort::High), None),
    ] {
        let call = own(&format!(
            r#"{{"contents":[{{"parts":[{{"text":"x"}}]}}],"generationConfig":{{"thinkingConfig":{config}}}}}"#
        ));
        let found = (call.reasoning.mode, call.reasoning.effort, call.reasoning.budget_tokens);
        assert_eq!(found, (mode, effort, budget), "{config}");
    }
}

/// A chat of the official client sends back every fragment of a stream as a content of its own.
#[test]
fn fragments_of_thoughts_are_one_again() {
    let call = own(
        r#"{"contents":[{"parts":[{"text":"x"}]},{"role":"model","parts":[{"text":"a","thought":true}]},{"role":"model","parts":[{"text":"b","thought":true}]},{"role":"model","parts":[{"text":"","thought":true,"thoughtSignature":"S"}]},{"role":"model","parts":[{"text":"hi"}]},{"role":"model","parts":[{"text":"","thoughtSignature":"T"}]}]}"#,
    );
    let signed: Vec<_> = call
        .items
        .iter()
        .filter_map(|item| match &item.kind {
            ItemKind::Reasoning(thoughts) => {
                Some((thoughts.text.concat(), thoughts.signature.clone().unwrap()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(signed, [("ab".to_owned(), "S".to_owned()), (String::new(), "T".to_owned())]);
}

#[test]
fn faults_name_the_field() {
    for (body, path) in [
        ("{}", "contents"),
        (r#"{"contents":[]}"#, "contents"),
        (r#"{"contents":[{"role":"robot","parts":[]}]}"#, "contents[0].role"),
        (
            r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"a/b","data":"*"}}]}]}"#,
            "contents[0].parts[0].inlineData.data",
        ),
        (
            r#"{"contents":[{"parts":[{"functionCall":{"name":"f","args":[]}}]}]}"#,
            "contents[0].parts[0].functionCall.args",
        ),
        (r#"{"contents":[{"parts":[]}],"generationConfig":{"topP":"x"}}"#, "generationConfig.topP"),
        (
            r#"{"contents":[{"parts":[]}],"tools":[{"functionDeclarations":[{}]}]}"#,
            "tools[0].functionDeclarations[0].name",
        ),
    ] {
        let fault = read_call(body.as_bytes(), &mut Losses::default()).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some(path), "{body}");
    }
}

#[test]
fn two_schemas_for_one_function_are_told() {
    let body = br#"{"contents":[{"parts":[{"text":"x"}]}],"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT"},"parametersJsonSchema":{"type":"object"}}]}]}"#;
    let mut losses = Losses::default();
    read_call(body, &mut losses).unwrap();
    assert_eq!(list(&losses), ["tools[0].functionDeclarations[0].parameters degraded"]);
}
