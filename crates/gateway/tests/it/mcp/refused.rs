//! What is not done, and how that is told.

use super::rounds::{Turn, model};
use super::{OPERATORS, items, knowing, last, ok, server, text};
use crate::rig::{RESPONSES, Rig, cloud, engine, settings};
use serde_json::json;
use trunkline_testkit::mcp::{McpConfig, McpServer, McpTool, Says};
use trunkline_testkit::script::{Reply, Upstream, refusing};

/// A server that a request names is called only where the operator allows it.
#[tokio::test]
async fn servers_that_may_not_be_named_are_refused_before_anything_is_sent() {
    let server = server(Some(OPERATORS), false).await;
    let upstream = model(vec![Turn::Says("hi")]).await;
    let mut config = knowing(&server, [engine(upstream.url(), "m")]);
    config.mcp.allowed_dynamic_hosts = vec!["*.localhost".into(), "allowed.example".into()];
    let rig = Rig::start(config).await;
    let url = server.url();
    for (tool, status, param, code) in [
        (
            json!({"server_label": "x", "server_url": url}),
            400,
            "tools[0].server_url",
            "mcp_server_not_allowed",
        ),
        (
            json!({"server_label": "x", "server_url": "file:///etc/passwd"}),
            400,
            "tools[0].server_url",
            "mcp_server_not_allowed",
        ),
        (
            json!({"server_label": "x", "server_url": "http://169.254.169.254/"}),
            400,
            "tools[0].server_url",
            "mcp_server_not_allowed",
        ),
        (
            json!({"server_label": "x", "server_url": "http://u:p@allowed.example/"}),
            400,
            "tools[0].server_url",
            "mcp_server_not_allowed",
        ),
        // Allowed by its name alone, which leads inside.
        (
            json!({"server_label": "x", "server_url": "http://a.localhost/mcp"}),
            424,
            "tools[0]",
            "external_connector_error",
        ),
        (json!({"server_label": "x"}), 400, "tools[0].server_label", "unknown_mcp_server"),
        (json!({"server_url": url}), 400, "tools[0].server_label", "missing_required_parameter"),
        (json!({"server_label": "maps", "authorization": "t"}), 400, "tools[0].authorization", ""),
        (json!({"server_label": "maps", "headers": {"x-a": "t"}}), 400, "tools[0].headers", ""),
        (
            json!({"server_label": "x", "server_url": "http://allowed.example", "headers": {"host": "t"}}),
            400,
            "tools[0].headers",
            "",
        ),
        (
            json!({"server_label": "x", "connector_id": "connector_gmail"}),
            400,
            "tools[0].connector_id",
            "unsupported_tool",
        ),
        (json!({"server_label": "maps", "require_approval": "maybe"}), 400, "tools[0].require_approval", ""),
    ] {
        let mut tool = tool;
        tool["type"] = json!("mcp");
        let body = json!({"model": "m", "input": "go", "tools": [tool]});
        let answer = rig.post(RESPONSES.path, &body.to_string()).await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, error["param"].as_str()), (status, Some(param)), "{tool}: {error}");
        if !code.is_empty() {
            assert_eq!(error["code"], code, "{tool}: {error}");
        }
    }
    assert!(upstream.requests().is_empty() && server.requests().is_empty());
    rig.at_rest().await;
}

/// A server that cannot be listed ends the request; a stream shows the list that failed first.
#[tokio::test]
async fn c57_servers_that_cannot_be_reached_are_told() {
    let upstream = model(vec![Turn::Says("hi")]).await;
    let broken = Upstream::replying([]).await.unwrap();
    let moved = Upstream::directed(|_, _| Reply::json(307, "").header("location", "http://127.0.0.1:1/"))
        .await
        .unwrap();
    let locked = server(Some("another"), false).await;
    let closed = refusing().await.unwrap();
    for url in [broken.url(), moved.url(), locked.url(), format!("http://{closed}")] {
        let mut config = settings([engine(upstream.url(), "m")]);
        config.mcp.servers = vec![trunkline_gateway::config::McpServer {
            name: "maps".into(),
            url: url.clone(),
            ..Default::default()
        }];
        let rig = Rig::start(config).await;
        let mut body =
            json!({"model": "m", "input": "go", "tools": [{"type": "mcp", "server_label": "maps"}]});
        let answer = rig.post(RESPONSES.path, &body.to_string()).await;
        let error = answer.json()["error"].clone();
        assert_eq!(
            (answer.status, &error["code"]),
            (424, &json!("external_connector_error")),
            "{url}: {error}"
        );
        assert!(!error["message"].as_str().unwrap().contains("127.0.0.1"), "{error}");

        body["stream"] = json!(true);
        let stream = ok(rig.post(RESPONSES.path, &body.to_string()).await).events();
        let names: Vec<_> = stream.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.mcp_list_tools.in_progress",
                "response.mcp_list_tools.failed",
                "response.output_item.done",
                "response.failed"
            ],
            "{url}"
        );
        let failed = last(&stream);
        assert_eq!(failed["error"]["code"], "external_connector_error", "{failed}");
        assert!(items(&failed, "mcp_list_tools")[0]["error"].is_string(), "{failed}");
        rig.at_rest().await;
    }
    assert!(upstream.requests().is_empty());
}

