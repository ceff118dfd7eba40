//! Every published number comes from here.
//!
//! [`corpus`] makes the requests that all engines are measured with and
//! [`generated_rules`] rules by the thousand; [`inspection`] puts requests
//! before our engine, [`load`] sends them over HTTP. The programs in `src/bin`,
//! the scripts in `scripts` and the engines of others in `contenders` measure
//! them; `README.md` holds what they printed.
#![forbid(unsafe_code)]

pub mod corpus;
pub mod generated_rules;
pub mod inspection;
pub mod load;
