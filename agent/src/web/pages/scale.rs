//! From times to places on the waterfall.

use super::time::duration_text;

/// A bar needs this share of the width beside it for its label.
const LABEL_ROOM_PERCENT: f64 = 30.0;

/// The time that the waterfall shows, from its left edge to its right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    start_unix_nano: u64,
    nanos: u64,
}

/// A span's bar, in percent of the waterfall's width.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) label: Label,
}

/// Where a bar's duration is written.
#[derive(Debug)]
pub(super) struct Label {
    pub(super) x: String,
    /// Its distance from there, in pixels.
    pub(super) dx: i32,
    /// SVG's `text-anchor`.
    pub(super) anchor: &'static str,
    pub(super) is_inside: bool,
}

/// A time on the waterfall's upper edge.
#[derive(Debug)]
pub(super) struct Tick {
    pub(super) x: &'static str,
    pub(super) anchor: &'static str,
    pub(super) text: String,
}

impl Scale {
    /// From the first start to the last end of spans given as start and end.
    pub(super) fn over(spans: impl Iterator<Item = (u64, u64)> + Clone) -> Self {
        let start = spans.clone().map(|(start, _)| start).min().unwrap_or(0);
        let end = spans.map(|(start, end)| end.max(start)).max().unwrap_or(start);
        Self { start_unix_nano: start, nanos: end - start }
    }

    pub(super) fn start_unix_nano(&self) -> u64 {
        self.start_unix_nano
    }

    pub(super) fn nanos(&self) -> u64 {
        self.nanos
    }

    /// How long after the trace's start a time is, in nanoseconds; negative before it.
    pub(super) fn offset(&self, time_unix_nano: u64) -> i64 {
        let offset = i128::from(time_unix_nano) - i128::from(self.start_unix_nano);
        offset.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    fn percent(&self, time_unix_nano: u64) -> f64 {
        let share = self.offset(time_unix_nano) as f64 / self.nanos.max(1) as f64;
        (share * 100.0).clamp(0.0, 100.0)
    }

    /// Where a mark stands; at the edge when its time is not on the waterfall, because clocks of
    /// machines differ.
    pub(super) fn x(&self, time_unix_nano: u64) -> String {
        percent_text(self.percent(time_unix_nano))
    }

    pub(super) fn bar(&self, start_unix_nano: u64, end_unix_nano: u64) -> Bar {
        let start = self.percent(start_unix_nano);
        let end = self.percent(end_unix_nano.max(start_unix_nano));
        let (at, dx, anchor, is_inside) = match (start, end) {
            (_, end) if end <= 100.0 - LABEL_ROOM_PERCENT => (end, 6, "start", false),
            (start, _) if start >= LABEL_ROOM_PERCENT => (start, -6, "end", false),
            _ => (start, 8, "start", true),
        };
        let label = Label { x: percent_text(at), dx, anchor, is_inside };
        Bar { x: percent_text(start), width: percent_text(end - start), label }
    }

    pub(super) fn ticks(&self) -> [Tick; 3] {
        let tick = |x, anchor, nanos| Tick { x, anchor, text: duration_text(nanos) };
        [
            Tick { x: "0%", anchor: "start", text: "0".to_owned() },
            tick("50%", "middle", self.nanos / 2),
            tick("100%", "end", self.nanos),
        ]
    }
}

fn percent_text(percent: f64) -> String {
    format!("{percent:.3}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_lies_where_its_span_was_in_the_trace() {
        let scale = Scale::over([(1_000, 2_000), (1_250, 1_500)].into_iter());
        let bar = scale.bar(1_250, 1_500);
        assert_eq!((bar.x.as_str(), bar.width.as_str()), ("25.000%", "25.000%"));
        assert_eq!((bar.label.x.as_str(), bar.label.anchor), ("50.000%", "start"));
        assert!(scale.bar(1_000, 2_000).label.is_inside);
        assert_eq!(scale.bar(1_900, 2_000).label.anchor, "end");
    }

    #[test]
    fn nothing_lies_outside_whatever_the_clocks_say() {
        let scale = Scale::over([(u64::MAX, 0), (5, 4)].into_iter());
        for time in [0, 5, 1_000, u64::MAX] {
            let x: f64 = scale.x(time).trim_end_matches('%').parse().unwrap();
            assert!((0.0..=100.0).contains(&x), "{time}: {x}");
        }
        assert_eq!(Scale::over([(7, 7)].into_iter()).bar(7, 7).width, "0.000%");
        assert_eq!(Scale::over(std::iter::empty()).nanos(), 0);
    }
}
