//! Tells of what an operator could not handle: the first at once, then how many there were, once a minute, for a log may be full of them.

use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::entry::Entry;
use crate::config::Operator;

const PAUSE: Duration = Duration::from_secs(60);
/// How much of a body is shown.
const SHOWN_CHARS: usize = 120;

#[derive(Debug, Default)]
pub(super) struct Report {
    told: Option<Instant>,
    untold: u64,
}

impl Report {
    pub(super) fn failed(&mut self, operator: &Operator, entry: &Entry) {
        if operator.on_error.quiet {
            debug!(operator = operator.id, "an operator could not handle a line");
            return;
        }
        if self.told.is_some_and(|told| told.elapsed() < PAUSE) {
            self.untold += 1;
            return;
        }
        let becomes = if operator.on_error.drop { "is dropped" } else { "goes on as it is" };
        let body = format!("{:?}", entry.record.body);
        let body: String = body.chars().take(SHOWN_CHARS).collect();
        warn!(
            operator = operator.id,
            body,
            not_told = self.untold,
            "an operator could not handle a line, which {becomes}; on_error: send_quiet or drop_quiet hides this",
        );
        (self.told, self.untold) = (Some(Instant::now()), 0);
    }
}
