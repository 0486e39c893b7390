//! Why a diagnosis that was begun was given up.

use crate::engine::{Case, Direction, Layer, NetworkAclState, Rules, SecurityGroupState, TooIntricate};

/// The rules of one direction take more work to judge than a diagnosis may take: names the objects.
pub fn too_intricate(case: &Case, TooIntricate { layer, direction, end }: TooIntricate) -> String {
    let acl = |rules: &Rules| {
        let array = match direction {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        };
        format!("NetworkACL {} spec.{array}", rules.set.name)
    };
    let end = end.and_then(|end| case.load_balancer_ends.get(end));
    let object = match (layer, &case.security_groups, &case.network_acl, end) {
        (Layer::NetworkAcl, _, NetworkAclState::InForce { rules, .. }, _) => acl(rules),
        (Layer::LoadBalancerAcl, .., Some(end)) => acl(&end.rules),
        (Layer::SecurityGroup | Layer::SecurityGroupReply, SecurityGroupState::Groups { groups, .. }, ..) => {
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
