//! The builder's calls about how a log line looks.

use std::sync::Arc;

use super::Builder;
use crate::log::{Extra, FixedValue, Format, LogTime, Own};

impl Builder {
    /// Lines are written by a template; `SPANLINE_LOG_TEMPLATE` otherwise. In braces stand `time`, `level`, `ids`
    /// (`trace_id=T span_id=S`), `trace_id` (`trace_id=T`), `span_id`, `target`, `location` (`cart.rs:41`),
    /// `service`, `message` and `fields`. What stands around a name inside the braces is written only
    /// if there is something to write.
    ///
    /// ```
    /// let _telemetry = spanline::builder("checkout")
    ///     .log_template("{time} {level} {[ids] }{target}: {message}{ fields}")
    ///     .init();
    /// ```
    pub fn log_template(mut self, template: impl Into<String>) -> Self {
        self.overrides.line_options.own = None;
        self.overrides.line_options.template = Some(template.into());
        self
    }

    /// Lines are written by a format of your own.
    pub fn log_format_with(mut self, format: impl Format) -> Self {
        self.overrides.line_options.template = None;
        self.overrides.line_options.own = Some(Own(Arc::new(format)));
        self
    }

    /// A field that is on every line whose event has none of this name; further ones by
    /// `SPANLINE_LOG_FIELDS`.
    ///
    /// ```
    /// let _telemetry = spanline::builder("checkout").log_field("shard", 7).init();
    /// ```
    pub fn log_field(mut self, name: impl Into<String>, value: impl Into<FixedValue>) -> Self {
        self.overrides.line_options.fields.push((name.into(), value.into()));
        self
    }

    /// Adds fields to each event's line, such as those of a tenant that a task-local knows. It is called where the
    /// event is logged, so it should be quick. If it panics, the fields that it would have added are missing.
    ///
    /// ```
    /// let _telemetry = spanline::builder("checkout")
    ///     .log_hook(|extra| extra.add("uptime_ticks", 12))
    ///     .init();
    /// ```
    pub fn log_hook(mut self, hook: impl Fn(&mut Extra<'_>) + Send + Sync + 'static) -> Self {
        self.overrides.line_options.hook = Some(Own(Arc::new(hook)));
        self
    }

    /// Whether the fields of the current `tracing` span and of those around it are on the line, too; what is
    /// nearest to the event wins. `SPANLINE_LOG_SPAN_FIELDS` otherwise, and not by default.
    pub fn log_span_fields(mut self, are_wanted: bool) -> Self {
        self.overrides.line_options.span_fields = Some(are_wanted);
        self
    }

    /// Whether the target is on the line; `SPANLINE_LOG_TARGET` otherwise, and it is by default.
    pub fn log_target(mut self, is_wanted: bool) -> Self {
        self.overrides.line_options.target = Some(is_wanted);
        self
    }

    /// Whether the source's file and line are a field `location`; `SPANLINE_LOG_LOCATION` otherwise, and not by
    /// default.
    pub fn log_location(mut self, is_wanted: bool) -> Self {
        self.overrides.line_options.location = Some(is_wanted);
        self
    }

    /// Whether the thread's name is a field `thread`; `SPANLINE_LOG_THREAD` otherwise, and not by default.
    pub fn log_thread(mut self, is_wanted: bool) -> Self {
        self.overrides.line_options.thread = Some(is_wanted);
        self
    }

    /// Which zone times are in; `SPANLINE_LOG_TIME` otherwise. By default `python` prints local time, as Python
    /// does, and all others UTC.
    pub fn log_time(mut self, time: LogTime) -> Self {
        self.overrides.line_options.time = Some(time);
        self
    }

    /// Whether the level has a colour, in the format `text` and on a terminal only; `NO_COLOR` otherwise, and it
    /// has by default.
    pub fn log_colors(mut self, are_wanted: bool) -> Self {
        self.overrides.line_options.colors = Some(are_wanted);
        self
    }

    /// The longest line in bytes, from 4,096 to 1,048,576; `SPANLINE_LOG_MAX_LINE_BYTES` otherwise, and 16,000 by
    /// default, so that a container runtime keeps it in one piece.
    pub fn log_max_line_bytes(mut self, bytes: usize) -> Self {
        self.overrides.line_options.max_line_bytes = Some(bytes);
        self
    }
}
