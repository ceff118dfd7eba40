//! What a rule tests: `!@rx ^a`, `@pmFromFile shells.data`.

use std::path::PathBuf;
use std::sync::Arc;

use super::Template;
use crate::names::named_enum;

/// An operator with its argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// `!`: matches when the operator does not.
    pub negated: bool,
    /// Which operator; a pattern without `@` is [`OperatorName::Rx`].
    pub name: OperatorName,
    /// Everything after the name. Macros are split for operators that expand them when they run (text
    /// and number comparisons, `ipMatch`, and `rx` as v2 and v3 do); for `pm`, files and all others it is one literal.
    pub argument: Template,
    /// The files that the argument names, read at load.
    pub files: Vec<DataFile>,
}

/// A file an operator reads, whole.
#[derive(Clone, PartialEq, Eq)]
pub struct DataFile {
    /// The path that was read.
    pub path: PathBuf,
    /// Its bytes, shared by all rules that name it.
    pub contents: Arc<[u8]>,
}

impl std::fmt::Debug for DataFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DataFile({}, {} bytes)", self.path.display(), self.contents.len())
    }
}

named_enum! {
    /// The operators of ModSecurity v3 and Coraza (reference manual, "Operators").
    #[non_exhaustive]
    OperatorName {
        BeginsWith = "beginsWith",
        Contains = "contains",
        ContainsWord = "containsWord",
        DetectSqli = "detectSQLi",
        DetectXss = "detectXSS",
        EndsWith = "endsWith",
        Eq = "eq",
        FuzzyHash = "fuzzyHash",
        Ge = "ge",
        GeoLookup = "geoLookup",
        GsbLookup = "gsbLookup",
        Gt = "gt",
        InspectFile = "inspectFile",
        IpMatch = "ipMatch",
        IpMatchFromDataset = "ipMatchFromDataset",
        IpMatchFromFile = "ipMatchFromFile" | "ipMatchF",
        Le = "le",
        Lt = "lt",
        NoMatch = "noMatch",
        Pm = "pm",
        PmFromDataset = "pmFromDataset",
        PmFromFile = "pmFromFile" | "pmf",
        Rbl = "rbl",
        RestPath = "restpath",
        Rsub = "rsub",
        Rx = "rx",
        RxGlobal = "rxGlobal",
        StrEq = "streq",
        StrMatch = "strmatch",
        UnconditionalMatch = "unconditionalMatch",
        ValidateByteRange = "validateByteRange",
        ValidateDtd = "validateDTD",
        ValidateHash = "validateHash",
        ValidateNid = "validateNid",
        ValidateSchema = "validateSchema",
        ValidateUrlEncoding = "validateUrlEncoding",
        ValidateUtf8Encoding = "validateUtf8Encoding",
        VerifyCc = "verifyCC",
        VerifyCpf = "verifyCPF",
        VerifySsn = "verifySSN",
        VerifySvnr = "verifySVNR",
        Within = "within",
    }
}
