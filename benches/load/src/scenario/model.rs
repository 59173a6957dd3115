//! A scenario that was read and found right.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::answer::{Pattern, Place};
use super::curve::Curve;
use super::generator::Generator;
use super::template::{Slot, Template};
use crate::rng::Rng;
use crate::summary::Condition;

/// What to run, and what must hold afterwards.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it shows, for people.
    pub description: String,
    /// Every named value; a [`Slot`] is an index into it.
    pub names: Vec<Name>,
    /// Where an answer that is no success says what kind it is.
    pub code: Option<Place>,
    /// Where an answer says that it was given before.
    pub replayed: Option<Place>,
    /// A digest of the text it was read from, and of what was changed in it.
    pub hash: String,
    /// The same before its load was scaled: of the text, and of what its variables were set to.
    pub file_hash: String,
    /// What is done once, before the load.
    pub setup: Vec<Step>,
    /// What people do; each start draws one by weight.
    pub flows: Vec<Flow>,
    /// How many of them, when.
    pub load: Load,
    /// Conditions that must hold for the run to pass.
    pub thresholds: Vec<Condition>,
    /// What is left of the stock, asked while the run goes on.
    pub stock: Option<StockWatch>,
    /// What the server publishes of itself.
    pub server: ServerWatch,
    /// What is checked when the load is over.
    pub audit: Audit,
}

impl Scenario {
    /// The same with its load [scaled](Load::scaled).
    ///
    /// # Errors
    /// If no load is left.
    pub fn scaled(self, rates: f64, times: f64) -> Result<Self, String> {
        let load = self.load.scaled(rates, times)?;
        let hash = if (rates, times) == (1.0, 1.0) {
            self.hash
        } else {
            digest(&format!("{} {rates} {times}", self.hash))
        };
        Ok(Self { load, hash, ..self })
    }
}

/// Sixteen hexadecimal digits that differ when `text` does.
pub(super) fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().chars().take(16).collect()
}

/// A named value.
#[derive(Clone, Debug)]
pub struct Name {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// `[variables]`, or `--set`.
    Constant(String),
    /// The command line.
    Builtin(Builtin),
    /// Drawn for each flow.
    Drawn(Generator),
    /// Captured from an answer of a set-up step.
    SetUp,
    /// Captured from an answer of the same flow or audit.
    Captured,
    /// How many answers a step had that count, for the audit: the name of the step.
    Count(String),
    /// The sum of a value over all answers that were kept, for the audit: the name of the step, and the value.
    Sum(String, Slot),
}

/// Values that every scenario has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// The run's id: makes names of this run's own.
    Run,
    /// The seed.
    Seed,
    /// `--api-key`.
    ApiKey,
    /// Counts the repetitions of a step, from 0.
    Index,
}

/// A way through the shop.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its name.
    pub name: String,
    /// How often it is drawn, in relation to the others.
    pub weight: u32,
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// What it draws when it starts: the values that its steps use.
    pub draws: Vec<Slot>,
}

/// One request, and what is done with its answer.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name; steps of one name are counted together.
    pub name: String,
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: Template,
    /// All headers but `host` and `content-length`.
    pub headers: Vec<(String, Template)>,
    /// The body, if there is one.
    pub body: Option<Template>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// What counts as a success.
    pub expect: Vec<Pattern>,
    /// What counts as a proper no; empty for what usually does.
    pub refused: Vec<Pattern>,
    /// What is taken from a success.
    pub captures: Vec<(Slot, Place)>,
    /// What must hold of a success.
    pub checks: Vec<Check>,
    /// How long to wait before it.
    pub think: Option<Pause>,
    /// In how many of all cases it is done at all, 0 to 1.
    pub chance: f64,
    /// How often it is sent at the same moment.
    pub copies: u8,
    /// How often it is done, one after the other.
    pub repeat: u32,
    /// Generated values that are drawn anew each time.
    pub draw: Vec<Slot>,
    /// Whether the flow goes on when it is no success.
    pub optional: bool,
    /// When it is sent again.
    pub retry: Option<Retry>,
    /// What the audit learns of it.
    pub record: Option<Role>,
    /// Values that are kept of each success, for the audit.
    pub keep: Vec<Slot>,
    /// In the audit: done for each success of this step, with the values that it kept.
    pub each: Option<String>,
}

