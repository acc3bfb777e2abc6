use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Each form of clients: a request for the vector of `hi`, and where the answer holds it.
fn clients() -> [(Surface, Value, &'static str); 6] {
    let content = json!({"parts": [{"text": "hi"}]});
    let cohere = json!({"model": "m", "texts": ["hi"], "input_type": "search_query",
        "embedding_types": ["float", "base64"]});
    [
        (Surface::OpenaiEmbeddings, json!({"model": "m", "input": "hi"}), "/data/0/embedding"),
        (
            Surface::GeminiEmbed,
            json!({"content": content, "taskType": "RETRIEVAL_QUERY"}),
            "/embedding/values",
        ),
        (
            Surface::GeminiBatchEmbed,
            json!({"requests": [{"model": "models/m", "content": content}]}),
            "/embeddings/0/values",
        ),
        (Surface::OllamaEmbed, json!({"model": "m", "input": "hi"}), "/embeddings/0"),
        (Surface::OllamaEmbeddings, json!({"model": "m", "prompt": "hi"}), "/embedding"),
        (Surface::CohereEmbed, cohere, "/embeddings/float/0"),
    ]
}

/// Each form of upstreams, and an answer of it with a vector of length one.
const UPSTREAMS: [(Surface, &str); 8] = [
    (
        Surface::OpenaiEmbeddings,
        r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.6,-0.8]}],"model":"um","usage":{"prompt_tokens":3,"total_tokens":3}}"#,
    ),
    (Surface::GeminiBatchEmbed, r#"{"embeddings":[{"values":[0.6,-0.8]}]}"#),
    (Surface::OllamaEmbed, r#"{"model":"um","embeddings":[[0.6,-0.8]],"prompt_eval_count":3}"#),
    (
        Surface::CohereEmbed,
        r#"{"id":"x","embeddings":{"float":[[0.6,-0.8]]},"meta":{"billed_units":{"input_tokens":3}}}"#,
    ),
    (Surface::TeiEmbed, "[[0.6,-0.8]]"),
    (Surface::BedrockEmbed, r#"{"embedding":[0.6,-0.8],"inputTextTokenCount":3}"#),
    (
        Surface::VertexEmbed,
        r#"{"predictions":[{"embeddings":{"values":[0.6,-0.8],"statistics":{"token_count":3,"truncated":false}}}]}"#,
    ),
    (
        Surface::VertexBatchEmbed,
        r#"{"embeddings":[{"values":[0.6,-0.8]}],"usageMetadata":{"promptTokenCount":3}}"#,
    ),
];

fn write_call(
    surface: Surface,
    call: &EmbedCall,
    model: &str,
    losses: &mut Losses,
) -> Result<Vec<Vec<u8>>, Fault> {
    super::write_call(surface, call, Target { model, habits: habits(None) }, losses)
}

fn read(surface: Surface, body: &Value) -> Result<EmbedCall, Fault> {
    read_call(surface, body.to_string().as_bytes())
}

#[test]
fn every_client_reaches_every_upstream() {
    for (from, asked, place) in clients() {
        for (to, answered) in UPSTREAMS {
            let call = read(from, &asked).unwrap();
            let mut losses = Losses::default();
            let bodies = write_call(to, &call, "upstream-m", &mut losses).unwrap();
            assert_eq!(bodies.len(), 1, "{from:?} {to:?}");
            assert!(String::from_utf8_lossy(&bodies[0]).contains("\"hi\""), "{from:?} {to:?}");
            let reply = read_reply(to, answered.as_bytes()).unwrap();
            let reply = merge(&call, vec![reply]).unwrap();
            let out: Value = serde_json::from_slice(&write_reply(&call, &reply, "id").unwrap()).unwrap();
            assert_eq!(out.pointer(place), Some(&json!([0.6, -0.8])), "{from:?} {to:?}: {out}");
        }
    }
}

#[test]
fn forms_of_input() {
    for (input, want) in [
        (json!("a"), EmbedInput::Text("a".into())),
        (json!(["a"]), EmbedInput::Texts(vec!["a".into()])),
        (json!([1, 2]), EmbedInput::Tokens(vec![trunkline_core::Json::parse("[1,2]").unwrap()])),
        (
            json!([[1], [2]]),
            EmbedInput::Tokens(["[1]", "[2]"].map(|t| trunkline_core::Json::parse(t).unwrap()).into()),
        ),
    ] {
        let call = read(Surface::OpenaiEmbeddings, &json!({"model": "m", "input": input})).unwrap();
        assert_eq!(call.input, want);
        let written = write_call(Surface::CohereEmbed, &call, "m", &mut Losses::default());
        match call.input.texts() {
            Some(_) => assert!(written.is_ok()),
            None => {
                let fault = written.unwrap_err();
                assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::Unsupported, Some("input")));
                assert!(fault.message.contains("token ids"), "{}", fault.message);
            }
        }
    }
}

