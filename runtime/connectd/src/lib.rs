//! connectd
