//! Ready simulations and schemas.

pub mod calls;
pub mod quickstart;
pub mod salmock;
