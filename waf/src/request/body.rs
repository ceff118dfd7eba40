//! The request body: choice of the processor, its results and its errors.

use std::ops::Range;

use hop3_bodies::{Limits, Text, form, json, multipart, xml};
use hop3_seclang::ast::{BodyProcessor, Variable, XmlIntoArgs};

use super::headers::COOKIES_LIMIT;
use crate::collections::fields::{Field, push};
use crate::ruleset::Ruleset;
use crate::state::State;
use crate::text::TextId;
use crate::trace::Event;
use crate::xml_body::XmlBody;

/// Most bytes of a body that are made room for because Content-Length announces them.
const EXPECTED_LIMIT: usize = 1 << 20;

/// What a processor could not make sense of.
struct Failure {
    message: String,
}

impl State {
    /// Makes room for the body before its first piece, so that it need not be
    /// moved as it grows.
    pub(crate) fn expect_request_body(&mut self) {
        if !self.texts.body().is_empty() {
            return;
        }
        let announced = self.header(&self.collections.request_headers, "content-length");
        let digits = announced.and_then(|value| std::str::from_utf8(value).ok());
        let length: usize = digits.and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let room = length.min(self.request_body_limit).min(EXPECTED_LIMIT);
        self.texts.body_mut().reserve(room);
    }

    /// Parses the body and fills the variables of phase 2. Whatever goes wrong
    /// ends in REQBODY_ERROR, so that rules can refuse it.
    pub(crate) fn read_request_body(&mut self, ruleset: &Ruleset) {
        // Taken out, so that what the processors find in it can be kept meanwhile.
        let body = std::mem::take(self.texts.body_mut());
        let (mut failure, mut unreadable) = (None, None);
        if self.request_body_access {
            let inspected = self.decode_request_body(ruleset, body);
            failure = self.process_body(ruleset, &inspected.body);
            unreadable = inspected.failure.map(Failure::new);
            *self.texts.body_mut() = inspected.body;
        } else {
            *self.texts.body_mut() = body;
        }
        self.set_flag(Variable::ReqbodyProcessorError, failure.is_some());
        if let Some(failure) = &failure {
            self.set(Variable::ReqbodyProcessorErrorMsg, failure.message.as_bytes());
        }
        let failure = unreadable.or(failure).or_else(|| self.limit_failure(ruleset));
        if !self.request_body_access {
            self.trace(|_| Event::BodyUnread);
        }
        self.trace(|state| Event::Body {
            processor: state.processor,
            error: failure.as_ref().map(|failure| failure.message.as_str()),
        });
        self.set_flag(Variable::ReqbodyError, failure.is_some());
        let message = failure.map_or(TextId::EMPTY, |failure| self.texts.add(failure.message.as_bytes()));
        self.scalars.set(Variable::ReqbodyErrorMsg, message);
    }

    fn process_body(&mut self, ruleset: &Ruleset, body: &[u8]) -> Option<Failure> {
        if self.processor.is_none()
            && let Some(processor) = ruleset.settings.default_processor
        {
            self.choose_processor(processor);
        }
        let processor = self.processor;
        let text = self.texts.body_text(body.len());
        if self.force_request_body
            || matches!(processor, Some(BodyProcessor::UrlEncoded | BodyProcessor::Raw))
        {
            self.scalars.set(Variable::RequestBody, text);
        }
        let settings = &ruleset.settings;
        let limits = Limits {
            arguments: settings.arguments_limit.saturating_sub(self.argument_count()),
            name_bytes: Limits::names_of(settings.arguments_limit, body.len()),
            depth: settings.json_depth_limit,
            files: settings.upload_file_limit,
        };
        match processor {
            Some(BodyProcessor::UrlEncoded) => self.read_form(ruleset, (text, body), &limits),
            Some(BodyProcessor::Multipart) => return self.read_multipart((text, body), &limits),
            Some(BodyProcessor::Json) => return self.read_json(ruleset, (text, body), limits),
            Some(BodyProcessor::Xml) => return self.read_xml(ruleset, body, &limits),
            Some(BodyProcessor::Raw) | None => {}
        }
        None
    }

    /// Errors that no processor reports: sizes and counts.
    fn limit_failure(&mut self, ruleset: &Ruleset) -> Option<Failure> {
        let limit = ruleset.settings.request_body_no_files_limit;
        let counted = match self.processor {
            Some(BodyProcessor::UrlEncoded | BodyProcessor::Json | BodyProcessor::Xml) => {
                self.texts.body().len()
            }
            Some(BodyProcessor::Multipart) => self.no_files_length,
            _ => 0,
        };
        if self.request_body_access && counted > limit {
            self.inbound_data_error = true;
            return Some(Failure::new("Request body excluding files is bigger than the maximum expected."));
        }
        if self.too_many_arguments {
            return Some(Failure::new("The request has more arguments than SecArgumentsLimit allows."));
        }
        if self.has_too_many_cookies() {
            return Some(Failure::new(format!("The request has more than {COOKIES_LIMIT} cookies.")));
        }
        None
    }

