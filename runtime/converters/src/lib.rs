//! connect-converters
