//! Which items of one direction of one layer fail, for which packets (semantics §6), and what they carry (semantics §7).

use super::{
    packets::{Axis, Cell, Class, Rule, Space, decide, is_allowed},
    values::{Family, Range, Share, contains, count, normal},
};

/// "the likely packets are those whose prober port is 1024–65535" (semantics §2).
pub const FIRST_LIKELY: u128 = 1024;
pub const LIKELY_PORTS: u128 = 65535 - FIRST_LIKELY + 1;

/// What a position of a packet says, in the words of the semantics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dimension {
    Protocol,
    Source,
    SourcePort,
    Destination,
    DestinationPort,
    /// The one port that security groups look at.
    Port,
}

impl Dimension {
    pub fn is_port(self) -> bool {
        matches!(self, Self::SourcePort | Self::DestinationPort | Self::Port)
    }

    pub fn last(self, family: Family) -> u128 {
        match self {
            Self::Protocol => 255,
            Self::Source | Self::Destination => family.last(),
            Self::SourcePort | Self::DestinationPort | Self::Port => 65535,
        }
    }
}

/// One leg of the health check: TCP, UDP, or ICMP beside UDP (semantics §2).
#[derive(Clone, Debug)]
pub struct Leg {
    pub protocol: u8,
    /// "The ICMP leg has no ports".
    pub has_ports: bool,
    /// Required values, per dimension; exempt packets are taken out (semantics §4).
    pub required: Vec<Vec<Range>>,
    /// The same with exempt packets: all that is health check traffic (semantics §2).
    pub traffic: Vec<Vec<Range>>,
    /// How many likely packets the leg has, exempt ones included (semantics §7).
    pub whole: u128,
}

