use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const JSON: &str = "application/json";
const KIND: &str = "multipart/form-data; boundary=XyZ";

const TARGETS: [(Surface, &str); 8] = [
    (Surface::TogetherImages, "black-forest-labs/FLUX.1-schnell"),
    (Surface::GeminiImages, "gemini-2.5-flash-image"),
    (Surface::ImagenPredict, "imagen-4.0-generate-001"),
    (Surface::BedrockImages, "amazon.nova-canvas-v1:0"),
    (Surface::BedrockImages, "stability.sd3-5-large-v1:0"),
    (Surface::ReplicateImages, "black-forest-labs/flux-schnell"),
    (Surface::FireworksImages, "accounts/fireworks/models/flux-1-schnell-fp8"),
    (Surface::HuggingFaceImages, "black-forest-labs/FLUX.1-dev"),
];

/// A form of these fields and as many pictures, each called `name`.
fn form(fields: &[(&str, &str)], name: &str, pictures: usize) -> Vec<u8> {
    let field = |(name, value): &(&str, &str)| {
        format!("--XyZ\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let file = format!(
        "--XyZ\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\nabc\r\n"
    );
    [fields.iter().map(field).collect(), file.repeat(pictures), "--XyZ--\r\n".to_owned()]
        .concat()
        .into_bytes()
}

fn read(body: &Value) -> Result<ImageCall, Fault> {
    read_call(Surface::OpenaiImages, JSON, body.to_string().as_bytes())
}

/// What `asked` becomes for a target, and its losses.
fn written(to: Surface, model: &str, asked: &Value) -> (Vec<Value>, String) {
    let mut losses = Losses::default();
    let bodies = write_call(to, &read(asked).unwrap(), model, &mut losses).unwrap();
    (bodies.iter().map(|body| serde_json::from_slice(body).unwrap()).collect(), losses.header(4000))
}

#[test]
fn a_bare_wish_loses_nothing_anywhere() {
    let asked = json!({"model": "m", "prompt": "a hill", "size": "auto", "quality": "auto", "n": 1});
    for (to, model) in TARGETS {
        let (bodies, losses) = written(to, model, &asked);
        assert_eq!(bodies.len(), 1, "{model}");
        assert!(bodies[0].to_string().contains("a hill"), "{model}: {}", bodies[0]);
        assert_eq!(losses, "", "{model}");
    }
}

#[test]
fn every_target_is_asked_in_its_own_words() {
    let asked = json!({"model": "m", "prompt": "p", "n": 2, "size": "1536x1024", "quality": "hd",
        "output_format": "jpeg", "seed": 7});
    for (to, model, requests, want, lost) in [
        (
            Surface::TogetherImages,
            "x/flux",
            1,
            json!({"model": "x/flux", "prompt": "p", "n": 2, "width": 1536, "height": 1024, "output_format": "jpeg",
                "seed": 7}),
            &["quality dropped"][..],
        ),
        (
            Surface::GeminiImages,
            "gemini-2.5-flash-image",
            2,
            json!({"contents": [{"role": "user", "parts": [{"text": "p"}]}], "generationConfig":
                {"responseModalities": ["IMAGE"], "imageConfig": {"aspectRatio": "3:2"}}}),
            &["n emulated", "size degraded", "quality dropped", "output_format dropped", "seed dropped"],
        ),
        (
            Surface::ImagenPredict,
            "imagen-4.0-generate-001",
            1,
            json!({"instances": [{"prompt": "p"}], "parameters": {"sampleCount": 2, "aspectRatio": "4:3",
                "includeRaiReason": true, "outputOptions": {"mimeType": "image/jpeg"}}}),
            &["size degraded", "quality dropped", "seed dropped"],
        ),
        (
            Surface::BedrockImages,
            "amazon.nova-canvas-v1:0",
            1,
            json!({"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "p"}, "imageGenerationConfig":
                {"numberOfImages": 2, "width": 1536, "height": 1024, "quality": "premium"}}),
            &["output_format dropped", "seed dropped"],
        ),
        (
            Surface::BedrockImages,
            "amazon.titan-image-generator-v2:0",
            1,
            json!({"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "p"}, "imageGenerationConfig":
                {"numberOfImages": 2, "width": 1152, "height": 768, "quality": "premium"}}),
            &["size degraded", "output_format dropped", "seed dropped"],
        ),
        (
            Surface::BedrockImages,
            "stability.sd3-5-large-v1:0",
            2,
            json!({"prompt": "p", "aspect_ratio": "3:2", "output_format": "jpeg"}),
            &["n emulated", "size degraded", "quality dropped", "seed dropped"],
        ),
        (
            Surface::ReplicateImages,
            "black-forest-labs/flux-schnell",
            2,
            json!({"input": {"prompt": "p", "aspect_ratio": "3:2", "output_format": "jpg", "seed": 7}}),
            &["n emulated", "size degraded", "quality dropped"],
        ),
        (
            Surface::ReplicateImages,
            "stability-ai/sdxl",
            2,
            json!({"input": {"prompt": "p", "width": 1536, "height": 1024, "output_format": "jpg", "seed": 7}}),
            &["n emulated", "quality dropped"],
        ),
    ] {
        let (bodies, losses) = written(to, model, &asked);
        assert_eq!(bodies.len(), requests, "{model}");
        assert_eq!(bodies[0], want, "{model}");
        assert_eq!(losses.matches(['(']).count(), lost.len(), "{model}: {losses}");
        assert!(lost.iter().all(|loss| losses.contains(loss)), "{model}: {losses}");
    }
}

#[test]
fn larger_pictures_are_asked_for_where_there_are_some() {
    let asked = json!({"model": "m", "prompt": "p", "size": "2048x2048"});
    for (to, model, place, want) in [
        (
            Surface::GeminiImages,
            "gemini-3-pro-image-preview",
            "/generationConfig/imageConfig/imageSize",
            json!("2K"),
        ),
        (
            Surface::GeminiImages,
            "gemini-2.5-flash-image",
            "/generationConfig/imageConfig/imageSize",
            Value::Null,
        ),
        (Surface::ImagenPredict, "imagen-4.0-ultra-generate-001", "/parameters/sampleImageSize", json!("2K")),
        (Surface::ImagenPredict, "imagen-4.0-fast-generate-001", "/parameters/sampleImageSize", Value::Null),
    ] {
        let (bodies, losses) = written(to, model, &asked);
        assert_eq!(bodies[0].pointer(place).cloned().unwrap_or_default(), want, "{model}");
        assert!(losses.contains("size degraded"), "{model}");
    }
}

#[test]
fn what_a_target_makes_at_once_decides_how_often_it_is_asked() {
    let asked = json!({"model": "m", "prompt": "p", "n": 10});
    for (to, model, counts) in [
        (Surface::ImagenPredict, "imagen-4.0-generate-001", &[4, 4, 2][..]),
        (Surface::BedrockImages, "amazon.nova-canvas-v1:0", &[5, 5]),
    ] {
        let (bodies, _) = written(to, model, &asked);
        let count = |body: &Value| {
            let places = ["/parameters/sampleCount", "/imageGenerationConfig/numberOfImages"];
            places.iter().find_map(|place| body.pointer(place)?.as_u64()).unwrap()
        };
        assert_eq!(bodies.iter().map(count).collect::<Vec<_>>(), counts, "{model}");
    }
    assert_eq!(written(Surface::TogetherImages, "m", &asked).0.len(), 1);
}

#[test]
fn what_is_no_request_is_refused_by_name() {
    for (more, param) in [
        (json!({"prompt": " "}), "prompt"),
        (json!({"n": 0}), "n"),
        (json!({"n": 11}), "n"),
        (json!({"size": "large"}), "size"),
        (json!({"size": "0x10"}), "size"),
        (json!({"response_format": "tiff"}), "response_format"),
    ] {
        let mut body = json!({"model": "m", "prompt": "p"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(read(&body).unwrap_err().param.as_deref(), Some(param), "{body}");
    }
}

#[test]
fn models_that_make_no_pictures_are_refused_and_others_named() {
    for (to, model, instead) in [
        (Surface::GeminiImages, "gemini-2.5-flash", "gemini-2.5-flash-image"),
        (Surface::BedrockImages, "anthropic.claude-sonnet-4-20250514-v1:0", "amazon.nova-canvas-v1:0"),
    ] {
        let call = read(&json!({"model": "m", "prompt": "p"})).unwrap();
        let fault = write_call(to, &call, model, &mut Losses::default()).unwrap_err();
        assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::Unsupported, Some("model")), "{model}");
        assert!(fault.message.contains(instead), "{}", fault.message);
    }
    assert_eq!(
        crate::surface::of_model(Surface::GeminiImages, "imagen-4.0-generate-001"),
        Surface::ImagenPredict
    );
}

/// The answer a client gets to a call that says `more`.
fn answered(more: &Value, surface: Surface, answer: &Value) -> Value {
    let mut body = json!({"model": "m", "prompt": "p"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let reply = merge(vec![read_reply(surface, answer.to_string().as_bytes()).unwrap()]);
    serde_json::from_slice(&write_reply(&read(&body).unwrap(), &reply, 7)).unwrap()
}

#[test]
fn answers_come_back_in_the_clients_form() {
    let thought = json!({"thought": true, "inlineData": {"mimeType": "image/png", "data": "draft"}});
    let gemini = json!({"candidates": [{"content": {"parts": [{"text": "Here."}, thought,
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1290, "totalTokenCount": 1295,
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}]}});
    assert_eq!(
        answered(&json!({}), Surface::GeminiImages, &gemini),
        json!({"created": 7, "data": [{"b64_json": "aGk="}], "output_format": "png", "usage":
            {"input_tokens": 5, "input_tokens_details": {"text_tokens": 5, "image_tokens": 0}, "output_tokens": 1290,
            "output_tokens_details": {"text_tokens": 0, "image_tokens": 1290}, "total_tokens": 1295}})
    );
    let imagen = json!({"predictions": [{"bytesBase64Encoded": "aGk=", "mimeType": "image/jpeg", "prompt": "a green hill"}]});
    assert_eq!(
        answered(&json!({"response_format": "url"}), Surface::ImagenPredict, &imagen),
        json!({"created": 7, "data": [{"url": "data:image/jpeg;base64,aGk=", "revised_prompt": "a green hill"}],
            "output_format": "jpeg"})
    );
    let together = json!({"data": [{"url": "https://x/1.png"}, {"b64_json": "aGk="}]});
    assert_eq!(
        answered(&json!({}), Surface::TogetherImages, &together),
        json!({"created": 7, "data": [{"url": "https://x/1.png"}, {"b64_json": "aGk="}]})
    );
    let predicted = |output: Value| json!({"id": "p", "status": "succeeded", "output": output});
    for (output, want) in [
        (json!("https://x/1.png"), json!([{"url": "https://x/1.png"}])),
        (
            json!(["https://x/1.png", "https://x/2.png"]),
            json!([{"url": "https://x/1.png"}, {"url": "https://x/2.png"}]),
        ),
        (json!(["data:image/webp;base64,aGk="]), json!([{"b64_json": "aGk="}])),
    ] {
        assert_eq!(answered(&json!({}), Surface::ReplicateImages, &predicted(output))["data"], want);
    }
    for answer in
        [json!({"images": ["aGk="]}), json!({"images": ["aGk="], "seeds": [1], "finish_reasons": [null]})]
    {
        assert_eq!(
            answered(&json!({}), Surface::BedrockImages, &answer)["data"],
            json!([{"b64_json": "aGk="}])
        );
    }
}

#[test]
fn a_stream_is_one_event_for_each_picture_and_says_once_what_they_cost() {
    let answer = json!({"candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 10, "totalTokenCount": 15}});
    let reply = read_reply(Surface::GeminiImages, answer.to_string().as_bytes()).unwrap();
    let call = read(&json!({"model": "m", "prompt": "p", "stream": true, "n": 2})).unwrap();
    let merged = merge(vec![reply.clone(), reply]);
    assert_eq!(merged.usage.as_ref().and_then(|usage| usage.images), Some(2));
    let text = String::from_utf8(write_reply(&call, &merged, 7)).unwrap();
    let events: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 2);
    for (at, event) in events.iter().enumerate() {
        let data = event.strip_prefix("event: image_generation.completed\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(
            (&data["b64_json"], &data["output_format"], &data["size"]),
            (&json!("aGk="), &json!("png"), &json!("auto"))
        );
        assert_eq!(data["usage"]["total_tokens"], if at == 1 { json!(30) } else { Value::Null });
    }
}

#[test]
fn what_was_not_made_because_of_what_it_shows_says_so() {
    for (surface, answer, blocked, told) in [
        (Surface::GeminiImages, json!({"promptFeedback": {"blockReason": "SAFETY"}}), true, "SAFETY"),
        (
            Surface::GeminiImages,
            json!({"candidates": [{"finishReason": "IMAGE_SAFETY"}]}),
            true,
            "IMAGE_SAFETY",
        ),
        (Surface::GeminiImages, json!({"candidates": [{"finishReason": "NO_IMAGE"}]}), false, "NO_IMAGE"),
        (Surface::ImagenPredict, json!({}), true, "prompt was filtered"),
        (
            Surface::ImagenPredict,
            json!({"predictions": [{"raiFilteredReason": "violence"}]}),
            true,
            "violence",
        ),
        (
            Surface::BedrockImages,
            json!({"images": [], "error": "blocked by our filters"}),
            true,
            "our filters",
        ),
        (
            Surface::BedrockImages,
            json!({"images": [null], "finish_reasons": ["Filter reason: prompt"]}),
            true,
            "prompt",
        ),
        (Surface::BedrockImages, json!({}), false, "no picture"),
        (
            Surface::ReplicateImages,
            json!({"id": "p", "status": "failed", "error": "NSFW content detected"}),
            true,
            "NSFW content",
        ),
        (Surface::ReplicateImages, json!({"id": "p", "status": "failed", "error": "CUDA"}), false, "CUDA"),
        (
            Surface::ReplicateImages,
            json!({"id": "p", "status": "succeeded", "output": []}),
            false,
            "no picture",
        ),
    ] {
        let fault = read_reply(surface, answer.to_string().as_bytes()).unwrap_err();
        assert_eq!(is_blocked(&fault), blocked, "{answer}: {}", fault.message);
        assert!(fault.message.contains(told), "{answer}: {}", fault.message);
    }
}

#[test]
fn losses_of_how_an_answer_comes_are_told() {
    for (to, more, want) in [
        (Surface::GeminiImages, json!({"response_format": "url"}), "response_format emulated"),
        (Surface::ReplicateImages, json!({"response_format": "b64_json"}), "response_format emulated"),
        (Surface::ReplicateImages, json!({"response_format": "url"}), ""),
        (Surface::TogetherImages, json!({"response_format": "url"}), ""),
        (Surface::GeminiImages, json!({"stream": true, "partial_images": 2}), "partial_images dropped"),
        (Surface::GeminiImages, json!({"stream": true}), "stream emulated"),
    ] {
        let mut body = json!({"model": "m", "prompt": "p"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (_, losses) = written(to, "x/y", &body);
        assert!(losses.contains(want) && losses.is_empty() == want.is_empty(), "{to:?} {more}: {losses}");
    }
}

#[test]
fn what_is_to_be_changed_is_handed_over_as_each_target_wants_it() {
    const URL: &str = "data:image/png;base64,YWJj";
    let fields = [("model", "m"), ("prompt", "42"), ("size", "1024x1024"), ("seed", "7")];
    let part = json!({"inlineData": {"mimeType": "image/png", "data": "YWJj"}});
    for (to, model, pictures, want, lost) in [
        (
            Surface::GeminiImages,
            "gemini-2.5-flash-image",
            2,
            json!({"contents": [{"role": "user", "parts": [part, part, {"text": "42"}]}], "generationConfig":
                {"responseModalities": ["IMAGE"], "imageConfig": {"aspectRatio": "1:1"}}}),
            "seed dropped",
        ),
        (
            Surface::BedrockImages,
            "amazon.nova-canvas-v1:0",
            1,
            json!({"taskType": "IMAGE_VARIATION", "imageVariationParams": {"text": "42", "images": ["YWJj"]},
                "imageGenerationConfig": {"numberOfImages": 1, "width": 1024, "height": 1024}}),
            "image emulated",
        ),
        (
            Surface::BedrockImages,
            "stability.sd3-5-large-v1:0",
            1,
            json!({"prompt": "42", "mode": "image-to-image", "image": "YWJj", "strength": 0.7}),
            "size dropped",
        ),
        (
            Surface::TogetherImages,
            "x/kontext",
            1,
            json!({"model": "x/kontext", "prompt": "42", "image_url": URL, "width": 1024, "height": 1024, "seed": 7}),
            "",
        ),
        (
            Surface::TogetherImages,
            "x/kontext",
            2,
            json!({"model": "x/kontext", "prompt": "42", "reference_images": [URL, URL], "width": 1024,
                "height": 1024, "seed": 7}),
            "",
        ),
        (
            Surface::ReplicateImages,
            "black-forest-labs/flux-kontext-pro",
            1,
            json!({"input": {"prompt": "42", "input_image": URL, "aspect_ratio": "1:1", "seed": 7}}),
            "",
        ),
        (
            Surface::ReplicateImages,
            "google/nano-banana",
            2,
            json!({"input": {"prompt": "42", "image_input": [URL, URL], "aspect_ratio": "1:1", "seed": 7}}),
            "",
        ),
        (
            Surface::HuggingFaceImages,
            "x/kontext",
            1,
            json!({"inputs": "YWJj", "parameters": {"prompt": "42", "target_size": {"width": 1024, "height": 1024},
                "seed": 7}}),
            "",
        ),
        (
            Surface::XaiImageEdits,
            "grok-imagine-image",
            2,
            json!({"model": "grok-imagine-image", "prompt": "42", "images": [{"url": URL, "type": "image_url"},
                {"url": URL, "type": "image_url"}], "aspect_ratio": "1:1", "seed": 7}),
            "",
        ),
    ] {
        let body = form(&fields, if pictures > 1 { "image[]" } else { "image" }, pictures);
        let call = read_call(Surface::OpenaiImageEdits, KIND, &body).unwrap();
        assert!(serves(Surface::OpenaiImageEdits, to), "{model}");
        let mut losses = Losses::default();
        let bodies = write_call(to, &call, model, &mut losses).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&bodies[0]).unwrap(), want, "{model}");
        let losses = losses.header(2000);
        assert!(losses.contains(lost) && (losses.is_empty() == lost.is_empty()), "{model}: {losses}");
    }
}

#[test]
fn variations_need_no_prompt() {
    let body = form(&[("model", "m"), ("n", "2")], "image", 1);
    let call = read_call(Surface::OpenaiImageVariations, KIND, &body).unwrap();
    let mut losses = Losses::default();
    let bodies = write_call(Surface::BedrockImages, &call, "amazon.titan-image-generator-v2:0", &mut losses);
    let sent: Value = serde_json::from_slice(&bodies.unwrap()[0]).unwrap();
    assert_eq!(sent["imageVariationParams"], json!({"images": ["YWJj"]}));
    assert_eq!(
        (&sent["imageGenerationConfig"]["numberOfImages"], losses.header(99).as_str()),
        (&json!(2), "")
    );
    let bodies = write_call(Surface::GeminiImages, &call, "gemini-2.5-flash-image", &mut losses).unwrap();
    assert!(String::from_utf8_lossy(&bodies[0]).contains("Make a variation"));
    assert!(losses.header(999).contains("image emulated"));
}

#[test]
fn what_cannot_be_changed_is_refused_by_name() {
    const EDITS: Surface = Surface::OpenaiImageEdits;
    let edit = |more: &str, pictures| {
        let mut body = form(&[("model", "m"), ("prompt", "p")], "image", pictures);
        body.truncate(body.len() - "--XyZ--\r\n".len());
        [body, more.as_bytes().to_vec(), b"--XyZ--\r\n".to_vec()].concat()
    };
    let mask = "--XyZ\r\nContent-Disposition: form-data; name=mask; filename=m\r\nContent-Type: image/png\r\n\r\nx\r\n";
    for (to, model, body, param) in [
        (Surface::GeminiImages, "gemini-2.5-flash-image", edit(mask, 1), "mask"),
        (Surface::ImagenPredict, "imagen-4.0-generate-001", edit("", 1), "model"),
        (Surface::BedrockImages, "stability.stable-image-core-v1:1", edit("", 1), "model"),
        (Surface::BedrockImages, "stability.sd3-5-large-v1:0", edit("", 2), "image"),
        (Surface::BedrockImages, "amazon.nova-canvas-v1:0", edit("", 6), "image"),
        (Surface::FireworksImages, "accounts/fireworks/models/flux-1-dev-fp8", edit("", 1), "model"),
        (Surface::HuggingFaceImages, "m", edit("", 2), "image"),
        (Surface::XaiImageEdits, "m", edit("", 4), "image"),
    ] {
        let call = read_call(EDITS, KIND, &body).unwrap();
        let fault = write_call(to, &call, model, &mut Losses::default()).unwrap_err();
        assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::Unsupported, Some(param)), "{model}");
    }
    for (surface, body, param) in [
        (EDITS, form(&[("prompt", "p")], "image", 0), "image"),
        (EDITS, form(&[], "image", 1), "prompt"),
        (EDITS, form(&[("prompt", "p"), ("n", "11")], "image", 1), "n"),
        (Surface::OpenaiImageVariations, form(&[], "mask", 1), "image"),
    ] {
        let fault = read_call(surface, KIND, &body).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some(param), "{surface:?}");
    }
    for (from, to) in
        [(EDITS, Surface::FireworksImages), (Surface::OpenaiImageVariations, Surface::TogetherImages)]
    {
        assert!(!serves(from, to), "{from:?} {to:?}");
    }
}

#[test]
fn a_picture_may_come_as_its_file() {
    let picture = read_reply(Surface::HuggingFaceImages, b"\x89PNG\r\n").unwrap().pictures.remove(0);
    assert_eq!((picture.mime.as_deref(), as_bytes(&picture)), (Some("image/png"), Some("iVBORw0K")));
    assert!(read_reply(Surface::FireworksImages, b"{\"error\":\"x\"}").is_err());
}

proptest! {
    #[test]
    fn garbage_never_panics(body in any::<Vec<u8>>(), width in 1..u32::MAX, height in 1..u32::MAX) {
        for surface in Surface::ALL {
            let _ = read_call(surface, KIND, &body);
            let _ = read_reply(surface, &body);
        }
        let asked = json!({"model": "m", "prompt": "p", "size": format!("{width}x{height}"), "n": 10});
        for (to, model) in TARGETS {
            prop_assert!(!written(to, model, &asked).0.is_empty());
        }
    }
}
