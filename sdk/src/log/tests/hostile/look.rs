//! Every way in which a line can be written.

use std::sync::Arc;

use super::super::*;
use crate::log::own::{Format, Line};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Named(LogFormat),
    /// Data stands before the ids.
    Template,
    /// JSON of the program's own.
    OwnJson,
    /// Data is the first thing on the line, and there are no ids at all.
    OwnText,
}

impl Look {
    pub(super) const ALL: [Self; 8] = [
        Self::Named(LogFormat::Text),
        Self::Named(LogFormat::Winston),
        Self::Named(LogFormat::Python),
        Self::Named(LogFormat::Json),
        Self::Named(LogFormat::Logfmt),
        Self::Template,
        Self::OwnJson,
        Self::OwnText,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Named(format) => format.name(),
            Self::Template => "template",
            Self::OwnJson => "own_json",
            Self::OwnText => "own_text",
        }
    }

    pub(super) fn settings(self) -> LogSettings {
        let format = if let Self::Named(format) = self { format } else { LogFormat::Text };
        let mut settings = settings(format);
        settings.time_zone = jiff::tz::TimeZone::UTC;
        match self {
            Self::Named(_) => {}
            Self::Template => {
                let template = "{message} {target} {[ids] }{service} {location}{ fields}";
                settings.options.template = Some(template.to_owned());
            }
            Self::OwnJson => settings.options.own = Some(Own(Arc::new(OwnJson))),
            Self::OwnText => settings.options.own = Some(Own(Arc::new(OwnText))),
        }
        settings
    }

    /// The two ids that a search for `trace_id=(\w+)` and `span_id=(\w+)` has to find.
    pub(super) fn searched(self, ids: Option<SpanIds>) -> Option<(String, String)> {
        match self {
            Self::Named(LogFormat::Json) | Self::OwnJson | Self::OwnText => None,
            Self::Named(LogFormat::Python) if ids.is_none() => Some(("0".into(), "0".into())),
            _ => ids.map(hex),
        }
    }
}

pub(super) fn hex(ids: SpanIds) -> (String, String) {
    let text = |digits: &[u8]| String::from_utf8(digits.to_vec()).unwrap();
    (text(&ids.trace_hex()), text(&ids.span_hex()))
}

struct OwnJson;

impl Format for OwnJson {
    fn write(&self, line: &mut Line<'_>) {
        line.push("{\"message\":");
        line.json_message();
        if line.has_ids() {
            line.push(",\"trace_id\":\"");
            line.trace_hex();
            line.push("\",\"span_id\":\"");
            line.span_hex();
            line.push("\"");
        }
        line.json_members(&["message"]);
        line.push("}");
    }
}

struct OwnText;

impl Format for OwnText {
    fn write(&self, line: &mut Line<'_>) {
        line.message();
        line.target();
        line.service();
        line.location();
        line.fields();
    }
}
