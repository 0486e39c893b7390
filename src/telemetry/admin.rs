//! The admin server: `/livez`, `/readyz` and `/metrics`, in plain HTTP, without secrets.
//!
//! Whoever can reach the port must not be able to harm the process: the number of connections, the size of what is read and the time
//! that a client may take are bounded ([`Limits`]). A connection beyond the number is taken all the same, for it may be the
//! kubelet's probe; the oldest connection of the address that has the most is closed for it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::Metrics;

/// Says whether the process is ready; the text names what it still waits for.
pub trait Readiness: Send + Sync + 'static {
    /// What is not ready yet; empty when all is. Must not ask anyone: it is called often.
    fn waits_for(&self) -> Vec<String>;
}

/// What the clients of the admin server may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Open connections.
    connections: usize,
    /// Time for the head of a request, also for the next one on a connection that is kept.
    head: Duration,
    /// Time from the start of a connection after which no further request is taken on it.
    lifetime: Duration,
    /// Time after that for what is being answered.
    last_answer: Duration,
}

const LIMITS: Limits = Limits {
    connections: 64,
    head: Duration::from_secs(5),
    lifetime: Duration::from_secs(30),
    last_answer: Duration::from_secs(5),
};
/// Bytes that are read ahead, hence of the head of a request; the least that the library takes.
const HEAD_BYTES: usize = 8 * 1024;
/// Header fields of a request.
const HEADERS: usize = 64;
/// Pause after the system refused a connection, for want of file descriptors as a rule.
const REFUSED: Duration = Duration::from_millis(100);

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
    pub async fn serve(self, metrics: Arc<Metrics>, readiness: Arc<dyn Readiness>, stop: CancellationToken) {
        self.serve_within(LIMITS, metrics, readiness, stop).await;
    }

    async fn serve_within(
        self,
        limits: Limits,
        metrics: Arc<Metrics>,
        readiness: Arc<dyn Readiness>,
        stop: CancellationToken,
    ) {
        let router = router(metrics.clone(), readiness);
        let mut tasks = JoinSet::new();
        let mut open = Connections::default();
        while let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await {
            while tasks.try_join_next().is_some() {}
            let Ok((stream, peer)) = accepted else {
                sleep(REFUSED).await;
                continue;
            };
            let connection = answer(stream, router.clone(), limits, stop.clone());
            let task = tasks.spawn(connection);
            if open.add(peer.ip().to_canonical(), task, limits.connections) {
                metrics.count_closed_admin_connection();
            }
        }
        while tasks.join_next().await.is_some() {}
    }
}

/// Answers the requests of one connection.
async fn answer(stream: TcpStream, router: Router, limits: Limits, stop: CancellationToken) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    tokio::select! {
        // A client that breaks off, or sends what is no request: nothing to tell anybody.
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = sleep(limits.lifetime) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(limits.last_answer, connection).await;
}

/// The open connections, oldest first, each with the address it comes from.
#[derive(Debug, Default)]
struct Connections(Vec<(IpAddr, AbortHandle)>);

impl Connections {
    /// Adds one. True when another had to be closed for it: the oldest of the address that has the most, so that nobody can take the
    /// places of others.
    fn add(&mut self, peer: IpAddr, task: AbortHandle, limit: usize) -> bool {
        self.0.retain(|(_, task)| !task.is_finished());
        let full = self.0.len() >= limit;
        if full {
            let of = |address: &IpAddr| self.0.iter().filter(|(other, _)| other == address).count();
            // Of several the last counts, hence from the newest to the oldest.
            let oldest = self
                .0
                .iter()
                .enumerate()
                .rev()
                .max_by_key(|(_, (address, _))| of(address));
            if let Some(index) = oldest.map(|(index, _)| index) {
                self.0.remove(index).1.abort();
            }
        }
        self.0.push((peer, task));
        full
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::Instant,
    };

    use super::*;

    struct Ready;

    impl Readiness for Ready {
        fn waits_for(&self) -> Vec<String> {
            Vec::new()
        }
    }

