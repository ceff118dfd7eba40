//! Text → expression, by recursive descent.

use super::{Axis, Comparison, Expression, Function, Path, Step, Test, XPathError};

/// Longest expression, in bytes.
const LENGTH_LIMIT: usize = 4096;
/// Deepest nesting of predicates, parentheses and calls.
const DEPTH_LIMIT: usize = 32;

pub(super) fn parse(text: &str, namespace: &dyn Fn(&str) -> Option<String>) -> Result<Path, XPathError> {
    if text.len() > LENGTH_LIMIT {
        let reason = format!("the expression is longer than {LENGTH_LIMIT} bytes");
        return Err(XPathError { reason, offset: LENGTH_LIMIT });
    }
    let mut parser = Parser { text, at: 0, depth: 0, namespace };
    parser.blanks();
    if !parser.rest().starts_with('/') {
        return parser.error("the path has to begin with `/`");
    }
    let path = parser.path()?;
    parser.blanks();
    match parser.rest().chars().next() {
        None if path.steps.is_empty() => parser.error("a step is expected behind `/`"),
        None => Ok(path),
        Some('|') => parser.error("`|` is not supported in a path: list the paths as variables"),
        Some(other) => parser.error(format!("`{other}` is not expected here")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    namespace: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error<T>(&self, reason: impl Into<String>) -> Result<T, XPathError> {
        Err(XPathError { reason: reason.into(), offset: self.at })
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn take(&mut self, token: &str) -> bool {
        self.blanks();
        let is_there = self.rest().starts_with(token);
        if is_there {
            self.at += token.len();
        }
        is_there
    }

    fn expect(&mut self, token: &str) -> Result<(), XPathError> {
        if self.take(token) { Ok(()) } else { self.error(format!("`{token}` is expected")) }
    }

    /// A name without its prefix.
    fn word(&mut self) -> Option<&'a str> {
        self.blanks();
        let rest = self.rest();
        let is_start = |c: char| c.is_alphabetic() || c == '_';
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !rest.starts_with(is_start) {
            return None;
        }
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.at += length;
        Some(&rest[..length])
    }

    /// A word that is an operator; nothing is taken when it is another.
    fn keyword(&mut self, wanted: &str) -> bool {
        let before = self.at;
        let found = self.word() == Some(wanted);
        if !found {
            self.at = before;
        }
        found
    }

    fn path(&mut self) -> Result<Path, XPathError> {
        let is_absolute = self.rest().starts_with('/');
        let mut steps = Vec::new();
        let mut is_first = !is_absolute;
        loop {
            if self.take("//") {
                steps.push(Step { axis: Axis::DescendantOrSelf, test: Test::Node, predicates: Vec::new() });
            } else if !self.take("/") && !is_first {
                return Ok(Path { is_absolute, steps });
            }
            is_first = false;
            steps.push(self.step()?);
        }
    }

    fn step(&mut self) -> Result<Step, XPathError> {
        self.blanks();
        let (axis, test) = if self.take("..") {
            (Axis::Parent, Test::Node)
        } else if self.take(".") {
            (Axis::ItSelf, Test::Node)
        } else if self.take("@") {
            (Axis::Attribute, self.test(None)?)
        } else {
            let from = self.at;
            match self.word() {
                Some(word) if self.take("::") => (self.axis(word, from)?, self.test(None)?),
                word => (Axis::Child, self.test(word)?),
            }
        };
        let mut predicates = Vec::new();
        while self.take("[") {
            predicates.push(self.nested(Self::or)?);
            self.expect("]")?;
        }
        Ok(Step { axis, test, predicates })
    }

    fn axis(&mut self, name: &str, from: usize) -> Result<Axis, XPathError> {
        Ok(match name {
            "child" => Axis::Child,
            "attribute" => Axis::Attribute,
            "self" => Axis::ItSelf,
            "parent" => Axis::Parent,
            "descendant" => Axis::Descendant,
            "descendant-or-self" => Axis::DescendantOrSelf,
            other => {
                self.at = from;
                return self.error(format!("the axis `{other}` is not supported"));
            }
        })
    }

    /// What a node must be; `word` was read already.
    fn test(&mut self, word: Option<&'a str>) -> Result<Test, XPathError> {
        let Some(word) = word.or_else(|| self.word()) else {
            return if self.take("*") {
                Ok(Test::Any)
            } else {
                self.error("a name, `*` or `text()` is expected")
            };
        };
        let from = self.at - word.len();
        if self.rest().starts_with("::") {
            return self.error("an axis is not expected here");
        }
        if self.rest().starts_with(':') {
            let Some(uri) = (self.namespace)(word) else {
                self.at = from;
                return self.error(format!("the prefix `{word}` has no namespace"));
            };
            self.at += 1;
            if self.rest().starts_with('*') {
                self.at += 1;
                return Ok(Test::Namespace(uri));
            }
            let Some(local) =
                self.rest().starts_with(|c: char| !c.is_whitespace()).then(|| self.word()).flatten()
            else {
                return self.error("a name is expected behind the prefix");
            };
            return Ok(Test::Name { namespace: uri, local: local.to_owned() });
        }
        if self.take("(") {
            let test = match word {
                "text" => Test::Text,
                "node" => Test::Node,
                other => {
                    self.at = from;
                    return self.error(format!("`{other}()` is not supported as a step"));
                }
            };
            self.expect(")")?;
            return Ok(test);
        }
        Ok(Test::Name { namespace: String::new(), local: word.to_owned() })
    }

    fn nested<T>(&mut self, inner: fn(&mut Self) -> Result<T, XPathError>) -> Result<T, XPathError> {
        if self.depth >= DEPTH_LIMIT {
            return self.error("the expression is nested too deep");
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn or(&mut self) -> Result<Expression, XPathError> {
        let mut left = self.and()?;
        while self.keyword("or") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, XPathError> {
        let mut left = self.comparison()?;
        while self.keyword("and") {
            left = Expression::And(Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expression, XPathError> {
        let mut left = self.operand()?;
        loop {
            let comparison = if self.take("!=") {
                Comparison::Different
            } else if self.take("<=") {
                Comparison::AtMost
            } else if self.take(">=") {
                Comparison::AtLeast
            } else if self.take("=") {
                Comparison::Equal
            } else if self.take("<") {
                Comparison::Less
            } else if self.take(">") {
                Comparison::Greater
            } else {
                return Ok(left);
            };
            left = Expression::Compare(comparison, Box::new(left), Box::new(self.operand()?));
        }
    }

    fn operand(&mut self) -> Result<Expression, XPathError> {
        self.blanks();
        let rest = self.rest();
        match rest.chars().next() {
            Some('(') => {
                self.at += 1;
                let inner = self.nested(Self::or)?;
                self.expect(")")?;
                Ok(inner)
            }
            Some(quote @ ('"' | '\'')) => {
                let Some(length) = rest[1..].find(quote) else {
                    return self.error("this quote is never closed");
                };
                self.at += length + 2;
                Ok(Expression::Text(rest[1..=length].to_owned()))
            }
            Some(digit)
                if digit.is_ascii_digit()
                    || (digit == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) =>
            {
                let length = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
                let Ok(number) = rest[..length].parse() else {
                    return self.error(format!("`{}` is no number", &rest[..length]));
                };
                self.at += length;
                Ok(Expression::Number(number))
            }
            Some('-') => self.error("arithmetic is not supported"),
            _ => match self.call()? {
                Some(call) => Ok(call),
                None => self.nested(Self::path).map(Expression::Path),
            },
        }
    }

    /// A function; `None`, and nothing taken, when what follows is a path.
    fn call(&mut self) -> Result<Option<Expression>, XPathError> {
        let from = self.at;
        let name = self.word();
        let Some(name) = name.filter(|name| !matches!(*name, "text" | "node")).filter(|_| self.take("("))
        else {
            self.at = from;
            return Ok(None);
        };
        let Some((_, function, least, most)) = Function::ALL.iter().find(|(known, ..)| *known == name) else {
            self.at = from;
            return self.error(format!("the function `{name}()` is not supported"));
        };
        let mut arguments = Vec::new();
        while !self.take(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            arguments.push(self.nested(Self::or)?);
        }
        let wants_nodes = matches!(
            function,
            Function::Count | Function::LocalName | Function::NamespaceUri | Function::Name
        );
        let are_nodes = arguments.iter().all(|argument| matches!(argument, Expression::Path(_)));
        if arguments.len() < *least || arguments.len() > *most || (wants_nodes && !are_nodes) {
            self.at = from;
            return self.error(format!("`{name}()` does not take these arguments"));
        }
        Ok(Some(Expression::Call(*function, arguments)))
    }
}