#[test]
fn what_is_no_request_is_refused_by_name() {
    let content = json!({"parts": [{"text": "x"}]});
    for (surface, body, param) in [
        (Surface::OpenaiEmbeddings, json!({"input": []}), "input"),
        (Surface::OpenaiEmbeddings, json!({"input": [1, "a"]}), "input[0]"),
        (Surface::OpenaiEmbeddings, json!({"input": "a", "encoding_format": "hex"}), "encoding_format"),
        (Surface::OpenaiEmbeddings, json!({"model": "m"}), "input"),
        (Surface::GeminiEmbed, json!({}), "content"),
        (Surface::GeminiEmbed, json!({"content": {"parts": []}}), "content.parts"),
        (Surface::GeminiEmbed, json!({"content": {"parts": [{"inlineData": {}}]}}), "content.parts[0]"),
        (Surface::GeminiBatchEmbed, json!({"requests": []}), "requests"),
        (
            Surface::GeminiBatchEmbed,
            json!({"requests": [{"content": content}, {"content": content, "outputDimensionality": 8}]}),
            "requests[1]",
        ),
        (Surface::OllamaEmbed, json!({"input": 7}), "input"),
        (Surface::OllamaEmbeddings, json!({}), "prompt"),
        (Surface::CohereEmbed, json!({"texts": []}), "texts"),
        (Surface::CohereEmbed, json!({"images": ["data:"], "texts": ["a"]}), "images"),
        (Surface::CohereEmbed, json!({"texts": ["a"], "truncate": "MIDDLE"}), "truncate"),
        (
            Surface::CohereEmbed,
            json!({"inputs": [{"content": [{"type": "image_url"}]}]}),
            "inputs[0].content[0]",
        ),
    ] {
        let fault = read(surface, &body).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some(param), "{body}");
    }
    let int8 = json!({"model": "m", "texts": ["a"], "embedding_types": ["int8"]});
    let call = read(Surface::CohereEmbed, &int8).unwrap();
    let fault = write_call(Surface::OpenaiEmbeddings, &call, "m", &mut Losses::default()).unwrap_err();
    assert_eq!(fault.param.as_deref(), Some("embedding_types"));
}

#[test]
fn losses_name_what_the_client_wrote() {
    for (from, to, body, want) in [
        (
            Surface::GeminiEmbed,
            Surface::OpenaiEmbeddings,
            json!({"content": {"parts": [{"text": "x"}]}, "taskType": "CLUSTERING", "title": "t"}),
            "taskType dropped",
        ),
        (
            Surface::CohereEmbed,
            Surface::BedrockEmbed,
            json!({"texts": ["a", "b"], "output_dimension": 8}),
            "texts emulated",
        ),
        (Surface::OpenaiEmbeddings, Surface::CohereEmbed, json!({"input": "a"}), "input_type invented"),
        (
            Surface::OpenaiEmbeddings,
            Surface::GeminiBatchEmbed,
            json!({"input": "a", "dimensions": 8}),
            "dimensions emulated",
        ),
        (
            Surface::OllamaEmbed,
            Surface::OpenaiEmbeddings,
            json!({"input": "a", "keep_alive": "5m", "truncate": false}),
            "keep_alive dropped",
        ),
    ] {
        let call = read(from, &body).unwrap();
        let mut losses = Losses::default();
        write_call(to, &call, "m", &mut losses).unwrap();
        assert!(losses.header(1000).contains(want), "{body}: {}", losses.header(1000));
    }
}

