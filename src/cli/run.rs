//! `elb-doctor run`: the controller.
//!
//! Every flag can be given as an environment variable, too; a flag goes before its variable.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use axum::http::{HeaderValue, header::USER_AGENT};
use clap::ArgAction;
use ipnet::IpNet;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use super::args;
use crate::{
    controller::{Controller, LeaseSettings, MAX_VIEW_AGE, Options},
    telemetry::{AdminServer, LogFormat, Metrics, init_logs, parse_filter},
    text::clean,
    world::Settings,
};

/// Port of probes and metrics.
const ADMIN_PORT: u16 = 8080;
/// Set in every pod by the kubelet.
const IN_CLUSTER: &str = "KUBERNETES_SERVICE_HOST";
/// How long to wait for the API server's first answer before saying that there is none.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// Flags of the controller.
#[allow(clippy::doc_markdown, reason = "the comments are the text of --help")]
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Path to the kubeconfig file [default: $KUBECONFIG, then ~/.kube/config, then the pod's service account]
    #[arg(long, value_name = "FILE", env = "ELB_DOCTOR_KUBECONFIG", help_heading = "Cluster")]
    kubeconfig: Option<PathBuf>,

    /// Kubeconfig context to use [default: the current context]
    #[arg(long, value_name = "NAME", env = "ELB_DOCTOR_CONTEXT", help_heading = "Cluster")]
    context: Option<String>,

    /// Watch this namespace only [default: all namespaces]
    #[arg(short, long, value_name = "NAME", env = "ELB_DOCTOR_NAMESPACE", value_parser = args::namespace, help_heading = "Cluster")]
    namespace: Option<String>,

    /// Prefixes that Shared load balancers probe from, separated by commas
    #[arg(
        long = "shared-source",
        value_name = "CIDR",
        env = "ELB_DOCTOR_SHARED_SOURCE",
        value_delimiter = ',',
        default_value = "100.125.0.0/16",
        value_parser = args::prefix,
        help_heading = "Diagnosis"
    )]
    shared_sources: Vec<IpNet>,

    /// Number of concurrent workers per controller
    #[arg(long, value_name = "N", env = "ELB_DOCTOR_WORKERS", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Work")]
    workers: u16,

    /// Check every object again after this many minutes; 0 checks objects only when something changes
    #[arg(long, value_name = "MINUTES", env = "ELB_DOCTOR_RESYNC", default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=525_600), help_heading = "Work")]
    resync: u32,

    /// Write nothing that depends on a watch that has been silent for this many seconds
    #[arg(long, value_name = "SECONDS", env = "ELB_DOCTOR_MAX_VIEW_AGE", default_value_t = MAX_VIEW_AGE.as_secs(), value_parser = clap::value_parser!(u64).range(1..=3_600), hide = true, help_heading = "Work")]
    max_view_age: u64,

    /// Write only while holding a lease, so that several replicas can run safely
    #[arg(long, env = "ELB_DOCTOR_LEADER_ELECTION", value_name = "BOOL", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", help_heading = "Replicas")]
    leader_election: bool,

    /// Name of the lease for leader election
    #[arg(
        long,
        value_name = "NAME",
        env = "ELB_DOCTOR_LEASE_NAME",
        default_value = "elb-doctor",
        help_heading = "Replicas"
    )]
    lease_name: String,

    /// Namespace of that lease [default: $POD_NAMESPACE, then the kubeconfig's or the pod's namespace]
    #[arg(long, value_name = "NAME", env = "ELB_DOCTOR_LEASE_NAMESPACE", value_parser = args::namespace, help_heading = "Replicas")]
    lease_namespace: Option<String>,

    /// Name of this replica in the lease [default: $POD_NAME or the host name, plus a random suffix]
    #[arg(long, value_name = "NAME", env = "ELB_DOCTOR_IDENTITY", help_heading = "Replicas")]
    identity: Option<String>,

    /// Address to serve /livez, /readyz and /metrics on [default: port 8080, on all addresses in a pod, otherwise on 127.0.0.1]
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "ELB_DOCTOR_ADMIN_ADDR",
        help_heading = "Operation"
    )]
    admin_addr: Option<SocketAddr>,

    /// Log format
    #[arg(long, value_name = "FORMAT", env = "ELB_DOCTOR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, help_heading = "Operation")]
    log_format: LogFormat,

    /// Log level: off, error, warn, info, debug, trace, or directives such as info,elb_doctor=debug
    #[arg(long, value_name = "FILTER", env = "ELB_DOCTOR_LOG_LEVEL", default_value = "info", value_parser = filter, help_heading = "Operation")]
    log_level: String,
}

