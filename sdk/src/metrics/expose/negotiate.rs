//! Which text a scraper wants, and whether it wants it zipped. Pure.

/// The formats that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Version 1.0.0.
    OpenMetrics,
    /// Version 0.0.4.
    Prometheus,
}

/// The format for an `Accept` header: the one with the higher weight; OpenMetrics, which says more, if they
/// weigh the same and it is named; 0.0.4, which everybody reads, if nothing fits.
pub(super) fn format(accept: &str) -> Format {
    let mut openmetrics = 0;
    let mut prometheus = 0;
    for item in items(accept) {
        let version = item.parameter("version");
        match item.name.as_str() {
            "application/openmetrics-text" if matches!(version, None | Some("1.0.0")) => {
                openmetrics = openmetrics.max(item.weight);
            }
            "text/plain" if matches!(version, None | Some("0.0.4")) => {
                prometheus = prometheus.max(item.weight);
            }
            "text/*" | "*/*" => prometheus = prometheus.max(item.weight),
            _ => {}
        }
    }
    if openmetrics > 0 && openmetrics >= prometheus {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

/// Whether an `Accept-Encoding` header asks for gzip.
pub(super) fn wants_gzip(accept: &str) -> bool {
    let named = items(accept).find(|item| matches!(item.name.as_str(), "gzip" | "x-gzip"));
    named
        .or_else(|| items(accept).find(|item| item.name == "*"))
        .is_some_and(|item| item.weight > 0)
}

/// One item of a list with weights.
struct Item<'a> {
    name: String,
    parameters: Vec<(&'a str, &'a str)>,
    /// In thousandths.
    weight: u16,
}

impl Item<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        parameters.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

fn items(list: &str) -> impl Iterator<Item = Item<'_>> {
    list.split(',').map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<_> = parts
            .filter_map(|part| part.split_once('='))
            .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
            .collect();
        let weight = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case("q"));
        let weight = weight.map_or(1_000, |(_, value)| thousandths(value));
        Item { name, parameters, weight }
    })
}

fn thousandths(weight: &str) -> u16 {
    let weight: f32 = weight.parse().unwrap_or(0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    let thousandths = (weight.clamp(0.0, 1.0) * 1_000.0) as u16;
    thousandths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scraper_gets_what_it_reads_best() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,\
             application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,/;q=0.1";
        let cases = [
            (prometheus_2, Format::OpenMetrics),
            (prometheus_3, Format::OpenMetrics),
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/plain", Format::Prometheus),
            ("text/html, application/xhtml+xml, */*;q=0.8", Format::Prometheus),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"", Format::OpenMetrics),
            ("application/openmetrics-text;version=0.0.1", Format::Prometheus),
            ("application/openmetrics-text;q=0, text/plain;q=0.1", Format::Prometheus),
            (
                "application/openmetrics-text;q=0.4,text/plain;version=0.0.4;q=0.6",
                Format::Prometheus,
            ),
            ("application/openmetrics-text;q=NaN", Format::Prometheus),
        ];
        for (accept, expected) in cases {
            assert_eq!(format(accept), expected, "{accept}");
        }
    }

    #[test]
    fn gzip_is_sent_to_those_who_ask_for_it() {
        for accept in ["gzip", "deflate, gzip;q=0.5", "x-gzip", "*"] {
            assert!(wants_gzip(accept), "{accept}");
        }
        for accept in ["", "deflate", "gzip;q=0", "*, gzip;q=0.0"] {
            assert!(!wants_gzip(accept), "{accept}");
        }
    }
}
