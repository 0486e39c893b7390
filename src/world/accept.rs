//! Findings that users accept (semantics §8): the annotation of a load balancer or backend server.

use kube::api::ObjectMeta;

use crate::{api::v1alpha1::ACCEPT_ANNOTATION, engine::CheckId};

/// So many ids that are none are kept, to be told of; an annotation may hold thousands.
const MAX_UNKNOWN: usize = 8;

/// The annotation as it was written; `None` where there is none.
pub(super) fn written(meta: &ObjectMeta) -> Option<&str> {
    let annotations = meta.annotations.as_ref()?;
    annotations.get(ACCEPT_ANNOTATION).map(String::as_str)
}

/// The ids that such annotations list, each once, in order. Of those that are none the first few.
pub(super) fn ids<'a>(annotations: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut unknown = 0;
    let listed = annotations.into_iter().flat_map(|text| text.split(','));
    for id in listed.map(str::trim).filter(|id| !id.is_empty()) {
        if !is_known(id) {
            if unknown == MAX_UNKNOWN {
                continue;
            }
            unknown += usize::from(!out.iter().any(|known| known == id));
        }
        if !out.iter().any(|known| known == id) {
            out.push(id.to_owned());
        }
    }
    out
}

fn is_known(id: &str) -> bool {
    let mut checks = CheckId::ALL.iter().chain(CheckId::BEYOND);
    checks.any(|check| check.id() == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_trimmed_and_told_once_in_order() {
        let port = CheckId::HealthCheckPort.id();
        let annotations = [
            format!(" {port} ,cows,,"),
            String::new(),
            format!("cows\n,goats,{port}"),
        ];
        assert_eq!(ids(annotations.iter().map(String::as_str)), [port, "cows", "goats"]);
    }

    #[test]
    fn a_flood_of_ids_that_are_none_hides_no_id_that_is_one() {
        let many: Vec<_> = (0..10_000).map(|at| format!("sheep-{at}")).collect();
        let beyond = CheckId::BEYOND.iter().map(|check| check.id());
        let all: Vec<_> = many.iter().map(String::as_str).chain(beyond).collect();
        let found = ids([all.join(",").as_str()]);
        assert_eq!(found.len(), MAX_UNKNOWN + CheckId::BEYOND.len());
    }
}
