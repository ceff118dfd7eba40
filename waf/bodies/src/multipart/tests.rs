//! Whole bodies: what is found and what is flagged.

use super::*;

const TYPE: &[u8] = b"multipart/form-data; boundary=0000";

fn read(body: &str) -> Multipart<'_> {
    parse(TYPE, body.as_bytes(), &Limits::default())
}

fn part(head: &str, content: &str) -> String {
    format!("--0000\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
}

fn fields(multipart: &Multipart<'_>) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    multipart.fields().map(|field| (text(&field.name), text(&field.value))).collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn reads_fields_and_files() {
    let body = part("name=\"name\"", "Brian\r\nR.")
        + &part("name=\"empty\"", "")
        + "--0000\r\nContent-Disposition: form-data; name=\"image\"; filename=\"i.jpg\"\r\n\
           Content-Type: image/jpeg\r\n\r\nBINARYDATA\r\n--0000--\r\n";
    let multipart = read(&body);
    assert_eq!(multipart.error, None);
    assert!(!multipart.strict_error());
    assert_eq!(multipart.flags, Flags { crlf_line: true, ..Flags::default() });
    assert_eq!(multipart.unmatched_boundary, UnmatchedBoundary::Matched);
    assert_eq!(fields(&multipart), [pair("name", "Brian\r\nR."), pair("empty", "")]);
    let files: Vec<_> = multipart.files().collect();
    assert_eq!(files.len(), 1);
    assert_eq!((&*files[0].name, files[0].filename.as_deref()), (&b"image"[..], Some(&b"i.jpg"[..])));
    assert_eq!(files[0].content, b"BINARYDATA");
    assert_eq!(&body.as_bytes()[files[0].offset..files[0].offset + 10], b"BINARYDATA");
    assert_eq!(multipart.files_combined_size(), 10);
    let boundary_lines = 3 * "--0000\r\n".len() + "--0000--\r\n".len();
    let line_ends_before_boundaries = 3 * "\r\n".len();
    let rest = body.len() - boundary_lines - line_ends_before_boundaries - "BINARYDATA".len();
    assert_eq!(multipart.no_files_length, rest);
}

#[test]
fn keeps_part_headers_raw_in_order_and_with_duplicates() {
    let body = "--0000\r\nContent-Disposition: form-data; name=\"_charset_\"\r\n\
                Content-Type:text/plain;  charset=utf-7\r\ncontent-type: text/html;\r\n charset=x\r\n\r\nv\r\n--0000--\r\n";
    let multipart = read(body);
    assert_eq!(multipart.error, Some(Error::DuplicateHeader("content-type".to_owned())));
    let lines: Vec<_> = multipart.part_headers.iter().map(|h| String::from_utf8_lossy(&h.line)).collect();
    assert_eq!(
        lines,
        [
            "Content-Disposition: form-data; name=\"_charset_\"",
            "Content-Type:text/plain;  charset=utf-7",
            "content-type: text/html; charset=x",
        ]
    );
    assert!(multipart.part_headers.iter().all(|h| &*h.part == b"_charset_"));
    assert!(multipart.flags.header_folding && !multipart.flags.invalid_header_folding);
    assert_eq!(fields(&multipart), [pair("_charset_", "v")]);
}

#[test]
fn a_header_with_a_bad_name_is_an_error_but_rules_can_see_it() {
    let body = "--0000\r\n\x0EContent-Disposition: form-data; name=\"f\"; filename=\"1.php\"\r\n\
                Content-Disposition: form-data; name=\"post\"\r\n\r\n<?php\r\n--0000--";
    let multipart = read(body);
    assert_eq!(multipart.error, Some(Error::HeaderCharacter(8)));
    assert!(multipart.part_headers[0].line.starts_with(b"\x0EContent"));
    assert_eq!(fields(&multipart), [pair("post", "<?php")]);
}

#[test]
fn flags_deviations() {
    type Check = fn(&Flags) -> bool;
    let good = part("name=\"a\"", "1") + "--0000--\r\n";
    let cases: &[(&str, String, Check)] = &[
        ("data before", format!("preamble\r\n{good}"), |f| f.data_before),
        ("data after", format!("{good}x"), |f| f.data_after),
        ("LF in head", good.replacen("\r\n\r\n", "\r\n\n", 1), |f| f.lf_line && f.crlf_lf_lines()),
        ("LF after boundary", good.replacen("--0000\r\n", "--0000\n", 1), |f| f.lf_line),
        ("LF before boundary", good.replacen("1\r\n", "1\n", 1), |f| f.lf_line && f.crlf_lf_lines()),
        ("LF everywhere", good.replace("\r\n", "\n"), |f| f.lf_line && !f.crlf_lf_lines()),
        ("folding", good.replacen("data; ", "data;\r\n\t", 1), |f| {
            f.header_folding && !f.invalid_header_folding
        }),
        ("odd folding", good.replacen("data; ", "data;\r\n\x0C", 1), |f| {
            f.header_folding && f.invalid_header_folding
        }),
        ("single quotes", good.replace('"', "'"), |f| f.invalid_quoting),
        ("no data line", good.replacen("1\r\n", "", 1), |f| f.invalid_part),
        ("no data line, no last line feed", good.replacen("1\r\n", "", 1).replace("--\r\n", "--"), |f| {
            f.invalid_part
        }),
    ];
    for (what, body, check) in cases {
        let multipart = read(body);
        assert!(check(&multipart.flags), "{what}: {:?}", multipart.flags);
        assert!(multipart.strict_error(), "{what}");
        if !what.starts_with("no data") {
            assert_eq!(multipart.error, None, "{what}");
            assert_eq!(fields(&multipart), [pair("a", "1")], "{what}");
        }
    }
}

#[test]
fn accepts_a_final_boundary_without_line_feed() {
    let body = part("name=\"a\"", "1") + "--0000--";
    let multipart = read(&body);
    assert!(!multipart.strict_error());
    assert_eq!(fields(&multipart), [pair("a", "1")]);
    let after_lf = body.replace("1\r\n", "1\n");
    assert!(read(&after_lf).flags.lf_line);
}

#[test]
fn reports_errors_and_keeps_what_was_read() {
    let a = part("name=\"a\"", "1");
    let end = "--0000--\r\n";
    let bad_value = |fault, value: &str| Error::Disposition { fault, value: value.to_owned() };
    type Case<'a> = (String, Error, &'a [(&'a str, &'a str)]);
    let cases: &[Case<'_>] = &[
        ("no boundary at all\r\n".to_owned(), Error::NoBoundaries, &[]),
        ("--0000".to_owned(), Error::NoBoundaries, &[]),
        (a.clone(), Error::FinalBoundaryMissing, &[("a", "1\r\n")]),
        (format!("{a}--0000\r\nContent-Dis"), Error::FinalBoundaryMissing, &[("a", "1")]),
        (format!("{a}--0000 \r\n{end}"), Error::BoundaryLine(a.len()), &[("a", "1")]),
        (format!("{a}--0000x\r\n{end}"), Error::BoundaryLine(a.len()), &[("a", "1")]),
        (format!("{a}--0000--x\r\n{end}"), Error::BoundaryLine(a.len()), &[("a", "1")]),
        (format!("{a}-- 0000\r\n{end}"), Error::BoundaryLineWhitespace(a.len()), &[("a", "1")]),
        (format!("{a}--0000\r\n\r\n2\r\n{end}"), Error::DispositionMissing(a.len() + 8), &[("a", "1")]),
        (
            format!("{a}{}{end}", part("", "2")),
            bad_value(DispositionFault::NothingAfterSemicolon, "form-data; "),
            &[("a", "1")],
        ),
        (
            format!("{a}{}{end}", part("name=b; x=1", "2")),
            bad_value(DispositionFault::UnknownParameter, "form-data; name=b; x=1"),
            &[("a", "1"), ("b", "2")],
        ),
        (format!("{a}{}{end}", part("name=\"\"", "2")), Error::NameMissing(a.len() + 8), &[("a", "1")]),
        (
            format!("{a}{}{end}", part("name=b; filename =\"f\"", "2")),
            Error::FilenameSpelling(a.len() + 8),
            &[("a", "1")],
        ),
        (format!("{a}--0000\r\n:\r\n{end}"), Error::HeaderName(a.len() + 8), &[("a", "1")]),
        (format!("{a}--0000\r\nno colon\r\n\r\n{end}"), Error::HeaderColon(a.len() + 8), &[("a", "1")]),
        (format!("{a}--0000\r\n x: y\r\n\r\n{end}"), Error::HeaderFolding(a.len() + 8), &[("a", "1")]),
        (format!("{a}--0000\r\nX\0: y\r\n\r\n{end}"), Error::HeaderNul(a.len() + 8), &[("a", "1")]),
        (format!("{a}--0000\r\nX y: z\r\n\r\n{end}"), Error::HeaderCharacter(a.len() + 8), &[("a", "1")]),
        (
            format!("{a}--0000\r\nX: {}\r\n\r\n{end}", "y".repeat(5000)),
            Error::HeaderLength(a.len() + 8),
            &[("a", "1")],
        ),
        (
            format!("{a}--0000\r\n{}\r\n{end}", (0..200).map(|i| format!("X{i}: y\r\n")).collect::<String>()),
            { Error::HeaderCount(a.len() + 8 + 10 * 7 + 90 * 8 + 28 * 9) },
            &[("a", "1")],
        ),
    ];
    for (body, error, expected) in cases {
        let multipart = read(body);
        assert_eq!(multipart.error.as_ref(), Some(error), "{body:?}");
        assert!(multipart.strict_error());
        let expected: Vec<_> = expected.iter().map(|(n, v)| pair(n, v)).collect();
        assert_eq!(fields(&multipart), expected, "{body:?}");
    }
}

