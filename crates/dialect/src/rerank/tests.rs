use super::*;
use crate::json::Writer;
use proptest::prelude::*;
use serde_json::{Value, json};

const ALL: [Surface; 3] = [Surface::CohereRerank, Surface::JinaRerank, Surface::TeiRerank];

/// A request in each form, for the same two documents.
fn asked(surface: Surface) -> Value {
    if surface == Surface::TeiRerank {
        return json!({"model": "m", "query": "q", "texts": ["a", "b"], "return_text": true});
    }
    json!({"model": "m", "query": "q", "documents": ["a", "b"], "top_n": 2, "return_documents": true})
}

/// An answer of each, that the second is better.
fn answered(surface: Surface) -> Value {
    if surface == Surface::TeiRerank {
        return json!([{"index": 1, "score": 0.9}, {"index": 0, "score": 1e-7}]);
    }
    json!({"id": "r", "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 1e-7}]})
}

#[test]
fn every_form_reaches_every_other() {
    for from in ALL {
        for to in ALL {
            let call = read_call(from, asked(from).to_string().as_bytes()).unwrap();
            let bodies = write_call(to, &call, "upstream-m", &mut Losses::default()).unwrap();
            assert_eq!(bodies.len(), 1);
            let sent: Value = serde_json::from_slice(&bodies[0]).unwrap();
            let list = if to == Surface::TeiRerank { "texts" } else { "documents" };
            assert_eq!((&sent["query"], &sent[list]), (&json!("q"), &json!(["a", "b"])), "{to:?}");
            let reply = read_reply(to, answered(to).to_string().as_bytes()).unwrap();
            let reply = merge(to, &call, vec![reply]).unwrap();
            let out: Value = serde_json::from_slice(&write_reply(&call, &reply, "id").unwrap()).unwrap();
            let is_bare = from == Surface::TeiRerank;
            let (list, score) = if is_bare { (&out, "score") } else { (&out["results"], "relevance_score") };
            assert_eq!(
                (&list[0]["index"], &list[0][score]),
                (&json!(1), &json!(0.9)),
                "{from:?} {to:?}: {out}"
            );
            let text =
                if from == Surface::TeiRerank { &list[0]["text"] } else { &list[0]["document"]["text"] };
            assert_eq!(text, "b", "{from:?} {to:?}: {out}");
        }
    }
}

#[test]
fn scores_keep_their_spelling_and_sglangs_list_is_read() {
    let call = read_call(Surface::CohereRerank, asked(Surface::CohereRerank).to_string().as_bytes()).unwrap();
    let list = br#"[{"score":0.10000000000000001,"document":"a","index":0,"meta_info":{}},{"score":0.7,"document":"b","index":1}]"#;
    let reply =
        merge(Surface::JinaRerank, &call, vec![read_reply(Surface::JinaRerank, list).unwrap()]).unwrap();
    let out = String::from_utf8(write_reply(&call, &reply, "id").unwrap()).unwrap();
    assert!(out.contains(r#"{"index":1,"relevance_score":0.7"#), "{out}");
    assert!(out.contains("0.10000000000000001"), "{out}");
}

#[test]
fn many_texts_are_ranked_in_parts_and_the_best_picked() {
    let documents: Vec<String> = (0..70).map(|n| n.to_string()).collect();
    let body = json!({"model": "m", "query": "q", "documents": documents, "top_n": 3}).to_string();
    let call = read_call(Surface::JinaRerank, body.as_bytes()).unwrap();
    let mut losses = Losses::default();
    let bodies = write_call(Surface::TeiRerank, &call, "m", &mut losses).unwrap();
    assert_eq!(bodies.len(), 3);
    assert!(losses.header(200).starts_with("top_n emulated"), "{}", losses.header(200));
    let best = |index: u64, score: &str| RerankReply {
        ranks: vec![Rank { index, score: Number::parse(score).unwrap() }],
        ..RerankReply::default()
    };
    let whole = vec![best(0, "0.1"), best(1, "0.9"), best(5, "0.5")];
    let whole = merge(Surface::TeiRerank, &call, whole).unwrap();
    assert_eq!(whole.ranks.iter().map(|rank| rank.index).collect::<Vec<_>>(), [33, 69, 0]);
    let beyond = merge(Surface::TeiRerank, &call, vec![best(70, "1")]).unwrap_err();
    assert_eq!(beyond.code.as_deref(), Some("upstream_unreadable"));
}

#[test]
fn what_is_no_request_is_refused_by_name() {
    for (surface, body, param) in [
        (Surface::CohereRerank, json!({"documents": ["a"]}), "query"),
        (Surface::CohereRerank, json!({"query": " ", "documents": ["a"]}), "query"),
        (Surface::JinaRerank, json!({"query": "q"}), "documents"),
        (Surface::JinaRerank, json!({"query": "q", "documents": []}), "documents"),
        (Surface::JinaRerank, json!({"query": "q", "documents": ["a", 7]}), "documents[1]"),
        (Surface::JinaRerank, json!({"query": "q", "documents": [{"title": "x"}]}), "documents[0].text"),
        (Surface::CohereRerank, json!({"query": "q", "documents": ["a"], "top_n": 0}), "top_n"),
        (Surface::JinaRerank, json!({"query": "q", "documents": ["a"], "top_n": 0}), "top_n"),
        (Surface::JinaRerank, json!({"query": "q", "documents": ["a"], "top_k": 0}), "top_k"),
        (Surface::TeiRerank, json!({"query": "q", "documents": ["a"]}), "texts"),
    ] {
        let fault = read_call(surface, body.to_string().as_bytes()).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some(param), "{body}");
    }
}

#[test]
fn what_a_target_cannot_take_is_recorded() {
    let body = json!({"query": "q", "texts": ["a"], "raw_scores": true, "truncate": true}).to_string();
    let call = read_call(Surface::TeiRerank, body.as_bytes()).unwrap();
    let mut losses = Losses::default();
    write_call(Surface::CohereRerank, &call, "m", &mut losses).unwrap();
    let said = losses.header(400);
    assert!(said.contains("raw_scores dropped") && said.contains("truncate dropped"), "{said}");
}

#[test]
fn clouds_are_asked_in_their_own_words() {
    let body = json!({"query": "q", "documents": ["a", "b"], "top_n": 1}).to_string();
    let call = read_call(Surface::CohereRerank, body.as_bytes()).unwrap();
    for (to, model, want) in [
        (
            Surface::BedrockRerank,
            "cohere.rerank-v3-5:0",
            json!({"query": "q", "documents": ["a", "b"], "top_n": 1, "api_version": 2}),
        ),
        (
            Surface::BedrockRerank,
            "amazon.rerank-v1:0",
            json!({"query": "q", "documents": ["a", "b"], "top_n": 1}),
        ),
        (
            Surface::VertexRerank,
            "semantic-ranker-default@latest",
            json!({"model": "semantic-ranker-default@latest", "topN": 1, "query": "q", "records":
                [{"id": "0", "content": "a"}, {"id": "1", "content": "b"}], "ignoreRecordDetailsInResponse": true}),
        ),
    ] {
        let mut losses = Losses::default();
        let bodies = write_call(to, &call, model, &mut losses).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&bodies[0]).unwrap(), want, "{model}");
        assert_eq!((bodies.len(), losses.header(99).as_str()), (1, ""), "{model}");
        let fault = write_call(to, &call, "gemini-2.5-flash", &mut losses).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some("model"));
    }
}