impl Step {
    /// All values that it needs to be sent.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        let headers = self.headers.iter().flat_map(|(_, value)| value.slots());
        self.path.slots().chain(headers).chain(self.body.iter().flat_map(Template::slots))
    }

    /// All values that its answer is compared with.
    pub fn checked_slots(&self) -> impl Iterator<Item = Slot> {
        self.checks.iter().flat_map(Check::slots)
    }
}

/// What must hold of an answer.
#[derive(Clone, Debug)]
pub struct Check {
    /// What a failure is called.
    pub name: String,
    /// What is looked at.
    pub subject: Subject,
    /// What it must be.
    pub test: Test,
}

impl Check {
    fn slots(&self) -> impl Iterator<Item = Slot> {
        let summed = match &self.subject {
            Subject::Sum(parts) => parts.as_slice(),
            Subject::Place(_) => &[],
        };
        let compared = match &self.test {
            Test::Equals(text) | Test::Contains(text) | Test::AtLeast(text) | Test::AtMost(text) => {
                Some(text)
            }
            Test::Exists(_) => None,
        };
        summed.iter().chain(compared).flat_map(Template::slots)
    }
}

/// What a check looks at.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Something in the answer.
    Place(Place),
    /// A sum of decimal numbers.
    Sum(Vec<Template>),
}

/// What a check asks of its subject. Numbers are compared as decimals, whatever their form.
#[derive(Clone, Debug)]
pub enum Test {
    /// The same number, or the same text.
    Equals(Template),
    /// A text with this in it.
    Contains(Template),
    /// A number, not less.
    AtLeast(Template),
    /// A number, not more.
    AtMost(Template),
    /// There at all, or not.
    Exists(bool),
}

/// A wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pause {
    /// Always the same.
    Fixed(Duration),
    /// All between two ends alike likely.
    Between(Duration, Duration),
    /// Exponentially distributed around a mean.
    Exponential(Duration),
}

impl Pause {
    /// A wait of this kind.
    pub fn draw(self, rng: &mut Rng) -> Duration {
        match self {
            Self::Fixed(pause) => pause,
            Self::Between(from, to) => from + (to - from).mul_f64(super::generator::unit(rng)),
            // Beyond 20 means there is one of 500 million.
            Self::Exponential(mean) => {
                mean.mul_f64((-(1.0 - super::generator::unit(rng)).ln()).clamp(0.0, 20.0))
            }
        }
    }
}

/// When a request is sent again.
#[derive(Clone, Debug)]
pub struct Retry {
    /// After which answers.
    pub on: Vec<Pattern>,
    /// How often at most.
    pub most: u32,
    /// How long to wait before the first time.
    pub wait: Duration,
    /// How the wait grows from time to time.
    pub growth: f64,
    /// The longest wait; `Retry-After` counts up to it too.
    pub longest: Duration,
}

/// What the audit of kind `relampago` learns of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Puts a product on sale: `sku` and `stock_quantity` of the request.
    Stock,
    /// Fills a cart: the `items` of the answer are what its order must have.
    Cart,
    /// Makes an order under an `idempotency-key`.
    Order,
    /// Pays the order in `order_id` of the request.
    Payment,
    /// Cancels the order of the answer.
    Cancel,
}

/// How much load.
#[derive(Clone, Debug)]
pub struct Load {
    /// How flows start.
    pub shape: Shape,
    /// Connections, over all threads.
    pub connections: usize,
    /// How long flows run before they count.
    pub warm_up: Duration,
    /// How long flows that have started may take when no more start.
    pub drain: Duration,
}

/// How flows start.
#[derive(Clone, Debug)]
pub enum Shape {
    /// When they are due, whatever the server does.
    Open {
        /// How they are spread.
        arrivals: Arrivals,
        /// How many, when.
        curve: Curve,
    },
    /// When one of so many clients has ended the last.
    Closed {
        /// How many.
        clients: u32,
        /// For how long.
        duration: Duration,
        /// At most so many flows in all.
        flows: Option<u64>,
    },
}

/// Clients of a closed loop.
pub(super) const MOST_CLIENTS: u32 = 1_000_000;

/// What the rates and moments of a plan may be multiplied by.
pub const FACTORS: RangeInclusive<f64> = 0.001..=1000.0;

impl Load {
    /// How long flows start, without the warm-up.
    pub fn duration(&self) -> Duration {
        match &self.shape {
            Shape::Open { curve, .. } => curve.duration(),
            Shape::Closed { duration, .. } => *duration,
        }
    }

