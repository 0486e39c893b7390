//! Which items fail for which packets (semantics §6).
//!
//! Semantics §6 walks the dimensions for each single packet; here the walk is made for regions of packets that have the same
//! answers so far. Only dropped packets are walked: an allowed packet is its own example on every dimension, so no
//! item fails for it.

use super::{
    CheckId, Dimension, Leg, Region, Traffic,
    filter::{Dropped, Filter},
    reach::{Atlases, Pinned, Reached},
    traffic::EPHEMERAL,
    work::{Exhausted, Work},
};

/// For each item that fails for some packet that is dropped: the packets for which it fails, its blocked set. In table order.
pub(crate) fn blocked_sets(
    filter: &Filter<'_>,
    traffic: &Traffic,
    leg: Leg,
    items: &[(CheckId, Dimension)],
    dropped: &Dropped<'_>,
    work: &mut Work,
) -> Result<Vec<(CheckId, Dimension, Region)>, Exhausted> {
    let mut out: Vec<(CheckId, Dimension, Region)> = Vec::with_capacity(items.len());
    let mut walk = Walk {
        filter: *filter,
        traffic,
        leg,
        told: filter.told(),
        passing: &dropped.passing,
        uniform: Vec::new(),
        atlases: None,
    };
    // Regions that agree on what is held.
    let mut groups = vec![(Pinned::default(), dropped.region.clone())];
    for &(check, dimension) in items {
        if !leg.has_ports() && matches!(dimension, Dimension::RemotePort | Dimension::LocalPort) {
            continue;
        }
        let mut blocked = Region::default();
        let mut next = Vec::with_capacity(groups.len() + 1);
        for (held, region) in groups {
            let mut pinned = held;
            pinned.pin(dimension);
            let reached = walk.reached(held, pinned, region, work)?;
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

/// What is known on the way, so that few questions need a search.
struct Walk<'a> {
    filter: Filter<'a>,
    traffic: &'a Traffic,
    leg: Leg,
    /// The dimensions by which some rule tells packets apart. On any other, every packet is like every other.
    told: Pinned,
    /// The required packets that are allowed.
    passing: &'a Region,
    /// Questions whose answer is the same for every packet, with the answer.
    uniform: Vec<(Pinned, bool)>,
    /// The dimensions as the rules cut them, once a question needed that.
    atlases: Option<Atlases<'a>>,
}

impl Walk<'_> {
    /// The packets of `region`, all dropped, for which some packet that agrees with them on the pinned dimensions is
    /// allowed, and the rest. Each has one that agrees with it on what is held, unless that is nothing.
    fn reached(&mut self, held: Pinned, pinned: Pinned, region: Region, work: &mut Work) -> Result<Reached, Exhausted> {
        if self.told.and(pinned) == self.told {
            // No other packet is like a dropped one.
            return Ok(Reached::none(region));
        }
        let pinned = pinned.and(self.told);
        if held != Pinned::default() && pinned == held.and(self.told) {
            return Ok(Reached::all(region));
        }
        if !pinned.remote && !pinned.remote_port {
            if let Some((_, known)) = self.uniform.iter().find(|(own, _)| *own == pinned) {
                return Ok(if *known {
                    Reached::all(region)
                } else {
                    Reached::none(region)
                });
            }
            let reached = if self.passing.is_empty() {
                self.filter
                    .reachable(self.traffic, self.leg, pinned, &region, &mut self.atlases, work)?
            } else {
                Reached::all(region)
            };
            self.uniform.push((pinned, reached.no.is_empty()));
            return Ok(reached);
        }
        if self.passing.is_empty() || (pinned.remote && pinned.remote_port) {
            return self
                .filter
                .reachable(self.traffic, self.leg, pinned, &region, &mut self.atlases, work);
        }
        // A required packet from the same address, or from the same port, is an example where only that is asked for.
        let mut no = region;
        let yes = if pinned.remote {
            no.take(self.passing.remotes().spans(), &[EPHEMERAL])
        } else {
            no.take(self.filter.family.all(), self.passing.ports().spans())
        };
        if no.is_empty() {
            return Ok(Reached { yes, no });
        }
        let more = self
            .filter
            .reachable(self.traffic, self.leg, pinned, &no, &mut self.atlases, work)?;
        Ok(Reached {
            yes: yes.union(&more.yes, work)?,
            no: more.no,
        })
    }
}

impl Pinned {
    pub(crate) fn pin(&mut self, dimension: Dimension) {
        match dimension {
            Dimension::Protocol => self.protocol = true,
            Dimension::Remote => self.remote = true,
            Dimension::RemotePort => self.remote_port = true,
            Dimension::Local => self.local = true,
            Dimension::LocalPort => self.local_port = true,
        }
    }
}
