//! The tree: what a SecLang text says, typed and checked.
//!
//! Every name is resolved, every number parsed, every chain joined. What the
//! rules mean together (default actions, removals, phases) is the engine's.

pub mod action;
pub mod ctl;
pub mod directive;
pub mod operator;
pub mod rule;
pub mod setting;
pub mod setvar;
pub mod target;
pub mod template;
pub mod transformation;
pub mod variable;

pub use action::{Action, AllowScope, Phase, SanitiseSpan, Severity};
pub use ctl::{BodyProcessor, Ctl, CtlTarget, PartsChange, XmlIntoArgs};
pub use directive::{Directive, DirectiveKind, Document, IdRange};
pub use operator::{DataFile, Operator, OperatorName};
pub use rule::{Condition, Link, Rule};
pub use setting::{
    AuditEngine, AuditFormat, AuditParts, AuditType, Compatibility, EngineMode, GeoDatabase, LimitAction,
    RemoteRulesFailAction, RxMode, Setting, UnicodeMap,
};
pub use setvar::{Collection, SetVar, SetVarOp};
pub use target::{Selector, Target};
pub use template::{MacroName, Part, Template};
pub use transformation::Transformation;
pub use variable::Variable;
