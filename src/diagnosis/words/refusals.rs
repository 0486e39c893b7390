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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Family, HealthCheckPorts, LoadBalancerEnd, RuleSet, SpanSet, Traffic};

    fn rules(name: &str) -> Rules {
        Rules {
            set: RuleSet::new(name).into(),
            groups: Vec::new(),
        }
    }

    #[test]
    fn the_object_of_each_layer_is_named() {
        let end = |name: &str| LoadBalancerEnd {
            subnet: "lb".into(),
            prefixes: Vec::new(),
            rules: rules(name),
            stateful: true,
        };
        let case = Case {
            traffic: Traffic {
                family: Family::V4,
                legs: Vec::new(),
                sources: SpanSet::default(),
                local: 0,
                port: 80,
            },
            health_check_ports: HealthCheckPorts::default(),
            backend_port: 80,
            security_groups: SecurityGroupState::Groups {
                groups: vec![rules("base"), rules("web")],
                stateful: false,
            },
            network_acl: NetworkAclState::InForce {
                rules: rules("inner"),
                stateful: true,
            },
            load_balancer_ends: vec![end("outer-a"), end("outer-b")],
            subnet: Vec::new(),
        };
        let object = |layer, direction, end| {
            let text = too_intricate(&case, TooIntricate { layer, direction, end });
            text.split(": ").next().unwrap_or_default().to_owned()
        };
        let (inbound, outbound) = (Direction::Ingress, Direction::Egress);
        assert_eq!(
            object(Layer::NetworkAcl, inbound, None),
            "NetworkACL inner spec.ingress"
        );
        assert_eq!(
            object(Layer::LoadBalancerAcl, outbound, Some(1)),
            "NetworkACL outer-b spec.egress"
        );
        let groups = "SecurityGroups base, web spec.rules (Egress)";
        assert_eq!(object(Layer::SecurityGroupReply, outbound, None), groups);
    }
}
