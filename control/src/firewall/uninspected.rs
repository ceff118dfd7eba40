//! `[[waf.uninspected-bodies]]` as SecLang.
//!
//! Each entry becomes rules before the ruleset that switch the transaction's body access off, as the rules of a person
//! would (ModSecurity manual, `ctl:requestBodyAccess`): phase 2 then runs without a body, and the proxy passes on what comes.
//! The Core Rule Set's list of allowed types is, for these requests alone, their type.

use hop3_rules::Snippet;
use hop3_runtimes::manifest::uninspected::{OpaqueType, UninspectedBodies};

/// First id of the rules made here; 8,100,000 to 8,199,999 are the product's own.
const FIRST_ID: u64 = 8_150_000;

/// What leads from one path to another in servers that decode, or resolve, what the rule does not.
const NOT_PLAIN: &str = r"[%;\x5c]|//|/\.{1,2}(?:/|$)";

/// What a call consists of besides its type (gRPC over HTTP2, "Requests"), and the rule against what only says that it is one.
const PROPER_CALLS: &str = r#"SecRule TX:hop3_grpc_call "!@rx ^POST HTTP/2(?:\.0)? trailers$" \
    "id:8150000,phase:1,deny,status:400,log,t:none,msg:'gRPC call that is no HTTP/2 POST with te: trailers',\
    logdata:'%{MATCHED_VAR}',severity:'WARNING',tag:'protocol'"
"#;
const NOTE_CALL: &str =
    "setvar:'tx.hop3_grpc_call=%{REQUEST_METHOD} %{REQUEST_PROTOCOL} %{REQUEST_HEADERS.te}'";

/// The rules for all entries, if there are any.
pub fn snippet(entries: &[UninspectedBodies]) -> Option<Snippet> {
    let mut text = String::new();
    for (entry, id) in entries.iter().zip((FIRST_ID + 1..).step_by(2)) {
        let (calls, others): (Vec<_>, Vec<_>) = entry.content_types.iter().partition(|kind| kind.is_grpc());
        text.push_str(&rule(id, entry.path.as_deref(), &others, r"(?:;\s?charset=[\w-]+)?", ""));
        text.push_str(&rule(id + 1, entry.path.as_deref(), &calls, "", NOTE_CALL));
    }
    if text.contains(NOTE_CALL) {
        text.push_str(PROPER_CALLS);
    }
    (!text.is_empty()).then(|| Snippet { name: "hop3.toml [[waf.uninspected-bodies]]".into(), text })
}

/// The rule for types whose field value ends with `suffix`. Several fields, or a list in one, may be read differently by the
/// app: they are no such type.
fn rule(id: u64, path: Option<&str>, kinds: &[&OpaqueType], suffix: &str, action: &str) -> String {
    if kinds.is_empty() {
        return String::new();
    }
    let below = path.map_or_else(String::new, |path| {
        format!(
            "    SecRule REQUEST_FILENAME \"@beginsWith {path}\" \"t:none,chain\"\n    \
             SecRule REQUEST_FILENAME \"!@rx {NOT_PLAIN}\" \"t:none,chain\"\n"
        )
    });
    let kinds = kinds.iter().map(|kind| pattern(kind)).collect::<Vec<_>>().join("|");
    let action = if action.is_empty() { String::new() } else { format!(",\\\n        {action}") };
    format!(
        "SecRule &REQUEST_HEADERS:Content-Type \"@eq 1\" \"id:{id},phase:1,pass,nolog,t:none,chain\"\n\
         {below}    \
         SecRule REQUEST_HEADERS:Content-Type \"@rx ^({kinds}){suffix}$\" \\\n        \
         \"t:none,t:lowercase,capture,ctl:requestBodyAccess=Off,\\\n        \
         setvar:'tx.allowed_request_content_type=|%{{TX.1}}|'{action}\"\n"
    )
}

