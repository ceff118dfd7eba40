//! The engine beside libmodsecurity, on requests of our own making.
//!
//! [`generate`] makes the requests, [`theirs`] and [`ours`] say what each
//! engine does with them, [`observe`] is the form both answers have, and
//! [`known`] tells which differences are understood, and which side is right.

pub mod generate;
pub mod known;
pub mod observe;
pub mod ours;
pub mod setup;
pub mod theirs;
