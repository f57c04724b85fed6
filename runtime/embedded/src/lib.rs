//! connect-embedded
