//! Which items fail for which packets (domain §6).
//!
//! The domain walks the dimensions for each single packet; here the walk is made for regions of packets that have the same
//! answers so far. Only dropped packets are walked: an allowed packet is its own example on every dimension, so no
//! item fails for it.

use super::{CheckId, Dimension, Leg, Region, Traffic, filter::Filter, reach::Pinned};

/// For each item that fails for some packet of `dropped`: the packets for which it fails, its blocked set. In table order.
pub(crate) fn blocked_sets(
    filter: &Filter<'_>,
    traffic: &Traffic,
    leg: Leg,
    items: &[(CheckId, Dimension)],
    dropped: &Region,
) -> Vec<(CheckId, Dimension, Region)> {
    let mut out: Vec<(CheckId, Dimension, Region)> = Vec::with_capacity(items.len());
    // Regions that agree on what is held.
    let mut groups = vec![(Pinned::default(), dropped.clone())];
    for &(check, dimension) in items {
        if !leg.has_ports() && matches!(dimension, Dimension::RemotePort | Dimension::LocalPort) {
            continue;
        }
        let mut blocked = Region::default();
        let mut next = Vec::with_capacity(groups.len() + 1);
        for (held, region) in groups {
            let mut pinned = held;
            pinned.pin(dimension);
            let satisfied = filter.reachable(traffic, leg, pinned, &region);
            let unsatisfied = region.difference(&satisfied);
            if !satisfied.is_empty() {
                next.push((pinned, satisfied));
            }
            if !unsatisfied.is_empty() {
                blocked.add_disjoint(unsatisfied.clone());
                next.push((held, unsatisfied));
            }
        }
        groups = next;
        if !blocked.is_empty() {
            out.push((check, dimension, blocked));
        }
    }
    out
}

impl Pinned {
    fn pin(&mut self, dimension: Dimension) {
        match dimension {
            Dimension::Protocol => self.protocol = true,
            Dimension::Remote => self.remote = true,
            Dimension::RemotePort => self.remote_port = true,
            Dimension::Local => self.local = true,
            Dimension::LocalPort => self.local_port = true,
        }
    }
}