    /// The same with every rate and the number of clients times `rates`, and every moment times `times`.
    ///
    /// # Errors
    /// If no load is left.
    pub fn scaled(&self, rates: f64, times: f64) -> Result<Self, String> {
        if [rates, times].iter().any(|factor| !FACTORS.contains(factor)) {
            return Err(format!("a plan is scaled by {} to {}", FACTORS.start(), FACTORS.end()));
        }
        let refused = |problem| format!("rates times {rates} and moments times {times}: {problem}");
        let shape = match &self.shape {
            Shape::Open { arrivals, curve } => {
                let curve = curve.scaled(rates, times).map_err(refused)?;
                Shape::Open { arrivals: *arrivals, curve }
            }
            Shape::Closed { clients, .. } if f64::from(*clients) * rates > f64::from(MOST_CLIENTS) => {
                return Err(refused(format!("a closed loop has at most {MOST_CLIENTS} clients")));
            }
            Shape::Closed { clients, duration, flows } => Shape::Closed {
                clients: ((f64::from(*clients) * rates).round() as u32).max(1),
                duration: duration.mul_f64(times),
                flows: *flows,
            },
        };
        Ok(Self { shape, warm_up: self.warm_up.mul_f64(times), ..self.clone() })
    }
}

/// How the starts of an open loop are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// As independent people come.
    Poisson,
    /// At equal distances.
    Constant,
}

/// How the stock is watched.
#[derive(Clone, Debug)]
pub struct StockWatch {
    /// Asks for one sku.
    pub step: Step,
    /// What it is called.
    pub sku: Template,
    /// Where in the answer its units stand.
    pub available: Place,
    /// How often it is asked.
    pub every: Duration,
}

/// What the server publishes of itself.
#[derive(Clone, Debug, Default)]
pub struct ServerWatch {
    /// Asks for its version, and where in the answer it stands.
    pub version: Option<(Step, Place)>,
    /// Asks for its metrics in Prometheus' text form.
    pub metrics: Option<Step>,
    /// A growing sum and a growing count whose quotient is the size of a batch.
    pub batch_size: Option<[String; 2]>,
    /// The same of the seconds that a wait for the disk takes.
    pub fsync_seconds: Option<[String; 2]>,
    /// A figure that says how much waits.
    pub queue_depth: Option<String>,
}

/// What is checked when the load is over.
#[derive(Clone, Debug, Default)]
pub enum Audit {
    /// Nothing.
    #[default]
    None,
    /// The books of a shop with our interface, read with the API key.
    Relampago {
        /// How long what may lag has time.
        patience: Duration,
    },
    /// Steps of the file.
    Steps {
        /// The steps.
        steps: Vec<Step>,
        /// How long they may fail before they have failed.
        patience: Duration,
    },
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_plan_is_scaled_by_sensible_factors() {
        let curve = Curve::flat(10.0, Duration::from_secs(4)).unwrap();
        let shape = Shape::Open { arrivals: Arrivals::Constant, curve };
        let load = Load { shape, connections: 1, warm_up: Duration::ZERO, drain: Duration::ZERO };
        let scaled = load.scaled(2.0, 0.5).unwrap();
        assert_eq!(scaled.duration(), Duration::from_secs(2));
        for (rates, times) in
            [(f64::NAN, 1.0), (1.0, f64::NAN), (1.0, 1e300), (f64::INFINITY, 1.0), (-1.0, 1.0), (1.0, 0.0)]
        {
            assert!(load.scaled(rates, times).is_err(), "{rates} {times}");
        }
        assert!(Curve::flat(1e12, Duration::from_secs(1)).is_err());
        let refused = load.scaled(1000.0, 1.0).and_then(|load| load.scaled(1000.0, 1.0)).unwrap_err();
        assert!(refused.starts_with("rates times 1000 and moments times 1: a rate is a number"), "{refused}");
        let shape = Shape::Closed { clients: 2_000, duration: Duration::from_secs(1), flows: None };
        let closed = Load { shape, ..load };
        assert!(closed.scaled(500.0, 1.0).is_ok());
        let refused = closed.scaled(501.0, 1.0).unwrap_err();
        assert!(refused.ends_with("a closed loop has at most 1000000 clients"), "{refused}");
    }
}
