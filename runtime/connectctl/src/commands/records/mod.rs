//! Records of topics: what `produce`, `consume`, `tail` and `dlq` share.
//!
//! - `payload`: bytes as what they are: Avro, JSON, text
//! - `send`: sending, and waiting for every acknowledgement
//! - `coding`: texts as bytes: strings, JSON, Avro; `input`: where the texts come from
//! - `reading`: which records are meant; `shown`, `showing`: a record as it is shown; `template`: as the user wants it shown;
//!   `stamps`: files that records hold

pub(crate) mod coding;
pub(crate) mod input;
pub(crate) mod payload;
pub(crate) mod reading;
pub(crate) mod send;
pub(crate) mod showing;
pub(crate) mod shown;
pub(crate) mod stamps;
pub(crate) mod template;
