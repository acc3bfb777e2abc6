//! The `trunkline` binary: reads the command line and the environment, and hands over.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use trunkline_gateway::cli::{self, Command, DoctorFlags, Flags};
use trunkline_gateway::config::{self, Sources};
use trunkline_gateway::{app, check, connect, demo, doctor, explain, import};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code of an import that left out what protects something; 2 is that of a wrong command line.
const UNGUARDED: u8 = 3;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(command) => match run(command) {
            Ok(code) => code,
            Err(error) => {
                eprintln!("trunkline: {error:#}");
                ExitCode::FAILURE
            }
        },
        Err(usage) => usage.report(),
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    match command {
        Command::Launch(flags) => {
            // The log's thread writes there, too.
            drop(out);
            let sources = sources(flags);
            app::run(config::load(&sources)?, sources)?;
        }
        Command::Check(flags) => {
            let sources = sources(flags);
            let config = config::load(&sources)?;
            out.write_all(check::describe(&config, sources.named_file().as_deref()).as_bytes())?;
        }
        Command::Explain(flags) => {
            let config = config::load(&sources(flags.flags.clone()))?;
            explain::run(&flags, config, &mut out)?;
        }
        Command::Import(flags) => {
            let Sources { env, .. } = sources(Flags::default());
            let outcome = import::run(&flags, env, &mut out, &mut std::io::stderr().lock())?;
            if outcome == import::Outcome::Unguarded {
                return Ok(ExitCode::from(UNGUARDED));
            }
        }
        Command::Schema => out.write_all(config::SCHEMA.as_bytes())?,
        Command::Doctor(DoctorFlags { json, timeout_secs, flags }) => {
            let timeout = Duration::from_secs(timeout_secs);
            if !doctor::run(&sources(flags), timeout, json, &mut out)? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Connect(flags) => out.write_all(connect::lines(&flags)?.as_bytes())?,
        Command::Demo(flags) => demo::run(&flags, out)?,
        Command::Version { verbose } => writeln!(out, "{}", cli::version(verbose))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The one place that reads the environment.
#[expect(clippy::disallowed_methods, reason = "this is its home")]
fn sources(flags: Flags) -> Sources {
    // A variable that is not UTF-8 is none of ours.
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Sources { file: None, env, flags }
}
