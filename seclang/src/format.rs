//! The tree back to text, in one canonical layout.
//!
//! Reading the result, in the same folder, gives the same tree. Comments, includes
//! and the layout of the original are not kept, and bytes that are not UTF-8
//! become U+FFFD: write those as `\xHH` before formatting.

mod actions;
mod file;
mod settings;

use std::fmt::{self, Write as _};

use crate::ast::{
    Action, Condition, DirectiveKind, Document, IdRange, Operator, OperatorName, Selector, Target,
};
use crate::source::Located;
use crate::text::is_blank;

pub use file::format_file;

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format(self))
    }
}

/// The document as SecLang text.
pub fn format(document: &Document) -> String {
    let mut out = String::new();
    for directive in &document.directives {
        write_directive(&mut out, &directive.kind);
    }
    out
}

fn write_directive(out: &mut String, kind: &DirectiveKind) {
    match kind {
        DirectiveKind::Rule(rule) => {
            write_rule(out, rule.condition.as_ref(), &rule.actions, "");
            for (depth, link) in rule.links.iter().enumerate() {
                write_rule(out, link.condition.as_ref(), &link.actions, &"    ".repeat(depth + 1));
            }
            out.push('\n');
        }
        DirectiveKind::Marker(name) => line(out, "SecMarker", &[quoted(name)]),
        DirectiveKind::DefaultAction(list) => {
            line(out, "SecDefaultAction", &[quoted(&actions::list(list, ","))])
        }
        DirectiveKind::RuleRemoveById(ids) => line(out, "SecRuleRemoveById", &[ranges(ids)]),
        DirectiveKind::RuleRemoveByTag(list) => line(out, "SecRuleRemoveByTag", &texts(list)),
        DirectiveKind::RuleRemoveByMsg(list) => line(out, "SecRuleRemoveByMsg", &texts(list)),
        DirectiveKind::RuleUpdateTargetById { ids, targets, replaced } => {
            update(out, "SecRuleUpdateTargetById", quoted(&ranges(ids)), targets, replaced);
        }
        DirectiveKind::RuleUpdateTargetByTag { tag, targets, replaced } => {
            update(out, "SecRuleUpdateTargetByTag", quoted(tag), targets, replaced);
        }
        DirectiveKind::RuleUpdateTargetByMsg { msg, targets, replaced } => {
            update(out, "SecRuleUpdateTargetByMsg", quoted(msg), targets, replaced);
        }
        DirectiveKind::RuleUpdateActionById { id, chain_offset, actions } => {
            let id = if *chain_offset == 0 { id.to_string() } else { format!("{id}:{chain_offset}") };
            line(out, "SecRuleUpdateActionById", &[quoted(&id), quoted(&actions::list(actions, ","))]);
        }
        DirectiveKind::Setting(setting) => {
            let (name, arguments) = settings::arguments(setting);
            line(out, name, &arguments);
        }
        DirectiveKind::Inert { name, arguments } => {
            line(out, name, &arguments.iter().map(|argument| quoted(argument)).collect::<Vec<_>>());
        }
    }
}

fn write_rule(out: &mut String, condition: Option<&Condition>, list: &[Located<Action>], indent: &str) {
    match condition {
        Some(condition) if condition.targets.is_empty() => {
            let _ = write!(out, "{indent}SecRuleScript {}", quoted(&condition.operator.argument.raw_str()));
        }
        Some(condition) => {
            let _ = write!(
                out,
                "{indent}SecRule {} {}",
                quoted(&targets(&condition.targets)),
                quoted(&operator(&condition.operator))
            );
        }
        None => {
            let _ = write!(out, "{indent}SecAction");
        }
    }
    if !list.is_empty() {
        let separator = format!(",\\\n{indent}    ");
        // The line joins are written after quoting, which would double their backslashes.
        let actions: Vec<_> = list.iter().map(|action| escaped(&actions::action(action))).collect();
        let _ = write!(out, " \\\n{indent}    \"{}\"", actions.join(&separator));
    }
    out.push('\n');
}

/// `A|!B:c`.
fn targets(list: &[Located<Target>]) -> String {
    list.iter().map(|item| target(item)).collect::<Vec<_>>().join("|")
}

/// One target as text.
pub(crate) fn target(target: &Target) -> String {
    let mut out = String::new();
    if target.exclude {
        out.push('!');
    }
    if target.count {
        out.push('&');
    }
    out.push_str(target.variable.name());
    match &target.selector {
        None => {}
        Some(Selector::XPath(path)) => {
            let _ = write!(out, ":{path}");
        }
        Some(Selector::Regex { pattern, .. }) => {
            let pattern = pattern.replace('/', "\\/");
            // ModSecurity wants quotes around these.
            let quote = if pattern.contains(['|', ' ', '=']) && !pattern.contains('\'') { "'" } else { "" };
            let _ = write!(out, ":{quote}/{pattern}/{quote}");
        }
        Some(Selector::Key(key)) if key.contains(['|', ',', '\'', '/']) => {
            let _ = write!(out, ":'{}'", key.replace('\'', "\\'"));
        }
        Some(Selector::Key(key)) => {
            let _ = write!(out, ":{key}");
        }
    }
    out
}

/// `!@name argument`. The text is kept byte for byte where it is UTF-8.
fn operator(operator: &Operator) -> String {
    let mark = if operator.negated { "!" } else { "" };
    let argument = operator.argument.raw_str();
    match operator.name {
        // A pattern may start with blanks, which the name would swallow.
        OperatorName::Rx if argument.bytes().next().is_some_and(is_blank) => {
            format!("{mark}{argument}")
        }
        name if argument.is_empty() => format!("{mark}@{name}"),
        name => format!("{mark}@{name} {argument}"),
    }
}

fn update(
    out: &mut String,
    name: &str,
    rules: String,
    list: &[Located<Target>],
    replaced: &[Located<Target>],
) {
    let mut arguments = vec![rules, quoted(&targets(list))];
    if !replaced.is_empty() {
        arguments.push(quoted(&targets(replaced)));
    }
    line(out, name, &arguments);
}

fn line(out: &mut String, name: &str, arguments: &[String]) {
    out.push_str(name);
    for argument in arguments {
        out.push(' ');
        out.push_str(argument);
    }
    out.push('\n');
}

/// Rule ids separated by blanks.
pub(crate) fn ranges(ids: &[IdRange]) -> String {
    let one = |range: &IdRange| match range.first == range.last {
        true => range.first.to_string(),
        false => format!("{}-{}", range.first, range.last),
    };
    ids.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn texts(list: &[Located<String>]) -> Vec<String> {
    list.iter().map(|text| quoted(text)).collect()
}

/// In quotes: double ones, unless a backslash would then escape one of them.
pub(crate) fn quoted(text: &str) -> String {
    let odd = |run: &str| (run.len() - run.trim_end_matches('\\').len()) % 2 == 1;
    // At the end of the text a backslash would escape a single quote too.
    let quotes = if odd(text) { ['`', '`'] } else { ['\'', '`'] };
    if text.split('"').any(odd)
        && let Some(quote) = quotes.into_iter().find(|quote| !text.contains(*quote))
    {
        return format!("{quote}{text}{quote}");
    }
    format!("\"{}\"", escaped(text))
}

/// With `\"` for each quote.
fn escaped(text: &str) -> String {
    text.replace('"', "\\\"")
}
