//! elb-doctor: says exactly why a load balancer's backend server is unhealthy, and proves the fix.
#![forbid(unsafe_code)]

pub mod api;
pub mod cli;
pub mod controller;
pub mod diagnosis;
pub mod engine;
pub mod manifest;
pub mod telemetry;
pub mod text;
pub mod world;
