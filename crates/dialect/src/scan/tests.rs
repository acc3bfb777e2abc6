use super::*;
use proptest::prelude::*;

fn scan(chunks: &[&[u8]]) -> Result<Scanned, ScanError> {
    let mut scan = Scan::new(64);
    chunks.iter().try_for_each(|chunk| scan.push(chunk))?;
    scan.finish()
}

#[test]
fn finds_what_routing_needs() {
    let body = br#" {"a":[1,{"model":"no"}],"model":"m-1","stream":true,"messages":[{"role":"user"}],"stream_options":{}}"#;
    let found = scan(&[body]).unwrap();
    let (model, at) = found.model.clone().unwrap();
    assert_eq!((model.as_str(), &body[at]), ("m-1", &br#""m-1""#[..]));
    assert!(found.stream == Some(true) && !found.prompt_is_empty && found.has_members);
    let (key, at) = found.prompt.clone().unwrap();
    assert_eq!((key, &body[at]), ("messages", &br#"[{"role":"user"}]"#[..]));
    assert_eq!(&body[found.stream_options.unwrap()], b"{}");
    assert_eq!(found.inside, 2);
}

#[test]
fn what_a_model_reads_is_found_wherever_it_stands() {
    for (body, want) in [
        (r#"{"messages":[1],"tools":[2],"system":"s"}"#, r#"[2]"s"[1]"#),
        (r#"{"systemInstruction":{"parts":[]},"contents":[1],"a":{"tools":[9]}}"#, r#"{"parts":[]}[1]"#),
        (r#"{"instructions":"i","input":"x","functions":[]}"#, r#"[]"i""x""#),
        (r#"{"toolConfig":{"tools":[]},"messages":[]}"#, r#"{"tools":[]}[]"#),
        (r#"{"tools":[1],"tools":[2]}"#, "[2]"),
        (r#"{"model":"tools"}"#, ""),
    ] {
        for cut in 0..body.len() {
            let (left, right) = body.split_at(cut);
            let found = scan(&[left.as_bytes(), right.as_bytes()]).unwrap();
            let read: String = found.read_by_model().map(|range| &body[range]).collect();
            assert_eq!(read, want, "{body}");
        }
    }
}

#[test]
fn odd_but_valid() {
    for (body, model, empty) in [
        (r#"{"mod\u0065l":"x"}"#, Some("x"), false),
        (r#"{"model":"a\"b\u00e9"}"#, Some("a\"bé"), false),
        (r#"{"model":null,"messages":[]}"#, None, true),
        (r#"{"input":"","model":"m"}"#, Some("m"), true),
        (r#"{"input":"x","model":"m"}"#, Some("m"), false),
        (r#"{"input":[""],"model":"m"}"#, Some("m"), false),
        (r#"{"messages":[[]]}"#, None, false),
        (r#"{"prompt":[1]}"#, None, false),
        ("{}", None, false),
        ("{ \"x\" : -0.5e+7 , \"y\":[ ] }\n", None, false),
    ] {
        let found = scan(&[body.as_bytes()]).unwrap_or_else(|e| panic!("{body}: {e}"));
        assert_eq!(found.model.as_ref().map(|(m, _)| m.as_str()), model, "{body}");
        assert_eq!(found.prompt_is_empty, empty, "{body}");
    }
}

#[test]
fn how_many_answers_are_asked_for() {
    for (body, choices) in [
        (r#"{"n":3}"#, Some(3)),
        (r#"{"n": 12 ,"a":{"n":7}}"#, Some(12)),
        (r#"{"n":null}"#, None),
        (r#"{"n":2.5}"#, None),
        // Some upstreams take it for a number.
        (r#"{"n":"2"}"#, Some(2)),
        (r#"{"n":[2]}"#, None),
        (r#"{"n":99999999999999999999}"#, None),
        ("{}", None),
    ] {
        assert_eq!(scan(&[body.as_bytes()]).unwrap().choices, choices, "{body}");
    }
}

#[test]
fn refusals() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    for (body, message) in [
        (&b"{\"a\":"[..], "body is cut off after 5 bytes; send the whole JSON object"),
        (b"", "body is empty; send a JSON object"),
        (b" \n\t", "body is empty; send a JSON object"),
        (b"{\"model\": oops}", "body is not valid JSON: expected a value at byte 10"),
        (b"{\"model\": this}", "body is not valid JSON: expected true, false or null at byte 11"),
        (b"{\"model\": true}", "`model` must be a string"),
        (b"{\"messages\":nope}", "body is not valid JSON: expected true, false or null at byte 13"),
        (b"{\"stream\":'yes'}", "body is not valid JSON: expected a value at byte 10"),
        (b"[]", "body must be a JSON object"),
        (b"{\"a\" 1}", "body is not valid JSON: expected a colon at byte 5"),
        (
            b"{\"a\":01}",
            "body is not valid JSON: expected a comma or the end of the object or array at byte 6",
        ),
        (b"{\"a\":1,}", "body is not valid JSON: expected a key in quotes at byte 7"),
        (
            b"{\"a\":[1}",
            "body is not valid JSON: expected a comma or the end of the object or array at byte 7",
        ),
        (b"{\"a\":nul}", "body is not valid JSON: expected true, false or null at byte 8"),
        (b"{\"a\":\"\n\"}", "body is not valid JSON: control character in a string at byte 6"),
        (b"{\"a\":\"\\x\"}", "body is not valid JSON: unknown escape in a string at byte 7"),
        (b"{} x", "body is not valid JSON: something after the end of the object at byte 3"),
        (b"{\"a\":\"\xff\"}", "body is not valid UTF-8 at byte 6"),
        (b"{\"a\":\"\xe2\x82\"}", "body is not valid UTF-8 at byte 6"),
        (b"{\"model\":1}", "`model` must be a string"),
        (b"{\"stream\":\"yes\"}", "`stream` must be true or false"),
        (b"{\"messages\":{}}", "`messages` must be an array"),
        (b"{\"model\":\"a\",\"model\":\"b\"}", "`model` is given twice; send it once"),
        (b"{\"model\":null,\"model\":\"b\"}", "`model` is given twice; send it once"),
        (b"{\"stream\":false,\"stream\":true}", "`stream` is given twice; send it once"),
        (deep.as_bytes(), "body is nested deeper than 64 levels"),
    ] {
        let error = scan(&[body]).unwrap_err();
        assert_eq!(error.to_string(), message, "{}", String::from_utf8_lossy(body));
    }
}

/// JSON-ish text: valid often enough to be interesting, broken often enough too.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?[0-9]{1,3}(\\.[0-9]{1,2})?(e[+-]?[0-9])?",
        "\"[ -!#-\\[\\]-~é\u{2028}\u{1f600}]{0,80}\"",
        Just("\"\\u00e9\\n\\\"\"".to_owned()),
    ];
    let value = leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop_oneof![Just("model"), Just("stream"), Just("messages"), Just("a"), Just("b\\n")];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(","))),
            proptest::collection::vec((key, inner), 0..5).prop_map(|m| {
                let members: Vec<_> = m.into_iter().map(|(k, v)| format!("\"{k}\" :{v}")).collect();
                format!("{{{}}}", members.join(", "))
            }),
        ]
    });
    (value, any::<Option<(prop::sample::Index, u8)>>()).prop_map(|(text, dirt)| {
        let mut bytes = text.into_bytes();
        if let Some((at, byte)) = dirt {
            let at = at.index(bytes.len() + 1);
            bytes.insert(at, byte);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn chunking_never_matters(
        body in bodies(),
        at in proptest::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let mut cuts: Vec<_> = at.iter().map(|i| i.index(body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let chunks: Vec<_> = cuts.windows(2).map(|w| &body[w[0]..w[1]]).collect();
        let (whole, cut) = (scan(&[&body]), scan(&chunks));
        match (&whole, &cut) {
            // Which of two faults is met first may depend on where UTF-8 is checked.
            (Err(_), Err(_)) => {}
            _ => prop_assert_eq!(whole, cut),
        }
    }

    #[test]
    fn accepts_what_serde_accepts(body in bodies()) {
        let tree: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(&body);
        match scan(&[&body]) {
            Ok(_) => prop_assert!(tree.is_ok(), "{:?}", tree),
            Err(ScanError::Duplicate { .. } | ScanError::WrongType { .. }) => {}
            Err(_) => prop_assert!(tree.is_err()),
        }
    }
}
