#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// One request of a made-up run, in microseconds from second zero.
#[derive(Clone, Debug)]
struct Asked {
    step: u16,
    status: u16,
    intended: u64,
    late: u64,
    latency: u64,
}

const STEPS: [&str; 2] = ["buy", "pay"];

fn clock(warm_up: Duration) -> Clock {
    Clock { epoch: Instant::now(), warm_up }
}

fn nothing(warm_up: Duration) -> Recorded {
    Recorded::new(STEPS.map(str::to_owned), warm_up)
}

fn tell(recorder: &mut Recorder, clock: Clock, asked: &Asked) {
    let at = |microseconds| clock.epoch + Duration::from_micros(microseconds);
    let (sent, finished) = (at(asked.intended + asked.late), at(asked.intended + asked.late + asked.latency));
    let outcome = match asked.status {
        0 => Outcome::Timeout,
        409 => Outcome::Status { status: 409, code: Some("out_of_stock") },
        status => Outcome::Status { status, code: None },
    };
    recorder.started(StepId(asked.step), sent);
    let times = Times { intended: at(asked.intended), due: at(asked.intended), sent, finished };
    recorder.answered(StepId(asked.step), &outcome, outcome.usual_kind(), times);
}

/// What one worker recorded that saw `requests` and handed over after every `each`.
fn worker(clock: Clock, requests: &[Asked], each: usize) -> Recorded {
    let mut recorded = nothing(clock.warm_up);
    let mut recorder = Recorder::new(STEPS.len(), clock);
    for part in requests.chunks(each) {
        part.iter().for_each(|asked| tell(&mut recorder, clock, asked));
        recorded.absorb(&recorder);
        recorder.clear();
    }
    recorded
}

fn sum(parts: &[&Recorded]) -> Recorded {
    let mut sum = nothing(parts[0].warm_up);
    parts.iter().for_each(|part| sum.merge(part).unwrap());
    sum
}

fn assert_same(a: &Recorded, b: &Recorded) {
    assert_eq!(a.lateness_us, b.lateness_us);
    assert_eq!(a.seconds, b.seconds);
    for (a, b) in a.steps.iter().zip(&b.steps) {
        assert_eq!((&a.name, &a.outcomes), (&b.name, &b.outcomes));
    }
}

