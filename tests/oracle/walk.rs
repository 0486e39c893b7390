//! Which items of one direction of one layer fail, for which packets (semantics §6), and what they carry (semantics §7).

use super::{
    packets::{Cell, Class, Rule, Space, decide},
    values::{Family, Range, Share, count, normal},
};

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
    /// How many packets the leg has, exempt ones included (semantics §7).
    pub whole: u128,
}

/// One direction of one layer.
#[derive(Clone, Debug)]
pub struct Direction {
    pub family: Family,
    /// In table order, with the id of the item that stands for each.
    pub dimensions: Vec<(Dimension, &'static str)>,
    /// In evaluation order.
    pub rules: Vec<Rule>,
    pub legs: Vec<Leg>,
    /// An outbound direction of a stateful layer cannot stop the health check (semantics §7).
    pub advisory: bool,
    pub ingress: bool,
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
    /// The allow rule that misses the witness on the fewest dimensions, the one evaluated first among equals, and which
    /// dimensions; `None`: there is no allow rule, or the witness has no ports and the question is not asked here.
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
        let lasts: Vec<_> = self.dimensions.iter().map(|(d, _)| d.last(self.family)).collect();
        Space::cut(rules, &required, &lasts)
    }

    /// The failed items in table order.
    pub fn failed(&self) -> Vec<Failed> {
        let space = self.space(&self.rules);
        let allowed = space.allowed(&self.rules);
        let blocked: Vec<Vec<Vec<Cell>>> = self.legs.iter().map(|leg| self.walk(leg, &space, &allowed)).collect();
        let mut failed = Vec::new();
        for (d, &(dimension, id)) in self.dimensions.iter().enumerate() {
            // "legs (UDP and ICMP) are walked separately and joined the same way" (§6); the first leg is shown (UDP).
            let legs: Vec<(&Leg, &Vec<Cell>)> = self
                .legs
                .iter()
                .zip(&blocked)
                .map(|(leg, b)| (leg, &b[d]))
                .filter(|(_, b)| !b.is_empty())
                .collect();
            let Some((leg, cells)) = legs.first() else { continue };
            let share = |leg: &Leg, cells: &[Cell]| Share {
                part: cells.iter().map(|cell| self.weight(leg, &space.packet(cell))).sum(),
                whole: leg.whole,
            };
            let impact = if self.advisory {
                Impact::Advisory
            } else if legs.iter().any(|(leg, cells)| share(leg, cells).is_all()) {
                Impact::Blocks
            } else {
                Impact::Intermittent
            };
            // "the smallest packet of the blocked set" (§7): dimensions stand in the order that is compared.
            let smallest = cells
                .iter()
                .min_by_key(|cell| space.packet(cell).iter().map(|class| class.first).collect::<Vec<_>>())
                .unwrap();
            let packet = space.packet(smallest);
            let shown = self
                .dimensions
                .iter()
                .zip(&packet)
                .filter(|((d, _), _)| leg.has_ports || !d.is_port());
            failed.push(Failed {
                id,
                impact,
                evidence: Some(Evidence {
                    dimension,
                    family: self.family,
                    values: normal(
                        cells
                            .iter()
                            .map(|c| (space.axes[d][c[d]].first, space.axes[d][c[d]].last))
                            .collect(),
                    ),
                    share: share(leg, cells),
                    witness: shown.map(|((d, _), class)| (*d, class.first)).collect(),
                    decided_by: decide(&self.rules, &packet).cloned(),
                    nearest: self.nearest(&packet),
                    leg_has_ports: leg.has_ports,
                }),
            });
        }
        failed
    }

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
        allows.min_by_key(|(_, misses)| misses.len())
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
            let passed = super::packets::is_allowed(&self.rules, &space.packet(&f));
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
                    let needed = |class: &Class| super::values::contains(&leg.required[d], class.first);
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

    /// How many packets a cell stands for.
    fn weight(&self, leg: &Leg, packet: &[&Class]) -> u128 {
        self.dimensions
            .iter()
            .zip(packet)
            .filter(|((d, _), _)| leg.has_ports || !d.is_port())
            .map(|(_, class)| class.size())
            .product()
    }

    /// Whether the rules let a required packet of this leg with that remote address and remote port pass; exempt packets
    /// pass before any rule.
    pub fn passes(&self, leg: &Leg, remote: u128, remote_port: u128) -> bool {
        let mut exempt = false;
        let packet: Vec<Class> = self
            .dimensions
            .iter()
            .enumerate()
            .map(|(d, (dimension, _))| {
                let is_remote = matches!(dimension, Dimension::Source) == self.ingress
                    && matches!(dimension, Dimension::Source | Dimension::Destination);
                let is_remote_port = match dimension {
                    Dimension::SourcePort => self.ingress,
                    Dimension::DestinationPort => !self.ingress,
                    _ => false,
                };
                Class::single(if is_remote {
                    exempt |= !super::values::contains(&leg.required[d], remote);
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
        exempt || super::packets::is_allowed(&self.rules, &packet.iter().collect::<Vec<_>>())
    }
}

/// Packets of a leg: pairs of source address and source port, or addresses alone.
pub fn leg_size(sources: &[Range], has_ports: bool) -> u128 {
    count(sources) * if has_ports { 65535 } else { 1 }
}
