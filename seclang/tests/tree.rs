//! What the tree says of the constructs that engines get wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use hop3_seclang::ast::{
    Action, AllowScope, Collection, Ctl, DirectiveKind, MacroName, OperatorName, Part, Phase, Rule, Selector,
    SetVarOp, Severity, Target, Transformation, Variable,
};
use hop3_seclang::loader::MemoryLoader;
use hop3_seclang::{Document, parse_str};

fn document(text: &str) -> Document {
    parse_str("t.conf", text, &MemoryLoader::new()).unwrap_or_else(|error| panic!("{error}"))
}

fn rule(text: &str) -> Rule {
    document(text).rules().next().unwrap().clone()
}

fn targets(list: &str) -> Vec<Target> {
    let rule = rule(&format!("SecRule \"{list}\" \"x\" \"id:1\""));
    rule.condition.unwrap().targets.into_iter().map(|target| target.node).collect()
}

fn operator(text: &str) -> (bool, OperatorName, String) {
    let operator = rule(&format!("SecRule ARGS \"{text}\" \"id:1\"")).condition.unwrap().operator.node;
    (operator.negated, operator.name, operator.argument.raw_str().into_owned())
}

fn actions(text: &str) -> Vec<Action> {
    rule(&format!("SecAction \"id:1,{text}\""))
        .actions
        .into_iter()
        .skip(1)
        .map(|action| action.node)
        .collect()
}

fn regex(pattern: &str) -> Option<Selector> {
    Some(Selector::Regex { pattern: pattern.into(), span: Default::default() })
}

fn key(name: &str) -> Option<Selector> {
    Some(Selector::Key(name.into()))
}

#[test]
fn selectors() {
    let cases = [
        ("ARGS_NAMES:/a|b/", Variable::ArgsNames, regex("a|b")),
        ("ARGS:'/a b|c/'", Variable::Args, regex("a b|c")),
        ("ARGS:/a\\/b/", Variable::Args, regex("a/b")),
        ("ARGS:/a/b/", Variable::Args, regex("a/b")),
        ("ARGS:'a|b'", Variable::Args, key("a|b")),
        ("ARGS:a.b:c", Variable::Args, key("a.b:c")),
        ("tx.Score", Variable::Tx, key("Score")),
        ("XML:/*", Variable::Xml, Some(Selector::XPath("/*".into()))),
        ("XML://@*", Variable::Xml, Some(Selector::XPath("//@*".into()))),
        ("REQUEST_URI", Variable::RequestUri, None),
    ];
    for (text, variable, selector) in cases {
        let expected = Target { exclude: false, count: false, variable, selector };
        assert_eq!(targets(text), [expected], "{text}");
    }
}

#[test]
fn marks_and_lists() {
    let list = targets("ARGS|!ARGS:/^_/|&REQUEST_HEADERS:Host|XML:/*|! ARGS:b");
    assert_eq!(list.len(), 5);
    assert!(list[1].exclude && !list[1].count && list[1].selector == regex("^_"));
    assert!(list[2].count && !list[2].exclude && list[2].selector == key("Host"));
    assert!(list[4].exclude);
}

#[test]
fn operators() {
    use OperatorName::*;
    for (text, expected) in [
        ("^a b", (false, Rx, "^a b")),
        (" a", (false, Rx, " a")),
        ("!^a", (true, Rx, "^a")),
        ("@rx  a ", (false, Rx, "a ")),
        ("! @eq 0", (true, Eq, "0")),
        ("!@ streq x y ", (true, StrEq, "x y")),
        ("@within  GET POST ", (false, Within, "GET POST")),
        ("@rx a\\\"b\\\\", (false, Rx, "a\"b\\\\")),
        ("@detectSQLi", (false, DetectSqli, "")),
        ("@rx a@b", (false, Rx, "a@b")),
        ("user@host", (false, Rx, "user@host")),
    ] {
        let (negated, name, argument) = expected;
        assert_eq!(operator(text), (negated, name, argument.to_owned()), "{text}");
    }
}

#[test]
fn macros_of_operators() {
    let argument = |text: &str| {
        rule(&format!("SecRule ARGS \"{text}\" \"id:1\"")).condition.unwrap().operator.node.argument
    };
    let tx = Part::Macro { name: MacroName::Variable(Variable::Tx), key: Some("max".into()) };
    assert_eq!(argument("@gt %{tx.max}").parts(), std::slice::from_ref(&tx));
    assert_eq!(argument("@rx ^%{tx.max}$").parts()[1], tx);
    assert!(argument("@pm %{tx.max}").is_literal());
    assert!(argument("@rx a%{2,3}").is_literal());
}