#[test]
fn records_keep_their_places_over_several_requests() {
    let documents: Vec<String> = (0..201).map(|n| n.to_string()).collect();
    let body = json!({"query": "q", "documents": documents}).to_string();
    let call = read_call(Surface::JinaRerank, body.as_bytes()).unwrap();
    let bodies =
        write_call(Surface::VertexRerank, &call, "semantic-ranker-fast-004", &mut Losses::default()).unwrap();
    assert_eq!(bodies.len(), 2);
    let answers =
        [json!({"records": [{"id": "7", "score": 0.5}]}), json!({"records": [{"id": "200", "score": 0.98}]})];
    let replies =
        answers.iter().map(|one| read_reply(Surface::VertexRerank, one.to_string().as_bytes()).unwrap());
    let whole = merge(Surface::VertexRerank, &call, replies.collect()).unwrap();
    assert_eq!(whole.ranks.iter().map(|rank| rank.index).collect::<Vec<_>>(), [200, 7]);
}

proptest! {
    #[test]
    fn garbage_never_panics(body in any::<Vec<u8>>(), text in any::<String>()) {
        let mut quoted = Vec::new();
        Writer::new(&mut quoted).object(|w| w.key("results").array(|w| w.string(&text)));
        for surface in ALL {
            for body in [&body, &quoted] {
                let _ = read_call(surface, body);
                prop_assert!(read_reply(surface, body).is_err() || body.is_empty() || body.starts_with(b"["));
            }
        }
    }
}
