//! connectctl
