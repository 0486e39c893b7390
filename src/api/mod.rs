//! The Kubernetes API of elb-doctor: the kinds that users write and read.

pub mod v1alpha1;
