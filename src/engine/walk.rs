//! Which items fail for which packets (semantics §6).
//!
//! Semantics §6 walks the dimensions for each single packet; here the walk is made for regions of packets that have the same
//! answers so far. Only dropped packets are walked: an allowed packet is its own example on every dimension, so no
//! item fails for it.

use super::{
    CheckId, Dimension, Leg, Region, Traffic,
    filter::Filter,
    reach::{Pinned, Reached},
    work::{Exhausted, Work},
};

/// For each item that fails for some packet of `dropped`: the packets for which it fails, its blocked set. In table order.
pub(crate) fn blocked_sets(
    filter: &Filter<'_>,
    traffic: &Traffic,
    leg: Leg,
    items: &[(CheckId, Dimension)],
    dropped: &Region,
    work: &mut Work,
) -> Result<Vec<(CheckId, Dimension, Region)>, Exhausted> {
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
            let reached = if filter.has_free(pinned) {
                filter.reachable(traffic, leg, pinned, &region, work)?
            } else {
                // No other packet is like a dropped one.
                Reached {
                    yes: Region::default(),
                    no: region,
                }
            };
            if !reached.yes.is_empty() {
                next.push((pinned, reached.yes));
            }
            if !reached.no.is_empty() {
                blocked = if blocked.is_empty() {
                    reached.no.clone()
                } else {
                    blocked.union(&reached.no, work)?
                };
                next.push((held, reached.no));
            }
        }
        groups = next;
        if !blocked.is_empty() {
            out.push((check, dimension, blocked));
        }
    }
    Ok(out)
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
