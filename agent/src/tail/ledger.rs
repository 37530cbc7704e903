//! How far a log has been delivered: positions move in the order of reading, and only on an ack.

use std::collections::VecDeque;
use std::sync::Arc;

use super::discover::{Candidate, Stamp};
use super::file::LogFile;
use super::head::FileId;
use crate::ack::Outcome;

/// A place in a container's log from which reading can go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Position {
    /// The newest rotated file that needs not be read again.
    pub(super) finished: Option<Stamp>,
    /// The file; `None` before the first.
    pub(super) file: Option<Arc<FileId>>,
    /// Where in the file: the end of a line, or the start of a line that was split and has not ended.
    pub(super) offset: u64,
    /// How many records that follow from there have been delivered already.
    pub(super) skip: u64,
}

impl Position {
    /// Behind what a log's files hold now. A file that cannot be read is left to be read from its beginning: it may be gone, and
    /// its successor is new.
    pub(super) fn end_of(candidates: &[Candidate], head_bytes: usize) -> Self {
        let finished = candidates.iter().filter_map(|candidate| candidate.stamp.clone()).max();
        let live = candidates.iter().find(|candidate| candidate.stamp.is_none());
        let (file, offset) = match live.map(|live| LogFile::end_of(live, head_bytes)) {
            Some(Ok(Some((id, offset)))) => (Some(id), offset),
            _ => (None, 0),
        };
        Self { finished, file, offset, skip: 0 }
    }
}

/// What was handed on and not yet answered.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    committed: Position,
    read: Position,
    in_flight: VecDeque<InFlight>,
    next_sequence: u64,
}

#[derive(Debug)]
struct InFlight {
    sequence: u64,
    after: Position,
    delivered: bool,
}

impl Ledger {
    /// Everything before `position` has been delivered.
    pub(super) fn resumed(position: Position) -> Self {
        Self { committed: position.clone(), read: position, ..Self::default() }
    }

    /// Notes that a batch goes out after which reading goes on at `after`; its ack brings the number back.
    pub(super) fn send(&mut self, after: Position) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.read = after.clone();
        self.in_flight.push_back(InFlight { sequence, after, delivered: false });
        sequence
    }

    /// Notes that reading has come as far as `position` without a record that is not on its way.
    pub(super) fn read_to(&mut self, position: Position) {
        self.read = position;
        if self.in_flight.is_empty() {
            self.committed.clone_from(&self.read);
        }
    }

    /// Takes the answer to a batch. `false` when the batch is lost: read on from `committed` then.
    /// Answers to batches from before such a restart are not known any more and change nothing.
    pub(super) fn answer(&mut self, sequence: u64, outcome: Outcome) -> bool {
        let Some(batch) = self.in_flight.iter_mut().find(|batch| batch.sequence == sequence) else {
            return true;
        };
        if outcome == Outcome::Lost {
            self.in_flight.clear();
            self.read.clone_from(&self.committed);
            return false;
        }
        batch.delivered = true;
        while self.in_flight.front().is_some_and(|batch| batch.delivered) {
            if let Some(batch) = self.in_flight.pop_front() {
                self.committed = batch.after;
            }
        }
        if self.in_flight.is_empty() {
            self.committed.clone_from(&self.read);
        }
        true
    }

    /// Everything before it has been delivered.
    pub(super) fn committed(&self) -> &Position {
        &self.committed
    }

    /// Whether every batch has been answered.
    pub(super) fn is_settled(&self) -> bool {
        self.in_flight.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Position {
        Position { offset, ..Position::default() }
    }

    #[test]
    fn the_position_moves_over_what_is_delivered_without_a_gap() {
        let mut ledger = Ledger::default();
        let sent = [10, 20, 30].map(|offset| ledger.send(at(offset)));
        ledger.read_to(at(35));
        assert!(ledger.answer(sent[1], Outcome::Delivered));
        assert_eq!(ledger.committed().offset, 0);
        assert!(ledger.answer(sent[0], Outcome::Delivered));
        assert_eq!(ledger.committed().offset, 20);
        assert!(ledger.answer(sent[2], Outcome::Delivered));
        assert_eq!(ledger.committed().offset, 35, "nothing is on its way any more");
    }

    #[test]
    fn a_lost_batch_sends_reading_back_and_later_answers_change_nothing() {
        let mut ledger = Ledger::default();
        let sent = [10, 20, 30].map(|offset| ledger.send(at(offset)));
        assert!(ledger.answer(sent[0], Outcome::Delivered));
        assert!(!ledger.answer(sent[1], Outcome::Lost));
        assert!(ledger.answer(sent[2], Outcome::Delivered));
        assert_eq!(ledger.committed().offset, 10);
        assert!(ledger.is_settled());
    }
}
