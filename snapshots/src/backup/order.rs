//! Which parts may follow each other, and whether they come to a journal that a node can start on.

use std::io::Read;

use super::{BackupError, Begin, End, Part, Parts};
use crate::{Sequence, journal::Records};

/// What has come so far, to tell what may come next.
pub(super) struct Order {
    pub(super) begin: Begin,
    next: Sequence,
    events: u64,
    snapshots: u64,
    /// The newest event that a snapshot holds.
    covered: Sequence,
}

impl Order {
    /// Takes the first part.
    pub(super) fn begin(parts: &mut Parts<impl Read>) -> Result<Self, BackupError> {
        let damaged = |problem| Err(BackupError::Damaged { at: 0, problem });
        match parts.next() {
            Some(Ok(Part::Begin(begin))) if is_possible(&begin) => {
                let next = begin.oldest;
                Ok(Self { begin, next, events: 0, snapshots: 0, covered: 0 })
            }
            Some(Ok(Part::Begin(_))) => damaged("it begins where no journal does"),
            Some(Err(error)) => Err(error),
            _ => damaged("it does not begin as a backup does"),
        }
    }

    /// Counts a part that begins at byte `at`; the end, if it is that and agrees.
    pub(super) fn take(&mut self, part: &Part, at: u64) -> Result<Option<End>, BackupError> {
        let damaged = |problem| Err(BackupError::Damaged { at, problem });
        match part {
            Part::Begin(_) => return damaged("it begins twice"),
            Part::Snapshots(records) => {
                self.snapshots += records.len() as u64;
                self.covered = records.iter().map(|record| record.covers).fold(self.covered, Sequence::max);
            }
            Part::Events { first, records } => {
                if *first != self.next {
                    return damaged("events are missing before it");
                }
                let mut records = Records::new(records);
                let count = records.by_ref().count() as u64;
                if !records.is_at_end() {
                    return damaged("an event is cut off");
                }
                (self.next, self.events) = (self.next + count, self.events + count);
            }
            Part::File { .. } => {}
            Part::End(end) => {
                return match self.fault(end) {
                    Some(problem) => damaged(problem),
                    None => Ok(Some(*end)),
                };
            }
        }
        Ok(None)
    }

    /// Why it cannot end with `end`, if so.
    fn fault(&self, end: &End) -> Option<&'static str> {
        let last = self.next - 1;
        let live = self.begin.live;
        if (end.position, end.events, end.snapshots) != (last, self.events, self.snapshots) {
            Some("it holds less than it says")
        } else if self.covered > last {
            Some("a snapshot holds events that come after its end")
        } else if last < live && live > 1 {
            // The newest events always stay in the live journal.
            Some("it ends before its live journal begins")
        } else {
            None
        }
    }
}

/// Whether a journal can look like that: what was cut from its live part lies in the archive, of which the newest file is
/// always kept; and sequences have six bytes.
fn is_possible(begin: &Begin) -> bool {
    let Begin { oldest, live, .. } = *begin;
    ((oldest, live) == (1, 1) || (1..live).contains(&oldest)) && live >> 48 == 0
}
