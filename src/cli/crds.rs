//! `elb-doctor crds`: the custom resource definitions as YAML.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;

use crate::api::v1alpha1::crds;

/// Flags of `crds`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write one file for each kind into this directory instead of printing them all
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints or writes the definitions.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Some(dir) = args.dir else {
        std::io::stdout().write_all(crds::to_yaml()?.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    };
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make directory {}", dir.display()))?;
    for (name, text) in crds::files()? {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