#[test]
fn a_bare_answer_is_a_vector_or_a_list_of_them() {
    for (body, vectors) in [
        ("[[0.6,-0.8],[1e0, 2]]", Some(2)),
        (" [0.6, -0.8] ", Some(1)),
        // One for each token.
        ("[[[0.6,-0.8],[1,2]]]", None),
        ("[[0.6],[[1]]]", None),
        ("[]", Some(0)),
        ("[[]]", None),
        (r#"["x"]"#, None),
        (r#"{"error":"loading"}"#, None),
    ] {
        let reply = read_reply(Surface::TeiEmbed, body.as_bytes());
        assert_eq!(reply.map(|reply| reply.vectors.len()).ok(), vectors, "{body}");
    }
}

#[test]
fn what_one_request_cannot_hold_is_asked_for_in_several() {
    let texts: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let call = read(Surface::OpenaiEmbeddings, &json!({"model": "m", "input": texts})).unwrap();
    for (to, model, want) in [
        (Surface::OpenaiEmbeddings, "m", 1),
        (Surface::CohereEmbed, "m", 3),
        (Surface::GeminiBatchEmbed, "m", 2),
        (Surface::OllamaEmbed, "m", 1),
        (Surface::TeiEmbed, "m", 7),
        (Surface::BedrockEmbed, "amazon.titan-embed-text-v2:0", 200),
        (Surface::BedrockEmbed, "cohere.embed-english-v3", 3),
        (Surface::VertexEmbed, "text-embedding-005", 1),
        (Surface::VertexBatchEmbed, "gemini-embedding-001", 2),
    ] {
        let bodies = write_call(to, &call, model, &mut Losses::default()).unwrap();
        assert_eq!(bodies.len(), want, "{to:?}");
    }
    let short = merge(&call, vec![EmbedReply::default()]).unwrap_err();
    assert!(short.message.contains("0 vectors of 200 texts"), "{}", short.message);
}

#[test]
fn models_on_bedrock_are_spoken_to_as_their_makers_want() {
    let body = json!({"model": "m", "input": ["a"], "dimensions": 256, "input_type": "query"});
    let call = read(Surface::OpenaiEmbeddings, &body).unwrap();
    for (model, want) in [
        ("amazon.titan-embed-text-v2:0", json!({"inputText": "a", "dimensions": 256})),
        ("amazon.titan-embed-text-v1", json!({"inputText": "a"})),
        (
            "cohere.embed-english-v3",
            json!({"texts": ["a"], "input_type": "search_query", "embedding_types": ["float"]}),
        ),
    ] {
        let bodies = write_call(Surface::BedrockEmbed, &call, model, &mut Losses::default()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&bodies[0]).unwrap(), want);
    }
}

#[test]
fn models_on_vertex_are_told_what_their_form_has_room_for() {
    let body = json!({"model": "m", "texts": ["a"], "input_type": "search_query", "output_dimension": 8, "truncate": "NONE"});
    let call = read(Surface::CohereEmbed, &body).unwrap();
    for (to, want) in [
        (
            Surface::VertexEmbed,
            json!({"instances": [{"content": "a", "task_type": "RETRIEVAL_QUERY"}],
                "parameters": {"outputDimensionality": 8, "autoTruncate": false}}),
        ),
        (
            Surface::VertexBatchEmbed,
            json!({"requests": [{"content": {"parts": [{"text": "a"}]}, "embedContentConfig":
                {"taskType": "RETRIEVAL_QUERY", "outputDimensionality": 8, "autoTruncate": false}}]}),
        ),
    ] {
        let bodies = write_call(to, &call, "m", &mut Losses::default()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&bodies[0]).unwrap(), want, "{to:?}");
    }
    for (model, newer) in [("gemini-embedding-001", true), ("text-embedding-005", false)] {
        let to = crate::surface::of_model(Surface::VertexEmbed, model);
        assert_eq!(to == Surface::VertexBatchEmbed, newer, "{model}");
    }
    let two = br#"{"predictions":[{"embeddings":{"values":[3,4],"statistics":{"token_count":2.0}}},
        {"embeddings":{"values":[1,0],"statistics":{"token_count":5}}}]}"#;
    let reply = read_reply(Surface::VertexEmbed, two).unwrap();
    assert_eq!((tokens_of(&reply), reply.vectors.len()), (Some(7), 2));
}

