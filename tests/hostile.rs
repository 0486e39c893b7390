//! Nobody can stall, poison or starve the controller: what one careless or hostile user can do, on a real API server, with the
//! rights of deploy/. Each test does it in a namespace of its own and looks at what becomes of the others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;
#[path = "common/proxy.rs"]
mod proxy;
#[path = "common/raw.rs"]
mod raw;
#[path = "common/replica.rs"]
mod replica;
#[path = "hostile/stage.rs"]
mod stage;

#[path = "hostile/disputes.rs"]
mod disputes;
#[path = "hostile/lease.rs"]
mod lease;
#[path = "hostile/memory.rs"]
mod memory;
#[path = "hostile/neighbours.rs"]
mod neighbours;
#[path = "hostile/poison.rs"]
mod poison;
#[path = "hostile/pushback.rs"]
mod pushback;
#[path = "hostile/requests.rs"]
mod requests;
#[path = "hostile/rules.rs"]
mod rules;
#[path = "hostile/stale.rs"]
mod stale;
#[path = "hostile/status.rs"]
mod status;
