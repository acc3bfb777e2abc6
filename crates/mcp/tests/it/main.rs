//! The client against a server of the testkit: what is listed, called, bounded and kept apart.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::sync::Arc;
use std::time::Duration;
use trunkline_core::Secret;
use trunkline_mcp::{Limits, McpError, Output, Server, Sessions};
use trunkline_testkit::mcp::{McpConfig, McpServer, McpTool, Says};
use trunkline_upstream::reach::Reach;
use trunkline_upstream::{ConnectionCounts, Connector, ConnectorSettings, Pool, PoolSettings};

const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), output_bytes: 1000 };

fn sessions() -> Sessions {
    let settings = ConnectorSettings {
        timeout: Duration::from_secs(5),
        ca_certs: Vec::new(),
        http2_prior_knowledge: false,
    };
    let connector = Arc::new(Connector::new(settings));
    let kept = PoolSettings { idle: 4, idle_timeout: Duration::from_secs(30) };
    let pool = Pool::new(Arc::clone(&connector), kept, Arc::<ConnectionCounts>::default());
    Sessions::new(connector, pool)
}

async fn server(streams: bool) -> McpServer {
    let tools = vec![
        McpTool { read_only: true, ..McpTool::new("one", Says::Text("{}".into())) },
        McpTool::new("two", Says::Error("it broke".into())),
        McpTool::new("three", Says::Refusal(-32602, "not so".into())),
        McpTool::new("four", Says::Late(Duration::from_secs(60), "late".into())),
        McpTool::new("five", Says::Text("x".repeat(5000))),
    ];
    McpServer::start(McpConfig { tools, token: Some("t1".into()), streams }).await.unwrap()
}

fn at(server: &McpServer, token: &str, reach: Reach) -> Server {
    Server::new(&server.url(), Some(&Secret::new(token)), [], reach).unwrap()
}

#[tokio::test]
async fn tools_are_listed_over_pages_and_called() {
    for streams in [false, true] {
        let (sessions, simulated) = (sessions(), server(streams).await);
        let server = at(&simulated, "t1", Reach::Anywhere);
        for _ in 0..2 {
            let tools = sessions.tools(&server).await.unwrap();
            let names: Vec<_> = tools.iter().map(|tool| (tool.name.as_str(), tool.read_only)).collect();
            assert_eq!(
                names,
                [("one", true), ("two", false), ("three", false), ("four", false), ("five", false)]
            );
        }
        let listings = simulated.requests().iter().filter(|r| r.json()["method"] == "tools/list").count();
        assert_eq!(listings, 3, "pages of two, once");
        for (tool, arguments, want) in [
            ("one", r#"{"a":1}"#, Ok(Output { text: r#"{"a":1}"#.into(), is_error: false })),
            ("one", " ", Ok(Output { text: "{}".into(), is_error: false })),
            ("two", "{}", Ok(Output { text: "it broke".into(), is_error: true })),
            ("three", "{}", Err(McpError::Protocol { code: -32602, message: "not so".into() })),
            ("one", "[1]", Err(McpError::Arguments)),
            ("one", "{", Err(McpError::Arguments)),
        ] {
            assert_eq!(sessions.call(&server, tool, arguments, LIMITS).await, want, "{tool} {arguments}");
        }
        let long = sessions.call(&server, "five", "{}", LIMITS).await.unwrap().text;
        assert!(long.starts_with(&"x".repeat(1000)) && long.contains("5000 bytes") && long.len() < 1100);
        assert_eq!(simulated.sessions(), 1);
    }
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_called_off() {
    let (sessions, simulated) = (sessions(), server(false).await);
    let server = at(&simulated, "t1", Reach::Anywhere);
    sessions.tools(&server).await.unwrap();
    let limits = Limits { timeout: Duration::from_millis(500), ..LIMITS };
    let late = sessions.call(&server, "four", "{}", limits).await;
    assert_eq!(late, Err(McpError::Timeout(limits.timeout)));
    for _ in 0..1000 {
        if simulated.cancelled() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(simulated.cancelled(), 1);
}

#[tokio::test]
async fn nobody_gets_in_by_anothers_session() {
    let (sessions, simulated) = (sessions(), server(false).await);
    sessions.tools(&at(&simulated, "t1", Reach::Anywhere)).await.unwrap();
    let refused = sessions.tools(&at(&simulated, "t2", Reach::Anywhere)).await;
    assert_eq!(refused, Err(McpError::Status(401)));
    // What may only be public is not dialled here, whoever got through before.
    let inside = sessions.tools(&at(&simulated, "t1", Reach::Public)).await;
    assert_eq!(inside, Err(McpError::Unreachable("connect")));
    assert_eq!(simulated.sessions(), 1);
}
