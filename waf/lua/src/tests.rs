//! What scripts see, and how they are stopped.

use super::{Host, INSTRUCTIONS, RUN, Script};

#[derive(Default)]
struct Recorder {
    logged: Vec<(i64, String)>,
    set: Vec<(String, String)>,
}

impl Host for Recorder {
    fn log(&mut self, level: i64, text: &[u8]) {
        self.logged.push((level, String::from_utf8_lossy(text).into_owned()));
    }

    fn variables(&mut self, name: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        match name {
            b"ARGS" => vec![(b"ARGS:a".to_vec(), b"One".to_vec()), (b"ARGS:b".to_vec(), b"t\0wo".to_vec())],
            b"EMPTY" => vec![(b"EMPTY".to_vec(), Vec::new())],
            _ => Vec::new(),
        }
    }

    fn transform(&mut self, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        match name {
            "lowercase" => Some(value.to_ascii_lowercase()),
            "length" => Some(value.len().to_string().into_bytes()),
            _ => None,
        }
    }

    fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !name.contains(&b'.') {
            return Err("a collection is missing".to_owned());
        }
        self.set.push((text(name), text(value)));
        Ok(())
    }
}

fn run(source: &str, value: Option<&[u8]>) -> (Recorder, Result<Option<String>, String>) {
    let mut host = Recorder::default();
    let script = Script::new("dir/check.lua", source.as_bytes()).unwrap();
    let result = script.run(&mut host, value, &mut { INSTRUCTIONS });
    let result = result.map(|text| text.map(|text| String::from_utf8(text).unwrap()));
    (host, result.map_err(|error| error.to_string()))
}

fn main(body: &str) -> (Recorder, Result<Option<String>, String>) {
    run(&format!("function main(value)\n{body}\nend"), Some(b"the value"))
}

#[test]
fn scripts_see_the_transaction() {
    let (host, result) = main(
        "m.log(1, 'hello ' .. value)\n\
         m.setvar('tx.n', 5)\n\
         local list = m.getvars('ARGS', 'lowercase')\n\
         local first = m.getvar('ARGS', {'none', 'lowercase', 'length'})\n\
         if m.getvar('NOTHING') == nil and m.getvar('EMPTY') == nil and #list == 2 then\n\
           return list[1].name .. '=' .. list[1].value .. ' ' .. first\n\
         end",
    );
    assert_eq!(result, Ok(Some("ARGS:a=one 3".to_owned())));
    assert_eq!(host.logged, [(1, "hello the value".to_owned())]);
    assert_eq!(host.set, [("tx.n".to_owned(), "5".to_owned())]);
}

#[test]
fn what_main_returns_decides() {
    for (body, expected) in [
        ("return nil", None),
        ("", None),
        ("return ''", None),
        ("return 1", Some("1")),
        ("return true", None),
        ("return 'x', 'y'", Some("x")),
    ] {
        assert_eq!(main(body).1, Ok(expected.map(str::to_owned)), "{body}");
    }
    assert_eq!(run("function main(...) return select('#', ...) end", None).1, Ok(Some("0".to_owned())));
    assert_eq!(run("function main(...) return select('#', ...) end", Some(b"")).1, Ok(Some("0".to_owned())));
    assert!(run("x = 1", None).1.is_err());
}

#[test]
fn what_is_no_script_is_refused() {
    for source in [&b"function main("[..], b"\x1bLua\x54", b"return return", b"\x7fELF"] {
        let error = Script::new("dir/check.lua", source).unwrap_err().to_string();
        assert!(error.contains("check.lua") || error.contains("binary"), "{error}");
    }
}

#[test]
fn failures_name_script_and_line() {
    let (_, result) = main("local x\nreturn x.y");
    assert!(result.as_ref().is_err_and(|error| error.contains("check.lua:3")), "{result:?}");
    let (_, result) = main("m.setvar('x', 1)");
    assert!(result.as_ref().is_err_and(|error| error.contains("a collection is missing")), "{result:?}");
    let (_, result) = main("return m.getvar('ARGS', 'nonsense')");
    assert!(result.as_ref().is_err_and(|error| error.contains("nonsense")), "{result:?}");
}

#[test]
fn the_sandbox_is_empty() {
    for name in [
        "os",
        "io",
        "debug",
        "package",
        "coroutine",
        "require",
        "load",
        "loadfile",
        "dofile",
        "print",
        "pcall",
        "xpcall",
        "collectgarbage",
        "string.dump",
        "table.move",
    ] {
        assert_eq!(
            main(&format!("return {name} == nil and 'gone'")).1,
            Ok(Some("gone".to_owned())),
            "{name}"
        );
    }
    let (_, result) = main(
        "return ('x'):rep(3) .. ('aXb'):gsub('%u', '-') .. tostring(math.floor(2.5)) .. table.concat({1,2})",
    );
    assert_eq!(result, Ok(Some("xxxa-b212".to_owned())));
}

#[test]
fn nothing_runs_for_ever() {
    let cases = [
        ("while true do end", "too many instructions"),
        ("local s = 'x' while true do s = s .. s end", "memory"),
        ("local t = {} for i = 1, 1e9 do t[i] = i end", ""),
        ("return ('x'):rep(1e9)", "copies"),
        ("return (''):rep(1e9)", "copies"),
        ("return ('a'):rep(20000):find(('a*'):rep(10) .. 'b')", "may take too long"),
        ("return ('a'):rep(20000):gsub('.-b', 'x')", "may take too long"),
        ("local function f() return f() + 1 end return f()", ""),
        ("table.sort({3,2,1,5,4}, function() while true do end end)", "too many instructions"),
        ("setmetatable({}, {__gc = function() while true do end end})", "`__gc` is not supported"),
    ];
    for (body, reason) in cases {
        let result = main(body).1;
        assert!(result.as_ref().is_err_and(|error| error.contains(reason)), "{body}: {result:?}");
    }
}

#[test]
fn runs_know_nothing_of_each_other() {
    let script = Script::new(
        "a.lua",
        b"n = (n or 0) + 1 string.x = (string.x or 0) + 1 function main() return n + string.x end",
    )
    .unwrap();
    let mut left = 3 * RUN;
    for _ in 0..3 {
        assert_eq!(script.run(&mut Recorder::default(), None, &mut left), Ok(Some(b"2".to_vec())));
    }
    assert_eq!(left, 0);
    let error = script.run(&mut Recorder::default(), None, &mut left).unwrap_err();
    assert!(error.to_string().contains("too many instructions"));
}
