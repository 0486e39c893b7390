//! The command line: `elb-doctor run | diagnose | explain | crds`.

mod args;
mod crds;
mod diagnose;
mod exit;
mod explain;
pub mod run;
mod table;
mod terminal;

use std::{io::Write as _, process::ExitCode};

use clap::{
    Parser, Subcommand,
    error::{ContextKind, ContextValue},
};

use exit::INVALID;

/// Says exactly why a load balancer's backend server is unhealthy, and proves the fix.
#[derive(Debug, Parser)]
#[command(name = "elb-doctor", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller until SIGTERM or SIGINT
    Run(run::Args),
    /// Diagnose manifests without a cluster
    Diagnose(diagnose::Args),
    /// Explain a check or a reason: what it means, an example, what to do
    Explain(explain::Args),
    /// Print the custom resource definitions
    Crds(crds::Args),
}

/// Reads the arguments, does what they ask, and says how it went: 0, or one of the statuses in [`exit`].
#[must_use]
pub fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => return refused(&error),
    };
    let result = match command {
        Command::Run(args) => run::run(args),
        Command::Diagnose(args) => diagnose::run(args),
        Command::Explain(args) => explain::run(&args),
        Command::Crds(args) => crds::run(args),
    };
    match result {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(
                std::io::stderr(),
                "elb-doctor: {}",
                crate::text::clean(&format!("{error:#}"))
            );
            ExitCode::from(INVALID)
        }
    }
}

/// Says what is wrong with the arguments. Help and version come here, too.
fn refused(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    let word = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) => word.as_str(),
        _ => "",
    };
    // A file where a command must stand.
    if word == "-" || word.contains(['.', '/', '\\']) {
        let file = crate::text::clean(word);
        let file = crate::text::shell_word(&file);
        let _ = writeln!(std::io::stderr(), "\nTo diagnose a file: elb-doctor diagnose -f {file}");
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(INVALID))
}

/// Whether the reader of our output went away (`| head`): no failure of ours.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