fn requests() -> impl Strategy<Value = Vec<Asked>> {
    let statuses = prop::sample::select(vec![201_u16, 201, 409, 503, 500, 0]);
    let one = (0_u16..2, statuses, 0_u64..9_000_000, 0_u64..3_000, 1_u64..5_000_000);
    let one = one.prop_map(|(step, status, intended, late, latency)| Asked {
        step,
        status,
        intended,
        late,
        latency,
    });
    prop::collection::vec(one, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parts_add_up_in_any_order_and_however_often_they_are_handed_over(
        (a, b, c) in (requests(), requests(), requests()), each in 1_usize..20
    ) {
        let clock = clock(Duration::from_secs(2));
        let parts = [&a, &b, &c].map(|requests| worker(clock, requests, each));
        let [a_part, b_part, c_part] = [&parts[0], &parts[1], &parts[2]];
        let left = sum(&[&sum(&[a_part, b_part]), c_part]);
        let right = sum(&[a_part, &sum(&[c_part, b_part])]);
        assert_same(&left, &right);

        let all: Vec<Asked> = [a, b, c].concat();
        assert_same(&left, &worker(clock, &all, usize::MAX));
    }

    #[test]
    fn every_request_is_counted_once(requests in requests(), each in 1_usize..20) {
        let recorded = worker(clock(Duration::from_secs(3)), &requests, each);
        let warm = requests.iter().filter(|asked| asked.intended >= 3_000_000).count() as u64;
        let counted: u64 = Kind::ALL.iter().map(|&kind| recorded.count(kind)).sum();
        prop_assert_eq!(counted, warm);
        prop_assert_eq!(recorded.lateness_us.len(), warm);
        let all = requests.len() as u64;
        let finished: u64 =
            recorded.seconds.values().map(|second| Kind::ALL.map(|kind| second.finished(kind)).iter().sum::<u64>()).sum();
        prop_assert_eq!(finished, all);
        prop_assert_eq!(recorded.seconds.values().map(SecondRecorded::started).sum::<u64>(), all);
        // All of these outcomes are waited for.
        prop_assert_eq!(recorded.seconds.values().map(|second| second.latency().len()).sum::<u64>(), all);
    }

    #[test]
    fn a_percentile_of_the_sum_lies_between_those_of_the_parts(
        a in requests(), b in requests(), quantile in 0.0_f64..=1.0
    ) {
        let clock = clock(Duration::ZERO);
        let (a, b) = (worker(clock, &a, 7), worker(clock, &b, 7));
        let sum = sum(&[&a, &b]);
        let of_run = |part: &Recorded| part.latency_us().value_at_quantile(quantile);
        let (low, high) = (of_run(&a).min(of_run(&b)), of_run(&a).max(of_run(&b)));
        prop_assert!((low..=high).contains(&of_run(&sum)), "{low} {} {high}", of_run(&sum));

        let of_seconds = |part: &Recorded| {
            let mut all = Counts::default();
            part.seconds.values().for_each(|second| all.merge(&second.latency()));
            all.quantile(quantile).unwrap()
        };
        let (low, high) = (of_seconds(&a).min(of_seconds(&b)), of_seconds(&a).max(of_seconds(&b)));
        prop_assert!((low..=high).contains(&of_seconds(&sum)));
        // The seconds tell the same as the run, to their two digits.
        let apart = (of_seconds(&sum) as f64 / of_run(&sum) as f64 - 1.0).abs();
        prop_assert!(apart < 0.02, "{} {}", of_seconds(&sum), of_run(&sum));
    }

    #[test]
    fn a_second_survives_its_text_form(requests in requests()) {
        let recorded = worker(clock(Duration::ZERO), &requests, 9);
        for counts in recorded.seconds.values().map(SecondRecorded::latency) {
            let text = serde_json::to_string(&counts).unwrap();
            prop_assert_eq!(serde_json::from_str::<Counts>(&text).unwrap(), counts);
        }
    }
}

#[test]
fn latency_counts_from_the_intended_start_and_lateness_is_the_generator_s_part() {
    let clock = clock(Duration::ZERO);
    let asked = Asked { step: 0, status: 201, intended: 1_900_000, late: 300_000, latency: 500_000 };
    let recorded = worker(clock, &[asked], 1);
    assert_eq!(recorded.latency_us().value_at_quantile(0.5) / 1_000, 800);
    assert_eq!(recorded.lateness_us.value_at_quantile(0.5) / 1_000, 300);
    // It went out and ended in the third second, though it was meant for the second one.
    assert_eq!(recorded.seconds.keys().collect::<Vec<_>>(), [&2]);
    assert_eq!(recorded.seconds[&2].lateness_max_us, 300_000);
}

#[test]
fn a_dead_server_does_not_look_fast() {
    let clock = clock(Duration::ZERO);
    let mut recorder = Recorder::new(1, clock);
    let at = |milliseconds| clock.epoch + Duration::from_millis(milliseconds);
    for (outcome, milliseconds) in [(Outcome::Connect, 1), (Outcome::Reset, 1), (Outcome::Timeout, 900)] {
        let times = Times { intended: at(0), due: at(0), sent: at(0), finished: at(milliseconds) };
        recorder.answered(StepId(0), &outcome, Kind::Failed, times);
    }
    let mut recorded = Recorded::new(["buy".to_owned()], Duration::ZERO);
    recorded.absorb(&recorder);
    assert_eq!(recorded.count(Kind::Failed), 3);
    assert_eq!(recorded.latency_us().len(), 1);
    assert_eq!(recorded.seconds[&0].latency().quantile(0.01).unwrap() / 10_000, 90);
    assert_eq!(recorded.steps[0].outcomes.len(), 3);
}

#[test]
fn a_server_that_invents_codes_fills_no_memory() {
    let clock = clock(Duration::ZERO);
    let mut recorder = Recorder::new(1, clock);
    let times = Times { intended: clock.epoch, due: clock.epoch, sent: clock.epoch, finished: clock.epoch };
    for number in 0..1_000 {
        let code = format!("code_{number}");
        let outcome = Outcome::Status { status: 400, code: Some(&code) };
        recorder.answered(StepId(0), &outcome, Kind::Refused, times);
    }
    let mut recorded = Recorded::new(["buy".to_owned()], Duration::ZERO);
    recorded.absorb(&recorder);
    assert_eq!(recorded.count(Kind::Refused), 1_000);
    assert_eq!(recorded.steps[0].outcomes.len(), 65);
    assert!(
        recorded.steps[0]
            .outcomes
            .iter()
            .any(|outcome| outcome.label == "other refused" && outcome.count() == 936)
    );
}

#[test]
fn a_worker_that_was_held_up_has_room_for_its_seconds() {
    let clock = clock(Duration::ZERO);
    let requests: Vec<Asked> = (0..20)
        .map(|second| Asked { step: 1, status: 201, intended: second * 1_000_000, late: 0, latency: 10 })
        .collect();
    let recorded = worker(clock, &requests, usize::MAX);
    assert_eq!(recorded.seconds.len(), 20);
    assert!(recorded.seconds.values().all(|second| second.steps[1].finished == [1, 0, 0, 0]));
}

#[test]
fn parts_of_other_runs_are_refused_and_nothing_is_added() {
    let mut own = nothing(Duration::ZERO);
    let other = Recorded::new(["buy".to_owned()], Duration::ZERO);
    assert!(matches!(own.merge(&other), Err(MergeError::Steps(..))));
    assert!(matches!(own.merge(&nothing(Duration::from_secs(1))), Err(MergeError::WarmUp(..))));
}

#[test]
fn counts_of_nothing_have_no_percentile() {
    assert_eq!(Counts::default().quantile(0.5), None);
    assert_eq!(serde_json::to_string(&Counts::default()).unwrap(), r#""""#);
    assert!(serde_json::from_str::<Counts>(r#""nonsense""#).is_err());
}