    /// A server that is less patient than the real one, and how to stop it.
    async fn server(limits: Limits) -> (SocketAddr, Arc<Metrics>, CancellationToken) {
        let server = AdminServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, metrics, stop) = (
            server.address().unwrap(),
            Arc::new(Metrics::new()),
            CancellationToken::new(),
        );
        tokio::spawn(server.serve_within(limits, metrics.clone(), Arc::new(Ready), stop.clone()));
        (address, metrics, stop)
    }

    const QUICK: Limits = Limits {
        connections: 8,
        head: Duration::from_millis(300),
        lifetime: Duration::from_millis(900),
        last_answer: Duration::from_millis(200),
    };

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer))
            .await
            .expect("an end");
        String::from_utf8(answer).unwrap()
    }

    const LIVEZ: &str = "GET /livez HTTP/1.1\r\nHost: doctor\r\nConnection: close\r\n\r\n";

    #[tokio::test]
    async fn half_open_connections_never_keep_a_probe_out() {
        let (address, _, _) = server(Limits {
            head: Duration::from_mins(1),
            lifetime: Duration::from_mins(1),
            ..QUICK
        })
        .await;
        let mut half_open = Vec::new();
        for number in 0..300 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /livez HTTP/1.1\r\nX-Slow: ").await.unwrap();
            half_open.push(stream);
            if number % 50 == 0 {
                assert!(ask(address, LIVEZ).await.starts_with("HTTP/1.1 200"));
            }
        }
        assert!(ask(address, LIVEZ).await.starts_with("HTTP/1.1 200"));
        let mut open = 0;
        for stream in &mut half_open {
            let closed = timeout(Duration::from_millis(5), stream.read(&mut [0; 1])).await;
            open += usize::from(closed.is_err());
        }
        assert!(open <= QUICK.connections, "{open} are held");
    }

    #[tokio::test]
    async fn one_address_cannot_take_the_places_of_others() {
        let mut open = Connections::default();
        let mut tasks = JoinSet::new();
        let [kubelet, prometheus, hostile] = [1, 2, 3].map(|last| IpAddr::from([10, 0, 0, last]));
        open.add(kubelet, tasks.spawn(std::future::pending::<()>()), 8);
        open.add(prometheus, tasks.spawn(std::future::pending::<()>()), 8);
        for _ in 0..100 {
            open.add(hostile, tasks.spawn(std::future::pending::<()>()), 8);
        }
        let peers: Vec<_> = open.0.iter().map(|(peer, _)| *peer).collect();
        assert_eq!(peers, [&[kubelet, prometheus][..], &[hostile; 6]].concat());
        assert!(!open.0[0].1.is_finished() && !open.0[1].1.is_finished());
    }

    #[tokio::test]
    async fn nobody_may_take_for_ever() {
        let (address, _, _) = server(QUICK).await;
        // A head that does not end, one that is too long, a body that nobody reads, a connection that stays silent.
        let slow = ask(address, "GET /livez HTTP/1.1\r\nX-Slow: ").await;
        assert!(!slow.contains("200"), "{slow}");
        let long = format!("GET /livez HTTP/1.1\r\nX-Long: {}\r\n\r\n", "x".repeat(2 * HEAD_BYTES));
        assert!(ask(address, &long).await.starts_with("HTTP/1.1 431"));
        let body = "GET /livez HTTP/1.1\r\nHost: doctor\r\nContent-Length: 1000000000\r\n\r\n";
        assert!(ask(address, body).await.starts_with("HTTP/1.1 200"));
        ask(address, "").await;

        // One that asks on and on is answered, and ends all the same.
        let mut stream = TcpStream::connect(address).await.unwrap();
        let began = Instant::now();
        loop {
            let sent = stream.write_all(b"GET /livez HTTP/1.1\r\nHost: doctor\r\n\r\n").await;
            let mut answer = [0; 512];
            match stream.read(&mut answer).await {
                Ok(read) if read > 0 && sent.is_ok() => assert!(answer.starts_with(b"HTTP/1.1 200")),
                _ => break,
            }
            assert!(began.elapsed() < Duration::from_secs(5), "it is kept for ever");
            sleep(Duration::from_millis(50)).await;
        }
    }
}
