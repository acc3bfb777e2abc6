//! Trunkline's server: configuration, command line, and everything that answers a request.

pub mod cli;
pub mod config;