#[test]
fn quotes_of_the_content_type_do_not_belong_in_the_body() {
    let body = part("name=\"a\"", "1") + "--\"0000\"\r\n";
    let multipart = parse(b"multipart/form-data; boundary=\"0000\"", body.as_bytes(), &Limits::default());
    assert_eq!(multipart.error, Some(Error::BoundaryLineQuotes(55)));
    assert_eq!(fields(&multipart), [pair("a", "1")]);
}

#[test]
fn unmatched_boundary_tells_the_last_event() {
    use UnmatchedBoundary::*;
    let a = part("name=\"a\"", "1");
    let cases: &[(String, UnmatchedBoundary)] = &[
        ("--0000--\r\n".to_owned(), None),
        (format!("{a}--0000--\r\n"), Matched),
        (format!("{a}--0000--"), None),
        (format!("{}--0000--\r\n", part("name=\"a\"", "--foreign")), Matched),
        (format!("{}--0000--", part("name=\"a\"", "--foreign")), Matched),
        (format!("{}--0000--", part("name=\"a\"", "x --0000 y")), Matched),
        (format!("{}--0000--", part("name=\"a\"", "a -- b\n--\nc")), None),
        (format!("{}--0001--\r\n", part("name=\"a\"", "x")), LookAlike),
        (format!("--0001\r\n{a}--0000--"), Matched),
        (format!("--0001\r\n{a}--0000--\r"), Matched),
        (format!("--0000\r\n-x: y\r\n--y: z\r\n{}", &a[8..]), LookAlike),
    ];
    for (body, expected) in cases {
        assert_eq!(read(body).unmatched_boundary, *expected, "{body:?}");
    }
}

