//! One file anew, with its comments, includes and blank lines.

use super::{write_directive, write_rule};
use crate::ast::{DirectiveKind, Document};
use crate::source::{FileId, Span};

/// The file with each directive in canonical layout; everything between directives stays, but for blanks at the ends
/// of lines. Directives with bytes that are no UTF-8 stay as they are.
///
/// Empty when the file does not belong to the document.
pub fn format_file(document: &Document, file: FileId) -> Vec<u8> {
    let Some(source) = document.sources.file(file) else { return Vec::new() };
    let mut out = Vec::with_capacity(source.text.len());
    let mut copied = 0;
    for (span, text) in pieces(document, file) {
        let (start, end) = (span.start as usize, span.end as usize);
        // Directives come in the order of the text; anything else would lose some of it.
        if start < copied || end > source.text.len() {
            continue;
        }
        push_gap(&mut out, &source.text[copied..start]);
        match std::str::from_utf8(&source.text[start..end]) {
            Ok(_) => {
                while out.ends_with(b" ") || out.ends_with(b"\t") {
                    out.pop();
                }
                out.extend_from_slice(text.trim_end_matches('\n').as_bytes());
            }
            Err(_) => out.extend_from_slice(&source.text[start..end]),
        }
        copied = end;
    }
    push_gap(&mut out, &source.text[copied..]);
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.push(b'\n');
    }
    out
}

/// Every directive of a file, chained ones by themselves, with its canonical text.
fn pieces(document: &Document, file: FileId) -> Vec<(Span, String)> {
    let mut pieces = Vec::new();
    for directive in &document.directives {
        let mut text = String::new();
        match &directive.kind {
            DirectiveKind::Rule(rule) => {
                write_rule(&mut text, rule.condition.as_ref(), &rule.actions, "");
                pieces.push((rule.span, text));
                for (depth, link) in rule.links.iter().enumerate() {
                    let mut text = String::new();
                    let indent = "    ".repeat(depth + 1);
                    write_rule(&mut text, link.condition.as_ref(), &link.actions, &indent);
                    pieces.push((link.span, text));
                }
            }
            kind => {
                write_directive(&mut text, kind);
                pieces.push((directive.span, text));
            }
        }
    }
    pieces.retain(|(span, _)| span.file == file);
    pieces
}

/// Appends what stands between directives, without blanks before line ends.
fn push_gap(out: &mut Vec<u8>, gap: &[u8]) {
    for line in gap.split_inclusive(|byte| *byte == b'\n') {
        let Some(content) = line.strip_suffix(b"\n") else {
            out.extend_from_slice(line);
            continue;
        };
        let kept =
            content.iter().rposition(|byte| !matches!(byte, b' ' | b'\t' | b'\r')).map_or(0, |at| at + 1);
        out.extend_from_slice(&content[..kept]);
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use crate::loader::MemoryLoader;
    use crate::source::FileId;
    use crate::{Document, Parser};

    fn parse(text: &[u8]) -> Document {
        let loader = MemoryLoader::new().with("other.conf", "SecMarker OTHER\n");
        let mut parser = Parser::new(&loader);
        parser.text("t.conf", text);
        parser.finish().unwrap()
    }

    #[test]
    fn comments_and_includes_stay() {
        let text =
            b"# head  \n\n  secrule ARGS|!ARGS:a \"@rx \\\"x\" id:1,phase:2,pass,chain\n   # between\n\
                     SecRule ARGS_NAMES y\n\nInclude other.conf\nsecmarker END";
        let document = parse(text);
        let formatted = super::format_file(&document, FileId(0));
        assert_eq!(
            String::from_utf8_lossy(&formatted),
            "# head\n\nSecRule \"ARGS|!ARGS:a\" \"@rx \\\"x\" \\\n    \"id:1,\\\n    phase:2,\\\n    pass,\\\n    \
             chain\"\n   # between\n    SecRule \"ARGS_NAMES\" \"@rx y\"\n\nInclude other.conf\nSecMarker \"END\"\n"
        );
        assert_eq!(parse(&formatted), document);
        assert_eq!(super::format_file(&parse(&formatted), FileId(0)), formatted);
    }

    #[test]
    fn other_bytes_stay_as_they_are() {
        let formatted =
            super::format_file(&parse(b"# \xfd\nsecrule ARGS \"@contains \xff\" id:1"), FileId(0));
        assert_eq!(formatted, b"# \xfd\nsecrule ARGS \"@contains \xff\" id:1\n");
    }
}
