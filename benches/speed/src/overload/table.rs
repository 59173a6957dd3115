//! Figures and their bounds.

use crate::SpeedError;

/// One figure beside its bound.
struct Row {
    what: String,
    figure: f64,
    bound: Bound,
}

pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// For information.
    None,
}

impl Row {
    fn holds(&self) -> bool {
        match self.bound {
            Bound::AtLeast(least) => self.figure >= least,
            Bound::AtMost(most) => self.figure <= most,
            Bound::None => true,
        }
    }

    fn print(&self) {
        let (what, figure) = (&self.what, self.figure);
        let bound = match self.bound {
            Bound::AtLeast(least) => format!(">= {least}"),
            Bound::AtMost(most) => format!("<= {most}"),
            Bound::None => String::new(),
        };
        println!("{what:<58} {figure:>12.2} {bound:>10} {}", if self.holds() { "" } else { "MISSED" });
    }
}

/// The figures so far, printed as they come.
#[derive(Default)]
pub(super) struct Table(Vec<Row>);

impl Table {
    pub(super) fn add(&mut self, what: impl Into<String>, figure: f64, bound: Bound) {
        let row = Row { what: what.into(), figure, bound };
        row.print();
        self.0.push(row);
    }
    /// # Errors
    /// If a figure is beyond its bound.
    pub(super) fn verdict(&self) -> Result<(), SpeedError> {
        match self.0.iter().filter(|row| !row.holds()).count() {
            0 => Ok(()),
            missed => {
                Err(SpeedError::Wrong(format!("{missed} of {} figures are beyond their bound", self.0.len())))
            }
        }
    }
}
