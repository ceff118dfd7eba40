//! Responses that tell too much.

use crate::ftw::backend::Response;

use super::benign::answer;
use super::dice::Dice;
use super::words::Words;

const LEAKS: &[&str] = &[
    "<title>Index of /backup</title><h1>Index of /backup</h1>",
    "<pre>java.lang.NullPointerException\n\tat com.example.App.main(App.java:10)</pre>",
    "<b>Warning</b>:  mysql_fetch_array() expects parameter 1 to be resource in /var/www/index.php on line 3",
    "Unclosed quotation mark after the character string 'x'. Microsoft OLE DB Provider for SQL Server error '80040e14'",
    "ORA-00933: SQL command not properly ended",
    "PG::SyntaxError: ERROR: syntax error at or near \"'\"",
    "org.hibernate.exception.SQLGrammarException",
    "<?php echo $secret; ?>",
    "#!/usr/bin/perl\nprint 1;",
    "Microsoft OLE DB Provider for ODBC Drivers error",
    "ADODB.Command (0x800A0BB9)",
    "<%= Server.MapPath(\".\") %>",
    "NameError: undefined local variable or method `x' for main:Object",
    "[SQLITE_ERROR] SQL error",
    "<title>r57 Shell Version 1.31</title>",
    "<h1>phpinfo()</h1>",
    "uid=0(root) gid=0(root)",
    "Sybase message: server",
    "Directory Listing For /files",
    "\x1f\u{8b}\x08 not really gzip",
    "<title>Mini Shell</title> by Black_Shell",
    "Fatal error: Uncaught Error: Call to undefined function x() in /srv/a.php:2",
];

/// A response with something that should not leave the server.
pub(super) fn response(dice: &mut Dice, words: &Words) -> Response {
    let leak = if dice.percent(50) {
        dice.pick(LEAKS).as_bytes().to_vec()
    } else {
        let list = dice.pick(&words.response);
        dice.pick(&list.phrases).clone()
    };
    let kind = *dice.pick(&[
        "text/html",
        "text/plain; charset=utf-8",
        "application/json",
        "text/xml",
        "image/png",
        "TEXT/HTML",
    ]);
    let status = *dice.pick(&[200, 200, 200, 404, 500, 503]);
    let mut response = answer(status, kind, [b"<html>", &leak[..], b"</html>"].concat());
    if dice.percent(10) {
        response.headers.push((b"Content-Encoding".to_vec(), b"gzip".to_vec()));
    }
    if dice.percent(10) {
        response.headers.push((b"X-Powered-By".to_vec(), b"PHP/5.3.3".to_vec()));
    }
    response
}
