//! What the reader searches for: from the address into a query, and back into addresses.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::record::TraceId;
use crate::store::{LineKey, LineQuery, Needle};

/// Lines on a page.
pub(super) const PAGE_LINES: usize = 100;

/// What needs no escape in an address's query, whatever its place.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The form's fields as the reader filled them in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    pub(super) text: String,
    pub(super) service: String,
    pub(super) trace_id: String,
    /// The page begins after this line; `None` for the newest.
    pub(super) before: Option<LineKey>,
}

impl Search {
    /// From the address's parameters. What is not known is left alone, and of a name that comes
    /// twice the last value counts, so that a hand-made link works as far as it can.
    pub(super) fn from_parameters(parameters: Vec<(String, String)>) -> Self {
        let mut search = Self::default();
        for (name, value) in parameters {
            match name.as_str() {
                "q" => search.text = value,
                "service" => search.service = value,
                "trace_id" => search.trace_id = value.trim().to_owned(),
                "before" => search.before = parse_key(&value),
                _ => {}
            }
        }
        search
    }

    /// The query for one page and one line more, which tells whether there is another page; or
    /// what is wrong with the search.
    pub(super) fn to_query(&self) -> Result<LineQuery, &'static str> {
        let mut query =
            LineQuery { limit: PAGE_LINES + 1, before: self.before, ..LineQuery::default() };
        if !self.text.is_empty() {
            query.contains.push(Needle { text: self.text.clone(), ignore_case: true });
        }
        if !self.service.is_empty() {
            query.labels.push(("service_name".to_owned(), self.service.clone()));
        }
        if !self.trace_id.is_empty() {
            let id = TraceId::from_hex(self.trace_id.as_bytes());
            query.trace_id = Some(id.ok_or("A trace id has 32 hex digits and is not zero.")?);
        }
        Ok(query)
    }

    /// Whether every line would match.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.service.is_empty() && self.trace_id.is_empty()
    }

    /// The address of the newest lines that match.
    pub(super) fn newest_url(&self) -> String {
        self.url(None)
    }

    /// The address of the lines that match and are older than `line`.
    pub(super) fn older_url(&self, line: LineKey) -> String {
        self.url(Some(line))
    }

    fn url(&self, before: Option<LineKey>) -> String {
        let before = before.map(|key| format!("{}_{}_{}", key.time_unix_nano, key.slice, key.row));
        let parameters = [
            ("q", self.text.as_str()),
            ("service", &self.service),
            ("trace_id", &self.trace_id),
            ("before", before.as_deref().unwrap_or_default()),
        ];
        let mut url = String::from("/");
        for (name, value) in parameters.into_iter().filter(|(_, value)| !value.is_empty()) {
            url.push(if url.len() == 1 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            url.extend(utf8_percent_encode(value, PLAIN));
        }
        url
    }
}

/// A place among the lines as [`Search::older_url`] writes it.
fn parse_key(text: &str) -> Option<LineKey> {
    let mut numbers = text.splitn(3, '_');
    Some(LineKey {
        time_unix_nano: numbers.next()?.parse().ok()?,
        slice: numbers.next()?.parse().ok()?,
        row: numbers.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_address_says_all_of_the_search_and_escapes_it() {
        let search = Search {
            text: "a&b=\"<é>".to_owned(),
            service: "api node".to_owned(),
            ..Search::default()
        };
        let key = LineKey { time_unix_nano: -5, slice: 7, row: 9 };
        assert_eq!(
            search.older_url(key),
            "/?q=a%26b%3D%22%3C%C3%A9%3E&service=api%20node&before=-5_7_9"
        );
        assert_eq!(Search::default().newest_url(), "/");
        let read = Search::from_parameters(parameters(&[("before", "-5_7_9"), ("other", "x")]));
        assert_eq!(read, Search { before: Some(key), ..Search::default() });
    }

    #[test]
    fn a_search_for_what_is_no_trace_id_says_what_one_is() {
        let search = |id: &str| Search::from_parameters(parameters(&[("trace_id", id)]));
        assert!(search(" 0af7651916cd43dd8448eb211c80319c ").to_query().is_ok());
        assert!(search("0af7").to_query().unwrap_err().contains("32 hex digits"));
    }

    #[test]
    fn an_empty_form_asks_for_all_lines_and_one_more_than_a_page() {
        let search =
            Search::from_parameters(parameters(&[("q", ""), ("service", ""), ("trace_id", "")]));
        assert!(search.is_empty());
        let query = search.to_query().unwrap();
        assert!(query.contains.is_empty() && query.labels.is_empty() && query.trace_id.is_none());
        assert_eq!(query.limit, PAGE_LINES + 1);
    }
}
