//! Destructive verbs ask for the name to be typed.

use std::io::{IsTerminal, Write};

use super::Context;
use crate::failure::{Failure, Kind};

/// Asks for `name` to be typed before `consequence`; `-y` answers, `--no-input` and pipes refuse.
///
/// # Errors
/// [`Kind::Declined`]: something else was typed, or nobody could be asked.
pub fn by_name(context: &Context, name: &str, consequence: &str) -> Result<(), Failure> {
    if context.global.yes {
        return Ok(());
    }
    let declined = |cause: &str| {
        Failure::new(Kind::Declined, "nothing was changed")
            .cause(cause)
            .hint("repeat it with -y to answer yes in advance")
    };
    if context.global.no_input || !std::io::stdin().is_terminal() {
        return Err(declined("the command asks for the name to be typed, and nobody can be asked"));
    }
    eprint!("{consequence}\nType `{name}` to confirm: ");
    std::io::stderr().flush().map_err(|_| declined("the question could not be shown"))?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed).map_err(|_| declined("the answer could not be read"))?;
    if typed.trim() == name { Ok(()) } else { Err(declined("the name was not typed")) }
}
