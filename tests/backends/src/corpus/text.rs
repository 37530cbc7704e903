//! The lines of services.

use jiff::Timestamp;

/// How a service logs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dialect {
    Text,
    Winston,
    Python,
    Json,
    Logfmt,
    /// A Nest application's, as winston prints it without a span.
    NestWithoutSpan,
    /// uvicorn's line of a request.
    Access,
    /// A traceback, one line after the other.
    Traceback,
}

const LEVELS: [&str; 4] = ["error", "warn", "info", "debug"];

impl Dialect {
    pub(super) const ALL: [Self; 8] = [
        Self::Text,
        Self::Winston,
        Self::Python,
        Self::Json,
        Self::Logfmt,
        Self::NestWithoutSpan,
        Self::Access,
        Self::Traceback,
    ];

    /// Line `line` of file `file`.
    pub(super) fn line(self, file: usize, line: usize, time: Timestamp) -> String {
        let trace = hex(mixed(file, line), 32);
        let span = hex(mixed(line, file + 1), 16);
        let level = LEVELS[line % LEVELS.len()];
        let upper = level.to_uppercase();
        let micros = time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ");
        let millis = time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
        match self {
            Self::Text => format!(
                "{micros} {upper} [trace_id={trace} span_id={span}] shop::cart: added item sku={line}"
            ),
            Self::Winston => format!(
                "[{upper}] [trace_id={trace} span_id={span}] added item {{\"context\":\"shop::cart\",\
                 \"level\":\"{level}\",\"message\":\"added item\",\"timestamp\":\"{millis}\",\
                 \"ms\":\"+12ms\",\"sku\":{line}}}"
            ),
            Self::Python => {
                let local = time.strftime("%Y-%m-%d %H:%M:%S,%3f");
                let upper = if upper == "WARN" { "WARNING" } else { &upper };
                format!(
                    "{local} {upper} [main] [main.py:41] [trace_id={trace} span_id={span} \
                     resource.service.name=api-python trace_sampled=True] - hello world! {line}"
                )
            }
            Self::Json => format!(
                "{{\"timestamp\":\"{micros}\",\"level\":\"{level}\",\"message\":\"added item\",\
                 \"target\":\"shop::cart\",\"trace_id\":\"{trace}\",\"span_id\":\"{span}\",\
                 \"trace_flags\":\"01\",\"sku\":{line}}}"
            ),
            Self::Logfmt => format!(
                "ts={micros} level={level} target=shop::cart trace_id={trace} span_id={span} \
                 msg=\"added item\" sku={line}"
            ),
            Self::NestWithoutSpan => format!(
                "[{upper}] [trace_id=undefined span_id=undefined] Nest application successfully started \
                 {{\"context\":\"NestApplication\",\"level\":\"{level}\",\"message\":\"Nest application \
                 successfully started\",\"timestamp\":\"{millis}\",\"ms\":\"+{line}ms\"}}"
            ),
            Self::Access => format!(
                "INFO:     10.244.0.{}:{} - \"GET /?page={line}&of=<all> HTTP/1.1\" 200 OK",
                line % 250,
                30_000 + line
            ),
            Self::Traceback => match line % 4 {
                0 => format!("Traceback (most recent call last): {file}"),
                1 => format!("  File \"/app/main.py\", line {line}, in <module>"),
                2 => "    raise ValueError('\"\\\\quoted\\\\\"')".to_owned(),
                _ => format!("ValueError: {line}\u{2028}\u{2029}"),
            },
        }
    }
}

/// A long line.
pub(super) fn long(bytes: usize, number: usize) -> Vec<u8> {
    let mut text = format!("long line {number}: ").into_bytes();
    while text.len() < bytes {
        text.extend_from_slice(
            format!("{} of many words, ", mixed(text.len(), number) % 1_000_000).as_bytes(),
        );
    }
    text.truncate(bytes);
    text
}

/// Any number that is the same at every run, and another one for another pair.
pub(super) fn mixed(one: usize, other: usize) -> u64 {
    let mut state = (one as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (other as u64 + 1);
    for _ in 0..3 {
        state ^= state >> 30;
        state = state.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state ^= state >> 27;
    }
    state
}

/// `seed` as so many hexadecimal digits.
pub(super) fn hex(seed: u64, digits: usize) -> String {
    let mut text = String::new();
    let mut state = seed | 1;
    while text.len() < digits {
        text.push_str(&format!("{state:016x}"));
        state = state.wrapping_mul(0x94d0_49bb_1331_11eb) | 1;
    }
    text.truncate(digits);
    text
}
