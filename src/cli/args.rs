//! Arguments that more than one command takes.

use ipnet::IpNet;

use crate::world::parse;

/// A prefix in CIDR form without host bits.
pub fn prefix(text: &str) -> Result<IpNet, String> {
    parse::cidr(text.trim())
}
