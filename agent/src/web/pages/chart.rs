//! Lines over time, as an SVG that needs no script.

use super::time::Moment;
use crate::record::TraceId;
use crate::web::promql::{Range, Values};

/// The drawing's own units; the page scales it.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 200.0;
/// The style's widths of a line, beyond the thinnest.
const MAX_WIDTH: usize = 3;

/// What all charts of a page share, and what one is about.
pub(super) struct Plane<'a> {
    pub(super) title: &'static str,
    /// How a value is written.
    pub(super) unit: fn(f64) -> String,
    /// What must be known to read it.
    pub(super) note: &'static str,
    pub(super) range: Range,
    pub(super) services: &'a [String],
}

/// A service's values over time.
pub(super) struct Line {
    /// Its place among the services, and so its colour.
    pub(super) service: usize,
    /// What tells it from the service's other lines.
    pub(super) note: &'static str,
    pub(super) is_faint: bool,
    pub(super) values: Values,
}

/// A single observation, which leads to its trace.
pub(super) struct Mark {
    pub(super) service: usize,
    pub(super) trace: TraceId,
    pub(super) title: String,
    pub(super) time_unix_nano: i64,
    pub(super) value: f64,
}

/// What the template draws.
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) note: &'static str,
    /// Upper ones first: where, and how it is written.
    pub(super) grid: Vec<(String, String)>,
    /// From left to right: where, how the text stands there, and the text.
    pub(super) ticks: Vec<(String, &'static str, String)>,
    pub(super) curves: Vec<Curve>,
    pub(super) dots: Vec<Dot>,
    /// The newest value of each line.
    pub(super) legend: Vec<Legend>,
}

pub(super) struct Curve {
    pub(super) service: usize,
    pub(super) is_faint: bool,
    /// How many steps it is wider than the thinnest: one that others are drawn upon shows at their sides.
    pub(super) width: usize,
    /// An SVG path; it begins anew after each gap.
    pub(super) path: String,
}

pub(super) struct Dot {
    pub(super) service: usize,
    pub(super) x: String,
    pub(super) y: String,
    pub(super) trace: TraceId,
    pub(super) title: String,
}

pub(super) struct Legend {
    pub(super) service: usize,
    pub(super) name: String,
    pub(super) note: &'static str,
    pub(super) newest: String,
}

impl Plane<'_> {
    pub(super) fn chart(&self, lines: Vec<Line>, marks: Vec<Mark>) -> Chart {
        let in_lines = lines.iter().flat_map(|line| line.values.iter().copied().flatten());
        let most = in_lines
            .chain(marks.iter().map(|mark| mark.value))
            .filter(|value| value.is_finite())
            .fold(0.0, f64::max);
        let top = nice_top(most);
        let y = |value: f64| HEIGHT - (value / top).clamp(0.0, 1.0) * HEIGHT;
        let span = (self.range.end - self.range.start).max(1) as f64;
        let x = |time: i64| ((time - self.range.start) as f64 / span).clamp(0.0, 1.0) * WIDTH;

        let grid = [1.0, 0.5, 0.0].map(|share| (place(y(share * top)), (self.unit)(share * top)));
        let middle = self.range.start + (self.range.end - self.range.start) / 2;
        let tick = |time: i64, anchor| {
            let clock = Moment::from_unix_nano(time).clock.chars().take(5).collect();
            (place(x(time)), anchor, clock)
        };
        let ticks = vec![
            tick(self.range.start, "start"),
            tick(middle, "middle"),
            tick(self.range.end, "end"),
        ];
        let legend = lines.iter().map(|line| {
            let newest =
                line.values.iter().rev().copied().flatten().find(|value| value.is_finite());
            Legend {
                service: line.service,
                name: self.services.get(line.service).cloned().unwrap_or_default(),
                note: line.note,
                newest: newest.map_or_else(|| "none".to_owned(), self.unit),
            }
        });
        let dot = |mark: Mark| Dot {
            service: mark.service,
            x: place(x(mark.time_unix_nano)),
            y: place(y(mark.value)),
            trace: mark.trace,
            title: mark.title,
        };
        let widest = lines.iter().filter(|line| !line.is_faint).count().saturating_sub(1);
        Chart {
            title: self.title,
            note: self.note,
            grid: grid.into(),
            ticks,
            legend: legend.collect(),
            curves: lines
                .iter()
                .enumerate()
                .map(|(index, line)| Curve {
                    service: line.service,
                    is_faint: line.is_faint,
                    width: widest.saturating_sub(index).min(MAX_WIDTH),
                    path: path(self.range.steps().map(x).zip(&line.values), y),
                })
                .collect(),
            dots: marks.into_iter().map(dot).collect(),
        }
    }
}

