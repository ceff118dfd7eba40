//! ModSecurity's SecLang language tests: one operator or one transformation at a time.

pub mod case;
pub mod operator;
pub mod transformation;
