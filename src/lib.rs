//! elb-doctor: says exactly why a load balancer's backend server is unhealthy, and proves the fix.
//!
//! What is public is what the program, the tests and the benchmarks use; rustc finds whatever else nobody uses.
#![forbid(unsafe_code)]

pub mod api;
mod cli;
mod controller;
pub mod diagnosis;
pub mod engine;
pub mod manifest;
mod telemetry;
mod text;
pub mod world;

pub use cli::main;
