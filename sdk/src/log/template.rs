//! A format that is given as text with places in braces.

use std::str::FromStr;

use super::own::{Format, Line};

/// Longer ones would leave no room for what is written in them.
const MAX_TEMPLATE_BYTES: usize = 1_024;

const ACCEPTED: &str = "text with {time} {level} {ids} {trace_id} {span_id} {target} {location} {service} {message} \
     {fields}, such as {time} {level} {[ids] }{target}: {message}{ fields}; {{ and }} for braces; at most 1024 \
     bytes without control characters";

/// What stands around a name inside the braces is written only if there is something to write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Place { before: String, place: Place, after: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Time,
    Level,
    Ids,
    TraceId,
    SpanId,
    Target,
    Location,
    Service,
    Message,
    Fields,
}

impl FromStr for Template {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_TEMPLATE_BYTES || text.contains(char::is_control) {
            return Err(ACCEPTED);
        }
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..];
            if brace.starts_with("{{") || brace.starts_with("}}") {
                literal.push_str(&brace[..1]);
                rest = &brace[2..];
                continue;
            }
            let inside = brace.strip_prefix('{').ok_or(ACCEPTED)?;
            let (inside, after) = inside.split_once('}').ok_or(ACCEPTED)?;
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            pieces.push(place(inside).ok_or(ACCEPTED)?);
            rest = after;
        }
        literal.push_str(rest);
        pieces.push(Piece::Literal(literal));
        pieces.retain(|piece| *piece != Piece::Literal(String::new()));
        Ok(Self(pieces))
    }
}

fn place(inside: &str) -> Option<Piece> {
    let is_name = |character: char| character.is_ascii_lowercase() || character == '_';
    let start = inside.find(is_name)?;
    let end = start + inside[start..].find(|next| !is_name(next)).unwrap_or(inside.len() - start);
    let place = match &inside[start..end] {
        "time" => Place::Time,
        "level" => Place::Level,
        "ids" => Place::Ids,
        "trace_id" => Place::TraceId,
        "span_id" => Place::SpanId,
        "target" => Place::Target,
        "location" => Place::Location,
        "service" => Place::Service,
        "message" => Place::Message,
        "fields" => Place::Fields,
        _ => return None,
    };
    let (before, after) = (inside[..start].to_owned(), inside[end..].to_owned());
    (!after.contains(char::is_alphanumeric)).then_some(Piece::Place { before, place, after })
}

impl Format for Template {
    fn write(&self, line: &mut Line<'_>) {
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => line.push(text),
                Piece::Place { before, place, after } => {
                    if has(*place, line) {
                        line.push(before);
                        write(*place, line);
                        line.push(after);
                    }
                }
            }
        }
    }
}

fn has(place: Place, line: &Line<'_>) -> bool {
    match place {
        Place::Ids | Place::TraceId | Place::SpanId => line.has_ids(),
        Place::Target => line.has_target(),
        Place::Location => line.has_location(),
        Place::Message => line.has_message(),
        Place::Fields => line.has_fields(),
        Place::Time | Place::Level | Place::Service => true,
    }
}

fn write(place: Place, line: &mut Line<'_>) {
    match place {
        Place::Time => line.time(),
        Place::Level => {
            let level = line.level();
            line.push(level.as_str());
        }
        Place::Ids => line.ids(),
        Place::TraceId => line.trace_id(),
        Place::SpanId => line.span_id(),
        Place::Target => line.target(),
        Place::Location => line.location(),
        Place::Service => line.service(),
        Place::Message => line.message(),
        Place::Fields => line.fields(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_literals_and_places() {
        let place = |before: &str, place, after: &str| Piece::Place {
            before: before.into(),
            place,
            after: after.into(),
        };
        assert_eq!(
            "{{{level}}} {[ids] }{message}!".parse(),
            Ok(Template(vec![
                Piece::Literal("{".into()),
                place("", Place::Level, ""),
                Piece::Literal("} ".into()),
                place("[", Place::Ids, "] "),
                place("", Place::Message, ""),
                Piece::Literal("!".into()),
            ]))
        );
    }

    #[test]
    fn what_is_no_template_is_answered_with_what_one_is() {
        for text in
            ["{nonsense}", "{level", "level}", "{}", "{level message}", "a\nb", &"x".repeat(1_025)]
        {
            assert_eq!(text.parse::<Template>(), Err(ACCEPTED), "{text:?}");
        }
    }
}
