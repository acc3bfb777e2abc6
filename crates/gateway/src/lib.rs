//! Trunkline's server: configuration, command line, the walk every inference request takes, the fleet of
//! workers, and the administrative surface around them.

#![cfg_attr(not(feature = "mcp"), allow(dead_code, reason = "the loop of tools alone joins turns"))]

pub mod admin;
#[cfg(feature = "mcp")]
pub mod agent;
pub mod app;
pub mod body;
pub mod check;
pub mod cli;
pub mod config;
pub mod connect;
mod cors;
pub mod demo;
pub mod doctor;
pub mod endpoint;
pub mod explain;
pub mod fault;
pub mod fleet;
pub mod ids;
pub mod import;
pub mod log;
pub mod metrics;
pub mod prices;
pub mod server;
pub mod shared;
pub mod snapshot;
pub mod stall;
mod table;
pub mod versions;
pub mod walk;
