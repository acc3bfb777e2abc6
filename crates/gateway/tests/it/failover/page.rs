//! `docs/failover.md`: the table, for people.

use std::fmt::Write as _;
use std::path::Path;
use trunkline_core::{Dialect, Fault, Origin};
use trunkline_gateway::config::Class;
use trunkline_gateway::fault::status;
use trunkline_gateway::walk::verdict::{Again, Counts, Mishap, Told};

const INTRODUCTION: &str = "\
# Failover

<!-- Written by a test: UPDATE_DOCS=1 cargo test -p trunkline-gateway --test it failover_page -->

A call that fails is tried again as this table says, at most `retry.attempts` times in all: first on backends that have
not failed it yet, in the order of the pool's strategy or of the workers' priorities, then on those that may be asked
once more. A model's workers answer for each other; the backends of a pool do where it has `fallback: true`, also with
another model (\"stand-in\"), of which `x-trunkline-model-substituted` tells the client.

A request that an upstream certainly did not look at is sent again without being counted: one that HTTP/2 says was
refused, and one that met an idle connection which the upstream was closing just then. That is believed of a kept
connection without any other exchange when it is closed within 300 ms of the request's beginning, without a byte of an
answer; an upstream that dies of requests so quickly is asked twice. What is lost later, or on a connection that was
opened for it, is a failure as in the table: with `attempts: 1` it is not sent again.

The table holds for whole answers and streams alike: until the first content has been sent, a stream is asked for
elsewhere without the client's noticing; after it, the client gets an error in its own dialect, inside the stream. Only
where an upstream has begun to answer and says nothing for as long as `timeouts.heartbeat`, the client is given a sign of
life or what there is so far, and from then on the stream stays where it is.

- **Same**: the same backend may be asked once more, after a pause that grows; not before the time that it asks for in
  `Retry-After`, and not at all when that is longer than `retry.max_backoff`.
- **Other**: another backend that serves the same model is asked. **Stand-in**: so is one that answers with another.
- **Fallbacks**: the list in `fallbacks` that the request goes on to, for its model or pool. One of `context_window` and
  `content_policy` is gone to at once, and in its absence `default`; that one when nobody else is left, or nobody is ready.
  A prompt that is known to be too long for all of them begins with `context_window`.
- **Counts**: what is held against the backend (`trunkline_worker_faults_total`), below.
- **Client**: what it gets when nobody is left; \"as said\" is the upstream's own answer where the dialects are the same.
- An answer with `x-should-retry: true` may be asked for everywhere, one with `x-should-retry: false` only from stand-ins.

Three things stand against a backend, and `GET /workers`, `explain` and metrics tell which:

- *breaker*: the failure counts for its breaker. After `breaker.failure_threshold` failures in a row, or when
  `breaker.error_share` of at least `breaker.minimum_calls` calls within `breaker.window` have failed, it gets no calls for
  `breaker.open`. Then up to `breaker.trials` calls at once try it: `breaker.success_threshold` answers in a row bring it
  back, one failure keeps calls away for twice as long, up to `breaker.max_open`. A stream counts when it is over: as
  answered when it ended properly, as failed when it was cut. A client that hangs up, whose request was wrong, or
  that waits less (`x-trunkline-timeout`) than the operator would, says nothing. While the breakers of all that could answer are open, clients get 503 with `Retry-After`.
- *cool-down*: others go before it for as long as `Retry-After` says, up to `cooldown.max`, or for `cooldown.busy`, doubled
  each time in a row. When nobody else is left, it is asked all the same.
- *account*: the same for `cooldown.credentials`, since a key that is refused does not mend itself. Another key in the
  configuration ends it at once.
- *unreached*: `health.unreached_threshold` in a row take it out until it is found again; where that is 0, they count for
  the breaker.

An answer ends a cool-down. A backend's own settings under `breaker` go before those for all.

| failure | same | other | stand-in | fallbacks | counts | client |
| --- | --- | --- | --- | --- | --- | --- |
";

fn page() -> String {
    let mut text = INTRODUCTION.to_owned();
    for mishap in Mishap::ALL {
        let row = mishap.row();
        let may = |least: Again| if row.again >= least { "yes" } else { "no" };
        let counts = match row.counts {
            Counts::No => "no",
            Counts::Fault => "breaker",
            Counts::Unreached => "unreached",
            Counts::Busy => "cool-down",
            Counts::Account => "account",
        };
        let (same, other, stand_in) = (may(Again::Everyone), may(Again::Others), may(Again::StandIns));
        let told = told(row.told);
        let class = mishap.class().map_or("no", Class::name);
        let what = row.what;
        writeln!(text, "| {what} | {same} | {other} | {stand_in} | {class} | {counts} | {told} |").unwrap();
    }
    text
}

fn told(told: Told) -> String {
    let shown = |fault: &Fault| {
        let [openai, anthropic] =
            [Dialect::OpenaiChat, Dialect::AnthropicMessages].map(|dialect| status(fault, dialect).as_u16());
        if openai == anthropic {
            openai.to_string()
        } else {
            format!("{openai} ({anthropic} for Anthropic's clients)")
        }
    };
    match told {
        Told::Ours(kind, code) => format!("{} `{code}`", shown(&Fault::new(kind, ""))),
        Told::Said(said, kind) => {
            let fault = Fault { origin: Origin::Upstream(said), ..Fault::new(kind, "") };
            let translated = shown(&fault);
            if translated == said.to_string() {
                format!("{said} as said")
            } else {
                format!("{said} as said, or {translated}")
            }
        }
        Told::Event(Some(code)) => format!("error event `{code}`"),
        Told::Event(None) => "error event as said".to_owned(),
    }
}

#[test]
fn failover_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/failover.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == page,
        "docs/failover.md is stale; run UPDATE_DOCS=1 cargo test -p trunkline-gateway --test it failover_page"
    );
}

#[test]
fn the_table_has_every_row_once() {
    let source = include_str!("../../../src/walk/verdict.rs");
    assert_eq!(source.matches("=> row(\"").count(), Mishap::ALL.len());
    let mut names = Mishap::ALL.map(|mishap| mishap.row().name);
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
}
