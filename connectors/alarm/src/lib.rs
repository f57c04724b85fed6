//! connector-alarm
