//! Names of the language that are known and refused, with the reason and what to use instead.

use crate::ast::{OperatorName, Variable};

/// Why programs are refused where a script may stand.
pub const PROGRAMS: &str =
    "programs are not run on requests; name a Lua script, with a name that ends in `.lua`";

/// Why a variable is refused, if it is.
pub fn variable(variable: Variable) -> Option<&'static str> {
    match variable {
        Variable::WebserverErrorLog => {
            Some("there is no web server's error log to read; use RESPONSE_STATUS")
        }
        Variable::Json => {
            Some("no engine fills it; the members of a JSON body are ARGS, such as `ARGS:json.user.name`")
        }
        Variable::ScriptFilename => Some("there are no scripts in the server; use REQUEST_FILENAME"),
        _ => None,
    }
}

/// Why an operator is refused, if it is.
pub fn operator(name: OperatorName) -> Option<&'static str> {
    match name {
        OperatorName::GsbLookup => Some("that list is no longer published; use `@rbl` or `@pmFromFile`"),
        OperatorName::Rsub => Some("bodies are not rewritten; refuse them with `deny`"),
        OperatorName::ValidateHash => Some("links are not signed; let the application sign its own links"),
        _ => None,
    }
}

/// Why an action is refused, if it is; the name is in lower case.
pub fn action(name: &str) -> Option<&'static str> {
    match name {
        "append" | "prepend" => {
            Some("bodies of responses are not changed; put the text into the application")
        }
        "pause" => Some("requests are not held back; use `drop`, or rate limits and bans"),
        "proxy" => Some("rules do not choose the upstream; use `redirect`, or a route"),
        _ => None,
    }
}

/// Why a `ctl` is refused, if it is; the name is in lower case.
pub fn ctl(name: &str) -> Option<&'static str> {
    match name {
        "hashengine" | "hashenforcement" => {
            Some("links are not signed; let the application sign its own links")
        }
        _ => None,
    }
}
