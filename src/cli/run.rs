//! `elb-doctor run`: the controller.

use std::process::ExitCode;

/// Flags of the controller.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {}

/// Runs the controller until it is told to stop.
///
/// # Errors
/// When the controller cannot start or has to give up.
pub fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("the controller is not part of this build yet")
}
