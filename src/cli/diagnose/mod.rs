//! `elb-doctor diagnose`: the same engine on manifests, no cluster.

mod complaints;
mod list;
mod outcome;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anstream::AutoStream;
use anyhow::bail;
use clap::ValueEnum;
use ipnet::IpNet;

use super::{
    args, table,
    terminal::{self, Color},
};
use crate::{
    api::v1alpha1::{BackendServer, HealthState, ReportedHealth},
    diagnosis::{self, Assessment},
    manifest::{self, Loaded, Options},
    text::shell_word,
    world::{Incoming, Kind, Object, Settings, World},
};
use list::List;

/// Flags of `diagnose`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
  0  no fault was found
  1  faults were found
  2  some input could not be read, or an object is invalid; everything else is diagnosed all the same
  3  nothing was diagnosed: no backend server is reported unhealthy, or every one was refused

Examples:
  elb-doctor diagnose -f examples/
  kubectl get elb,bes,sg,nacl,esn,ag -A -o yaml | elb-doctor diagnose -f -
  helm template CHART | elb-doctor diagnose --all -f -")]
pub struct Args {
    /// File or directory with manifests, or - for standard input; can be repeated. Of a directory, the .yaml, .yml and
    /// .json files are read
    #[arg(short = 'f', long = "filename", value_name = "PATH", required_unless_present_any = ["paths", "kustomize"], num_args = 1..)]
    files: Vec<PathBuf>,
    /// The same, without -f
    #[arg(value_name = "PATH", hide = true)]
    paths: Vec<PathBuf>,
    /// Not supported: `kubectl kustomize` renders one
    #[arg(short, long, value_name = "DIR", hide = true)]
    kustomize: Option<PathBuf>,
    /// Also read the subdirectories of directories
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Namespace of objects that do not name one
    #[arg(short, long, value_name = "NAME", default_value = "default", value_parser = args::namespace)]
    namespace: String,
    /// Output format: a table to read, or a List of the backend servers with the status that the controller would write
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Diagnose every backend server as if it were reported unhealthy
    #[arg(long)]
    all: bool,
    /// Exit with status 2 also when an unhealthy backend server could not be diagnosed, or when the input holds objects of
    /// other kinds
    #[arg(long)]
    strict: bool,
    /// Prefix from which Shared load balancers send their health checks; can be repeated
    #[arg(long = "shared-source", value_name = "CIDR", default_value = "100.125.0.0/16", value_delimiter = ',', value_parser = args::prefix)]
    shared_sources: Vec<IpNet>,
    /// When to use colour in the table
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
    /// Largest input to read, in MiB, all files together
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=1024))]
    max_input_mib: u64,
}

/// What `-o` takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    Table,
    Json,
    Yaml,
}

/// Diagnoses what the files hold.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(dir) = &args.kustomize {
        let dir = shell_word(&dir.display().to_string()).into_owned();
        bail!("-k is not supported: kubectl kustomize {dir} | elb-doctor diagnose -f -");
    }
    let options = Options {
        max_bytes: args.max_input_mib * 1024 * 1024,
        recursive: args.recursive,
        namespace: args.namespace,
    };
    let paths: Vec<PathBuf> = args.files.into_iter().chain(args.paths).collect();
    if paths.iter().any(|path| path == Path::new("-")) {
        complaints::of_waiting();
    }
    let loaded = manifest::load(&paths, options);
    complaints::of_input(&loaded, args.strict);
    let settings = Settings {
        shared_sources: args.shared_sources,
    };
    let world = world(&loaded, &settings, args.all);
    let mut assessments = assess(&world);
    // What others read is told as the controller tells it.
    let retell = args.output == Format::Table;
    complaints::of_refusals(&world, &loaded, &mut assessments, retell);

    let mut out = io::BufWriter::new(io::stdout().lock());
    match args.output {
        Format::Table => {
            let text = table::render(&assessments, terminal::width());
            AutoStream::new(io::stdout().lock(), args.color.into()).write_all(text.as_bytes())?;
        }
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &List::of(&assessments)).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        Format::Yaml => serde_saphyr::to_io_writer(&mut out, &List::of(&assessments))?,
    }
    out.flush()?;
    drop(out);
    let (code, nothing) = outcome::of(&loaded, &assessments, args.strict);
    if let Some(why) = nothing {
        complaints::of_nothing(&why);
    }
    Ok(code)
}

/// What was loaded, as one world.
fn world(loaded: &Loaded, settings: &Settings, all: bool) -> World {
    let mut world = World::new(settings);
    for loaded in &loaded.objects {
        world.set(match &loaded.incoming {
            Incoming::Readable {
                object: Object::BackendServer(backend),
                refused,
            } if all => Incoming::Readable {
                object: taken_for_unhealthy(backend).into(),
                refused: refused.clone(),
            },
            other => other.clone(),
        });
    }
    world
}

/// Every readable backend server, by namespace and name.
fn assess(world: &World) -> Vec<Assessment> {
    let mut keys: Vec<_> = world.keys(Kind::BackendServer).into_iter().collect();
    keys.sort();
    keys.iter().filter_map(|key| diagnosis::assess(world, key)).collect()
}

fn taken_for_unhealthy(backend: &BackendServer) -> BackendServer {
    let mut backend = backend.clone();
    let status = backend.status.get_or_insert_default();
    if status.health.as_ref().is_none_or(|h| h.state != HealthState::Unhealthy) {
        status.health = Some(ReportedHealth {
            state: HealthState::Unhealthy,
            reason: None,
            message: None,
            reported_at: None,
        });
    }
    backend
}
