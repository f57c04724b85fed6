//! Alarms with `connectctl alarms`: on real Kafka and a real registry, with readers and writers that have JLab's schemas.
//!
//! - `plant`: both servers; `schemas`: JLab's schemas, and records in them
//! - `commands`, `registrations`: what the commands do; `moments`: where another writes in the same moment
//! - `carry`: what is exported can be imported
//! - `generations`: each generation's scripts and ours read each other
//! - `embedded`: on the embedded broker
//! - `view`: the whole screen, in a terminal; `million`: many records

mod carry;
mod commands;
mod embedded;
mod generations;
mod million;
mod moments;
mod plant;
mod registrations;
mod schemas;
#[path = "../../../runtime/connectctl/tests/support/terminal.rs"]
mod terminal;
mod view;
