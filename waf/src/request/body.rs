//! The request body: choice of the processor, its results and its errors.

use hop3_bodies::{Limits, form, json, multipart, xml};
use hop3_seclang::ast::{BodyProcessor, Variable, XmlIntoArgs};

use crate::ruleset::Ruleset;
use crate::state::State;
use crate::trace::Event;

/// What a processor could not make sense of.
struct Failure {
    message: String,
}

impl State {
    /// Parses the body and fills the variables of phase 2. Whatever goes wrong
    /// ends in REQBODY_ERROR, so that rules can refuse it.
    pub(crate) fn read_request_body(&mut self, ruleset: &Ruleset) {
        let body = std::mem::take(&mut self.request_body);
        let (mut failure, mut unreadable) = (None, None);
        if self.request_body_access {
            let inspected = self.decode_request_body(ruleset, body);
            failure = self.process_body(ruleset, &inspected.body);
            unreadable = inspected.failure.map(Failure::new);
            self.request_body = inspected.body;
        } else {
            self.request_body = body;
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
        self.set(
            Variable::ReqbodyErrorMsg,
            failure.map_or(String::new(), |failure| failure.message).as_bytes(),
        );
    }

    fn process_body(&mut self, ruleset: &Ruleset, body: &[u8]) -> Option<Failure> {
        if self.processor.is_none()
            && let Some(processor) = ruleset.settings.default_processor
        {
            self.choose_processor(processor);
        }
        let processor = self.processor;
        if self.force_request_body
            || matches!(processor, Some(BodyProcessor::UrlEncoded | BodyProcessor::Raw))
        {
            self.set(Variable::RequestBody, body);
        }
        let settings = &ruleset.settings;
        let limits = Limits {
            arguments: settings.arguments_limit.saturating_sub(self.argument_count()),
            depth: settings.json_depth_limit,
            files: settings.upload_file_limit,
            ..Limits::default()
        };
        match processor {
            Some(BodyProcessor::UrlEncoded) => self.read_form(ruleset, body, &limits),
            Some(BodyProcessor::Multipart) => return self.read_multipart(body, &limits),
            Some(BodyProcessor::Json) => return self.read_json(ruleset, body, limits),
            Some(BodyProcessor::Xml) => return self.read_xml(body, &limits),
            Some(BodyProcessor::Raw) | None => {}
        }
        None
    }

    /// Errors that no processor reports: sizes and counts.
    fn limit_failure(&mut self, ruleset: &Ruleset) -> Option<Failure> {
        let limit = ruleset.settings.request_body_no_files_limit;
        let counted = match self.processor {
            Some(BodyProcessor::UrlEncoded | BodyProcessor::Json | BodyProcessor::Xml) => {
                self.request_body.len()
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
        None
    }

    fn read_form(&mut self, ruleset: &Ruleset, body: &[u8], limits: &Limits) {
        let form = form::parse(body, ruleset.settings.argument_separator, limits);
        self.urlencoded_error |= form.invalid_encoding;
        self.too_many_arguments |= form.over_limit;
        if form.over_limit {
            self.trace(|_| Event::ArgumentsOverLimit);
        }
        for argument in &form.arguments {
            self.trace(|_| Event::Argument { in_body: true, name: &argument.name, value: &argument.value });
            let field = self.field(&argument.name, &argument.value);
            self.collections.args_post.push(field);
        }
    }

    fn read_json(&mut self, ruleset: &Ruleset, body: &[u8], limits: Limits) -> Option<Failure> {
        let naming =
            if ruleset.settings.json_array_prefix { json::Naming::ModSecurity3 } else { json::Naming::Plain };
        let json = json::parse(body, &json::Options { limits, naming });
        for argument in json.arguments() {
            self.trace(|_| Event::Argument { in_body: true, name: &argument.name, value: &argument.value });
            let field = self.field(&argument.name, &argument.value);
            self.collections.args_post.push(field);
        }
        // A body of no bytes has nothing that could be misread.
        json.error.filter(|_| !body.is_empty()).map(|error| Failure::new(error.to_string()))
    }

    fn read_xml(&mut self, body: &[u8], limits: &Limits) -> Option<Failure> {
        let xml = xml::parse(body, limits);
        let text = self.field(b"", &xml.text);
        if self.xml_into_args != XmlIntoArgs::OnlyArgs {
            self.collections.xml_text.push(text);
        }
        if self.xml_into_args != XmlIntoArgs::Off {
            let field = self.field(b"xml", &xml.text);
            self.collections.args_post.push(field);
        }
        for attribute in &xml.attributes {
            let field = self.field(b"", attribute);
            self.collections.xml_attributes.push(field);
        }
        xml.error.filter(|_| !body.is_empty()).map(|error| Failure::new(error.to_string()))
    }

    fn read_multipart(&mut self, body: &[u8], limits: &Limits) -> Option<Failure> {
        let headers = std::mem::take(&mut self.collections.request_headers);
        let content_type = self.header(&headers, "content-type").unwrap_or_default().to_vec();
        self.collections.request_headers = headers;
        let parsed = multipart::parse(&content_type, body, limits);
        self.trace(|_| Event::Multipart(&parsed));
        self.no_files_length = parsed.no_files_length;
        for argument in parsed.fields() {
            self.trace(|_| Event::Argument { in_body: true, name: &argument.name, value: &argument.value });
            let field = self.field(&argument.name, &argument.value);
            self.collections.args_post.push(field);
        }
        for file in parsed.files() {
            let name = file.filename.as_deref().unwrap_or_default();
            let field = self.field(&file.name, name);
            self.collections.files.push(field);
            let field = self.field(&file.name, &file.name);
            self.collections.files_names.push(field);
            let field = self.field(&file.name, file.content.len().to_string().as_bytes());
            self.collections.files_sizes.push(field);
            let field = self.field(&file.name, file.content);
            self.collections.files_content.push(field);
            let field = self.field(&file.name, b"");
            self.collections.files_tmp_names.push(field);
        }
        for header in &parsed.part_headers {
            let field = self.field(&header.part, &header.line);
            self.collections.part_headers.push(field);
        }
        self.set_multipart_flags(&parsed);
        parsed.error.as_ref().map(|error| Failure::new(error.to_string()))
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
        let unmatched = (parsed.unmatched_boundary as u8).to_string();
        self.set(V::MultipartUnmatchedBoundary, unmatched.as_bytes());
        self.set(V::FilesCombinedSize, parsed.files_combined_size().to_string().as_bytes());
    }
}

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}