/// One list of rules and the packets that must pass it.
#[derive(Clone, Debug)]
pub struct Direction {
    pub family: Family,
    /// In table order, with the id of the item that stands for each; empty ids where there is no walk.
    pub dimensions: Vec<(Dimension, &'static str)>,
    /// In evaluation order.
    pub rules: Vec<Rule>,
    /// "each group that an enabled rule of the direction refers to" (semantics §3), whatever the rule's family.
    pub groups: Vec<String>,
    pub legs: Vec<Leg>,
    /// An outbound direction of a stateful layer cannot stop the health check (semantics §7).
    pub advisory: bool,
    /// The prober's end is the source.
    pub is_probe: bool,
    /// The health check port.
    pub port: u16,
    /// The objects that hold the rules.
    pub objects: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Impact {
    Blocks,
    Intermittent,
    Advisory,
    None,
}

/// A failed item with its evidence.
#[derive(Clone, Debug)]
pub struct Failed {
    pub id: &'static str,
    /// The objects that hold the rules.
    pub objects: Vec<String>,
    pub impact: Impact,
    /// Absent for the configuration item.
    pub evidence: Option<Evidence>,
}

#[derive(Clone, Debug)]
pub struct Evidence {
    pub dimension: Dimension,
    pub family: Family,
    pub values: Vec<Range>,
    pub share: Share,
    /// Values of the dimensions that the direction has.
    pub witness: Vec<(Dimension, u128)>,
    /// `None`: no rule matches.
    pub decided_by: Option<Rule>,
    /// The allow rule that misses the witness on the fewest dimensions, and which dimensions; `None`: there is no allow rule, or the witness has no ports and the question is not asked here.
    pub nearest: Option<(Rule, Vec<Dimension>)>,
    pub leg_has_ports: bool,
}

impl Direction {
    pub fn space(&self, rules: &[Rule]) -> Space {
        let required: Vec<_> = self
            .legs
            .iter()
            .flat_map(|leg| [leg.required.clone(), leg.traffic.clone()])
            .collect();
        let axes: Vec<_> = self
            .dimensions
            .iter()
            .map(|&(d, _)| Axis {
                last: d.last(self.family),
                cuts: if self.is_prober_port(d) {
                    vec![FIRST_LIKELY]
                } else {
                    Vec::new()
                },
                groups: if self.is_prober(d) {
                    self.groups.clone()
                } else {
                    Vec::new()
                },
            })
            .collect();
        Space::cut(rules, &required, &axes)
    }

    fn is_prober(&self, dimension: Dimension) -> bool {
        dimension
            == if self.is_probe {
                Dimension::Source
            } else {
                Dimension::Destination
            }
    }

    fn is_prober_port(&self, dimension: Dimension) -> bool {
        dimension
            == if self.is_probe {
                Dimension::SourcePort
            } else {
                Dimension::DestinationPort
            }
    }

    /// The failed items in table order.
    pub fn failed(&self) -> Vec<Failed> {
        let space = self.space(&self.rules);
        let allowed = space.allowed(&self.rules);
        let blocked: Vec<Vec<Vec<Cell>>> = self.legs.iter().map(|leg| self.walk(leg, &space, &allowed)).collect();
        let items = self.dimensions.iter().enumerate();
        items
            .filter_map(|(d, &(_, id))| {
                let blocked: Vec<Vec<Cell>> = blocked.iter().map(|leg| leg[d].clone()).collect();
                self.finding(id, d, &space, &blocked)
            })
            .collect()
    }

    /// The required packets of each leg that the rules drop.
    fn dropped(&self, space: &Space) -> Vec<Vec<Cell>> {
        let dropped = |leg| {
            let mut cells = self.required_cells(leg, space);
            cells.retain(|cell| !is_allowed(&self.rules, &space.packet(cell)));
            cells
        };
        self.legs.iter().map(dropped).collect()
    }

    pub fn drops_something(&self) -> bool {
        self.dropped(&self.space(&self.rules))
            .iter()
            .any(|cells| !cells.is_empty())
    }

    /// "without a walk: its blocked set is what is dropped (values: the prober addresses)" (semantics §4).
    pub fn beyond(&self, id: &'static str) -> Option<Failed> {
        let space = self.space(&self.rules);
        let prober = self.dimensions.iter().position(|&(d, _)| self.is_prober(d)).unwrap();
        self.finding(id, prober, &space, &self.dropped(&space))
    }

    /// What the blocked sets of the legs, cells of that space, say about dimension `d`; `None`: they are empty.
    fn finding(&self, id: &'static str, d: usize, space: &Space, blocked: &[Vec<Cell>]) -> Option<Failed> {
        // "legs (UDP and ICMP) are walked separately and joined the same way" (§6).
        let legs: Vec<(&Leg, &Vec<Cell>)> = self.legs.iter().zip(blocked).filter(|(_, b)| !b.is_empty()).collect();
        let share = |leg: &Leg, cells: &[Cell]| Share {
            part: cells.iter().map(|cell| self.likely(leg, &space.packet(cell))).sum(),
            whole: leg.whole,
        };
        // "a likely packet before an unlikely one" (§7); else the first leg is shown (UDP).
        let (leg, cells) = legs.iter().min_by_key(|(leg, cells)| share(leg, cells).is_none())?;
        // "Shares, dropped shares and impacts count likely packets only" (§2)
        let impact = if self.advisory || legs.iter().all(|(leg, cells)| share(leg, cells).is_none()) {
            Impact::Advisory
        } else if legs.iter().any(|(leg, cells)| share(leg, cells).is_all()) {
            Impact::Blocks
        } else {
            Impact::Intermittent
        };
        // "the smallest packet of the blocked set, comparing protocol, source, source port, destination, destination port in
        // that order; a likely packet before an unlikely one, then one whose prober address can be a host's" (§7): dimensions
        // stand in the order that is compared.
        let (_, _, witness, cell) = cells
            .iter()
            .map(|cell| {
                let packet = space.packet(cell);
                let mut values: Vec<u128> = packet.iter().map(|class| class.first).collect();
                let at = self.dimensions.iter().position(|&(d, _)| self.is_prober(d)).unwrap();
                let host = first_host(packet[at], self.family);
                values[at] = host.unwrap_or(values[at]);
                (!self.is_likely(leg, &packet), host.is_none(), values, cell)
            })
            .min()
            .unwrap();
        let packet = space.packet(cell);
        let shown = self
            .dimensions
            .iter()
            .zip(witness)
            .filter(|((d, _), _)| leg.has_ports || !d.is_port());
        Some(Failed {
            id,
            impact,
            objects: self.objects.clone(),
            evidence: Some(Evidence {
                dimension: self.dimensions[d].0,
                family: self.family,
                values: normal(
                    cells
                        .iter()
                        .map(|c| (space.axes[d][c[d]].first, space.axes[d][c[d]].last))
                        .collect(),
                ),
                share: share(leg, cells),
                witness: shown.map(|((d, _), value)| (*d, value)).collect(),
                decided_by: decide(&self.rules, &packet).cloned(),
                nearest: self.nearest(&packet),
                leg_has_ports: leg.has_ports,
            }),
        })
    }

    /// "the allow rule that misses by the fewest dimensions, and which ones …; among equals one that names the health check
    /// port in its ports, then the one evaluated first" (§7).
    fn nearest(&self, packet: &[&Class]) -> Option<(Rule, Vec<Dimension>)> {
        let misses = |rule: &Rule| {
            let all = rule.dimensions.iter().zip(packet).zip(&self.dimensions);
            all.filter(|((asks, value), _)| !asks.matches(value))
                .map(|(_, (d, _))| *d)
                .collect::<Vec<_>>()
        };
        let allows = self
            .rules
            .iter()
            .filter(|rule| rule.allow)
            .map(|rule| (rule.clone(), misses(rule)));
        allows.min_by_key(|(rule, misses)| (misses.len(), !contains(&rule.server_ports, self.port.into())))
    }

    /// For each dimension, the required packets for which its item fails.
    fn walk(&self, leg: &Leg, space: &Space, allowed: &[Cell]) -> Vec<Vec<Cell>> {
        let mut fails: Vec<Vec<Cell>> = vec![Vec::new(); self.dimensions.len()];
        // "For each single required packet `f` …"
        for f in self.required_cells(leg, space) {
            // "… walk the dimensions in order, keeping a list of held dimensions, empty at first."
            let mut held: Vec<usize> = Vec::new();
            for (d, (dimension, _)) in self.dimensions.iter().enumerate() {
                // "The ICMP leg has no ports: port items never fail because of it." (§2)
                if dimension.is_port() && !leg.has_ports {
                    continue;
                }
                // "Dimension d is satisfied when some packet - agreeing with f on all held dimensions and on d, free on
                // every other dimension over its whole domain - is allowed by the rules."
                let satisfied = allowed
                    .iter()
                    .any(|packet| packet[d] == f[d] && held.iter().all(|&h| packet[h] == f[h]));
                // "If satisfied, add d to held; if not, d's item fails for f and d stays free."
                if satisfied {
                    held.push(d);
                } else {
                    fails[d].push(f.clone());
                }
            }
            // "each of them is indeed dropped"; "all items pass if and only if every required packet is allowed"
            let passed = is_allowed(&self.rules, &space.packet(&f));
            assert_eq!(passed, fails.iter().all(|cells| cells.last() != Some(&f)), "{f:?}");
        }
        fails
    }

    /// The required packets of a leg, one cell for all that no rule tells apart.
    fn required_cells(&self, leg: &Leg, space: &Space) -> Vec<Cell> {
        space.axes.iter().zip(&self.dimensions).enumerate().fold(
            vec![Vec::new()],
            |cells: Vec<Cell>, (d, (axis, (dimension, _)))| {
                let wanted: Vec<usize> = if dimension.is_port() && !leg.has_ports {
                    vec![0] // a packet without ports: any value will do, no rule with ports matches it
                } else {
                    let needed = |class: &Class| contains(&leg.required[d], class.first);
                    (0..axis.len())
                        .filter(|&i| axis[i].group.is_none() && needed(&axis[i]))
                        .collect()
                };
                cells
                    .iter()
                    .flat_map(|c| wanted.iter().map(|&i| c.iter().copied().chain([i]).collect()))
                    .collect()
            },
        )
    }

    fn is_likely(&self, leg: &Leg, packet: &[&Class]) -> bool {
        let mut prober_ports = self
            .dimensions
            .iter()
            .zip(packet)
            .filter(|((d, _), _)| self.is_prober_port(*d));
        // "every ICMP packet is likely" (§2); a security group's items do not look at the prober's port.
        !leg.has_ports || prober_ports.all(|(_, class)| class.first >= FIRST_LIKELY)
    }

    /// How many likely packets a cell stands for.
    fn likely(&self, leg: &Leg, packet: &[&Class]) -> u128 {
        if !self.is_likely(leg, packet) {
            return 0;
        }
        self.dimensions
            .iter()
            .zip(packet)
            .filter(|((d, _), _)| leg.has_ports || !d.is_port())
            .map(|(_, class)| class.size())
            .product()
    }

    /// Whether the rules let a required packet of this leg with that prober's address and port pass; packets that are not
    /// required, exempt ones and those of another subnet, pass.
    pub fn passes(&self, leg: &Leg, remote: u128, remote_port: u128) -> bool {
        let mut exempt = false;
        let packet: Vec<Class> = self
            .dimensions
            .iter()
            .enumerate()
            .map(|(d, (dimension, _))| {
                let (is_remote, is_remote_port) = (self.is_prober(*dimension), self.is_prober_port(*dimension));
                Class::single(if is_remote {
                    exempt |= !contains(&leg.required[d], remote);
                    remote
                } else if dimension.is_port() && !leg.has_ports {
                    0
                } else if is_remote_port {
                    remote_port
                } else {
                    leg.required[d].first().map_or(0, |range| range.0)
                })
            })
            .collect();
        exempt || is_allowed(&self.rules, &packet.iter().collect::<Vec<_>>())
    }
}

/// Likely packets of a leg: pairs of source address and source port, or addresses alone.
pub fn leg_size(sources: &[Range], has_ports: bool) -> u128 {
    count(sources) * if has_ports { LIKELY_PORTS } else { 1 }
}

/// The smallest address of a class that can be a host's: "IPv4: last octet neither 0 nor 255; IPv6: last 16 bits not 0" (§7).
fn first_host(class: &Class, family: Family) -> Option<u128> {
    let is_host = |address: u128| match family {
        Family::V4 => !matches!(address & 0xff, 0 | 0xff),
        Family::V6 => address & 0xffff != 0,
    };
    // Never more than two addresses in a row are no host's.
    (0..3)
        .filter_map(|more| class.first.checked_add(more))
        .find(|&address| address <= class.last && is_host(address))
}
