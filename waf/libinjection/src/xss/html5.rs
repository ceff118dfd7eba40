//! The HTML tokenizer, as browsers do it: by the states of the HTML standard, simplified, with
//! the deviations of old browsers which attackers use.

use std::iter::FusedIterator;

/// Where in a page the input begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Html5Start {
    /// In text.
    Data,
    /// In a tag, before the name of an attribute.
    Tag,
    /// In the value of an attribute in single quotes.
    SingleQuoted,
    /// In the value of an attribute in double quotes.
    DoubleQuoted,
    /// In the value of an attribute in backticks, which Internet Explorer knows.
    BackQuoted,
}

/// What a token is in HTML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Html5Kind {
    /// Text between tags.
    Text,
    /// The name of a tag that opens.
    TagOpen,
    /// The `>` of a tag that has opened.
    TagEnd,
    /// The `/>` of a tag that has opened.
    TagSelfClose,
    /// The name of a tag that closes.
    TagClose,
    /// The name of an attribute.
    AttributeName,
    /// The value of an attribute, without quotes.
    AttributeValue,
    /// The content of a comment, or of what browsers treat like one.
    Comment,
    /// The content of `<!doctype …>`.
    Doctype,
}

/// A token of HTML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Html5Token<'a> {
    /// What it is.
    pub kind: Html5Kind,
    /// Its text, as written.
    pub text: &'a [u8],
}

/// An iterator over the HTML tokens of a value.
#[derive(Clone, Debug)]
pub struct Html5Tokens<'a> {
    input: &'a [u8],
    position: usize,
    state: State,
    /// Whether `</` has been read and no tag has ended since. It outlives `</>`, so that libinjection
    /// takes the next tag for a closing one.
    closing: bool,
}

/// The states of the tokenizer; each name is that of a state in the HTML standard, section
/// "Tokenization", or says what it is not.
#[derive(Clone, Copy, Debug)]
enum State {
    Data,
    TagOpen,
    EndTagOpen,
    TagName,
    TagEnd,
    BeforeAttributeName,
    SelfClosing,
    AttributeName,
    AfterAttributeName,
    BeforeAttributeValue,
    Quoted(u8),
    Unquoted,
    MarkupDeclaration,
    Comment,
    /// A comment that ends with the first `>`.
    BogusComment,
    /// `<%…%>`, a comment to Internet Explorer up to 9.
    PercentComment,
    CharacterData,
    Doctype,
    End,
}

/// What a state makes of the input: a token, or only another state.
type Step<'a> = Option<Html5Token<'a>>;

