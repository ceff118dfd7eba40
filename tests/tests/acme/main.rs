//! Certificates from a real authority: the ways to prove a name, what goes wrong, renewal, imports.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at the first surprise")]

mod failures;
mod imports;
mod issuing;
mod site;
