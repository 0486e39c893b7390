//! From changes to work: who is affected is queued with the controller of its kind, sooner or later.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    api::v1alpha1::Kind,
    world::{Affected, Key, World},
};

use super::queue::{Lane, Queue};

/// A load balancer counts all of its backends: one count for a burst of changes, and two a second while they go on.
const LOAD_BALANCER_DEBOUNCE: Duration = Duration::from_millis(500);
/// A request is written moments after the mark that it asks about, and comes by another watch: this lets the mark come first.
const REQUEST_DEBOUNCE: Duration = Duration::from_millis(100);

/// How long changes that affect an object of the kind are gathered before it is looked at.
const fn debounce(kind: Kind) -> Duration {
    match kind {
        Kind::LoadBalancer => LOAD_BALANCER_DEBOUNCE,
        Kind::TroubleshootRequest => REQUEST_DEBOUNCE,
        Kind::BackendServer | Kind::SecurityGroup | Kind::NetworkACL | Kind::Subnet | Kind::AddressGroup => {
            Duration::ZERO
        }
    }
}

/// The queues of the kinds that have a controller.
#[derive(Debug)]
pub(super) struct Dispatch {
    queues: BTreeMap<Kind, Arc<Queue<Key>>>,
}

impl FromIterator<(Kind, Arc<Queue<Key>>)> for Dispatch {
    fn from_iter<I: IntoIterator<Item = (Kind, Arc<Queue<Key>>)>>(queues: I) -> Self {
        Self {
            queues: queues.into_iter().collect(),
        }
    }
}

impl Dispatch {
    /// All queues.
    pub(super) fn queues(&self) -> impl Iterator<Item = &Arc<Queue<Key>>> {
        self.queues.values()
    }

    /// Queues those whose state may differ.
    pub(super) fn affected(&self, mut affected: Affected) {
        for (kind, queue) in &self.queues {
            let keys = affected.of_mut(*kind).map(std::mem::take).unwrap_or_default();
            for key in keys {
                add(queue, key, Lane::Change, debounce(*kind));
            }
        }
    }

    /// Queues everybody: after a start, a change of leader, and from time to time.
    pub(super) fn resync(&self, world: &World) {
        for (kind, queue) in &self.queues {
            for key in world.keys(*kind) {
                queue.add(key, Lane::Sweep);
            }
        }
    }
}

fn add(queue: &Queue<Key>, key: Key, lane: Lane, delay: Duration) {
    if delay.is_zero() {
        queue.add(key, lane);
    } else {
        queue.add_after(key, lane, delay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::QueueMetrics;

    #[tokio::test]
    async fn each_goes_to_the_queue_of_its_kind_and_counts_wait_for_a_burst_to_end() {
        let queue = || Arc::new(Queue::new(QueueMetrics::default(), 9));
        let (backends, balancers) = (queue(), queue());
        let dispatch = Dispatch::from_iter([
            (Kind::BackendServer, backends.clone()),
            (Kind::LoadBalancer, balancers.clone()),
        ]);
        dispatch.queues().for_each(|queue| queue.open());
        let key = |name: &str| Key::new("meadow", name);
        for name in ["ewe", "ram"] {
            dispatch.affected(Affected {
                backend_servers: [key(name)].into(),
                load_balancers: [key("gate")].into(),
                security_groups: [key("fence")].into(),
                ..Affected::default()
            });
        }
        let start = tokio::time::Instant::now();
        assert_eq!(backends.next().await, Some(key("ewe")));
        assert_eq!(backends.next().await, Some(key("ram")));
        assert!(start.elapsed() < LOAD_BALANCER_DEBOUNCE);
        assert_eq!(balancers.next().await, Some(key("gate")));
        assert!(start.elapsed() >= LOAD_BALANCER_DEBOUNCE);
        let more = tokio::time::timeout(2 * LOAD_BALANCER_DEBOUNCE, balancers.next()).await;
        assert!(more.is_err(), "one count for both");
    }
}
