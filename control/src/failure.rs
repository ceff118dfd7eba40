//! The one error a person or a program sees: what happened, why, and what to do next.
//!
//! Owns the kinds, their exit codes and HTTP statuses, and the printed shape. Libraries keep their own
//! error types; they become a [`Failure`] only here, at the edge.

use std::fmt;

use hop3_runtimes::manifest::nearest::nearest;
use serde::{Deserialize, Serialize};

/// What sort of failure this is; decides the exit code and the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A defect or a broken machine: exit code 1, status 500.
    Internal,
    /// The command or a file was written wrongly: exit code 2, status 400.
    Usage,
    /// The thing named does not exist: exit code 3, status 404.
    NotFound,
    /// Nobody said who is asking: exit code 4, status 401.
    Unauthenticated,
    /// The asker may not: exit code 5, status 403.
    Forbidden,
    /// It clashes with what is there: exit code 6, status 409.
    Conflict,
    /// The server or the network did not answer: exit code 7, status 503.
    Unavailable,
    /// The build, the start or the probe of a deployment failed: exit code 8, status 422.
    DeployFailed,
    /// The person said no: exit code 10, never sent over HTTP.
    Declined,
    /// Interrupted by a signal: exit code 130, never sent over HTTP.
    Interrupted,
}

impl Kind {
    /// The process's exit code, as documented for the command line.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Internal => 1,
            Kind::Usage => 2,
            Kind::NotFound => 3,
            Kind::Unauthenticated => 4,
            Kind::Forbidden => 5,
            Kind::Conflict => 6,
            Kind::Unavailable => 7,
            Kind::DeployFailed => 8,
            Kind::Declined => 10,
            Kind::Interrupted => 130,
        }
    }

    /// The status of an API answer that carries this failure (RFC 9110 section 15).
    pub fn status(self) -> u16 {
        match self {
            Kind::Usage => 400,
            Kind::Unauthenticated => 401,
            Kind::Forbidden => 403,
            Kind::NotFound => 404,
            Kind::Conflict => 409,
            Kind::DeployFailed => 422,
            Kind::Unavailable => 503,
            Kind::Internal | Kind::Declined | Kind::Interrupted => 500,
        }
    }
}

/// One failure, ready to be printed or sent.
///
/// Printed on stderr as `error: what`, then the indented detail (an excerpt with a caret, the last lines of a
/// build), `cause: why` and `hint: next step`; parts that do not exist are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What sort of failure.
    pub kind: Kind,
    /// What went wrong, one line, without a full stop.
    pub message: String,
    /// Lines that show it: source excerpt or captured output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<String>,
    /// Why, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What the reader can do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Failure {
    /// A failure of `kind`, with nothing but its message.
    pub fn new(kind: Kind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), detail: Vec::new(), cause: None, hint: None }
    }

    /// [`Kind::Usage`].
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Kind::Usage, message)
    }

    /// [`Kind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Failure {
        Failure::new(Kind::NotFound, message)
    }

    /// [`Kind::Conflict`].
    pub fn conflict(message: impl Into<String>) -> Failure {
        Failure::new(Kind::Conflict, message)
    }

    /// [`Kind::Internal`].
    pub fn internal(message: impl Into<String>) -> Failure {
        Failure::new(Kind::Internal, message)
    }

    /// Adds why, from an error and the chain of its sources.
    pub fn because(mut self, error: &dyn std::error::Error) -> Failure {
        self.cause = Some(chain(error));
        self
    }

    /// Adds why, in words.
    pub fn cause(mut self, cause: impl Into<String>) -> Failure {
        self.cause = Some(cause.into());
        self
    }

    /// Adds what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what to do next, if there is something to say.
    pub fn maybe_hint(mut self, hint: Option<String>) -> Failure {
        self.hint = hint.or(self.hint);
        self
    }

    /// Adds the lines that show it.
    pub fn detail(mut self, lines: impl IntoIterator<Item = String>) -> Failure {
        self.detail.extend(lines);
        self
    }
}

/// The error and all its sources, joined with `: `, without repeating a text that already contains the next.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let part = source.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        next = source.source();
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        for line in &self.detail {
            write!(f, "\n   {line}")?;
        }
        if let Some(cause) = &self.cause {
            write!(f, "\ncause: {cause}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// The hint `did you mean …?` for `wanted`, when one of `known` is close enough to be a slip of the finger.
pub fn did_you_mean<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(wanted, known).map(|name| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_shape_leaves_out_what_is_absent() {
        let bare = Failure::usage("no app was named");
        assert_eq!(bare.to_string(), "error: no app was named");
        let full = Failure::new(Kind::DeployFailed, "deployment of 'demo' failed")
            .detail(["line 1".to_owned(), "line 2".to_owned()])
            .cause("exit code 1")
            .hint("see `hop3 app:logs demo --build`");
        assert_eq!(
            full.to_string(),
            "error: deployment of 'demo' failed\n   line 1\n   line 2\ncause: exit code 1\n\
             hint: see `hop3 app:logs demo --build`"
        );
    }

    #[test]
    fn exit_codes_are_those_of_the_reference() {
        let codes = [
            (Kind::Internal, 1),
            (Kind::Usage, 2),
            (Kind::NotFound, 3),
            (Kind::Unauthenticated, 4),
            (Kind::Forbidden, 5),
            (Kind::Conflict, 6),
            (Kind::Unavailable, 7),
            (Kind::DeployFailed, 8),
            (Kind::Declined, 10),
            (Kind::Interrupted, 130),
        ];
        for (kind, code) in codes {
            assert_eq!(kind.exit_code(), code, "{kind:?}");
        }
    }

    #[test]
    fn a_failure_survives_the_wire() {
        let failure = Failure::conflict("taken").cause("because").hint("choose another");
        let text = serde_json::to_string(&failure).unwrap();
        assert_eq!(serde_json::from_str::<Failure>(&text).unwrap(), failure);
    }
}
