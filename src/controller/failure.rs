//! Why a reconcile failed, as a person reads it and as metrics count it.

use std::time::Duration;

use axum::http;
use kube::core::Status;

use crate::{telemetry::WriteResult, text::clean};

/// Why a key could not be dealt with now; it comes back after a delay.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The API server did not take a write.
    #[error("cannot write: {}", api_message(.0))]
    Write(#[source] kube::Error),
    /// The installed CRDs do not have a field that is written.
    #[error("cannot write: the installed CRDs are older than this version: {}", api_message(.0))]
    Schema(#[source] kube::Error),
    /// The API server takes no writes for that time.
    #[error("the API server asked for a pause")]
    PushedBack(Duration),
    /// Somebody else writes the same status: it is to be left alone for that time.
    #[error("another installation also writes this status")]
    Disputed(Duration),
    /// The process is about to end.
    #[error("interrupted by shutdown")]
    Interrupted,
    /// No request can be made: a fault of the program.
    #[error("cannot make the request: {0}")]
    Request(#[source] http::Error),
    /// The API server did not answer a write.
    #[error("cannot write: no answer within {0} s")]
    Timeout(u64),
    /// Another replica leads, or nobody knows.
    #[error("the lease was lost before the write")]
    NotLeader,
    /// A status that JSON cannot express: a fault of the program.
    #[error("cannot express the status as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// An error of the API client in one line, without what only a programmer wants to see.
#[must_use]
pub fn api_message(error: &kube::Error) -> String {
    let text = match error {
        kube::Error::Api(status) => api_status(status),
        other => {
            // The outer messages often say only "client error": the causes name the reason.
            let mut text = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(inner) = cause {
                let inner_text = inner.to_string();
                if !text.contains(&inner_text) {
                    text.push_str(": ");
                    text.push_str(&inner_text);
                }
                cause = inner.source();
            }
            text
        }
    };
    clean(&text).into_owned()
}

/// The API server's own words.
pub(super) fn api_status(status: &Status) -> String {
    if status.message.is_empty() {
        format!("{} {}", status.code, status.reason)
    } else {
        status.message.clone()
    }
}

/// How metrics count a failed write.
pub(super) fn write_result(error: &kube::Error) -> WriteResult {
    match error {
        kube::Error::Api(status) => match status.code {
            404 => WriteResult::Gone,
            409 => WriteResult::Conflict,
            401 | 403 => WriteResult::Forbidden,
            400 | 415 | 422 => WriteResult::Invalid,
            429 | 503 => WriteResult::Throttled,
            408 | 504 => WriteResult::Timeout,
            _ => WriteResult::Error,
        },
        _ => WriteResult::Error,
    }
}
