//! Pages of the app's own for the answers that the proxy gives itself.

use bytes::Bytes;

/// HTML by status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorPages {
    /// Pages for one status each.
    pub exact: Vec<(u16, Bytes)>,
    /// Pages for `4xx` and `5xx`, by the first digit.
    pub classes: Vec<(u16, Bytes)>,
}

impl ErrorPages {
    /// The page for a status. `{id}` and `{status}` in it are replaced by those of the request.
    pub fn page(&self, status: u16, id: &str) -> Option<Bytes> {
        let of = |pages: &[(u16, Bytes)], wanted: u16| {
            pages.iter().find(|(key, _)| *key == wanted).map(|(_, page)| page.clone())
        };
        let page = of(&self.exact, status).or_else(|| of(&self.classes, status / 100))?;
        if memchr::memchr(b'{', &page).is_none() {
            return Some(page);
        }
        let text = String::from_utf8_lossy(&page);
        Some(text.replace("{id}", id).replace("{status}", &status.to_string()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_page_comes_before_that_of_the_class() {
        let pages = ErrorPages {
            exact: vec![(503, "soon {id}".into())],
            classes: vec![(5, "broken {status}".into())],
        };
        assert_eq!(pages.page(503, "x").as_deref(), Some(&b"soon x"[..]));
        assert_eq!(pages.page(502, "x").as_deref(), Some(&b"broken 502"[..]));
        assert_eq!(pages.page(404, "x"), None);
    }
}
