//! A proxy between a controller and the API server that a test can make misbehave. It listens on loopback, without TLS, and
//! makes the requests itself, with the rights of the account that it stands for.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::Response,
};
use futures::{Stream, StreamExt as _, stream};
use kube::Client;
use tokio::sync::watch;

use crate::{
    common::ControlPlane,
    raw::{client_of, runtime, wait},
};

/// What the proxy does otherwise than pass everything on.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Writes of objects are answered 429 with this many seconds in `Retry-After`; the lease is spared.
    pub refuse_writes: Option<u32>,
    /// Nothing more comes of watches of these kinds, by plural name, and their connections stay open.
    pub stalled: Vec<&'static str>,
}

struct Shared {
    client: Client,
    faults: Mutex<Faults>,
    /// Raised to end every watch; the number of the round.
    cut: watch::Sender<u64>,
    /// Watches that were begun before this round are answered "expired", once for each kind.
    expired: Mutex<Vec<String>>,
    refused: AtomicU64,
    lists: AtomicU64,
}

impl Shared {
    fn faults(&self) -> Faults {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A running proxy.
pub struct Proxy {
    shared: Arc<Shared>,
    address: std::net::SocketAddr,
}

impl Proxy {
    /// Starts one that acts by this kubeconfig.
    pub fn start(kubeconfig: &std::path::Path) -> Self {
        wait(async {
            let shared = Arc::new(Shared {
                client: client_of(kubeconfig).await,
                faults: Mutex::default(),
                cut: watch::Sender::new(0),
                expired: Mutex::default(),
                refused: AtomicU64::new(0),
                lists: AtomicU64::new(0),
            });
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let routes = Router::new().fallback(pass).with_state(shared.clone());
            runtime().spawn(async move { axum::serve(listener, routes).await });
            Self { shared, address }
        })
    }

    /// A kubeconfig that leads here.
    pub fn kubeconfig(&self, namespace: &str) -> PathBuf {
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{ "name": "proxy", "cluster": { "server": format!("http://{}", self.address) } }],
            "users": [{ "name": "proxy", "user": {} }],
            "contexts": [{ "name": "proxy", "context": { "cluster": "proxy", "user": "proxy", "namespace": namespace } }],
        });
        let path = ControlPlane::get()
            .scratch()
            .join(format!("proxy-{}", self.address.port()));
        std::fs::write(&path, config.to_string()).expect("a file");
        path
    }

    /// From now on it does this.
    pub fn set(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Ends every watch, as a restart of the API server does.
    pub fn cut_watches(&self) {
        self.shared.cut.send_modify(|round| *round += 1);
    }

    /// Ends every watch and answers the next one of each kind that what it wants to go on from is gone.
    pub fn expire_watches(&self, plurals: &[String]) {
        *self.shared.expired.lock().unwrap_or_else(PoisonError::into_inner) = plurals.to_vec();
        self.cut_watches();
    }

    /// How many writes it has refused.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// How many lists it has passed on.
    pub fn lists(&self) -> u64 {
        self.shared.lists.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut_watches();
    }
}

/// The last part of a path that names a kind: collections are all that is watched and listed here.
fn plural(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let faults = shared.faults();
    let path = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let watches = query.contains("watch=1") || query.contains("watch=true");
    let writes = head.method != Method::GET && !path.contains("/leases");
    if writes && let Some(seconds) = faults.refuse_writes {
        shared.refused.fetch_add(1, Ordering::SeqCst);
        let status = serde_json::json!({
            "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 429, "reason": "TooManyRequests",
            "message": "too many requests, please try again later", "details": { "retryAfterSeconds": seconds },
        });
        return answer(StatusCode::TOO_MANY_REQUESTS, Some(seconds), &status);
    }
    if watches {
        let mut expired = shared.expired.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = expired.iter().position(|kind| kind == plural(&path)) {
            expired.remove(index);
            let gone = serde_json::json!({ "type": "ERROR", "object": {
                "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired",
                "message": "too old resource version",
            } });
            return answer(StatusCode::OK, None, &gone);
        }
    } else if head.method == Method::GET && path.contains("/elb-doctor.dev/") {
        shared.lists.fetch_add(1, Ordering::SeqCst);
    }

    // The connection's own matters end here.
    let mut onward = axum::http::Request::builder().method(head.method).uri(head.uri);
    if let Some(headers) = onward.headers_mut() {
        *headers = carried(&head.headers);
    }
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return answer(StatusCode::BAD_REQUEST, None, &serde_json::Value::Null);
    };
    let request = onward.body(kube::client::Body::from(body.to_vec())).expect("a request");
    let response = match shared.client.send(request).await {
        Ok(response) => response,
        Err(error) => return answer(StatusCode::BAD_GATEWAY, None, &serde_json::json!(error.to_string())),
    };
    let (head, body) = response.into_parts();
    let body = Body::new(body);
    let body = if watches {
        let kind = plural(&path).to_owned();
        let cut = shared.cut.subscribe();
        Body::from_stream(watched(shared, kind, cut, body.into_data_stream()))
    } else {
        body
    };
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = carried(&head.headers);
    response
}

/// What comes of a watch, until it is cut; while its kind is stalled, nothing.
fn watched(
    shared: Arc<Shared>,
    kind: String,
    cut: watch::Receiver<u64>,
    body: impl Stream<Item = Result<Bytes, axum::Error>> + Send + Unpin + 'static,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    stream::unfold(
        (shared, kind, cut, body),
        |(shared, kind, mut cut, mut body)| async move {
            let part = tokio::select! {
                _ = cut.changed() => return None,
                part = body.next() => part,
            };
            // Its end, too, is kept back.
            while shared.faults().stalled.contains(&kind.as_str()) {
                tokio::select! {
                    _ = cut.changed() => return None,
                    () = tokio::time::sleep(Duration::from_millis(50)) => {}
                }
            }
            let part = part?;
            Some((Ok(part.ok()?), (shared, kind, cut, body)))
        },
    )
}

fn carried(headers: &HeaderMap) -> HeaderMap {
    let mut carried = headers.clone();
    for own in [
        header::HOST,
        header::AUTHORIZATION,
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::CONTENT_LENGTH,
    ] {
        carried.remove(own);
    }
    carried
}

fn answer(code: StatusCode, retry_after: Option<u32>, body: &serde_json::Value) -> Response {
    let mut response = Response::new(Body::from(format!("{body}\n")));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, "application/json".parse().expect("a header"));
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
