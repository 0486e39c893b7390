//! elb-doctor: says exactly why a load balancer's backend server is unhealthy.
#![forbid(unsafe_code)]
