//! The admin server: `/livez`, `/readyz` and `/metrics`, in plain HTTP, without secrets.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Metrics;

/// Says whether the process is ready; the text names what it still waits for.
pub trait Readiness: Send + Sync + 'static {
    /// What is not ready yet; empty when all is. Must not ask anyone: it is called often.
    fn waits_for(&self) -> Vec<String>;
}

/// Why the admin server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is taken or not this machine's.
    #[error("cannot listen on {address} for probes and metrics (--admin-addr): {source}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// A bound, not yet serving admin server.
#[derive(Debug)]
pub struct AdminServer {
    listener: TcpListener,
}

impl AdminServer {
    /// Takes the address. `[::]` means every address of the machine, also where the machine has no IPv6.
    ///
    /// # Errors
    ///
    /// When the address cannot be had.
    pub async fn bind(address: SocketAddr) -> Result<Self, AdminError> {
        let listener = match TcpListener::bind(address).await {
            Err(_) if address.ip() == std::net::Ipv6Addr::UNSPECIFIED => {
                TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, address.port())).await
            }
            result => result,
        };
        match listener {
            Ok(listener) => Ok(Self { listener }),
            Err(source) => Err(AdminError::Bind { address, source }),
        }
    }

    /// The address that is listened on, with the real port where 0 was asked for.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until stopped.
    ///
    /// # Errors
    ///
    /// When the listening socket breaks.
    pub async fn serve(
        self,
        metrics: Arc<Metrics>,
        readiness: Arc<dyn Readiness>,
        stop: CancellationToken,
    ) -> io::Result<()> {
        axum::serve(self.listener, router(metrics, readiness))
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
    }
}

#[derive(Clone)]
struct Shown {
    metrics: Arc<Metrics>,
    readiness: Arc<dyn Readiness>,
}

fn router(metrics: Arc<Metrics>, readiness: Arc<dyn Readiness>) -> Router {
    Router::new()
        // Answered by the runtime alone: a restart of this process would not heal an API server that is away.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(page))
        .with_state(Shown { metrics, readiness })
}

async fn readyz(State(shown): State<Shown>) -> Response {
    let waits = shown.readiness.waits_for();
    if waits.is_empty() {
        "ok\n".into_response()
    } else {
        let text = format!("waits for {}\n", waits.join(", "));
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    }
}

async fn page(State(shown): State<Shown>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match shown.metrics.encode() {
        Ok(page) => ([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