/// What a client presents to its server goes there and nowhere else, and serves nobody but who presents it.
#[tokio::test]
async fn what_is_presented_to_a_server_is_nobody_elses() {
    const TOKEN: &str = "canary-token-7f3a";
    const HEADER: &str = "canary-header-91bc";
    let tools = vec![McpTool::new("get_weather", Says::Text("Sunny".into()))];
    let server =
        McpServer::start(McpConfig { tools, token: Some(TOKEN.into()), streams: false }).await.unwrap();
    let upstream = model(vec![Turn::Calls(&[("get_weather", "{}")]), Turn::Says("Done.")]).await;
    let mut config = settings([engine(upstream.url(), "m")]);
    config.mcp.allowed_dynamic_hosts = vec!["127.0.0.1".into()];
    config.log.filter = Some("trace".into());
    let rig = Rig::start(config).await;
    let tool = |token: &str| {
        json!({"type": "mcp", "server_label": "x", "server_url": server.url(), "authorization": token,
            "headers": {"X-Canary": HEADER}, "require_approval": "never"})
    };
    let mut answers = Vec::new();
    for streams in [false, true] {
        let body = json!({"model": "m", "input": "go", "stream": streams, "tools": [tool(TOKEN)]});
        let answer = ok(rig.post(RESPONSES.path, &body.to_string()).await);
        let response = if streams { last(&answer.events()) } else { answer.json() };
        assert_eq!(text(&response), "Done.", "{response}");
        let shown = &response["tools"][0];
        assert_eq!((&shown["type"], &shown["server_label"]), (&json!("mcp"), &json!("x")));
        assert!(shown.get("authorization").is_none() && shown.get("headers").is_none(), "{shown}");
        answers.push(answer.text().to_owned());
    }
    assert_eq!(server.sessions(), 1, "who presents the same has the same session");
    // Somebody without the token is not let in by the session of somebody with it.
    let body = json!({"model": "m", "input": "go", "tools": [tool("guessed")]});
    let answer = rig.post(RESPONSES.path, &body.to_string()).await;
    assert_eq!(answer.status, 424, "{}", answer.text());
    assert!(server.requests().iter().all(|request| request.header("x-canary") == Some(HEADER)));
    rig.at_rest().await;
    let heard =
        upstream.requests().iter().map(|r| format!("{:?}{}", r.headers, r.json())).collect::<String>();
    let metrics = rig.get("/metrics").await.text().to_owned();
    let admin = rig.get("/admin/v1/config/effective").await.text().to_owned();
    for (what, said) in [
        ("answers", answers.concat()),
        ("the refusal", answer.text().to_owned()),
        ("upstream", heard),
        ("metrics", metrics),
        ("the configuration", admin),
        ("the log", rig.log()),
    ] {
        assert!(!said.contains(TOKEN) && !said.contains(HEADER) && !said.contains("guessed"), "{what}");
    }
}

/// OpenAI runs tools of servers at addresses by itself; what only the gateway knows, the gateway runs there, too.
#[tokio::test]
async fn what_the_vendor_runs_passes_untouched() {
    let server = server(Some(OPERATORS), false).await;
    let upstream = Upstream::replying([Reply::json(200, RESPONSES.reply)]).await.unwrap();
    let account = cloud(upstream.url(), "openai", "gpt-4o", Some("sk-test"));
    let rig = Rig::start(knowing(&server, [account])).await;
    let body = json!({"model": "gpt-4o", "input": "go",
        "tools": [{"type": "mcp", "server_label": "x", "server_url": "https://far.example/mcp", "authorization": "t"}]});
    ok(rig.post(RESPONSES.path, &body.to_string()).await);
    let heard = upstream.requests();
    assert_eq!(heard[0].json(), body);
    assert!(server.requests().is_empty());
    rig.at_rest().await;
}
