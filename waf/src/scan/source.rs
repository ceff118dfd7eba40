//! Where the values come from that a scan looks at: lists and single values
//! that do not change while a phase runs.

use hop3_seclang::ast::Variable;

use crate::collections::fields::{Collections, Field};
use crate::rule::{Selector, Target};

/// Values that are scanned in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Source {
    /// The names or the values of a list.
    List(List, Side),
    /// A single value, by the number of its variable.
    Single(Variable),
}

/// Whether a list's names or its values are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Side {
    Values,
    Names,
}

/// A list of named values that is only ever added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum List {
    ArgsGet,
    ArgsPost,
    RequestHeaders,
    RequestCookies,
    ResponseHeaders,
    Files,
    FilesNames,
    FilesSizes,
    FilesTmpNames,
    FilesContent,
    PartHeaders,
    XmlText,
    XmlAttributes,
}

impl List {
    pub(super) const ALL: [Self; 13] = [
        Self::ArgsGet,
        Self::ArgsPost,
        Self::RequestHeaders,
        Self::RequestCookies,
        Self::ResponseHeaders,
        Self::Files,
        Self::FilesNames,
        Self::FilesSizes,
        Self::FilesTmpNames,
        Self::FilesContent,
        Self::PartHeaders,
        Self::XmlText,
        Self::XmlAttributes,
    ];

    /// The fields of the list.
    pub(super) fn fields(self, collections: &Collections) -> &[Field] {
        match self {
            Self::ArgsGet => &collections.args_get,
            Self::ArgsPost => &collections.args_post,
            Self::RequestHeaders => &collections.request_headers,
            Self::RequestCookies => &collections.request_cookies,
            Self::ResponseHeaders => &collections.response_headers,
            Self::Files => &collections.files,
            Self::FilesNames => &collections.files_names,
            Self::FilesSizes => &collections.files_sizes,
            Self::FilesTmpNames => &collections.files_tmp_names,
            Self::FilesContent => &collections.files_content,
            Self::PartHeaders => &collections.part_headers,
            Self::XmlText => &collections.xml_text,
            Self::XmlAttributes => &collections.xml_attributes,
        }
    }
}

/// Single values that only the host and the reading of the request set, never a rule.
pub(super) const SINGLES: [Variable; 22] = [
    Variable::AuthType,
    Variable::PathInfo,
    Variable::QueryString,
    Variable::RemoteAddr,
    Variable::RemoteHost,
    Variable::RemotePort,
    Variable::RemoteUser,
    Variable::RequestBasename,
    Variable::RequestBody,
    Variable::RequestFilename,
    Variable::RequestLine,
    Variable::RequestMethod,
    Variable::RequestProtocol,
    Variable::RequestUri,
    Variable::RequestUriRaw,
    Variable::ResponseBody,
    Variable::ResponseProtocol,
    Variable::ResponseStatus,
    Variable::ServerAddr,
    Variable::ServerName,
    Variable::ServerPort,
    Variable::UniqueId,
];

impl Source {
    /// Whether the back end made the values.
    pub(super) fn is_response(self) -> bool {
        matches!(
            self,
            Source::List(List::ResponseHeaders, _)
                | Source::Single(
                    Variable::ResponseBody | Variable::ResponseProtocol | Variable::ResponseStatus
                )
        )
    }

    /// The sources that a target reads or counts; `None` when rules may change what it reads.
    pub(super) fn of(target: &Target) -> Option<Vec<Source>> {
        use List as L;
        use Variable as V;
        let lists = |lists: &[List], side| Some(lists.iter().map(|list| Source::List(*list, side)).collect());
        let values = |list: &[List]| lists(list, Side::Values);
        let names = |list: &[List]| lists(list, Side::Names);
        match target.variable {
            V::Args => values(&[L::ArgsGet, L::ArgsPost]),
            V::ArgsGet => values(&[L::ArgsGet]),
            V::ArgsPost => values(&[L::ArgsPost]),
            V::ArgsNames => names(&[L::ArgsGet, L::ArgsPost]),
            V::ArgsGetNames => names(&[L::ArgsGet]),
            V::ArgsPostNames => names(&[L::ArgsPost]),
            V::RequestHeaders => values(&[L::RequestHeaders]),
            V::RequestHeadersNames => names(&[L::RequestHeaders]),
            V::RequestCookies => values(&[L::RequestCookies]),
            V::RequestCookiesNames => names(&[L::RequestCookies]),
            V::ResponseHeaders => values(&[L::ResponseHeaders]),
            V::ResponseHeadersNames => names(&[L::ResponseHeaders]),
            V::Files | V::MultipartFilename => values(&[L::Files]),
            V::FilesNames | V::MultipartName => values(&[L::FilesNames]),
            V::FilesSizes => values(&[L::FilesSizes]),
            V::FilesTmpNames => values(&[L::FilesTmpNames]),
            V::FilesTmpContent => values(&[L::FilesContent]),
            V::MultipartPartHeaders => values(&[L::PartHeaders]),
            V::Xml | V::RequestXml => match target.selector {
                Selector::XmlText => values(&[L::XmlText]),
                Selector::XmlAttributes => values(&[L::XmlAttributes]),
                _ => None,
            },
            single if SINGLES.contains(&single) => Some(vec![Source::Single(single)]),
            _ => None,
        }
    }
}
