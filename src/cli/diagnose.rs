//! `elb-doctor diagnose`: the same engine on manifests, no cluster.

use std::process::ExitCode;

/// Flags of `diagnose`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Diagnoses what the files hold.
pub fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not part of this build yet")
}
