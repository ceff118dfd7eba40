//! `setvar`, and the collections that rules may write.

use super::{Template, Variable};
use crate::names::named_enum;

named_enum! {
    /// A collection that actions may change.
    Collection {
        Tx = "TX",
        Ip = "IP",
        Session = "SESSION",
        User = "USER",
        Global = "GLOBAL",
        Resource = "RESOURCE",
    }
}

impl Collection {
    /// The variable of that name.
    pub const fn variable(self) -> Variable {
        match self {
            Collection::Tx => Variable::Tx,
            Collection::Ip => Variable::Ip,
            Collection::Session => Variable::Session,
            Collection::User => Variable::User,
            Collection::Global => Variable::Global,
            Collection::Resource => Variable::Resource,
        }
    }
}

/// `setvar:tx.name=+1`, `setvar:!tx.name`, `setvar:'tx.%{a}=text'`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SetVar {
    /// Where.
    pub collection: Collection,
    /// Under which name.
    pub key: Template,
    /// How.
    pub op: SetVarOp,
    /// The operand; `1` when the text has no `=`, empty for `Unset`.
    pub value: Template,
}

/// What `setvar` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetVarOp {
    /// `=value`, or nothing, which sets `1`.
    Set,
    /// `=+value`.
    Add,
    /// `=-value`.
    Sub,
    /// `!name`.
    Unset,
}
