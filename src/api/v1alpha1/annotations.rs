//! The annotation that anybody reads. All others belong to whoever wrote them.

use serde::{Deserialize, Serialize};

/// On a load balancer or a backend server: ids of advisory findings that make no fault, separated by commas.
pub const ACCEPT_ANNOTATION: &str = "elb-doctor.dev/accept";

/// What is read of an object's annotations.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReadAnnotations {
    /// The value of [`ACCEPT_ANNOTATION`].
    #[serde(rename = "elb-doctor.dev/accept", default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<String>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_is_read_by_its_name_and_no_other_is_kept() {
        let text = format!(r#"{{"{ACCEPT_ANNOTATION}": "a,b", "shepherd": "tom"}}"#);
        let read: ReadAnnotations = serde_json::from_str(&text).unwrap();
        assert_eq!(read.accept.as_deref(), Some("a,b"));
        let kept = serde_json::to_string(&read).unwrap();
        assert_eq!(kept, format!(r#"{{"{ACCEPT_ANNOTATION}":"a,b"}}"#));
    }
}
