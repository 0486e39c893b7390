//! `elb-doctor diagnose`: the same engine on manifests, no cluster.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anstream::AutoStream;
use clap::ValueEnum;
use ipnet::IpNet;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeSeq as _},
};

use super::{
    args,
    exit::{FAULTS, INVALID},
    table,
    terminal::{self, Color},
};
use crate::{
    api::v1alpha1::{BackendServer, BackendServerStatus, HealthState, ReportedHealth, conditions::reasons},
    diagnosis::{self, Assessment},
    manifest::{self, Limits, Loaded},
    text::clean,
    world::{Incoming, Kind, Object, Refusal, RefusalReason, Settings, World},
};

/// Problems that are printed; more are counted.
const MAX_PROBLEMS: usize = 100;

/// Flags of `diagnose`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status: 0 no fault, 1 faults found, 2 some input could not be read or an object is invalid (all else is diagnosed all \
the same).

  elb-doctor diagnose -f examples/
  kubectl get elb,bes,sg,nacl,esn,ag -A -o yaml | elb-doctor diagnose -f -")]
pub struct Args {
    /// File, directory (its .yaml, .yml and .json files, not those of its subdirectories) or - for standard input;
    /// can be given more than once
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// What to print: a table to read, or a List of the backend servers with the status that the controller would write
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Take every backend server for unhealthy, whatever was reported
    #[arg(long)]
    all: bool,
    /// Exit with 2 also when a backend server could not be diagnosed for another reason than that it is not unhealthy
    #[arg(long)]
    strict: bool,
    /// Prefix from which Shared load balancers probe; can be given more than once
    #[arg(long = "shared-source", value_name = "CIDR", default_value = "100.125.0.0/16", value_delimiter = ',', value_parser = args::prefix)]
    shared_sources: Vec<IpNet>,
    /// When to colour the table
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
    /// The most input to take, all files together
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
    let limits = Limits {
        max_bytes: args.max_input_mib * 1024 * 1024,
    };
    let loaded = manifest::load(&args.files, limits);
    print_problems(&loaded);
    let settings = Settings {
        shared_sources: args.shared_sources,
    };
    let world = world(&loaded, &settings, args.all);
    let assessments = assess(&world);
    let invalid = invalid_values(&world);
    warn_of_refusals(&assessments);

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
    if invalid > 0 {
        return Ok(ExitCode::from(INVALID));
    }
    Ok(exit_code(&loaded, &assessments, args.strict))
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

/// Says which values admission cannot judge and no diagnosis can use, whether or not a backend server reads them; returns
/// how many there are.
fn invalid_values(world: &World) -> usize {
    let invalid = world.invalid_values();
    let mut err = io::stderr().lock();
    for (key, fault) in invalid.iter().take(MAX_PROBLEMS) {
        let line = format!("{}: namespace {}: {fault}", reasons::INVALID_SPEC, key.namespace);
        let _ = writeln!(err, "error: {}", clean(&line));
    }
    if let Some(more) = invalid.len().checked_sub(MAX_PROBLEMS).filter(|more| *more > 0) {
        let _ = writeln!(err, "error: and {more} more");
    }
    invalid.len()
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

/// The backend servers with their status filled in, as the controller would. Written one by one: the values of a hundred thousand at
/// once take gigabytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    api_version: &'static str,
    items: Items<'a>,
    kind: &'static str,
}

impl<'a> List<'a> {
    fn of(assessments: &'a [Assessment]) -> Self {
        Self {
            api_version: "v1",
            items: Items(assessments, Time(Timestamp::now())),
            kind: "List",
        }
    }
}

struct Items<'a>(&'a [Assessment], Time);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(assessments, now) = self;
        let mut items = serializer.serialize_seq(Some(assessments.len()))?;
        for assessment in *assessments {
            let mut backend = BackendServer::clone(&assessment.backend);
            let health = backend.status.take().and_then(|status| status.health);
            backend.status = Some(BackendServerStatus {
                health,
                ..diagnosis::status(assessment, now)
            });
            // As a value first: its fields come in the order in which kubectl shows them.
            items.serialize_element(&serde_json::to_value(backend).map_err(S::Error::custom)?)?;
        }
        items.end()
    }
}

fn exit_code(loaded: &Loaded, assessments: &[Assessment], strict: bool) -> ExitCode {
    let refused = |refusal: &Refusal| match refusal.reason {
        RefusalReason::InvalidSpec => true,
        RefusalReason::BackendNotUnhealthy => false,
        _ => strict,
    };
    if !loaded.errors.is_empty() || assessments.iter().any(|one| one.outcome.as_ref().is_err_and(refused)) {
        ExitCode::from(INVALID)
    } else if assessments.iter().any(|one| one.failed().next().is_some()) {
        ExitCode::from(FAULTS)
    } else {
        ExitCode::SUCCESS
    }
}

/// Says what is wrong with the input. Nobody reading standard error is no reason to stop.
fn print_problems(loaded: &Loaded) {
    let mut err = io::stderr().lock();
    for problem in loaded.errors.iter().take(MAX_PROBLEMS) {
        let _ = writeln!(err, "error: {}", clean(&problem.to_string()));
    }
    if let Some(more) = loaded.errors.len().checked_sub(MAX_PROBLEMS).filter(|more| *more > 0) {
        let _ = writeln!(err, "error: and {more} more");
    }
}

fn warn_of_refusals(assessments: &[Assessment]) {
    let mut err = io::stderr().lock();
    for assessment in assessments {
        let Err(refusal) = &assessment.outcome else { continue };
        match refusal.reason {
            // What is invalid was said already, as an error of its own object.
            RefusalReason::BackendNotUnhealthy | RefusalReason::InvalidSpec => continue,
            _ => {}
        }
        let name = table::name(&assessment.backend);
        let reason = refusal.reason.as_str();
        let line = format!("BackendServer {name} not diagnosed: {reason}: {}", refusal.message);
        let _ = writeln!(err, "warning: {}", clean(&line));
    }
}
