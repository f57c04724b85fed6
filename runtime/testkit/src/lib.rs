//! connect-testkit