impl<'a> Html5Tokens<'a> {
    /// The tokens of `input`, which stands where `start` says.
    #[must_use]
    pub fn new(input: &'a [u8], start: Html5Start) -> Html5Tokens<'a> {
        let state = match start {
            Html5Start::Data => State::Data,
            Html5Start::Tag => State::BeforeAttributeName,
            Html5Start::SingleQuoted => State::Quoted(b'\''),
            Html5Start::DoubleQuoted => State::Quoted(b'"'),
            Html5Start::BackQuoted => State::Quoted(b'`'),
        };
        Html5Tokens { input, position: 0, state, closing: false }
    }

    /// In a tag, passes all attributes without a value but the last before the next `=` or `>`, and
    /// all that is left when there is neither. The tokens passed are names that no value follows;
    /// those from there on are the same as without this.
    ///
    /// The input must not have 0xff, which may end it: see [`Self::skip_white`].
    pub(super) fn pass_names_without_value(&mut self) {
        match self.state {
            State::SelfClosing if self.peek().is_some_and(|byte| byte != b'>') => {
                self.state = State::BeforeAttributeName;
            }
            State::BeforeAttributeName | State::AfterAttributeName => {}
            _ => return,
        }
        let rest = self.rest();
        let Some(mark) = memchr::memchr2(b'=', b'>', rest) else {
            self.state = State::End;
            return;
        };
        // Before the mark there are only names, slashes and white space. Where a name or a slash
        // begins, both states go on alike.
        let Some(last) = rest[..mark].iter().rposition(|&byte| !is_white(byte)) else { return };
        let between_names = |&byte: &u8| is_white(byte) || byte == b'/';
        let start = match rest[last] {
            b'/' => last,
            _ => rest[..last].iter().rposition(between_names).map_or(0, |at| at + 1),
        };
        self.position += start;
        self.state = State::BeforeAttributeName;
    }

    fn step(&mut self) -> Step<'a> {
        match self.state {
            State::Data => self.data(),
            State::TagOpen => self.tag_open(),
            State::EndTagOpen => self.end_tag_open(),
            State::TagName => self.tag_name(),
            State::TagEnd => self.tag_end(),
            State::BeforeAttributeName => self.before_attribute_name(),
            State::SelfClosing => self.self_closing(),
            State::AttributeName => self.attribute_name(),
            State::AfterAttributeName => self.after_attribute_name(),
            State::BeforeAttributeValue => self.before_attribute_value(),
            State::Quoted(quote) => self.quoted(quote),
            State::Unquoted => self.unquoted(),
            State::MarkupDeclaration => self.markup_declaration(),
            State::Comment => self.comment(),
            State::BogusComment => self.until(Html5Kind::Comment, b">"),
            State::PercentComment => self.until(Html5Kind::Comment, b"%>"),
            State::CharacterData => self.until(Html5Kind::Text, b"]]>"),
            State::Doctype => self.until(Html5Kind::Doctype, b">"),
            State::End => None,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.position).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.input.get(self.position..).unwrap_or_default()
    }

