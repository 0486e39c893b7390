//! Requests to the API server as they are, body and all: what no client library would send, and many at once.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::{future::Future, sync::OnceLock};

use axum::{body::Bytes, http::Request};
use futures::{StreamExt as _, stream};
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::common::ControlPlane;

/// Where the kinds are.
pub const GROUP: &str = "/apis/elb-doctor.dev/v1alpha1";
/// How many requests go on at once.
const AT_ONCE: usize = 32;

/// The runtime of whatever in these tests is asynchronous.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"))
}

/// Waits for a future on that runtime.
pub fn wait<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

/// A client by this kubeconfig, which retries nothing.
pub async fn client_of(kubeconfig: &std::path::Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .expect("a kubeconfig");
    config.default_retry = false;
    Client::try_from(config).expect("a client")
}

/// The administrator's client.
pub async fn client() -> Client {
    static CLIENT: tokio::sync::OnceCell<Client> = tokio::sync::OnceCell::const_new();
    let made = CLIENT.get_or_init(async || client_of(&ControlPlane::get().kubeconfig()).await);
    made.await.clone()
}

/// Whose rights a request is made with.
#[derive(Clone, Debug)]
pub enum As {
    /// The administrator.
    Admin,
    /// This user.
    User(String),
}

/// An answer: its code, and its body as JSON or as text.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: u16,
    pub body: Value,
}

impl Answer {
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// Fails unless the request was granted.
    pub fn good(self) -> Value {
        assert!(self.is_good(), "{self:?}");
        self.body
    }
}

/// One request.
pub async fn ask(who: &As, method: &str, path: &str, kind: &str, body: impl Into<Vec<u8>>) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("content-type", kind);
    if let As::User(name) = who {
        request = request
            .header("impersonate-user", name.as_str())
            .header("impersonate-group", "system:authenticated");
    }
    let request = request.body(Body::from(body.into())).expect("a request");
    let response = client().await.send(request).await.expect("an answer");
    let code = response.status().as_u16();
    let body: Bytes = axum::body::to_bytes(axum::body::Body::new(response.into_body()), usize::MAX)
        .await
        .expect("a body");
    let body =
        serde_json::from_slice(&body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
    Answer { code, body }
}

/// Path of an object.
pub fn path(namespace: &str, plural: &str, name: &str) -> String {
    format!("{GROUP}/namespaces/{namespace}/{plural}/{name}")
}

/// An object as it is now.
pub async fn get(namespace: &str, plural: &str, name: &str) -> Value {
    ask(
        &As::Admin,
        "GET",
        &path(namespace, plural, name),
        "application/json",
        "",
    )
    .await
    .good()
}

/// All objects of a kind in a namespace.
pub async fn list(namespace: &str, plural: &str) -> Vec<Value> {
    let path = format!("{GROUP}/namespaces/{namespace}/{plural}");
    let all = ask(&As::Admin, "GET", &path, "application/json", "").await.good();
    all["items"].as_array().cloned().unwrap_or_default()
}

/// Creates an object from this text.
pub async fn create(who: &As, namespace: &str, plural: &str, text: impl Into<Vec<u8>>) -> Answer {
    let path = format!("{GROUP}/namespaces/{namespace}/{plural}?fieldManager=test");
    ask(who, "POST", &path, "application/json", text).await
}

/// Merges a change into the status of an object.
pub async fn patch_status(who: &As, namespace: &str, plural: &str, name: &str, text: impl Into<Vec<u8>>) -> Answer {
    let path = format!("{}/status?fieldManager=test", path(namespace, plural, name));
    ask(who, "PATCH", &path, "application/merge-patch+json", text).await
}

/// Merges a change into an object.
pub async fn patch(who: &As, namespace: &str, plural: &str, name: &str, text: impl Into<Vec<u8>>) -> Answer {
    let path = format!("{}?fieldManager=test", path(namespace, plural, name));
    ask(who, "PATCH", &path, "application/merge-patch+json", text).await
}

/// Does this for each item, many at once, and fails unless each is granted.
pub async fn each<T, F: Future<Output = Answer>>(items: impl IntoIterator<Item = T>, act: impl FnMut(T) -> F) {
    let mut answers = stream::iter(items.into_iter().map(act)).buffer_unordered(AT_ONCE);
    while let Some(answer) = answers.next().await {
        answer.good();
    }
}
