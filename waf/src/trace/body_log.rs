//! What v3's debug log says about request bodies.

use hop3_bodies::multipart::{Error, Multipart};
use hop3_seclang::ast::BodyProcessor;

/// Lines about a multipart body; `shown` is how the value of a field is told.
pub(super) fn multipart(
    multipart: &Multipart<'_>,
    shown: &dyn Fn(&[u8], &[u8]) -> String,
    line: &mut dyn FnMut(u8, &str),
) {
    let error = multipart.error.as_ref().map(ToString::to_string);
    if let Some(error) = error.filter(|error| error.contains("C-T")) {
        line(4, &error);
    }
    if multipart.flags.boundary_parameter {
        line(4, "Multipart: Invalid parameter after boundary in C-T (tolerated).");
    }
    if let Some(Error::Disposition { fault, .. }) = &multipart.error
        && fault.to_string() == "-14"
    {
        line(4, "Multipart: Warning: Duplicate Content-Disposition name");
    }
    for header in &multipart.part_headers {
        line(9, &format!("Multipart: Added part header line:{}", String::from_utf8_lossy(&header.line)));
    }
    for part in &multipart.parts {
        let name = String::from_utf8_lossy(&part.name);
        let place = format!("(offset {}, length {})", part.offset, part.content.len());
        line(9, &format!("Multipart: Content-Disposition name: {name}."));
        if let Some(extended) = &part.extended_filename {
            let extended = String::from_utf8_lossy(extended);
            line(9, &format!("Multipart: Content-Disposition filename*: {extended}."));
        }
        match &part.filename {
            Some(filename) => {
                let filename = String::from_utf8_lossy(filename);
                line(9, &format!("Multipart: Content-Disposition filename: {filename}."));
                line(
                    9,
                    &format!(
                        "Multipart: Added file part to the list: name \"{name}\" file name \"{filename}\" {place}"
                    ),
                );
            }
            None => {
                line(9, &format!("Multipart: Added part to the list: name \"{name}\" {place}"));
                line(9, &format!("Multipart: Added data to variable: {}", shown(&part.name, part.content)));
            }
        }
        if let (None, Some(extended)) = (&part.filename, &part.extended_filename) {
            line(
                4,
                &format!(
                    "Multipart: Warning: no filename= but filename*: {}",
                    String::from_utf8_lossy(extended)
                ),
            );
        }
    }
    let flags = &multipart.flags;
    for (flag, message) in [
        (flags.data_before, "seen data before first boundary."),
        (flags.data_after, "seen data after last boundary."),
        (flags.boundary_quoted, "boundary was quoted."),
        (flags.boundary_whitespace, "boundary whitespace in C-T header."),
        (flags.header_folding, "header folding used."),
        (flags.crlf_lf_lines(), "mixed line endings used (CRLF/LF)."),
        (flags.lf_line && !flags.crlf_line, "incorrect line endings used (LF)."),
        (flags.missing_semicolon, "missing semicolon in C-T header."),
        (flags.invalid_quoting, "invalid quoting used."),
        (flags.invalid_part, "invalid part parsing."),
        (flags.invalid_header_folding, "invalid header folding used."),
    ] {
        if flag {
            line(4, &format!("Multipart: Warning: {message}"));
        }
    }
}

/// Lines about any body.
pub(super) fn body(processor: Option<BodyProcessor>, error: Option<&str>, line: &mut dyn FnMut(u8, &str)) {
    if processor == Some(BodyProcessor::Xml) {
        line(4, "XML: Initialising parser.");
        line(4, &format!("XML: Parsing complete (well_formed {}).", u8::from(error.is_none())));
    }
    let Some(error) = error else { return };
    line(1, error);
    if error.contains("argument limit exceeded") {
        line(4, "Skipping request argument, over limit");
    }
    if processor == Some(BodyProcessor::Xml) {
        line(4, "XML: Failed parsing document.");
    }
}

/// Lines about a validation.
pub(super) fn validated(file: &str, by_schema: bool, error: Option<&str>, line: &mut dyn FnMut(u8, &str)) {
    let kind = if by_schema { "Schema" } else { "DTD" };
    match error {
        None => line(4, &format!("XML: Successfully validated payload against {kind}: {file}")),
        Some(error) if error.contains("not well formed") => {
            line(4, &format!("XML: {kind} validation failed because {error}."));
        }
        Some(error) => {
            line(4, &format!("XML Error: {error}"));
            line(4, &format!("XML: {kind} validation failed."));
        }
    }
}
