//! The kinds of SQL tokens and the letter that stands for each in a fingerprint. Shared with
//! `build.rs`.

/// What a token is in SQL. A fingerprint is the row of its tokens' letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A keyword without a more telling kind, such as `FROM`.
    Keyword = b'k',
    /// `UNION`, `INTERSECT`, `EXCEPT` and their forms.
    Union = b'U',
    /// The head of a grouping or ordering clause, such as `GROUP BY`.
    Group = b'B',
    /// The head of a statement that holds expressions, such as `SELECT`.
    Expression = b'E',
    /// The name of a type, such as `VARCHAR`.
    SqlType = b't',
    /// The name of a function.
    Function = b'f',
    /// Any other name.
    Bareword = b'n',
    /// A number, or a word that counts as one.
    Number = b'1',
    /// A variable, such as `@@version`.
    Variable = b'v',
    /// A quoted string.
    Text = b's',
    /// An operator.
    Operator = b'o',
    /// An operator between conditions, such as `AND`.
    LogicOperator = b'&',
    /// A comment.
    Comment = b'c',
    /// `COLLATE`.
    Collate = b'A',
    /// `(`
    LeftParen = b'(',
    /// `)`
    RightParen = b')',
    /// `{`
    LeftBrace = b'{',
    /// `}`
    RightBrace = b'}',
    /// `.`
    Dot = b'.',
    /// `,`
    Comma = b',',
    /// `:`
    Colon = b':',
    /// `;`
    Semicolon = b';',
    /// The head of a Transact-SQL statement, such as `DECLARE`.
    Tsql = b'T',
    /// A byte that means nothing in SQL.
    Unknown = b'?',
    /// Something which databases read in different ways, injection by itself.
    Evil = b'X',
    /// `\`
    Backslash = b'\\',
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindSet(u32);

impl KindSet {
    /// The set without a member.
    pub const EMPTY: KindSet = KindSet(0);

    /// The set of `kinds`.
    #[must_use]
    pub const fn of(kinds: &[Kind]) -> KindSet {
        let mut set = KindSet::EMPTY;
        let mut at = 0;
        while at < kinds.len() {
            set = set.union(kinds[at].alone());
            at += 1;
        }
        set
    }

    /// The set with the number that [`bits`](Self::bits) gave.
    #[must_use]
    pub const fn from_bits(bits: u32) -> KindSet {
        KindSet(bits)
    }

    /// A number for each set.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The kinds of either set.
    #[must_use]
    pub const fn union(self, other: KindSet) -> KindSet {
        KindSet(self.0 | other.0)
    }

    /// Whether every member is one of `other` too.
    #[must_use]
    pub const fn is_subset(self, other: KindSet) -> bool {
        self.0 & !other.0 == 0
    }
}

impl Kind {
    const ALL: [Kind; 26] = [
        Kind::Keyword,
        Kind::Union,
        Kind::Group,
        Kind::Expression,
        Kind::SqlType,
        Kind::Function,
        Kind::Bareword,
        Kind::Number,
        Kind::Variable,
        Kind::Text,
        Kind::Operator,
        Kind::LogicOperator,
        Kind::Comment,
        Kind::Collate,
        Kind::LeftParen,
        Kind::RightParen,
        Kind::LeftBrace,
        Kind::RightBrace,
        Kind::Dot,
        Kind::Comma,
        Kind::Colon,
        Kind::Semicolon,
        Kind::Tsql,
        Kind::Unknown,
        Kind::Evil,
        Kind::Backslash,
    ];

    /// The letter in a fingerprint, printable ASCII.
    #[must_use]
    pub const fn letter(self) -> u8 {
        self as u8
    }

    /// The kind with this letter; `None` for a letter of no kind.
    #[must_use]
    pub fn from_letter(letter: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.letter() == letter)
    }

    /// The set of this kind alone.
    #[must_use]
    pub const fn alone(self) -> KindSet {
        const SETS: [KindSet; 256] = {
            let mut sets = [KindSet::EMPTY; 256];
            let mut bit = 0;
            while bit < Kind::ALL.len() {
                sets[Kind::ALL[bit].letter() as usize] = KindSet(1 << bit);
                bit += 1;
            }
            sets
        };
        SETS[self.letter() as usize]
    }

    /// Whether the token names or holds one plain value: a number, a name, a variable or a string.
    #[must_use]
    pub const fn is_operand(self) -> bool {
        matches!(self, Kind::Number | Kind::Bareword | Kind::Variable | Kind::Text)
    }

    /// Whether a token of this kind may begin a phrase of several words, such as `UNION ALL`.
    #[must_use]
    pub const fn begins_phrase(self) -> bool {
        matches!(
            self,
            Kind::Keyword
                | Kind::Bareword
                | Kind::Operator
                | Kind::Union
                | Kind::Function
                | Kind::Expression
                | Kind::Tsql
                | Kind::SqlType
        )
    }

    /// Whether a token of this kind may continue a phrase.
    #[must_use]
    pub const fn continues_phrase(self) -> bool {
        self.begins_phrase() || matches!(self, Kind::LogicOperator)
    }
}
