//! connector-slack
