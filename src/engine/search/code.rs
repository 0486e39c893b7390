//! What decides over a point, as one number.

/// What decides over a point, lower before higher: twice the rule's position, and one more when it allows. An even code
/// need not be a rule: it denies and lies between two that allow.
pub(crate) type Code = u32;

/// No rule: denied, after all rules.
pub(crate) const NOTHING: Code = u32::MAX - 1;

/// The code of a rule.
pub(crate) fn code(position: usize, allows: bool) -> Code {
    u32::try_from(position).map_or(NOTHING, |position| (position << 1) | u32::from(allows))
}

pub(super) fn allows(code: Code) -> bool {
    code & 1 == 1
}

/// The deny that comes right after the same allow: it stands for all others between the same two.
pub(super) fn plain(floor: Code, permits: &[Code]) -> Code {
    if allows(floor) {
        return floor;
    }
    let next = permits.partition_point(|permit| *permit < floor);
    next.checked_sub(1)
        .and_then(|last| permits.get(last))
        .map_or(0, |permit| permit + 1)
}

/// The floor that answers for two classes of a free axis that are alike but for it: whatever else matches, it leads to an
/// allow if one of the two does.
pub(super) fn better(left: Code, right: Code) -> Code {
    match (allows(left), allows(right)) {
        (true, true) => left.min(right),
        (true, false) => left,
        (false, true) => right,
        (false, false) => left.max(right),
    }
}