fn filter(text: &str) -> Result<String, String> {
    parse_filter(text)
        .map(|_| text.into())
        .map_err(|error| error.to_string())
}

/// Runs the controller until it is told to stop.
///
/// # Errors
/// When the controller cannot start or has to give up.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let filter: EnvFilter = parse_filter(&args.log_level)?;
    init_logs(args.log_format, filter)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(serve(args));
    // What is left has had its time.
    runtime.shutdown_timeout(Duration::from_millis(200));
    result.map(|()| ExitCode::SUCCESS)
}

async fn serve(args: Args) -> anyhow::Result<()> {
    // First of all: a signal during a slow start counts, too.
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signals(
        signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
        signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        stop.clone(),
    ));

    let config = cluster(&args).await?;
    let home = config.default_namespace.clone();
    let url = config.cluster_url.to_string();
    let client = Client::try_from(config).with_context(|| format!("cannot set up a client for {url}"))?;
    let identity = args.identity.clone().unwrap_or_else(default_identity);
    info!(version = env!("CARGO_PKG_VERSION"), cluster = %url, %identity, "starting elb-doctor");

    let metrics = Arc::new(Metrics::new());
    let lease = args.leader_election.then(|| LeaseSettings {
        name: args.lease_name.clone(),
        namespace: args
            .lease_namespace
            .clone()
            .or_else(|| std::env::var("POD_NAMESPACE").ok().filter(|name| !name.is_empty()))
            .unwrap_or(home),
        identity: identity.clone(),
    });
    let options = Options {
        namespace: args.namespace.clone(),
        settings: Settings {
            shared_sources: args.shared_sources.clone(),
        },
        workers: args.workers,
        resync: (args.resync > 0).then(|| Duration::from_mins(args.resync.into())),
        lease,
        identity,
        max_view_age: Duration::from_secs(args.max_view_age),
    };
    let controller = Controller::new(client.clone(), options, metrics.clone());

    let admin = AdminServer::bind(args.admin_addr.unwrap_or_else(default_admin_address)).await?;
    info!(address = %admin.address()?, "serving /livez, /readyz and /metrics");
    let admin_over = CancellationToken::new();
    let admin = tokio::spawn(admin.serve(metrics, controller.readiness(), admin_over.clone()));
    tokio::spawn(greet(client, url));

    let result = controller.run(stop).await;
    // Probes are answered to the end.
    admin_over.cancel();
    let _ = tokio::time::timeout(Duration::from_secs(1), admin).await;
    result?;
    info!("stopped");
    Ok(())
}

/// The configuration of the cluster's client.
async fn cluster(args: &Args) -> anyhow::Result<Config> {
    let options = KubeConfigOptions {
        context: args.context.clone(),
        ..KubeConfigOptions::default()
    };
    let mut config = match &args.kubeconfig {
        Some(path) => {
            let what = format!("the kubeconfig {}", path.display());
            let kubeconfig = Kubeconfig::read_from(path).map_err(|error| unusable(&what, &error))?;
            Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .map_err(|error| unusable(&what, &error))?
        }
        None if args.context.is_some() => Config::from_kubeconfig(&options)
            .await
            .map_err(|error| unusable("the kubeconfig ($KUBECONFIG or ~/.kube/config)", &error))?,
        None => Config::infer().await.map_err(|error| {
            anyhow!(
                "no cluster: give a kubeconfig (--kubeconfig, $KUBECONFIG or ~/.kube/config), or run in a pod: {error}"
            )
        })?,
    };
    let agent = concat!("elb-doctor/", env!("CARGO_PKG_VERSION"));
    config.headers.push((USER_AGENT, HeaderValue::from_static(agent)));
    // Queues, watches and the election each retry in their own way; a retry below them could outlive the lease.
    config.default_retry = false;
    // Counted from the request on: an idle connection of the pool is silent for a good reason.
    config.read_timeout = Some(crate::controller::SILENCE);
    config.reset_reader_on_write = true;
    Ok(config)
}

