//! From the pieces of an event to its line: scratch memory, time, and the cap on a line's length.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tracing::Level;

use super::extra::{self, FixedValue};
use super::fields::{Fields, Place, Text};
use super::format::{self, Layout, LineEvent};
use super::options::{LineOptions, MIN_LINE_BYTES, Own};
use super::out::Out;
use super::own::{Format, Sealed};
use super::settings::LogSettings;
use super::template::Template;
use super::time::{LogTime, SecondCache, WallTime, Zone};
use crate::context::SpanIds;

/// Where the structure alone is too long, target and file are cut to this.
const FALLBACK_TARGET_BYTES: usize = 128;

/// A service name beyond this is cut; it is on every `python` line.
const MAX_SERVICE_NAME_BYTES: usize = 256;

/// So many lines may be in the making inside each other on one thread: a value's `Debug` that logs a
/// value whose `Debug` logs.
const MAX_NESTED_LINES: u32 = 4;

/// A line buffer that one huge value has made larger than this is not kept.
const KEPT_LINE_BYTES: usize = 64 * 1024;

/// Where and what an event is, besides its fields.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) level: Level,
    pub(crate) target: &'a str,
    pub(crate) file: Option<&'a str>,
    pub(crate) line: Option<u32>,
    pub(crate) ids: Option<SpanIds>,
    /// Whether it is the line of a panic, which may have come from a format of the program's own.
    pub(crate) is_panic: bool,
}

/// Turns events into lines.
pub(crate) struct Renderer {
    format: Box<dyn Layout>,
    /// The format is code of the program's own.
    has_own_format: bool,
    has_target: bool,
    extras: Extras,
    zone: Zone,
    service_name: Arc<str>,
    /// Without the newline.
    max_line_bytes: usize,
    last_line_unix_ms: AtomicI64,
    /// Tells this renderer's seconds from another's in a thread's cache.
    cache_key: u64,
}

impl Renderer {
    pub(crate) fn new(settings: &LogSettings) -> Self {
        static NEXT_CACHE_KEY: AtomicU64 = AtomicU64::new(1);
        let options = &settings.options;
        let max_line_bytes = options.max_line_bytes.unwrap_or(settings.max_line_bytes);
        let max_line_bytes = max_line_bytes.max(MIN_LINE_BYTES) - 1;
        let format = layout(settings, max_line_bytes);
        let default = if format.wants_local_time() { LogTime::Local } else { LogTime::Utc };
        let zone = match options.time.unwrap_or(default) {
            LogTime::Local => Zone::local(settings.time_zone.clone()),
            LogTime::Utc => Zone::utc(),
        };
        let service_name = Text::whole(&settings.service_name).cut_to(MAX_SERVICE_NAME_BYTES);
        Self {
            format,
            has_own_format: options.own.is_some(),
            zone,
            service_name: service_name.kept.into(),
            has_target: options.target.unwrap_or(true),
            extras: Extras::new(options),
            max_line_bytes,
            last_line_unix_ms: AtomicI64::new(0),
            cache_key: NEXT_CACHE_KEY.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The longest line, newline included.
    pub(crate) fn max_bytes_with_newline(&self) -> usize {
        self.max_line_bytes + 1
    }

    /// Makes one line, newline included, and hands it to `take`. `fill` collects the fields; it may
    /// run code of the program's, which may log. `false` if lines are nested too deep.
    pub(crate) fn line<'a>(
        &self,
        is_from_log_crate: bool,
        fill: impl FnOnce(&mut Fields) -> Origin<'a>,
        take: impl FnOnce(&[u8]),
    ) -> bool {
        self.line_at(WallTime::now(), is_from_log_crate, fill, take)
    }

    pub(crate) fn line_at<'a>(
        &self,
        now: WallTime,
        is_from_log_crate: bool,
        fill: impl FnOnce(&mut Fields) -> Origin<'a>,
        take: impl FnOnce(&[u8]),
    ) -> bool {
        let is_inside_another = NESTED_LINES.get() > 0;
        let Some(_nested) = Nested::enter() else { return false };
        let mut parts = Parts::take();
        let Parts { fields, line, second } = &mut *parts;
        fields.reset(self.max_line_bytes, is_from_log_crate);
        let origin = fill(fields);
        if self.extras.are_any() {
            self.extras.add_to(fields, &origin);
        }
        // What panics in the middle of a line may be a format of the program's own: it is not asked for the panic's.
        let is_plain = origin.is_panic && is_inside_another && self.has_own_format;
        self.write(now, &origin, is_plain, fields, second, line);
        take(line.as_bytes());
        parts.give_back();
        true
    }

