//! `trunkline demo`.

use crate::trunkline;
use std::net::TcpListener;

#[test]
fn every_scene_is_played() {
    let run = trunkline(&["demo", "--once", "--port", "0"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    for shown in [
        "1  A chat ",
        "2  A streamed chat ",
        "3  Anthropic Messages, answered by an OpenAI-dialect engine ",
        "4  OpenAI Chat, answered by Anthropic ",
        "5  Three tools at once, every client to every upstream ",
        "6  The other endpoints ",
        "7  The engine's prefix cache: one long prompt, twice ",
        "8  Eight chats at once, two engines for one model ",
        "9  What the gateway saw ",
        "The tools answered: 17 degrees and clear; five past nine; high at noon.",
        "one stream is held open on purpose",
        "alpha 4, beta 4;",
        "INFO access request_id=demo-stream",
    ] {
        assert!(run.out.contains(shown), "{shown:?} is missing in\n{}", run.out);
    }
    assert!(!run.out.contains("failed:"), "{}", run.out);
    let widest = run.out.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "a line of {widest:?} columns in\n{}", run.out);
    assert!(run.out.lines().all(|line| line == line.trim_end()), "{}", run.out);
}

#[test]
fn a_taken_port_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let run = trunkline(&["demo", "--once", "--port", &port]);
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{run:?}");
    assert!(run.err.contains(&format!("port {port} is taken")) && run.err.contains("--port"), "{}", run.err);
}
