//! Taking a health check port away that is not the backend server's own (semantics §8), and accepting it.

use crate::{
    api::v1alpha1::ACCEPT_ANNOTATION,
    engine::{Case, PortFix},
    world::Collected,
};

/// Where to take the health check port away.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PortRemoval {
    /// From which kind of object.
    pub from: PortFix,
    /// Name of the object.
    pub name: String,
    /// The backend server group.
    pub group: String,
    /// Its position in the load balancer's array.
    pub index: usize,
    /// Whether the array has others, so that the position may be another's by the time of the change.
    pub has_siblings: bool,
    /// How many other members the change touches; of many only that there are more than so many.
    pub others: usize,
    /// The health check port.
    pub port: u16,
    /// The port that is probed afterwards.
    pub then: u16,
}

impl PortRemoval {
    pub(super) fn new(collected: &Collected, case: &Case, from: PortFix) -> Option<Self> {
        let spec = &collected.backend.spec;
        let balancer = collected.load_balancer.as_ref()?;
        let groups = &balancer.spec.backend_server_groups;
        let index = groups
            .iter()
            .position(|group| group.name == spec.backend_server_group)?;
        let object = match from {
            PortFix::BackendServer => &collected.backend.metadata,
            PortFix::Group => &balancer.metadata,
        };
        Some(Self {
            from,
            name: object.name.clone().unwrap_or_default(),
            group: spec.backend_server_group.clone(),
            index,
            has_siblings: groups.len() > 1,
            others: collected.other_members,
            port: case.traffic.port,
            then: case.backend_port,
        })
    }
}

/// What the annotation of the backend server lists already: accepting more must not lose it.
pub(super) fn accepted_already(collected: &Collected) -> Vec<String> {
    let annotations = collected.backend.metadata.annotations.as_ref();
    let listed = annotations.and_then(|all| all.get(ACCEPT_ANNOTATION));
    let ids = listed.into_iter().flat_map(|ids| ids.split(','));
    ids.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect()
}