#[test]
fn the_end_that_is_cut_off_is_named_as_the_target_names_it() {
    let (order, side) = (["START", "END", "NONE"], ["LEFT", "RIGHT", "NONE"]);
    for (to, model, names) in [
        (Surface::BedrockEmbed, "cohere.embed-v4:0", side),
        (Surface::BedrockEmbed, "us.cohere.embed-v4:0", side),
        (Surface::BedrockEmbed, "cohere.embed-multilingual-v3", order),
        (Surface::CohereEmbed, "embed-v4.0", order),
    ] {
        for (said, name) in order.into_iter().zip(names) {
            let body = json!({"model": "m", "texts": ["a"], "input_type": "search_query", "truncate": said});
            let call = read(Surface::CohereEmbed, &body).unwrap();
            let bodies = write_call(to, &call, model, &mut Losses::default()).unwrap();
            let written: Value = serde_json::from_slice(&bodies[0]).unwrap();
            assert_eq!(written["truncate"], name, "{model}");
        }
    }
}

#[test]
fn vendors_are_asked_in_their_own_words() {
    let rich = json!({"model": "m", "input": ["a"], "dimensions": 8, "user": "u", "encoding_format": "base64", "own": 1});
    let query = json!({"model": "m", "input": ["a"], "input_type": "query"});
    for (provider, asked, misread, want, lost) in [
        (None, &rich, false, rich.clone(), ""),
        (Some("openai"), &rich, false, rich.clone(), ""),
        (
            Some("mistral"),
            &rich,
            true,
            json!({"model": "m", "input": ["a"], "output_dimension": 8, "encoding_format": "base64", "own": 1}),
            "user dropped",
        ),
        (
            Some("together"),
            &rich,
            true,
            json!({"model": "m", "input": ["a"], "own": 1}),
            "dimensions dropped",
        ),
        (
            Some("nvidia-nim"),
            &rich,
            true,
            json!({"model": "m", "input": ["a"], "dimensions": 8, "user": "u", "encoding_format": "base64",
                "input_type": "passage", "own": 1}),
            "input_type invented",
        ),
        (
            Some("qwen"),
            &rich,
            true,
            json!({"model": "m", "input": ["a"], "dimensions": 8, "user": "u", "own": 1}),
            "",
        ),
        (Some("nvidia-nim"), &query, false, query.clone(), ""),
        (Some("mistral"), &query, false, json!({"model": "m", "input": ["a"]}), "input_type dropped"),
    ] {
        let habits = habits(provider);
        assert_eq!(habits.misread(asked.to_string().as_bytes()), misread, "{provider:?} {asked}");
        let call = read(Surface::OpenaiEmbeddings, asked).unwrap();
        let mut losses = Losses::default();
        let target = Target { model: "m", habits };
        let bodies = super::write_call(Surface::OpenaiEmbeddings, &call, target, &mut losses).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&bodies[0]).unwrap(), want, "{provider:?}");
        let header = losses.header(1000);
        assert!(header.contains(lost) && header.is_empty() == lost.is_empty(), "{provider:?}: {header}");
    }
    let call = read(Surface::OllamaEmbed, &json!({"model": "m", "input": "a", "dimensions": 8})).unwrap();
    for (provider, want) in
        [(None, json!({"inputs": ["a"], "dimensions": 8})), (Some("hugging-face"), json!({"inputs": ["a"]}))]
    {
        let target = Target { model: "m", habits: habits(provider) };
        let bodies = super::write_call(Surface::TeiEmbed, &call, target, &mut Losses::default()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&bodies[0]).unwrap(), want, "{provider:?}");
    }
    let many = json!({"model": "m", "input": vec!["a"; 11]});
    assert!(habits(Some("qwen")).misread(many.to_string().as_bytes()));
    assert!(!habits(Some("qwen")).misread(b"[]"));
}

#[test]
fn vectors_of_fewer_dimensions_have_the_length_of_one_again() {
    let reply = read_reply(Surface::GeminiBatchEmbed, br#"{"embeddings":[{"values":[0.3,0.4]}]}"#).unwrap();
    let call = read(Surface::OllamaEmbed, &json!({"model": "m", "input": "hi"})).unwrap();
    let out: Value = serde_json::from_slice(&write_reply(&call, &reply, "id").unwrap()).unwrap();
    assert_eq!(out["embeddings"][0], json!([0.6, 0.8]));
}

proptest! {
    #[test]
    fn garbage_never_panics(body in any::<Vec<u8>>()) {
        for surface in Surface::ALL {
            let _ = read_call(surface, &body);
            let _ = read_reply(surface, &body);
        }
    }
}
