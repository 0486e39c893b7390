//! A second, slow and literal reading of the semantics, to hold the product against.
//!
//! Nothing here looks at the product's engine. Objects are plain JSON; every dimension of a packet is cut at every
//! boundary that any rule or the required traffic has, so that all values between two cuts mean the same to every rule;
//! then the sentences of docs/semantics.md are carried out for one representative packet of each combination, in nested loops.
//! That is exact (sizes are counted, nothing is sampled) and needs none of the set algebra that the product needs.
//!
//! - [`values`]: addresses, prefixes, ports and protocols as they stand in manifests
//! - [`manifests`]: finding objects and their fields
//! - [`packets`]: the cut dimensions, and which rule decides over a packet (semantics §3, §4)
//! - [`walk`]: which items fail, and for which packets (semantics §6, §7)
//! - [`verdict`]: one backend server from its manifests to the whole answer (semantics §2, §5, §7, §9)
//! - [`fixes`]: whether an offered change keeps its promise (semantics §8)
//! - [`generator`]: random worlds
//! - [`product`]: the same questions put to the product, and the comparison
#![allow(
    dead_code,
    clippy::needless_pass_by_value,
    clippy::single_match_else,
    clippy::unused_self,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs
)]

pub mod fixes;
pub mod generator;
pub mod manifests;
pub mod packets;
pub mod product;
pub mod random;
pub mod values;
pub mod verdict;
pub mod walk;