#[test]
fn a_boundary_inside_a_head_is_an_invalid_part() {
    let body = format!(
        "--0000\r\nContent-Disposition: form-data; name=\"x\"\r\n{}--0000--\r\n",
        part("name=\"a\"", "1")
    );
    let multipart = read(&body);
    assert!(multipart.flags.invalid_part);
    assert!(matches!(multipart.error, Some(Error::HeaderColon(_))));
}

#[test]
fn limits_are_reported() {
    let files: String = (0..3).map(|i| part(&format!("name=\"f{i}\"; filename=\"{i}\""), "x")).collect();
    let body = files + &part("name=\"a\"", "1") + &part("name=\"b\"", "2") + "--0000--\r\n";
    let limits = Limits { files: 2, ..Limits::default() };
    let multipart = parse(TYPE, body.as_bytes(), &limits);
    assert!(multipart.flags.file_limit_exceeded);
    assert_eq!(multipart.error, Some(Error::FileLimit(2)));
    assert_eq!((multipart.files().count(), multipart.fields().count()), (3, 2));

    let limits = Limits { arguments: 1, ..Limits::default() };
    let multipart = parse(TYPE, body.as_bytes(), &limits);
    assert_eq!(multipart.error, Some(Error::ArgumentLimit(1)));
    assert_eq!((multipart.files().count(), multipart.fields().count()), (3, 1));
}

#[test]
fn an_empty_body_is_no_error_and_a_bad_type_always_is() {
    assert_eq!(read("").error, None);
    let multipart = parse(b"multipart/form-data", b"", &Limits::default());
    assert_eq!(multipart.error, Some(Error::BoundaryNotFound));
    assert!(multipart.strict_error());
}