    fn write(
        &self,
        now: WallTime,
        origin: &Origin<'_>,
        is_plain: bool,
        fields: &mut Fields,
        second: &mut SecondCache,
        line: &mut Out,
    ) {
        let mut draft = Draft {
            renderer: self,
            origin,
            is_plain,
            is_last_try: false,
            target: Text::whole(origin.target),
            max_file_bytes: usize::MAX,
            time: second.write_out(now, self.cache_key, &self.zone),
            since_last_line: self.since_last_line(now),
            fields,
            line,
        };
        if draft.write() > self.max_line_bytes {
            draft.cut();
        }
        line.push_ascii(b"\n");
    }

    fn since_last_line(&self, now: WallTime) -> Duration {
        if !self.format.wants_since_last_line() {
            return Duration::ZERO;
        }
        let now = now.unix_milliseconds();
        let last = self.last_line_unix_ms.swap(now, Ordering::Relaxed);
        // The first line has none before it; and clocks do go back.
        let since = if last == 0 { 0 } else { now.saturating_sub(last) };
        Duration::from_millis(u64::try_from(since).unwrap_or(0))
    }
}

fn layout(settings: &LogSettings, max_line_bytes: usize) -> Box<dyn Layout> {
    let sealed = |format| Box::new(Sealed { format, max_line_bytes });
    let options = &settings.options;
    let template = || options.template.as_ref()?.parse::<Template>().ok();
    if let Some(Own(format)) = &options.own {
        sealed(Arc::clone(format))
    } else if let Some(template) = template() {
        let template: Arc<dyn Format> = Arc::new(template);
        sealed(template)
    } else {
        let colors = options.colors.unwrap_or(true) && settings.output.is_terminal();
        format::by_name(settings.format, colors)
    }
}

/// What is on every line, if it has no field of the same name.
struct Extras {
    fixed: Vec<(String, FixedValue)>,
    location: bool,
    thread: bool,
}

impl Extras {
    fn new(options: &LineOptions) -> Self {
        Self {
            fixed: options.fields.clone(),
            location: options.location.unwrap_or(false),
            thread: options.thread.unwrap_or(false),
        }
    }

    fn are_any(&self) -> bool {
        !self.fixed.is_empty() || self.location || self.thread
    }

    fn add_to(&self, fields: &mut Fields, origin: &Origin<'_>) {
        for (name, value) in &self.fixed {
            extra::add(fields, name, value);
        }
        if self.location
            && let (Some(file), Some(line)) = (origin.file, origin.line)
        {
            extra::add(fields, "location", &format!("{file}:{line}").into());
        }
        if self.thread {
            let thread = std::thread::current();
            extra::add(fields, "thread", &thread.name().unwrap_or("unnamed").into());
        }
    }
}

/// A line that may still be too long.
struct Draft<'a> {
    renderer: &'a Renderer,
    origin: &'a Origin<'a>,
    is_plain: bool,
    is_last_try: bool,
    target: Text<'a>,
    max_file_bytes: usize,
    time: super::time::WrittenTime<'a>,
    since_last_line: Duration,
    fields: &'a mut Fields,
    line: &'a mut Out,
}

