//! Packets, the dimensions that a direction of a layer looks at, and which rule decides over a packet.

use super::values::{Range, contains};

/// One value of one dimension that stands for all values from `first` to `last`: no rule tells them apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Class {
    pub first: u128,
    pub last: u128,
    /// For a remote end only: the abstract address of this security group, "outside every prefix but the family's whole" (semantics §3).
    pub group: Option<String>,
    /// Whether required packets have it.
    pub required: bool,
}

impl Class {
    pub fn single(value: u128) -> Self {
        Self {
            first: value,
            last: value,
            group: None,
            required: true,
        }
    }

    pub fn size(&self) -> u128 {
        self.last - self.first + 1
    }
}

/// What a rule asks of one dimension.
#[derive(Clone, Debug)]
pub enum Match {
    Any,
    In(Vec<Range>),
    /// The interfaces that carry this security group.
    Group(String),
}

impl Match {
    pub fn matches(&self, value: &Class) -> bool {
        match (self, &value.group) {
            // "matched by rules with no remote, by rules for `0.0.0.0/0` or `::/0`, and by rules with that group, and by nothing
            // else" (semantics §3); a rule for the whole family's prefix is `Any` too.
            (Self::Any, _) => true,
            (Self::Group(named), Some(group)) => named == group,
            (Self::In(ranges), None) => contains(ranges, value.first),
            (Self::In(_), Some(_)) | (Self::Group(_), None) => false,
        }
    }
}

/// A rule that exists for the decision: enabled and of the packet's family.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name of the security group or the ACL.
    pub object: String,
    pub name: String,
    pub index: usize,
    pub priority: Option<u64>,
    pub allow: bool,
    /// One per dimension, in table order.
    pub dimensions: Vec<Match>,
    /// The ports that it has at the end of the server; none where it has no such field.
    pub server_ports: Vec<Range>,
}

/// "The first rule that matches decides; nothing matched = denied" (semantics §3, §4). Rules stand in evaluation order.
pub fn decide<'a>(rules: &'a [Rule], packet: &[&Class]) -> Option<&'a Rule> {
    rules.iter().find(|rule| {
        rule.dimensions
            .iter()
            .zip(packet)
            .all(|(asks, value)| asks.matches(value))
    })
}

pub fn is_allowed(rules: &[Rule], packet: &[&Class]) -> bool {
    decide(rules, packet).is_some_and(|rule| rule.allow)
}

/// The dimensions of a direction, each cut into classes. A cell is one class index per dimension: one packet that stands
/// for all that the rules do not tell apart.
pub struct Space {
    pub axes: Vec<Vec<Class>>,
}

pub type Cell = Vec<usize>;

/// What is to be cut.
pub struct Axis {
    pub last: u128,
    /// Where it is cut in any case.
    pub cuts: Vec<u128>,
    /// The security groups that are abstract addresses here.
    pub groups: Vec<String>,
}

impl Space {
    /// Cuts every dimension from 0 to its last value at every boundary of the rules and of the required traffic.
    pub fn cut(rules: &[Rule], required: &[Vec<Vec<Range>>], axes: &[Axis]) -> Self {
        let axes = axes
            .iter()
            .enumerate()
            .map(|(d, axis)| cut_dimension(rules, required, d, axis))
            .collect();
        Self { axes }
    }

    pub fn packet(&self, cell: &Cell) -> Vec<&Class> {
        cell.iter().zip(&self.axes).map(|(&i, axis)| &axis[i]).collect()
    }

    /// Every combination of classes.
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = vec![Vec::new()];
        for axis in &self.axes {
            cells = cells
                .iter()
                .flat_map(|cell: &Cell| (0..axis.len()).map(|i| cell.iter().copied().chain([i]).collect()))
                .collect();
        }
        cells
    }

    /// Every packet that the rules allow.
    pub fn allowed(&self, rules: &[Rule]) -> Vec<Cell> {
        self.cells()
            .into_iter()
            .filter(|cell| is_allowed(rules, &self.packet(cell)))
            .collect()
    }
}

fn cut_dimension(rules: &[Rule], required: &[Vec<Vec<Range>>], d: usize, axis: &Axis) -> Vec<Class> {
    let last = axis.last;
    let needed: Vec<&Vec<Range>> = required.iter().map(|leg| &leg[d]).collect();
    let mut starts = vec![0];
    let mut cut_at = |ranges: &[Range]| {
        for &(first, end) in ranges {
            starts.push(first);
            if end < last {
                starts.push(end + 1);
            }
        }
    };
    for rule in rules {
        if let Match::In(ranges) = &rule.dimensions[d] {
            cut_at(ranges);
        }
    }
    for ranges in &needed {
        cut_at(ranges);
    }
    starts.extend(&axis.cuts);
    starts.sort_unstable();
    starts.dedup();
    let mut classes: Vec<Class> = starts
        .iter()
        .enumerate()
        .map(|(i, &first)| Class {
            first,
            last: starts.get(i + 1).map_or(last, |next| next - 1),
            group: None,
            required: needed.iter().any(|ranges| contains(ranges, first)),
        })
        .collect();
    classes.extend(axis.groups.iter().cloned().map(|group| Class {
        first: 0,
        last: 0,
        group: Some(group),
        required: false,
    }));
    // Two values outside the required traffic that the same rules match are one and the same for every question that is
    // asked here ("is there any packet …"): keep one of them. Required values are all kept, they are counted.
    let mut seen: Vec<Vec<bool>> = Vec::new();
    classes.retain(|class| {
        let matched: Vec<bool> = rules.iter().map(|rule| rule.dimensions[d].matches(class)).collect();
        class.required
            || !seen.contains(&matched) && {
                seen.push(matched);
                true
            }
    });
    classes
}
