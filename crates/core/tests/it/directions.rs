//! Which crate may depend on which (`ARCHITECTURE.md`). The compiler only refuses cycles; these edges are
//! what keeps a codec from learning of sockets and a policy from learning of JSON.

use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand};

const PREFIX: &str = "trunkline-";
/// Ours, though it is called by its bare name.
const TESTKIT: &str = "testkit";

/// Crates that take bytes and values and give values: no runtime, no sockets, no clock.
const PURE: [&str; 4] = ["core", "dialect", "text", "route"];

/// What would bring a runtime or a socket along.
const IMPURE: [&str; 9] =
    ["async-std", "axum", "hyper", "hyper-util", "mio", "rustls", "socket2", "tokio", "tokio-rustls"];

/// Whether crate `from` may use crate `to` in what it ships.
fn may_use(from: &str, to: &str) -> bool {
    match from {
        "gateway" | "bench" => true,
        "upstream" => matches!(to, "dialect" | "text" | "core"),
        "credentials" | "mcp" => matches!(to, "upstream" | "dialect" | "core"),
        "core" => false,
        // Its fleets in simulated time are there to drive the real policies.
        "testkit" => matches!(to, "route" | "core"),
        _ => to == "core",
    }
}

fn workspace() -> Metadata {
    MetadataCommand::new().no_deps().other_options(vec!["--offline".into()]).exec().unwrap()
}

/// What a crate of ours is called among ourselves.
fn ours(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX).or((name == TESTKIT).then_some(name))
}

/// Every dependency declared by one of our crates, with that crate's name.
fn declared(metadata: &Metadata) -> impl Iterator<Item = (&str, &Dependency)> {
    metadata.workspace_packages().into_iter().flat_map(|package| {
        let from = ours(package.name.as_str()).unwrap();
        package.dependencies.iter().map(move |dependency| (from, dependency))
    })
}

#[test]
fn crates_depend_in_one_direction() {
    let metadata = workspace();
    let own = declared(&metadata)
        .filter_map(|(from, dependency)| Some((from, ours(&dependency.name)?, dependency.kind)));
    let mut edges = 0;
    for (from, to, kind) in own {
        let allowed = may_use(from, to) || (kind == DependencyKind::Development && to == TESTKIT);
        assert!(allowed, "{from} must not depend on {to}; move what it needs into core, or the caller up");
        edges += 1;
    }
    assert!(edges > 0, "no crate of the workspace was found");
}

#[test]
fn pure_crates_have_no_runtime() {
    let metadata = workspace();
    for (from, dependency) in declared(&metadata).filter(|(from, _)| PURE.contains(from)) {
        let impure =
            dependency.kind != DependencyKind::Development && IMPURE.contains(&dependency.name.as_str());
        assert!(!impure, "{from} must not depend on {}: it does no I/O", dependency.name);
    }
}
