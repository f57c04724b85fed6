//! connect-worker