#[test]
fn setvar_forms() {
    for (text, collection, name, op, value) in [
        ("setvar:tx.a", Collection::Tx, "a", SetVarOp::Set, "1"),
        ("setvar:tx.a=", Collection::Tx, "a", SetVarOp::Set, ""),
        ("setvar:TX.a=+5", Collection::Tx, "a", SetVarOp::Add, "5"),
        ("setvar:'ip.a=-%{tx.b}'", Collection::Ip, "a", SetVarOp::Sub, "%{tx.b}"),
        ("setvar:!session.a", Collection::Session, "a", SetVarOp::Unset, ""),
        ("setvar:'tx.%{rule.id}-a.b=x=y, z'", Collection::Tx, "%{rule.id}-a.b", SetVarOp::Set, "x=y, z"),
        ("setvar:'global.a=it\\'s'", Collection::Global, "a", SetVarOp::Set, "it's"),
    ] {
        let [Action::SetVar(setvar)] = &actions(text)[..] else { panic!("{text}") };
        let found = (setvar.collection, setvar.key.raw_str(), setvar.op, setvar.value.raw_str());
        assert_eq!(found, (collection, name.into(), op, value.into()), "{text}");
    }
}

#[test]
fn ctl_selectors_keep_their_commas() {
    let [Action::Ctl(Ctl::RuleRemoveTargetById(ids, target)), Action::NoLog] =
        &actions("ctl:ruleRemoveTargetById=5-9;ARGS:/^a{1,3}$/,nolog")[..]
    else {
        panic!()
    };
    assert_eq!((ids[0].first, ids[0].last), (5, 9));
    assert_eq!((target.variable, &target.selector), (Variable::Args, &regex("^a{1,3}$")));
    let [Action::Ctl(Ctl::RuleRemoveTargetByTag(tag, target))] =
        &actions("ctl:ruleRemoveTargetByTag=a/b;!REQUEST_COOKIES:'/x|y, z/'")[..]
    else {
        panic!()
    };
    assert_eq!((tag.as_str(), target.exclude, &target.selector), ("a/b", false, &regex("x|y, z")));
}

#[test]
fn plain_actions() {
    assert_eq!(
        actions(
            "PHASE:'logging', Allow:request ,severity:'2',t:NORMALISEPATH,skipAfter:'A B',status:'403',multimatch"
        ),
        [
            Action::Phase(Phase::Logging),
            Action::Allow(AllowScope::Request),
            Action::Severity(Severity::Critical),
            Action::Transformation(Transformation::NormalizePath),
            Action::SkipAfter("A B".into()),
            Action::Status(403),
            Action::MultiMatch,
        ]
    );
}

#[test]
fn text_over_several_lines() {
    let rule = rule("SecAction \"id:1,\\\n    msg:'one \\\n      two, \\\"three\\\"',\\\r\n    deny\"");
    let Action::Msg(msg) = &rule.actions[1].node else { panic!() };
    assert_eq!(msg.raw_str(), "one two, \"three\"");
    assert_eq!(rule.actions[2].node, Action::Deny);
}

#[test]
fn chains_are_joined() {
    let text = "SecRule ARGS a \"id:7,phase:1,chain,deny\"\nSecRule &ARGS \"@gt 1\" \"t:none,chain\"\nSecAction \"nolog\"\nSecMarker M";
    let document = document(text);
    assert_eq!(document.directives.len(), 2);
    let rule = document.rules().next().unwrap();
    assert_eq!((rule.id, rule.phase, rule.links.len()), (7, Some(Phase::RequestHeaders), 2));
    assert!(rule.links[0].condition.is_some() && rule.links[1].condition.is_none());
    assert!(matches!(&document.directives[1].kind, DirectiveKind::Marker(name) if name == "M"));
}

#[test]
fn spans_point_into_the_text() {
    let text = "# x\nSecRule ARGS|!ARGS:/a b/ \\\n    \"@rx x\" \"id:1,\\\n    deny\"";
    let text = text.replace("!ARGS:/a b/", "!ARGS:/ab/");
    let document = document(&text);
    let rule = document.rules().next().unwrap();
    let shown = |span| String::from_utf8_lossy(document.sources.text(span)).into_owned();
    let condition = rule.condition.as_ref().unwrap();
    assert_eq!(shown(condition.targets[1].span), "!ARGS:/ab/");
    let Some(Selector::Regex { span, .. }) = condition.targets[1].node.selector else { panic!() };
    assert_eq!(shown(span), "ab");
    assert_eq!(shown(condition.operator.span), "\"@rx x\"");
    assert_eq!(shown(rule.actions[1].span), "deny");
    assert_eq!(document.sources.place(rule.actions[1].span), "t.conf:4:5");
}
