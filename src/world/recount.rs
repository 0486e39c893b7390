//! Which counts a change of one object changes.

use std::sync::Arc;

use crate::api::v1alpha1::{BackendServer, Kind, conditions::types};

use super::{
    Namespace,
    counts::{Counted, Sign},
    displayed,
    references::Node,
};

fn counted(namespace: &Namespace, name: &str) -> Option<Counted> {
    let backend = namespace.readable::<BackendServer>(name)?;
    let status = backend.object.status.as_ref();
    let mut conditions = status.iter().flat_map(|status| &status.conditions);
    Some(Counted {
        load_balancer: backend.object.spec.load_balancer_ref.name.as_str().into(),
        displayed: displayed::health(namespace, &backend.object).0,
        // From the verdict that stands in its status.
        faulty: conditions.any(|condition| condition.type_ == types::FAULT_FOUND && condition.status == "True"),
    })
}

/// The backend servers whose count a change can touch, as they were before it.
#[derive(Debug)]
pub(super) struct Recount(Vec<(Arc<str>, Option<Counted>)>);

impl Recount {
    /// Before the change of that object; `status_only` when nothing that anybody reads changes but its own status.
    pub(super) fn begin(namespace: &Namespace, (kind, name): &Node, status_only: bool) -> Self {
        let backends: Vec<Arc<str>> = match kind {
            Kind::BackendServer => vec![Arc::clone(name)],
            // What is displayed depends on its listeners and health checks.
            Kind::LoadBalancer if !status_only => namespace.backend_servers_of(name).cloned().collect(),
            Kind::LoadBalancer
            | Kind::SecurityGroup
            | Kind::NetworkACL
            | Kind::Subnet
            | Kind::AddressGroup
            | Kind::TroubleshootRequest => Vec::new(),
        };
        let before = backends.into_iter().map(|name| {
            let counted = counted(namespace, &name);
            (name, counted)
        });
        Self(before.collect())
    }

    /// After it: the load balancers whose counts differ now.
    pub(super) fn end(self, namespace: &mut Namespace) -> Vec<Arc<str>> {
        let mut differ = Vec::new();
        for (name, before) in self.0 {
            let after = counted(namespace, &name);
            if before == after {
                continue;
            }
            for (counted, sign) in [(before, Sign::Minus), (after, Sign::Plus)] {
                if let Some(counted) = counted {
                    namespace.counts_mut().add(&counted, sign);
                    if !differ.contains(&counted.load_balancer) {
                        differ.push(counted.load_balancer);
                    }
                }
            }
        }
        differ
    }
}
