//! `setvar`, `expirevar`, `deprecatevar`: actions that name a member of a collection.

use super::arguments::shorten;
use super::items::Item;
use super::{Parser, did_you_mean};
use crate::ast::{Action, Collection, SetVar, SetVarOp, Template};
use crate::diagnostic::Diagnostic;
use crate::text::Slice;

impl Parser<'_> {
    /// `tx.name=+1`, `!tx.name`, `tx.name`.
    pub(super) fn setvar(&mut self, value: Slice<'_>, quote: Option<u8>) -> Option<SetVar> {
        if let Some(name) = value.strip_prefix(b'!') {
            let (collection, key) = self.member(name, quote)?;
            return Some(SetVar { collection, key, op: SetVarOp::Unset, value: Template::default() });
        }
        let Some((name, operand)) = value.split_once(b'=') else {
            let (collection, key) = self.member(value, quote)?;
            return Some(SetVar { collection, key, op: SetVarOp::Set, value: Template::literal("1") });
        };
        let (collection, key) = self.member(name, quote)?;
        let (op, operand) = match operand.bytes().first() {
            Some(b'+') => (SetVarOp::Add, operand.from(1)),
            Some(b'-') => (SetVarOp::Sub, operand.from(1)),
            _ => (SetVarOp::Set, operand),
        };
        let value = self.value_template(operand, quote);
        Some(SetVar { collection, key, op, value })
    }

    /// `collection.name=SECONDS`.
    pub(super) fn expirevar(&mut self, item: &Item<'_>, value: Slice<'_>) -> Option<Action> {
        let Some((name, seconds)) = value.split_once(b'=').filter(|(_, seconds)| !seconds.is_empty()) else {
            self.error(value.span(), "expirevar: the seconds are missing, as in `expirevar:ip.blocked=3600`");
            return None;
        };
        let (collection, key) = self.member(name, item.quote)?;
        let seconds = self.value_template(seconds, item.quote);
        Some(Action::ExpireVar { collection, key, seconds })
    }

    /// `collection.name=AMOUNT/SECONDS`.
    pub(super) fn deprecatevar(&mut self, value: Slice<'_>) -> Option<Action> {
        let parts = value.split_once(b'=').and_then(|(name, rate)| Some((name, rate.split_once(b'/')?)));
        let Some((name, (amount, seconds))) = parts else {
            self.error(value.span(), "deprecatevar: write `deprecatevar:ip.score=AMOUNT/SECONDS`");
            return None;
        };
        let (collection, key) = self.member(name, None)?;
        let amount = self.number(amount, "deprecatevar")?;
        let seconds = self.number_in(seconds, "deprecatevar", 1, u64::MAX)?;
        Some(Action::DeprecateVar { collection, key, amount, seconds })
    }

    /// `collection.name`, where the name may have macros.
    fn member(&mut self, slice: Slice<'_>, quote: Option<u8>) -> Option<(Collection, Template)> {
        let slice = slice.trim();
        let Some(dot) = slice.position(|b| matches!(b, b'.' | b':')) else {
            self.report(
                Diagnostic::error(
                    slice.span(),
                    format!("`{}` names no member of a collection", shorten(&slice.lossy())),
                )
                .hint("write `tx.name`"),
            );
            return None;
        };
        let collection = self.collection(slice.sub(0..dot))?;
        let name = slice.from(dot + 1);
        if name.is_empty() {
            self.error(slice.span(), format!("a name is missing after `{}`", slice.lossy()));
            return None;
        }
        Some((collection, self.value_template(name, quote)))
    }

    /// A collection that rules may write.
    pub(super) fn collection(&mut self, slice: Slice<'_>) -> Option<Collection> {
        let text = slice.trim().lossy();
        let found = Collection::from_name(&text);
        if found.is_none() {
            let message = format!("`{}` is no collection that rules can write", shorten(&text));
            let error = Diagnostic::error(slice.span(), message);
            let names: Vec<_> = Collection::ALL.iter().map(|collection| collection.name()).collect();
            let hint = format!("use one of {}", names.join(", "));
            self.report(match crate::names::nearest(&text, names.iter().copied()) {
                Some(_) => did_you_mean(error, &text, "", names.iter().copied()),
                None => error.hint(hint),
            });
        }
        found
    }
}
