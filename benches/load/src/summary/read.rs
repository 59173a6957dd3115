//! Documents read back: as they are, and as what was recorded.

use std::time::Duration;

use super::document::{OutcomeCount, SCHEMA, Second, StepOfSecond, Summary};
use crate::record::{
    HistogramError, OutcomeRecorded, Recorded, SecondRecorded, StepRecorded, StepSecond, decode,
};

/// Why a text is not the document of a run.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not JSON, or a field is missing or of another type.
    #[error("not the report of a run")]
    Json(#[from] serde_json::Error),
    /// It is of another schema.
    #[error("its schema is `{0}`; this program reads `{SCHEMA}`")]
    Schema(String),
    /// A histogram in it cannot be read.
    #[error("{place}: {error}")]
    Histogram {
        /// Where.
        place: String,
        /// Why.
        error: HistogramError,
    },
    /// The series names more steps or seconds than can be.
    #[error("second {0} of the series does not have the steps of the run")]
    Series(u32),
}

impl Summary {
    /// The document in `json`. Fields that this program does not know are left out.
    ///
    /// # Errors
    /// When it is not a document of the schema [`SCHEMA`].
    pub fn from_json(json: &str) -> Result<Self, ReadError> {
        #[derive(serde::Deserialize)]
        struct Head {
            schema: String,
        }
        let Head { schema } = serde_json::from_str(json)?;
        if schema != SCHEMA {
            return Err(ReadError::Schema(schema));
        }
        Ok(serde_json::from_str(json)?)
    }

    /// The document as indented JSON with a last line feed.
    #[expect(
        clippy::expect_used,
        reason = "every map of the document has text keys, and its floats are finite or null"
    )]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a document of plain fields") + "\n"
    }

    /// What was recorded, out of the histograms in the document.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn recorded(&self) -> Result<Recorded, ReadError> {
        let warm_up = Duration::try_from_secs_f64(self.run.warm_up_s).unwrap_or_default();
        let mut recorded = Recorded::new([], warm_up);
        for step in &self.steps {
            let mut own = StepRecorded { name: step.name.clone(), outcomes: Vec::new() };
            for outcome in &step.outcomes {
                own.merge(&outcome.recorded(&step.name)?);
            }
            recorded.steps.push(own);
        }
        recorded.lateness_us = histogram("load.lateness", &self.load.lateness.histogram)?;
        for second in &self.seconds {
            if second.steps.len() != self.steps.len() {
                return Err(ReadError::Series(second.second));
            }
            recorded.seconds.insert(second.second, SecondRecorded::from(second));
        }
        Ok(recorded)
    }
}

impl OutcomeCount {
    fn recorded(&self, step: &str) -> Result<OutcomeRecorded, ReadError> {
        let latency_us = histogram(&format!("{step}: {}", self.outcome), &self.histogram)?;
        let (label, drained) = (self.outcome.clone(), self.drained);
        Ok(OutcomeRecorded { label, kind: self.kind, waited_for: self.waited_for, latency_us, drained })
    }
}

impl From<&Second> for SecondRecorded {
    fn from(second: &Second) -> Self {
        Self {
            flows_started: second.flows_started,
            flows_finished: second.flows_finished,
            lateness_max_us: second.lateness_max_us,
            steps: second.steps.iter().map(StepSecond::from).collect(),
        }
    }
}

impl From<&StepOfSecond> for StepSecond {
    fn from(step: &StepOfSecond) -> Self {
        let finished = [step.ok, step.refused, step.throttled, step.failed];
        Self { started: step.started, finished, latency: step.histogram.clone() }
    }
}

fn histogram(place: &str, text: &str) -> Result<crate::record::Latencies, ReadError> {
    decode(text).map_err(|error| ReadError::Histogram { place: place.to_owned(), error })
}
