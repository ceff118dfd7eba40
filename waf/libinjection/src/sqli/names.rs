//! The words whose kind depends on what follows them. Shared with `build.rs`.

/// Words which are names, but functions before a parenthesis.
pub const NAMES_OR_FUNCTIONS: [&str; 11] = [
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "DATABASE",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "PASSWORD",
    "USER",
    "USER_ID",
    "USER_NAME",
];