impl Draft<'_> {
    /// Writes the line anew; tells its length.
    #[inline(always)]
    fn write(&mut self) -> usize {
        self.line.clear(KEPT_LINE_BYTES);
        let event = LineEvent {
            time: self.time,
            level: self.origin.level,
            target: self.renderer.has_target.then_some(self.target),
            path: self.origin.file,
            max_file_bytes: self.max_file_bytes,
            line: self.origin.line,
            ids: self.origin.ids,
            service_name: &self.renderer.service_name,
            since_last_line: self.since_last_line,
            fields: self.fields,
            is_last_try: self.is_last_try,
        };
        if self.is_plain {
            format::plain(&event, self.line);
        } else {
            self.renderer.format.write(&event, self.line);
        }
        self.line.len()
    }

    /// Most lines are written once: for them, the above has no call.
    #[cold]
    fn write_again(&mut self) -> usize {
        self.write()
    }

    fn write_keeping(&mut self, place: Place, bytes: usize) -> usize {
        self.fields.keep(place, bytes);
        self.write_again()
    }

    /// Shortens the longest value; if that is not enough, the next; at last what names the event.
    #[cold]
    fn cut(&mut self) {
        let max = self.renderer.max_line_bytes;
        // Cutting less than this would cost more for saying so than it saves.
        const WORTH_CUTTING_BYTES: usize = 64;
        while let Some((place, bytes)) = self.fields.longest() {
            if bytes < WORTH_CUTTING_BYTES {
                break;
            }
            let shortest = self.write_keeping(place, 0);
            if shortest <= max {
                return self.keep_what_fits(place, shortest, bytes);
            }
        }
        self.target = self.target.cut_to(FALLBACK_TARGET_BYTES);
        self.max_file_bytes = FALLBACK_TARGET_BYTES;
        while self.write_again() > max && self.fields.pop() {}
        if self.line.len() > max {
            self.is_last_try = true;
            self.write_again();
        }
    }

    /// Finds how much of a value fits, when nothing of it does and all of it does not.
    ///
    /// How long a value gets depends on what must be escaped in it, so it is tried. Each try guesses
    /// from the two lengths known by now; a few come close enough.
    fn keep_what_fits(&mut self, place: Place, shortest: usize, all: usize) {
        const TRIES: usize = 6;
        const CLOSE_ENOUGH_BYTES: usize = 16;
        let max = self.renderer.max_line_bytes;
        let (mut fits, mut fits_length) = (0, shortest);
        let (mut exceeds, mut exceeds_length) = (all, self.write_keeping(place, all));
        for _ in 0..TRIES {
            if max - fits_length <= CLOSE_ENOUGH_BYTES || exceeds - fits <= 1 {
                break;
            }
            let grows = exceeds_length.saturating_sub(fits_length).max(1);
            let guess = fits + (exceeds - fits) * (max - fits_length) / grows;
            let guess = guess.clamp(fits + 1, exceeds - 1);
            let length = self.write_keeping(place, guess);
            if length <= max {
                (fits, fits_length) = (guess, length);
            } else {
                (exceeds, exceeds_length) = (guess, length);
            }
        }
        self.write_keeping(place, fits);
    }
}

/// The memory in which a thread makes its lines. It is taken out while in use, so that a line made
/// inside another finds nothing, and works with memory of its own.
struct Parts {
    fields: Fields,
    line: Out,
    second: SecondCache,
}

thread_local! {
    static SPARE_PARTS: Cell<Option<Box<Parts>>> = const { Cell::new(None) };
    /// Has no destructor, so it can be read while the thread is torn down.
    static NESTED_LINES: Cell<u32> = const { Cell::new(0) };
}

impl Parts {
    fn take() -> Box<Self> {
        // In a thread that is being torn down there are none to be had.
        let spare = SPARE_PARTS.try_with(Cell::take).ok().flatten();
        spare.unwrap_or_else(|| {
            Box::new(Self {
                fields: Fields::new(),
                line: Out::default(),
                second: SecondCache::new(),
            })
        })
    }

    fn give_back(self: Box<Self>) {
        let _ = SPARE_PARTS.try_with(|spare| spare.set(Some(self)));
    }
}

/// One more line in the making on this thread; counted back also when a value's `Debug` panics.
struct Nested;

impl Nested {
    fn enter() -> Option<Self> {
        let lines = NESTED_LINES.get();
        (lines < MAX_NESTED_LINES).then(|| {
            NESTED_LINES.set(lines + 1);
            Self
        })
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        NESTED_LINES.set(NESTED_LINES.get().saturating_sub(1));
    }
}
