//! Why a diagnosis that was begun was given up.

use crate::engine::{Case, Direction, Layer, NetworkAclState, SecurityGroupState, TooIntricate};

/// The rules of one direction take more work to judge than a diagnosis may take: names the objects.
pub fn too_intricate(case: &Case, TooIntricate { layer, direction }: TooIntricate) -> String {
    let object = match (layer, &case.security_groups, &case.network_acl) {
        (Layer::NetworkAcl, _, NetworkAclState::InForce { rules, .. }) => {
            let array = match direction {
                Direction::Ingress => "ingress",
                Direction::Egress => "egress",
            };
            format!("NetworkACL {} spec.{array}", rules.set.name)
        }
        (Layer::SecurityGroup, SecurityGroupState::Groups { groups, .. }, _) => {
            let kind = if groups.len() == 1 {
                "SecurityGroup"
            } else {
                "SecurityGroups"
            };
            let names: Vec<&str> = groups.iter().map(|group| &*group.set.name).collect();
            format!("{kind} {} spec.rules ({direction:?})", names.join(", "))
        }
        // A layer that is not in force is not judged.
        (layer, ..) => format!("{layer:?}"),
    };
    format!("{object}: these rules are too intricate to judge; fewer rules, or rules that overlap less, would do")
}
