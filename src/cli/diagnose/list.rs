//! What `-o json` and `-o yaml` print.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeSeq as _},
};

use crate::{
    api::v1alpha1::{BackendServer, BackendServerStatus},
    diagnosis::{self, Assessment},
};

/// The backend servers with their status filled in, as the controller would. Written one by one: the values of a hundred thousand at
/// once take gigabytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct List<'a> {
    api_version: &'static str,
    items: Items<'a>,
    kind: &'static str,
}

impl<'a> List<'a> {
    /// Of these, in this order.
    pub fn of(assessments: &'a [Assessment]) -> Self {
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
