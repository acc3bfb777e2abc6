//! `trunkline demo`: a gateway with simulated engines and clouds in one process, scenes that show what it
//! does, and then a gateway to try. Needs no keys and no network.

mod books;
mod client;
mod journal;
mod json;
mod scenes;
mod screen;
mod tool_loop;
mod world;

use crate::cli::DemoFlags;
use crate::log::{self, LogSink};
use crate::server;
use crate::table::aligned;
use journal::Journal;
use scenes::Scene;
use screen::{Colours, Screen};
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use world::{CLAUDE, GEMINI, NOVA, SHARED, World};

/// The port unless another one is wanted.
const PORT: u16 = 30000;

/// Plays the demo to `out`.
///
/// # Errors
/// When it cannot start, or a scene with `--once` did not go as it should.
pub fn run(flags: &DemoFlags, out: impl Write + IsTerminal) -> anyhow::Result<()> {
    let config = world::configuration(flags.port.unwrap_or(PORT));
    let journal = Journal::default();
    let sink = LogSink::start_into(server::threads(&config), Box::new(journal.clone()));
    // Registrations and the like would only be in the way; access lines come in any case.
    log::install(&config.log, Some("warn"), &sink);
    let colours = if out.is_terminal() { Colours::On } else { Colours::Off };
    let mut screen = Screen::new(out, colours);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let world = World::begin(config, journal.clone(), Arc::clone(&sink)).await?;
        let played = play(&world, &mut screen, flags).await;
        world.end().await;
        played
    });
    sink.close();
    result
}

async fn play(world: &World, screen: &mut Screen<impl Write>, flags: &DemoFlags) -> anyhow::Result<()> {
    introduce(world, screen)?;
    let mut failed = Vec::new();
    for (scene, number) in Scene::ALL.into_iter().zip(1..) {
        let (title, calls) = scene.title();
        screen.heading(&format!("{number}  {title}"), calls)?;
        screen.note(scene.about())?;
        if let Err(error) = scene.play(world, screen).await {
            screen.failure(&format!("{error:#}"))?;
            failed.push(format!("{number} ({title}): {error:#}"));
        }
        screen.flush()?;
    }
    if flags.once {
        let (count, all) = (failed.len(), Scene::ALL.len());
        anyhow::ensure!(count == 0, "{count} of {all} scenes failed:\n{}", failed.join("\n"));
        return Ok(());
    }
    invite(world.client.0, screen)?;
    screen.flush()?;
    world.journal.show();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn introduce(world: &World, screen: &mut Screen<impl Write>) -> anyhow::Result<()> {
    screen.heading(
        "Trunkline: one line to every model",
        &format!("trunkline {}, demo", env!("CARGO_PKG_VERSION")),
    )?;
    let mut rows = vec![["gateway", &format!("http://{}", world.client.0), "", "", ""].map(str::to_owned)];
    rows.extend(world.members.iter().map(|member| {
        let models = member.models.join(", ");
        [member.name.to_owned(), member.url.clone(), member.kind.to_owned(), member.pace.clone(), models]
    }));
    screen.block(&aligned(3, &rows))?;
    screen.note(&format!(
        "All simulated, all in this process. Registered with POST /workers, ready after {} ms.",
        world.readied.as_millis()
    ))?;
    Ok(())
}

/// Lines to try. Every one is a whole command.
fn invite(address: SocketAddr, screen: &mut Screen<impl Write>) -> anyhow::Result<()> {
    screen.heading("Now you: any endpoint, any model; explain, workers, metrics", "Ctrl-C ends the demo")?;
    let json = "-H content-type:application/json";
    let says = r#""messages":[{"role":"user","content":"Hello!"}]"#;
    let tells = r#""contents":[{"role":"user","parts":[{"text":"Hello!"}]}]"#;
    let blocks = r#""messages":[{"role":"user","content":[{"text":"Hello!"}]}]"#;
    screen.block(&format!(
        "curl http://{address}/v1/chat/completions {json} -d '{{\"model\":\"{SHARED}\",{says}}}'\n\
         curl -N http://{address}/v1/chat/completions {json} -d '{{\"model\":\"{GEMINI}\",\"stream\":true,{says}}}'\n\
         curl http://{address}/v1/messages {json} -d '{{\"model\":\"{NOVA}\",\"max_tokens\":99,{says}}}'\n\
         curl http://{address}/v1beta/models/{SHARED}:generateContent {json} -d '{{{tells}}}'\n\
         curl -N 'http://{address}/v1beta/models/{CLAUDE}:streamGenerateContent?alt=sse' {json} -d '{{{tells}}}'\n\
         curl http://{address}/model/{GEMINI}/converse {json} -d '{{{blocks}}}'\n\
         curl -N http://{address}/api/chat {json} -d '{{\"model\":\"{CLAUDE}\",{says}}}'\n\
         curl http://{address}/admin/v1/explain {json} -d '{{\"model\":\"{SHARED}\",{says}}}'\n\
         curl http://{address}/workers\n\
         curl http://{address}/metrics\n"
    ))?;
    screen.note("Access lines follow on standard error.")?;
    Ok(())
}