    /// Goes on in `state`, `skipped` bytes further.
    fn go(&mut self, state: State, skipped: usize) -> Step<'a> {
        self.position += skipped;
        self.state = state;
        None
    }

    /// The token up to `end`; the next state is `state`, `skipped` bytes behind it.
    fn emit(&mut self, kind: Html5Kind, end: usize, state: State, skipped: usize) -> Step<'a> {
        let text = &self.input[self.position..end];
        self.position = end + skipped;
        self.state = state;
        Some(Html5Token { kind, text })
    }

    /// The token up to the end of the input, which may be empty.
    fn emit_rest(&mut self, kind: Html5Kind) -> Step<'a> {
        self.emit(kind, self.input.len(), State::End, 0)
    }

    fn data(&mut self) -> Step<'a> {
        match memchr::memchr(b'<', self.rest()) {
            Some(0) => self.go(State::TagOpen, 1),
            Some(length) => self.emit(Html5Kind::Text, self.position + length, State::TagOpen, 1),
            None if self.rest().is_empty() => self.go(State::End, 0),
            None => self.emit_rest(Html5Kind::Text),
        }
    }

    fn tag_open(&mut self) -> Step<'a> {
        match self.peek() {
            None => self.go(State::End, 0),
            Some(b'!') => self.go(State::MarkupDeclaration, 1),
            Some(b'/') => {
                self.closing = true;
                self.go(State::EndTagOpen, 1)
            }
            Some(b'?') => self.go(State::BogusComment, 1),
            Some(b'%') => self.go(State::PercentComment, 1),
            // Internet Explorer ignores NUL.
            Some(0 | b'a'..=b'z' | b'A'..=b'Z') => self.go(State::TagName, 0),
            Some(_) => {
                let text = &self.input[self.position - 1..self.position];
                self.state = State::Data;
                Some(Html5Token { kind: Html5Kind::Text, text })
            }
        }
    }

    fn end_tag_open(&mut self) -> Step<'a> {
        match self.peek() {
            None => self.go(State::End, 0),
            Some(b'>') => self.go(State::Data, 0),
            Some(b'a'..=b'z' | b'A'..=b'Z') => self.go(State::TagName, 0),
            Some(_) => {
                self.closing = false;
                self.go(State::BogusComment, 0)
            }
        }
    }

    fn tag_name(&mut self) -> Step<'a> {
        let Some(length) = position(self.rest(), TAG_NAME_END) else {
            return self.emit_rest(Html5Kind::TagOpen);
        };
        let end = self.position + length;
        match self.input[end] {
            b'>' if self.closing => {
                self.closing = false;
                self.emit(Html5Kind::TagClose, end, State::Data, 1)
            }
            b'>' => self.emit(Html5Kind::TagOpen, end, State::TagEnd, 0),
            b'/' => self.emit(Html5Kind::TagOpen, end, State::SelfClosing, 1),
            _ => self.emit(Html5Kind::TagOpen, end, State::BeforeAttributeName, 1),
        }
    }

    /// At the `>` of a tag.
    fn tag_end(&mut self) -> Step<'a> {
        self.closing = false;
        self.emit(Html5Kind::TagEnd, self.position + 1, State::Data, 0)
    }

    fn before_attribute_name(&mut self) -> Step<'a> {
        match self.skip_white() {
            None => self.go(State::End, 0),
            Some(b'/') => self.go(State::SelfClosing, 1),
            Some(b'>') => self.emit(Html5Kind::TagEnd, self.position + 1, State::Data, 0),
            Some(_) => self.go(State::AttributeName, 0),
        }
    }

    /// Behind the `/` in a tag.
    fn self_closing(&mut self) -> Step<'a> {
        match self.peek() {
            None => self.go(State::End, 0),
            Some(b'>') => {
                self.position -= 1;
                self.emit(Html5Kind::TagSelfClose, self.position + 2, State::Data, 0)
            }
            Some(_) => self.go(State::BeforeAttributeName, 0),
        }
    }

    /// At the first byte of a name, which may be any but `/` and `>`.
    fn attribute_name(&mut self) -> Step<'a> {
        let Some(length) = self.rest().get(1..).and_then(|rest| position(rest, NAME_END)) else {
            return self.emit_rest(Html5Kind::AttributeName);
        };
        let end = self.position + 1 + length;
        let (state, skipped) = match self.input[end] {
            b'/' => (State::SelfClosing, 1),
            b'=' => (State::BeforeAttributeValue, 1),
            b'>' => (State::TagEnd, 0),
            _ => (State::AfterAttributeName, 1),
        };
        self.emit(Html5Kind::AttributeName, end, state, skipped)
    }

    fn after_attribute_name(&mut self) -> Step<'a> {
        match self.skip_white() {
            None => self.go(State::End, 0),
            Some(b'/') => self.go(State::SelfClosing, 1),
            Some(b'=') => self.go(State::BeforeAttributeValue, 1),
            Some(b'>') => self.go(State::TagEnd, 0),
            Some(_) => self.go(State::AttributeName, 0),
        }
    }

    fn before_attribute_value(&mut self) -> Step<'a> {
        match self.skip_white() {
            None => self.go(State::End, 0),
            // The backtick is Internet Explorer's.
            Some(quote @ (b'"' | b'\'' | b'`')) => self.go(State::Quoted(quote), 1),
            Some(_) => self.go(State::Unquoted, 0),
        }
    }

    /// Behind the opening quote of a value.
    fn quoted(&mut self, quote: u8) -> Step<'a> {
        match memchr::memchr(quote, self.rest()) {
            Some(length) => {
                let end = self.position + length;
                self.emit(Html5Kind::AttributeValue, end, State::BeforeAttributeName, 1)
            }
            None => self.emit_rest(Html5Kind::AttributeValue),
        }
    }

    fn unquoted(&mut self) -> Step<'a> {
        let Some(length) = position(self.rest(), VALUE_END) else {
            return self.emit_rest(Html5Kind::AttributeValue);
        };
        let end = self.position + length;
        if self.input[end] == b'>' {
            self.emit(Html5Kind::AttributeValue, end, State::TagEnd, 0)
        } else {
            self.emit(Html5Kind::AttributeValue, end, State::BeforeAttributeName, 1)
        }
    }

    /// Behind `<!`.
    fn markup_declaration(&mut self) -> Step<'a> {
        let rest = self.rest();
        if rest.get(..7).is_some_and(|head| head.eq_ignore_ascii_case(b"doctype")) {
            self.go(State::Doctype, 0)
        } else if rest.starts_with(b"[CDATA[") {
            self.go(State::CharacterData, 7)
        } else if rest.starts_with(b"--") {
            self.go(State::Comment, 2)
        } else {
            self.go(State::BogusComment, 0)
        }
    }

    /// A comment ends with `-->` or `-!>`; NUL may follow the first `-`.
    fn comment(&mut self) -> Step<'a> {
        let mut from = self.position;
        while let Some(offset) = memchr::memchr(b'-', &self.input[from..]) {
            let dash = from + offset;
            let behind = &self.input[dash + 1..];
            let nuls = behind.iter().take_while(|&&byte| byte == 0).count();
            if let [b'-' | b'!', b'>', ..] = behind[nuls..] {
                return self.emit(Html5Kind::Comment, dash, State::Data, nuls + 3);
            }
            from = dash + 1;
        }
        self.emit_rest(Html5Kind::Comment)
    }

    /// The token up to `mark`.
    fn until(&mut self, kind: Html5Kind, mark: &[u8]) -> Step<'a> {
        let mut from = self.position;
        while let Some(offset) = memchr::memchr(mark[0], &self.input[from..]) {
            let end = from + offset;
            if self.input[end..].starts_with(mark) {
                return self.emit(kind, end, State::Data, mark.len());
            }
            from = end + 1;
        }
        self.emit_rest(kind)
    }

    /// Skips white space, and NUL, which Internet Explorer ignores; returns the byte behind it.
    ///
    /// 0xff ends the input here: in libinjection that byte is -1, its sign for the end.
    fn skip_white(&mut self) -> Option<u8> {
        let rest = self.rest();
        self.position += rest.iter().position(|&byte| !is_white(byte)).unwrap_or(rest.len());
        self.peek().filter(|&byte| byte != 0xff)
    }
}

