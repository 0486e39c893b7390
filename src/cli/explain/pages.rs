//! The pages of `docs/`, embedded: what `elb-doctor explain` prints needs no repository and no network.

/// The page of one check.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// The check's id.
    pub id: &'static str,
    /// The page as Markdown.
    pub text: &'static str,
}

macro_rules! pages {
    ($($id:literal)*) => {
        &[$(Page {
            id: $id,
            text: include_str!(concat!("../../../docs/checks/", $id, ".md")),
        },)*]
    };
}

/// The checks with a page, in the order in which they are listed: the 17 items, then what goes beyond them.
pub const PAGES: &[Page] = pages! {
    "security_group_check_hc_protocol_ingress"
    "security_group_check_hc_source_ip_ingress"
    "security_group_check_hc_port_ingress"
    "security_group_check_hc_protocol_egress"
    "security_group_check_hc_source_ip_egress"
    "security_group_check_hc_port_egress"
    "acl_check_hc_protocol_ingress"
    "acl_check_hc_source_ip_ingress"
    "acl_check_hc_source_port_ingress"
    "acl_check_hc_dest_ip_ingress"
    "acl_check_hc_dest_port_ingress"
    "acl_check_hc_protocol_egress"
    "acl_check_hc_source_ip_egress"
    "acl_check_hc_source_port_egress"
    "acl_check_hc_dest_ip_egress"
    "acl_check_hc_dest_port_egress"
    "check_hc_config_port"
    "load_balancer_acl_egress"
    "load_balancer_acl_ingress"
    "security_group_reply_egress"
};

/// Why a backend server is not diagnosed, a section for each reason.
const REFUSALS: &str = include_str!("../../../docs/refusals.md");

impl Page {
    /// The value of a row of the table at its head.
    pub fn row(&self, name: &str) -> Option<&'static str> {
        let line = self.text.lines().find_map(|line| {
            let (label, value) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
            (label == name).then_some(value)
        });
        line.map(str::trim)
    }

    /// The word that conditions and events use for it.
    pub fn condition_reason(&self) -> &'static str {
        self.row("`FaultFound` reason").unwrap_or_default()
    }
}

/// The sections about refusals: the reason, and what it means, heading included.
pub fn refusals() -> impl Iterator<Item = (&'static str, &'static str)> {
    let starts = REFUSALS.match_indices("\n## ").map(|(at, _)| at + 1);
    starts.filter_map(|start| {
        let section = REFUSALS.get(start..)?;
        let end = section
            .match_indices("\n## ")
            .next()
            .map_or(section.len(), |(at, _)| at + 1);
        let section = section.get(..end)?;
        let reason = section.lines().next()?.strip_prefix("## ")?;
        Some((reason, section))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::CheckId, world::RefusalReason};

    #[test]
    fn every_item_has_a_page_in_table_order() {
        let ids: Vec<_> = PAGES.iter().map(|page| page.id).collect();
        let items: Vec<_> = CheckId::ALL.iter().map(|check| check.id()).collect();
        assert!(ids.starts_with(&items), "{ids:?}");
        for page in PAGES {
            assert!(page.text.starts_with(&format!("# {}\n", page.id)), "{}", page.id);
            for row in ["item", "category", "severity", "`FaultFound` reason"] {
                assert!(
                    page.row(row).is_some_and(|value| !value.is_empty()),
                    "{}: {row}",
                    page.id
                );
            }
        }
    }

    #[test]
    fn every_reason_of_a_refusal_has_a_section_in_their_order() {
        use RefusalReason as R;
        let all = [
            R::ReferenceNotFound,
            R::InvalidSpec,
            R::AmbiguousNetworkAcl,
            R::IpBackendUnsupported,
            R::NotAssociatedWithListener,
            R::HealthCheckDisabled,
            R::BackendNotUnhealthy,
            R::HealthCheckSourcesUnknown,
            R::TooIntricate,
        ];
        let reasons: Vec<_> = refusals().map(|(reason, _)| reason).collect();
        assert_eq!(reasons, all.map(RefusalReason::as_str));
        for (reason, section) in refusals() {
            assert!(section.lines().count() > 4, "{reason}: {section}");
        }
    }
}