fn path<'a>(
    points: impl Iterator<Item = (f64, &'a Option<f64>)>,
    y: impl Fn(f64) -> f64,
) -> String {
    let mut path = String::new();
    let mut is_drawing = false;
    for (x, value) in points {
        match value.filter(|value| value.is_finite()) {
            Some(value) => {
                let (x, y) = (place(x), place(y(value)));
                // A value alone between gaps is a line of no length, which a round cap shows as a dot.
                let step =
                    if is_drawing { format!("L{x} {y}") } else { format!("M{x} {y}L{x} {y}") };
                path.push_str(&step);
                is_drawing = true;
            }
            None => is_drawing = false,
        }
    }
    path
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below the largest value.
fn nice_top(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(most.log10().floor());
    let nice = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let top = nice.into_iter().find(|top| *top >= most).unwrap_or(most);
    // The largest and smallest floats leave no room for factors.
    if top.is_normal() { top } else { 1.0 }
}

fn place(coordinate: f64) -> String {
    format!("{coordinate:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(services: &[String]) -> Plane<'_> {
        let range = Range { start: 0, end: 40, step: 10 };
        let unit = |value| format!("{value}/s");
        Plane { title: "Requests", unit, note: "", range, services }
    }

    #[test]
    fn a_line_is_broken_where_there_is_no_value() {
        let services = ["api".to_owned()];
        let values = vec![Some(0.0), Some(2.0), None, Some(1.0), Some(f64::NAN)];
        let line = Line { service: 0, note: "", is_faint: false, values };
        let chart = plane(&services).chart(vec![line], Vec::new());
        assert_eq!(chart.curves[0].path, "M0.0 200.0L0.0 200.0L250.0 0.0M750.0 100.0L750.0 100.0");
        assert_eq!(chart.legend[0].newest, "1/s");
        assert_eq!(chart.grid[0], ("0.0".to_owned(), "2/s".to_owned()));
    }

    #[test]
    fn lines_at_the_same_place_are_all_seen() {
        let services = ["a", "b", "c"].map(str::to_owned);
        let values = vec![Some(1.0); 5];
        let lines = (0..6).map(|n| {
            let values = values.clone();
            Line { service: n % 3, note: "", is_faint: n >= 3, values }
        });
        let chart = plane(&services).chart(lines.collect(), Vec::new());
        let widths: Vec<_> = chart.curves.iter().map(|curve| curve.width).collect();
        assert_eq!(widths, [2, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn the_top_is_a_number_that_people_read_easily_and_never_below_a_value() {
        for (most, top) in [(0.0, 1.0), (0.7, 1.0), (1.0, 1.0), (3.2, 5.0), (120.0, 200.0)] {
            assert_eq!(nice_top(most), top);
        }
        for extreme in [f64::MIN_POSITIVE / 4.0, f64::MAX] {
            assert!(nice_top(extreme) > 0.0);
        }
    }

    #[test]
    fn a_mark_lies_inside_whatever_its_time() {
        let mark = Mark {
            service: 0,
            trace: TraceId::from_bytes(&[1; 16]).unwrap(),
            title: String::new(),
            time_unix_nano: 400,
            value: 0.5,
        };
        let chart = plane(&[]).chart(Vec::new(), vec![mark]);
        assert_eq!((chart.dots[0].x.as_str(), chart.dots[0].y.as_str()), ("1000.0", "0.0"));
    }
}
