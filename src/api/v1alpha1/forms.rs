//! The forms that strings must have to be admitted.
//!
//! They look at characters only. What a string means (a prefix without host bits, a port of at most 65535, a range that ends
//! after it begins) the API server cannot judge; the diagnosis does, and reports `InvalidSpec` (semantics §9). Each form
//! means the same to the API server (RE2) and to Rust's regex crate.

/// One address.
pub const ADDRESS: &str = r"^[0-9A-Fa-f:.]+$";
/// One prefix in CIDR form.
pub const CIDR: &str = r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$";
/// One address or prefix.
pub const ADDRESS_OR_CIDR: &str = r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$";
/// One address, prefix, or range `first-last`.
pub const ADDRESS_GROUP_ENTRY: &str = r"^[0-9A-Fa-f:.]+(/[0-9]{1,3}|-[0-9A-Fa-f:.]+)?$";
/// A name inside an object, such as a rule's: anything that prints.
pub const LABEL: &str = r"^[^\p{Cc}\p{Cf}]+$";
/// A word in CamelCase.
pub const CAMEL_CASE: &str = r"^[A-Z][A-Za-z0-9]*$";
/// The longest address in text form.
pub const ADDRESS_LENGTH: u32 = 45;
/// The longest prefix in text form.
pub const CIDR_LENGTH: u32 = 49;
