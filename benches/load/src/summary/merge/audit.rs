//! What the audits of several generators come to.

use std::collections::BTreeMap;

use crate::summary::Summary;
use crate::summary::document::{Audit, AuditCheck, AuditState, PartLedger};
use crate::summary::text::listed;

/// Why the books of several generators are not judged by adding up what each found.
const NOT_AS_A_WHOLE: &str = "each part found right what it knows, and nobody looked at the books of the whole: merge with --url and --api-key";
/// The same of an audit by steps.
const STEPS_NEED_ALL: &str = "steps of the audit take what all generators did, and none of them knows it: merge with --url and --scenario";
/// What a merge cannot make up for.
const NEEDS_ONE: &str =
    "steps of the audit take what the first generator alone was told: run this scenario on one";

/// Each generator audits what it knows: a check fails when it failed for one, and passes when it passed for all.
pub(super) fn merged_audit(parts: &[Summary]) -> Audit {
    if let [only] = parts {
        return only.audit.clone();
    }
    let checks = merged_checks(parts);
    let ledger = parts.iter().find_map(|part| part.ledger.as_ref());
    let state = match merged_state(parts) {
        // Steps of which each part judged its own leave nothing to the whole.
        AuditState::Part if ledger.is_none() && checks.iter().all(|check| check.passed.is_some()) => {
            AuditState::Made
        }
        state => state,
    };
    let reason = match state {
        AuditState::None | AuditState::Made => None,
        AuditState::Part => Some(match ledger {
            Some(ledger) if ledger.steps.is_some() => STEPS_NEED_ALL.to_owned(),
            Some(_) => NOT_AS_A_WHOLE.to_owned(),
            None => NEEDS_ONE.to_owned(),
        }),
        AuditState::CutShort | AuditState::NotMade => Some(reasons_of(parts, state)),
    };
    Audit { state, reason, checks }
}

/// What all parts know together.
pub(super) fn merged_ledger(parts: &[Summary]) -> Option<PartLedger> {
    let mut ledgers = parts.iter().filter_map(|part| part.ledger.as_ref());
    let mut whole = ledgers.next()?.clone();
    ledgers.for_each(|other| whole.add(other));
    Some(whole)
}

fn merged_checks(parts: &[Summary]) -> Vec<AuditCheck> {
    let mut checks: Vec<AuditCheck> = Vec::new();
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for check in parts.iter().flat_map(|part| &part.audit.checks) {
        let Some(&index) = found.get(check.name.as_str()) else {
            found.insert(&check.name, checks.len());
            checks.push(check.clone());
            continue;
        };
        let own = &mut checks[index];
        own.passed = worse(own.passed, check.passed);
        if !own.detail.split("; ").any(|detail| detail == check.detail) {
            own.detail = format!("{}; {}", own.detail, check.detail);
        }
    }
    checks
}

fn worse(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// The state of the audit that came least far.
fn merged_state(parts: &[Summary]) -> AuditState {
    let states = || parts.iter().map(|part| part.audit.state);
    let least = [AuditState::NotMade, AuditState::CutShort, AuditState::Part];
    let least = least.into_iter().find(|least| states().any(|state| state == *least));
    least.or_else(|| states().next()).unwrap_or_default()
}

/// Why the audits of some parts ended in `state`.
fn reasons_of(parts: &[Summary], state: AuditState) -> String {
    let of_state = parts.iter().filter(|part| part.audit.state == state);
    let told = of_state.map(|part| {
        let reason = part.audit.reason.as_deref().unwrap_or("no reason given");
        format!("generator {}: {reason}", listed(&part.run.parts.present))
    });
    told.collect::<Vec<_>>().join("; ")
}