impl<'a> Iterator for Html5Tokens<'a> {
    type Item = Html5Token<'a>;

    fn next(&mut self) -> Option<Html5Token<'a>> {
        while !matches!(self.state, State::End) {
            if let token @ Some(_) = self.step() {
                return token;
            }
        }
        None
    }
}

impl FusedIterator for Html5Tokens<'_> {}

/// White space in a tag; NUL is some too.
const fn is_white(byte: u8) -> bool {
    matches!(byte, 0 | b'\t'..=b'\r' | b' ')
}

/// Ends the name of a tag, in [`ENDS`].
const TAG_NAME_END: u8 = 1;
/// Ends the name of an attribute, in [`ENDS`].
const NAME_END: u8 = 2;
/// Ends a value without quotes, in [`ENDS`].
const VALUE_END: u8 = 4;

/// What each byte ends.
static ENDS: [u8; 256] = {
    let mut ends = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        let [white, slash, equals, tag_end] = [is_white(byte), byte == b'/', byte == b'=', byte == b'>'];
        // Old browsers ignore NUL in the name of a tag.
        if white && byte != 0 || slash || tag_end {
            ends[at] |= TAG_NAME_END;
        }
        if white || slash || equals || tag_end {
            ends[at] |= NAME_END;
        }
        if white || tag_end {
            ends[at] |= VALUE_END;
        }
        at += 1;
    }
    ends
};

/// Where the first byte stands in `text` that is an `end`.
fn position(text: &[u8], end: u8) -> Option<usize> {
    text.iter().position(|&byte| ENDS[usize::from(byte)] & end != 0)
}
