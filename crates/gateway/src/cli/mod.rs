//! The command line. It names what to do and which settings to override; it decides nothing else.
//!
//! A flag this build knows by name but does not serve is refused rather than ignored: whoever passes
//! `--ha-mesh` must not believe that there is a mesh.

mod apply;
mod flags;
mod later;

#[cfg(test)]
pub(crate) use apply::SETTINGS;
pub use apply::apply;
pub(crate) use apply::flag_of;
pub use flags::{Client, ConnectFlags, DemoFlags, DoctorFlags, ExplainFlags, Flags, ImportFlags, Shell};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// What the process is asked to do.
#[derive(Debug, Clone)]
pub enum Command {
    /// Serve.
    Launch(Flags),
    /// Serve simulated workers, without keys or network.
    Demo(DemoFlags),
    /// Load the configuration, say what is wrong, and stop.
    Check(Flags),
    /// Show how a request would be routed, without sending it.
    Explain(ExplainFlags),
    /// Look whether this configuration could serve from this machine.
    Doctor(DoctorFlags),
    /// Print what a client has to be told to reach the gateway.
    Connect(ConnectFlags),
    /// Print a configuration file in our form.
    Import(ImportFlags),
    /// Print the JSON Schema of configuration files.
    Schema,
    /// Print the version.
    Version {
        /// With how it was built.
        verbose: bool,
    },
}

/// Why a command line was not taken. Help asked for is also one, as clap has it; its exit code is 0.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Not a command line of ours, or help.
    #[error(transparent)]
    Clap(#[from] clap::Error),
    /// Flags that are known but not served, one line each.
    #[error("{}", .0.join("\n"))]
    Later(Vec<String>),
    /// One alias for two models.
    #[error("`--model-alias {alias}` is given twice, for `{first}` and `{second}`; keep one")]
    AliasTwice {
        /// The alias.
        alias: String,
        /// What it was to stand for.
        first: String,
        /// What it was to stand for, too.
        second: String,
    },
}

impl UsageError {
    /// 0 for help, 2 for errors.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Clap(error) => u8::try_from(error.exit_code()).unwrap_or(2),
            Self::Later(_) | Self::AliasTwice { .. } => 2,
        }
    }

    /// Tells the user, help on standard output and errors on standard error, and gives the exit code.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        // When the terminal is gone nobody is left to tell, so failures to write are not looked at.
        match self {
            Self::Clap(error) => drop(error.print()),
            Self::Later(_) | Self::AliasTwice { .. } => drop(writeln!(std::io::stderr(), "error: {self}")),
        }
        ExitCode::from(self.exit_code())
    }
}

/// One server in front of inference engines and cloud providers.
#[derive(Debug, Parser)]
#[command(
    name = "trunkline",
    args_conflicts_with_subcommands = true,
    disable_version_flag = true,
    max_term_width = 100,
    after_help = "Without a subcommand, flags mean `trunkline launch`. Every setting, also those without a \
                  flag, is described in docs/configuration.md."
)]
struct Cli {
    #[command(subcommand)]
    task: Option<Task>,
    #[command(flatten)]
    launch: Flags,
    /// Print the version; wherever it stands.
    #[arg(short = 'V', long)]
    version: bool,
    /// Print the version and how it was built; wherever it stands.
    #[arg(long)]
    version_verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Serve; what also happens without a subcommand.
    #[command(visible_alias = "start")]
    Launch(Box<Flags>),
    /// Serve simulated workers, without keys or network.
    Demo(DemoFlags),
    /// Load the configuration, say what is wrong, and stop.
    Check(Box<Flags>),
    /// Show how a request would be routed, without sending it.
    Explain(Box<ExplainFlags>),
    /// Look whether keys, upstreams and this machine are fit to serve, without serving.
    Doctor(Box<DoctorFlags>),
    /// Print the variables or the file by which a client reaches the gateway.
    Connect(ConnectFlags),
    /// Print a configuration file, ours or another gateway's, in our form, and say what could not be carried over.
    #[command(visible_alias = "convert")]
    Import(ImportFlags),
    /// Print the JSON Schema of configuration files.
    Schema,
    /// Print the version.
    Version {
        /// And how it was built.
        #[arg(long, short)]
        verbose: bool,
    },
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// It is none of ours, asks for help, or asks for what is not in this build.
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let argv: Vec<OsString> = argv.into_iter().collect();
    if let Some(verbose) = version_asked(&argv) {
        return Ok(Command::Version { verbose });
    }
    let matches = command().try_get_matches_from(argv)?;
    let refused = later::refused(&matches);
    if !refused.is_empty() {
        return Err(UsageError::Later(refused));
    }
    let cli = Cli::from_arg_matches(&matches)?;
    Ok(match cli.task {
        None => Command::Launch(consistent(cli.launch)?),
        Some(Task::Launch(flags)) => Command::Launch(consistent(*flags)?),
        Some(Task::Demo(flags)) => Command::Demo(flags),
        Some(Task::Check(flags)) => Command::Check(consistent(*flags)?),
        Some(Task::Explain(mut explain)) => {
            explain.flags = consistent(explain.flags)?;
            Command::Explain(*explain)
        }
        Some(Task::Import(flags)) => Command::Import(flags),
        Some(Task::Schema) => Command::Schema,
        Some(Task::Doctor(mut doctor)) => {
            doctor.flags = consistent(doctor.flags)?;
            Command::Doctor(*doctor)
        }
        Some(Task::Connect(connect)) => Command::Connect(connect),
        Some(Task::Version { verbose }) => Command::Version { verbose },
    })
}

/// What `--version` prints.
#[must_use]
pub fn version(verbose: bool) -> String {
    let short = format!("trunkline {}", env!("CARGO_PKG_VERSION"));
    if !verbose {
        return short;
    }
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("{short}\ntarget: {arch}-{os}\nprofile: {profile}\nlicense: {}", env!("CARGO_PKG_LICENSE"))
}

/// The whole command line as clap knows it, refused flags included.
fn command() -> clap::Command {
    let mut command = Cli::command();
    for name in ["launch", "check", "explain", "doctor"] {
        command = command.mut_subcommand(name, later::add);
    }
    later::add(command)
}

/// Scripts append `--version` to whole command lines, so it counts wherever it stands before `--`.
fn version_asked(argv: &[OsString]) -> Option<bool> {
    let mut words = argv.iter().skip(1).take_while(|word| *word != "--");
    let asked = words.find(|word| *word == "-V" || *word == "--version" || *word == "--version-verbose")?;
    Some(asked == "--version-verbose")
}

fn consistent(flags: Flags) -> Result<Flags, UsageError> {
    let mut seen = std::collections::BTreeMap::new();
    for (alias, model) in &flags.model_alias {
        match seen.insert(alias, model) {
            Some(first) if first != model => {
                let (alias, first, second) = (alias.clone(), first.clone(), model.clone());
                return Err(UsageError::AliasTwice { alias, first, second });
            }
            Some(_) | None => {}
        }
    }
    Ok(flags)
}

#[cfg(test)]
mod tests;
