//! What a scraper asks for.

use http::HeaderValue;

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenMetrics 1.0, with examples.
    OpenMetrics,
    /// Prometheus's 0.0.4.
    Text,
}

impl Format {
    /// The format that `accept` prefers; text where it prefers neither, as most who name none can read that.
    pub(crate) fn from_accept(accept: &str, open_metrics: bool) -> Self {
        let (mut of_open_metrics, mut of_text) = (0.0, 0.0_f64);
        for (media_type, parameters, quality) in choices(accept) {
            let version = parameter(parameters, "version").unwrap_or_default();
            match media_type {
                "application/openmetrics-text" if matches!(version, "" | "1.0.0" | "0.0.1") => {
                    of_open_metrics = f64::max(of_open_metrics, quality);
                }
                "text/plain" | "text/*" | "*/*" if matches!(version, "" | "0.0.4") => {
                    of_text = of_text.max(quality);
                }
                _ => {}
            }
        }
        if open_metrics && of_open_metrics > 0.0 && of_open_metrics >= of_text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    pub(crate) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        })
    }
}

/// Whether a zipped answer is wanted.
pub(crate) fn accepts_gzip(accept_encoding: &str) -> bool {
    choices(accept_encoding).any(|(coding, _, quality)| coding == "gzip" && quality > 0.0)
}

/// The parts of such a header: what, its parameters, its quality.
fn choices(header: &str) -> impl Iterator<Item = (&str, &str, f64)> {
    header.split(',').map(|choice| {
        let (what, parameters) = choice.split_once(';').unwrap_or((choice, ""));
        let quality = parameter(parameters, "q").map_or(1.0, |q| q.parse().unwrap_or(0.0));
        (what.trim(), parameters, quality)
    })
}

fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_what_it_prefers() {
        let prometheus = "application/openmetrics-text;version=1.0.0,\
            application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::from_accept(prometheus, true), Format::OpenMetrics);
        assert_eq!(Format::from_accept(prometheus, false), Format::Text);
        let rather_text = "application/openmetrics-text; version=1.0.0; q=0.5, text/plain";
        for accept in ["", "*/*", rather_text, "application/openmetrics-text;version=2.0.0"] {
            assert_eq!(Format::from_accept(accept, true), Format::Text, "{accept}");
        }
    }

    #[test]
    fn gzip_is_for_those_who_ask_for_it() {
        assert!(accepts_gzip("deflate, gzip;q=0.5"));
        assert!(!accepts_gzip("gzip;q=0") && !accepts_gzip("identity") && !accepts_gzip(""));
    }
}
