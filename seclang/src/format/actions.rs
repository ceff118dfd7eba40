//! Actions as text.

use super::{ranges, target};
use crate::ast::{Action, AllowScope, Ctl, PartsChange, SetVar, SetVarOp, Template};
use crate::source::Located;

/// A whole list.
pub(super) fn list(actions: &[Located<Action>], separator: &str) -> String {
    actions.iter().map(|item| action(item)).collect::<Vec<_>>().join(separator)
}

/// One action.
pub(super) fn action(action: &Action) -> String {
    use Action as A;
    match action {
        A::Accuracy(n) => format!("accuracy:{n}"),
        A::Allow(AllowScope::All) => "allow".into(),
        A::Allow(AllowScope::Phase) => "allow:phase".into(),
        A::Allow(AllowScope::Request) => "allow:request".into(),
        A::Append(text) => template("append", text),
        A::AuditLog => "auditlog".into(),
        A::Block => "block".into(),
        A::Capture => "capture".into(),
        A::Chain => "chain".into(),
        A::Ctl(ctl) => format!("ctl:{}", control(ctl)),
        A::Deny => "deny".into(),
        A::DeprecateVar { collection, key, amount, seconds } => {
            format!("deprecatevar:{collection}.{}={amount}/{seconds}", key.raw_str())
        }
        A::Drop => "drop".into(),
        A::Exec { path, .. } => text("exec", path),
        A::ExpireVar { collection, key, seconds } => {
            text("expirevar", &format!("{collection}.{}={}", key.raw_str(), seconds.raw_str()))
        }
        A::Id(id) => format!("id:{id}"),
        A::InitCol { collection, key } => text("initcol", &format!("{collection}={}", key.raw_str())),
        A::Log => "log".into(),
        A::LogData(data) => template("logdata", data),
        A::Maturity(n) => format!("maturity:{n}"),
        A::Msg(msg) => template("msg", msg),
        A::MultiMatch => "multiMatch".into(),
        A::NoAuditLog => "noauditlog".into(),
        A::NoLog => "nolog".into(),
        A::Pass => "pass".into(),
        A::Pause(time) => template("pause", time),
        A::Phase(phase) => format!("phase:{}", phase.number()),
        A::Prepend(text) => template("prepend", text),
        A::Proxy(url) => template("proxy", url),
        A::Redirect(url) => template("redirect", url),
        A::Rev(rev) => text("rev", rev),
        A::SanitiseArg(name) => text("sanitiseArg", name),
        A::SanitiseMatched => "sanitiseMatched".into(),
        A::SanitiseMatchedBytes(None) => "sanitiseMatchedBytes".into(),
        A::SanitiseMatchedBytes(Some(span)) => {
            format!("sanitiseMatchedBytes:{}/{}", span.keep_start, span.keep_end)
        }
        A::SanitiseRequestHeader(name) => text("sanitiseRequestHeader", name),
        A::SanitiseResponseHeader(name) => text("sanitiseResponseHeader", name),
        A::SetEnv { name, value: Some(value) } => {
            text("setenv", &format!("{}={}", name.raw_str(), value.raw_str()))
        }
        A::SetEnv { name, value: None } => text("setenv", &format!("!{}", name.raw_str())),
        A::SetRsc(key) => template("setrsc", key),
        A::SetSid(key) => template("setsid", key),
        A::SetUid(key) => template("setuid", key),
        A::SetVar(setvar) => text("setvar", &assignment(setvar)),
        A::Severity(severity) => format!("severity:{severity}"),
        A::Skip(count) => format!("skip:{count}"),
        A::SkipAfter(marker) => format!("skipAfter:{marker}"),
        A::Status(status) => format!("status:{status}"),
        A::Tag(tag) => template("tag", tag),
        A::Transformation(name) => format!("t:{name}"),
        A::Ver(ver) => text("ver", ver),
        A::Xmlns { prefix, uri } => format!("xmlns:{prefix}='{uri}'"),
    }
}

fn assignment(setvar: &SetVar) -> String {
    let SetVar { collection, key, op, value } = setvar;
    let (key, value) = (key.raw_str(), value.raw_str());
    match op {
        SetVarOp::Set => format!("{collection}.{key}={value}"),
        SetVarOp::Add => format!("{collection}.{key}=+{value}"),
        SetVarOp::Sub => format!("{collection}.{key}=-{value}"),
        SetVarOp::Unset => format!("!{collection}.{key}"),
    }
}

fn control(ctl: &Ctl) -> String {
    let switch = |on: &bool| if *on { "On" } else { "Off" };
    match ctl {
        Ctl::AuditEngine(engine) => format!("auditEngine={engine}"),
        Ctl::AuditLogParts(change) => {
            let (sign, parts) = match change {
                PartsChange::Set(parts) => ("", parts),
                PartsChange::Add(parts) => ("+", parts),
                PartsChange::Remove(parts) => ("-", parts),
            };
            format!("auditLogParts={sign}{}", parts.letters().collect::<String>())
        }
        Ctl::DebugLogLevel(level) => format!("debugLogLevel={level}"),
        Ctl::ForceRequestBodyVariable(on) => format!("forceRequestBodyVariable={}", switch(on)),
        Ctl::ForceResponseBodyVariable(on) => format!("forceResponseBodyVariable={}", switch(on)),
        Ctl::ParseXmlIntoArgs(mode) => format!("parseXmlIntoArgs={mode}"),
        Ctl::RequestBodyAccess(on) => format!("requestBodyAccess={}", switch(on)),
        Ctl::RequestBodyLimit(bytes) => format!("requestBodyLimit={bytes}"),
        Ctl::RequestBodyProcessor(name) => format!("requestBodyProcessor={name}"),
        Ctl::ResponseBodyAccess(on) => format!("responseBodyAccess={}", switch(on)),
        Ctl::ResponseBodyLimit(bytes) => format!("responseBodyLimit={bytes}"),
        Ctl::ResponseBodyProcessor(name) => format!("responseBodyProcessor={name}"),
        Ctl::RuleEngine(mode) => format!("ruleEngine={mode}"),
        Ctl::RuleRemoveById(ids) => format!("ruleRemoveById={}", ranges(ids)),
        Ctl::RuleRemoveByTag(tag) => format!("ruleRemoveByTag={tag}"),
        Ctl::RuleRemoveByMsg(msg) => format!("ruleRemoveByMsg={msg}"),
        Ctl::RuleRemoveTargetById(ids, item) => {
            format!("ruleRemoveTargetById={};{}", ranges(ids), target(item))
        }
        Ctl::RuleRemoveTargetByTag(tag, item) => format!("ruleRemoveTargetByTag={tag};{}", target(item)),
        Ctl::RuleRemoveTargetByMsg(msg, item) => format!("ruleRemoveTargetByMsg={msg};{}", target(item)),
    }
}

fn template(name: &str, value: &Template) -> String {
    text(name, &value.raw_str())
}

fn text(name: &str, value: &str) -> String {
    format!("{name}:'{}'", value.replace('\'', "\\'"))
}
