//! Arguments that more than one command takes.

use ipnet::IpNet;

use crate::world::parse;

/// A prefix in CIDR form without host bits.
pub fn prefix(text: &str) -> Result<IpNet, String> {
    parse::cidr(text.trim())
}

/// A namespace's name.
pub fn namespace(text: &str) -> Result<String, String> {
    let label = (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if label {
        Ok(text.into())
    } else {
        Err("not a namespace: lower-case letters, digits and inner hyphens, at most 63".into())
    }
}
