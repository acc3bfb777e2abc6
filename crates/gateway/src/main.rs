//! The `trunkline` binary: reads the command line and the environment, and hands over.

use std::collections::BTreeMap;
use std::process::ExitCode;
use trunkline_gateway::app;
use trunkline_gateway::cli::{self, Command, Flags};
use trunkline_gateway::config::{self, Sources};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(command) => run(command).unwrap_or_else(|error| {
            eprintln!("trunkline: {error:#}");
            ExitCode::FAILURE
        }),
        Err(usage) => usage.report(),
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Launch(flags) => {
            let sources = sources(flags);
            app::run(config::load(&sources)?, &sources)?;
        }
        Command::Check(flags) => {
            config::load(&sources(flags))?;
            eprintln!("configuration is good");
        }
        Command::Explain(_) | Command::Demo(_) => anyhow::bail!("not yet"),
        Command::Version { verbose } => eprintln!("{}", cli::version(verbose)),
    }
    Ok(ExitCode::SUCCESS)
}

/// The one place that reads the environment.
fn sources(flags: Flags) -> Sources {
    // A variable that is not UTF-8 is none of ours.
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Sources { file: None, env, flags }
}