    fn read_form(&mut self, ruleset: &Ruleset, body: (TextId, &[u8]), limits: &Limits) {
        let separator = ruleset.settings.argument_separator;
        let faults = form::read(body.1, separator, limits, |name, value| {
            let field = self.found_argument(true, body, name, value);
            push(&mut self.collections.args_post, field);
        });
        self.note_faults(faults);
    }

    fn read_json(&mut self, ruleset: &Ruleset, body: (TextId, &[u8]), limits: Limits) -> Option<Failure> {
        let naming =
            if ruleset.settings.json_array_prefix { json::Naming::ModSecurity3 } else { json::Naming::Plain };
        let error = json::read(body.1, &json::Options { limits, naming }, |name, value| {
            let field = self.found_argument(true, body, Text::Decoded(name), value);
            push(&mut self.collections.args_post, field);
        });
        error.map(|error| Failure::new(error.to_string()))
    }

    fn read_xml(&mut self, ruleset: &Ruleset, body: &[u8], limits: &Limits) -> Option<Failure> {
        let xml = if ruleset.settings.needs_xml_tree
            && !body.is_empty()
            && self.xml_into_args != XmlIntoArgs::OnlyArgs
        {
            let (xml, tree) = xml::parse_tree(body, limits);
            self.xml = Some(XmlBody { tree, error: xml.error.as_ref().map(ToString::to_string) });
            xml
        } else {
            xml::parse(body, limits)
        };
        let text = self.field(b"", &xml.text);
        if self.xml_into_args != XmlIntoArgs::OnlyArgs {
            self.collections.xml_text.push(text);
        }
        if self.xml_into_args != XmlIntoArgs::Off {
            let field = self.field(b"xml", &xml.text);
            push(&mut self.collections.args_post, field);
        }
        for attribute in &xml.attributes {
            let field = self.field(b"", attribute);
            self.collections.xml_attributes.push(field);
        }
        // A body of no bytes has nothing that could be misread.
        xml.error.filter(|_| !body.is_empty()).map(|error| Failure::new(error.to_string()))
    }

    fn read_multipart(&mut self, body: (TextId, &[u8]), limits: &Limits) -> Option<Failure> {
        let content_type = self.header(&self.collections.request_headers, "content-type").unwrap_or_default();
        let parsed = multipart::parse(content_type, body.1, limits);
        self.trace(|_| Event::Multipart(&parsed));
        self.no_files_length = parsed.no_files_length;
        for part in &parsed.parts {
            let content = part.offset..part.offset + part.content.len();
            if part.is_file() {
                self.add_file(part, body.0, content);
            } else {
                let field = self.found_argument(true, body, Text::Decoded(&part.name), Text::Source(content));
                push(&mut self.collections.args_post, field);
            }
        }
        for header in &parsed.part_headers {
            let field = self.field(&header.part, &header.line);
            self.collections.part_headers.push(field);
        }
        self.set_multipart_flags(&parsed);
        parsed.error.as_ref().map(|error| Failure::new(error.to_string()))
    }

    fn add_file(&mut self, file: &multipart::Part<'_>, body: TextId, content: Range<usize>) {
        let c = &mut self.collections;
        let name = self.texts.add(&file.name);
        let file_name = self.texts.add(file.filename.as_deref().unwrap_or_default());
        c.files.push(Field { name, value: file_name });
        c.files_names.push(Field { name, value: name });
        c.files_sizes.push(Field { name, value: self.texts.add_number(content.len()) });
        c.files_content.push(Field { name, value: self.texts.part(body, content) });
        c.files_tmp_names.push(Field { name, value: TextId::EMPTY });
    }

    fn set_multipart_flags(&mut self, parsed: &multipart::Multipart<'_>) {
        use Variable as V;
        let flags = &parsed.flags;
        for (variable, flag) in [
            (V::MultipartBoundaryQuoted, flags.boundary_quoted),
            (V::MultipartBoundaryWhitespace, flags.boundary_whitespace),
            (V::MultipartDataBefore, flags.data_before),
            (V::MultipartDataAfter, flags.data_after),
            (V::MultipartHeaderFolding, flags.header_folding),
            (V::MultipartInvalidHeaderFolding, flags.invalid_header_folding),
            (V::MultipartLfLine, flags.lf_line),
            (V::MultipartCrlfLfLines, flags.crlf_lf_lines()),
            (V::MultipartMissingSemicolon, flags.missing_semicolon),
            (V::MultipartInvalidQuoting, flags.invalid_quoting),
            (V::MultipartInvalidPart, flags.invalid_part),
            (V::MultipartFileLimitExceeded, flags.file_limit_exceeded),
            (V::MultipartStrictError, parsed.strict_error()),
        ] {
            self.set_flag(variable, flag);
        }
        self.set_number(V::MultipartUnmatchedBoundary, parsed.unmatched_boundary as usize);
        self.set_number(V::FilesCombinedSize, parsed.files_combined_size());
    }
}

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}
