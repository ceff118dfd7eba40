//! Bans beyond the proxy: in the kernel's packet filter.
//!
//! Who is banned is the proxy's to decide (`hop3_proxy::Bans`), keeping and telling are `control::bans`'.

mod generation;
mod nftables;
mod script;

pub use nftables::{Nftables, NftablesState};