/// The error says its causes itself: no chain is added.
fn unusable(what: &str, error: &KubeconfigError) -> anyhow::Error {
    anyhow!("cannot use {what}: {error}")
}

/// Says in one line whether the API server answers; goes on either way, as watches try again for ever.
async fn greet(client: Client, url: String) {
    match tokio::time::timeout(FIRST_ANSWER, client.apiserver_version()).await {
        Ok(Ok(version)) => info!(cluster = %url, version = %clean(&version.git_version), "the API server answers"),
        Ok(Err(error)) => warn!(
            cluster = %url,
            "unexpected answer from the API server: {}",
            crate::controller::describe(&error)
        ),
        Err(_) => warn!(cluster = %url, "no answer from the API server within {} s", FIRST_ANSWER.as_secs()),
    }
}

/// The first signal asks to stop, the second ends the process at once.
async fn stop_on_signals(mut terminate: Signal, mut interrupt: Signal, stop: CancellationToken) {
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    let first = next().await;
    info!(
        signal = first,
        "shutting down; a second signal ends the process immediately"
    );
    stop.cancel();
    let second = next().await;
    warn!(signal = second, "exiting immediately");
    std::process::exit(130);
}

/// All addresses in a pod, where probes and metrics come from outside; else only this machine's own.
fn default_admin_address() -> SocketAddr {
    let address = if std::env::var_os(IN_CLUSTER).is_some() {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    } else {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    };
    SocketAddr::new(address, ADMIN_PORT)
}

/// Readable and unique: also two processes of one pod or machine must differ.
fn default_identity() -> String {
    let host = ["POD_NAME", "HOSTNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok())
        .unwrap_or_else(|| "elb-doctor".into());
    let random = fastrand::u64(..);
    format!("{}_{random:016x}", host.trim())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(words: &[&str]) -> Result<Args, String> {
        Line::try_parse_from([&["run"], words].concat())
            .map(|line| line.args)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_those_of_most_regions() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.shared_sources, ["100.125.0.0/16".parse().unwrap()]);
        assert!(args.leader_election);
        assert_eq!(args.lease_name, "elb-doctor");
    }

    #[test]
    fn shared_sources_are_prefixes_of_either_family_without_host_bits() {
        let args = parse(&[
            "--shared-source",
            "100.125.0.0/16,100.126.0.0/16",
            "--shared-source=2001:db8::/32",
        ])
        .unwrap();
        assert_eq!(args.shared_sources.len(), 3);
        let refused = parse(&["--shared-source", "100.125.0.5/16"]).unwrap_err();
        assert!(
            refused.contains("has host bits set; the prefix is 100.125.0.0/16"),
            "{refused}"
        );
        assert!(parse(&["--shared-source", "100.125.0.0"]).is_err());
    }

    #[test]
    fn what_cannot_be_right_is_refused_at_the_start() {
        for words in [
            ["--log-level", "elb_doctor=loud"],
            ["--log-format", "xml"],
            ["--workers", "0"],
            ["--namespace", "Shop"],
            ["--namespace", ""],
            ["--admin-addr", "8080"],
            ["--leader-election", "maybe"],
        ] {
            assert!(parse(&words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn the_election_can_be_switched_off() {
        assert!(!parse(&["--leader-election=false"]).unwrap().leader_election);
        assert!(parse(&["--leader-election"]).unwrap().leader_election);
    }

    #[test]
    fn two_processes_never_share_an_identity() {
        assert_ne!(default_identity(), default_identity());
    }
}
