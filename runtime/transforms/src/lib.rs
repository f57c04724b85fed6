//! connect-transforms
