//! Named values in the order they were sent, repeated names kept.

use crate::text::TextId;

/// One named value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// The name as sent.
    pub(crate) name: TextId,
    /// The value.
    pub(crate) value: TextId,
}

/// A list of named values.
pub(crate) type Fields = Vec<Field>;

/// Room for what an ordinary request has of its headers, and for the first
/// cookies or arguments when there are any.
const ORDINARY: usize = 16;

/// Appends to a list that is seldom short when it is not empty.
#[inline]
pub(crate) fn push(list: &mut Fields, field: Field) {
    if list.capacity() == 0 {
        list.reserve(ORDINARY);
    }
    list.push(field);
}

/// The collections that a request and its response fill.
#[derive(Debug, Default)]
pub(crate) struct Collections {
    pub(crate) args_get: Fields,
    pub(crate) args_post: Fields,
    pub(crate) request_headers: Fields,
    pub(crate) request_cookies: Fields,
    pub(crate) response_headers: Fields,
    /// File names by field name.
    pub(crate) files: Fields,
    /// Sizes by field name.
    pub(crate) files_sizes: Fields,
    /// Empty names by field name: uploads are never written to disk.
    pub(crate) files_tmp_names: Fields,
    /// Contents by field name.
    pub(crate) files_content: Fields,
    /// Header lines by the name of their part.
    pub(crate) part_headers: Fields,
    /// Names of the parts that are files.
    pub(crate) files_names: Fields,
    /// Text below the root of an XML body.
    pub(crate) xml_text: Fields,
    /// Attributes of an XML body.
    pub(crate) xml_attributes: Fields,
    /// Members of a JSON response.
    pub(crate) response_args: Fields,
    /// Text below the root of an XML response.
    pub(crate) response_xml_text: Fields,
    /// Attributes of an XML response.
    pub(crate) response_xml_attributes: Fields,
    /// Named parts of paths that `@restpath` found.
    pub(crate) args_path: Fields,
    /// What `@geoLookup` found out.
    pub(crate) geo: Fields,
    /// Environment that `setenv` and the host set.
    pub(crate) env: Fields,
}
