//! What a transaction remembers under names: request data, TX, persistent records.

pub(crate) mod fields;
pub(crate) mod memory_store;
pub(crate) mod persistent;
pub(crate) mod tx;