/// A pattern that matches this type; `application/grpc` stands for all encodings of its messages.
fn pattern(kind: &OpaqueType) -> String {
    let pattern = kind.as_str().replace('.', r"\.").replace('+', r"\+");
    if pattern == "application/grpc" { format!(r"{pattern}(?:\+[\w.+-]+)?") } else { pattern }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::rehearsal::{Exchange, RawRequest};
    use hop3_waf::{Ruleset, Transaction, Verdict};
    use std::sync::Arc;

    /// As the Core Rule Set does it, and an attack in a query and in a body.
    const RULES: &str = r#"SecRule &TX:allowed_request_content_type "@eq 0" "id:1,phase:1,pass,nolog,setvar:'tx.allowed_request_content_type=|application/x-www-form-urlencoded| |application/json|'"
SecRule REQUEST_HEADERS:Content-Type "@rx ^[^;\s]+" "id:2,phase:1,deny,status:415,capture,t:none,setvar:'tx.content_type=|%{tx.0}|',chain"
    SecRule TX:content_type "!@within %{tx.allowed_request_content_type}" "t:lowercase"
SecRule ARGS|REQUEST_HEADERS:x-note "@contains attack" "id:3,phase:2,deny,status:403"
"#;

    fn ruleset(declared: &str) -> Arc<Ruleset> {
        let entries: toml::Table = toml::from_str(declared).unwrap();
        let entries: Vec<UninspectedBodies> = entries["bodies"].clone().try_into().unwrap();
        let text = format!("SecRuleEngine On\n{}{RULES}", snippet(&entries).unwrap().text);
        let document = hop3_seclang::parse_str("t.conf", &text, &hop3_seclang::loader::MemoryLoader::new());
        Arc::new(Ruleset::compile(&document.unwrap_or_else(|error| panic!("{text}\n{error:?}"))).unwrap())
    }

    /// `unread`, `read`, or the status of the refusal.
    fn fate(ruleset: &Arc<Ruleset>, head: &str, plain: bool) -> String {
        let exchange: Exchange = RawRequest::parse(format!("{head}\n\n").as_bytes()).unwrap().into();
        let request = exchange.request;
        let start = hop3_waf::TransactionStart { id: "t".into(), unix_time: Default::default(), entropy: 0 };
        let local = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let mut transaction =
            Transaction::new(ruleset.clone(), start, hop3_waf::Connection { client: local, server: local });
        if plain {
            transaction = transaction.with_plain_evaluation();
        }
        transaction.set_request_line(&request.method, &request.target, &request.protocol);
        for (name, value) in &request.headers {
            transaction.add_request_header(name, value);
        }
        let mut verdict = transaction.process_request_headers();
        let inspects = transaction.inspects_request_body();
        if verdict == Verdict::Pass {
            verdict = transaction.process_request_body();
        }
        match verdict {
            Verdict::Interrupt(interruption) => interruption.status.to_string(),
            Verdict::Pass => if inspects { "read" } else { "unread" }.to_owned(),
        }
    }

    fn check(declared: &str, cases: &[(&str, &str)]) {
        let ruleset = ruleset(declared);
        for (head, expected) in cases {
            for plain in [false, true] {
                assert_eq!(fate(&ruleset, head, plain), *expected, "{declared}\n{head}");
            }
        }
    }

    #[test]
    fn calls_pass_unread_and_their_heads_do_not() {
        let call = "POST /shop.Orders/Watch HTTP/2.0\nte: trailers\ncontent-type: application/grpc";
        let with = |from: &str, to: &str| call.replace(from, to);
        check(
            "[[bodies]]\ncontent-types = ['application/grpc']",
            &[
                (call, "unread"),
                (&with("grpc", "grpc+proto"), "unread"),
                (&with("application/grpc", "Application/GRPC+json"), "unread"),
                (&with("HTTP/2.0", "HTTP/2"), "unread"),
                (&with("/Watch", "/Watch?a=attack"), "403"),
                (&format!("{call}\nx-note: an attack"), "403"),
                // What only says that it is a call.
                (&with("HTTP/2.0", "HTTP/1.1"), "400"),
                (&with("POST", "PUT"), "400"),
                (&with("te: trailers", "x: y"), "400"),
                (&with("te: trailers", "te: gzip"), "400"),
                // Another type, whatever a lenient reader makes of it.
                (&with("grpc", "grpc-web"), "415"),
                (&with("grpc", "grpcx"), "415"),
                (&with("grpc", "grpc; multipart/form-data; boundary=x"), "415"),
                (&with("grpc", "grpc, application/json"), "415"),
                (&format!("{call}\ncontent-type: application/json"), "read"),
                (&with("grpc", "json"), "read"),
                (&with("application/grpc", "application/x-www-form-urlencoded"), "read"),
                ("GET /page HTTP/1.1\nhost: x", "read"),
            ],
        );
    }

    #[test]
    fn a_path_bounds_them_and_other_types_need_no_call() {
        let upload = "PUT /files/a.bin HTTP/1.1\ncontent-type: application/octet-stream";
        let with = |from: &str, to: &str| upload.replace(from, to);
        check(
            "[[bodies]]\ncontent-types = ['application/octet-stream', 'image/svg+v.1']\npath = '/files/'\n\
             [[bodies]]\ncontent-types = ['application/grpc+proto']",
            &[
                (upload, "unread"),
                (&with("stream", "stream; charset=utf-8"), "unread"),
                (&with("stream", "stream; boundary=x"), "415"),
                (&with("application/octet-stream", "image/svg+v.1"), "unread"),
                (&with("application/octet-stream", "image/svg+vx1"), "415"),
                (&with("/files/", "/other/"), "415"),
                (&with("/files/", "/files/../other/"), "415"),
                (&with("/files/", "/files/..%2fother/"), "415"),
                (&with("/files/", "/files/..;/other/"), "415"),
                (&with("/files/", "/files/..\\other/"), "415"),
                (&with("/files/", "//files/"), "415"),
                (&with("/files/a.bin", "/files/."), "415"),
                (&with("a.bin", "..a...bin?x=/../y%20"), "unread"),
                ("POST /c HTTP/2.0\nte: trailers\ncontent-type: application/grpc+proto", "unread"),
                ("POST /c HTTP/2.0\nte: trailers\ncontent-type: application/grpc", "415"),
            ],
        );
    }

    #[test]
    fn nothing_declared_makes_no_rule() {
        assert_eq!(snippet(&[]), None);
    }
}
