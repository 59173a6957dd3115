//! `relampago check`: whether a data folder is in order.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use relampago_engine::{CheckReport, check};
use serde_json::{Value, json};

use super::{REFUSED, print};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The data folder
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Where the private copy lies that is read in place of the folder; beside the folder if not given
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// The key ring, which is checked too; the one in the data folder, if there is one, unless another is named
    #[arg(long, value_name = "FILE")]
    key_ring: Option<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// Checks and prints; faults give exit code 1, what cannot be checked 2.
pub(super) fn run(options: &Options) -> Result<ExitCode> {
    let report = match check(&options.dir, options.scratch.as_deref(), options.key_ring.as_deref()) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("relampago: cannot check {}: {error}", options.dir.display());
            return Ok(REFUSED.into());
        }
    };
    let text = if options.json { format!("{:#}\n", as_json(&report)) } else { as_table(&report) };
    print(&text)?;
    Ok(if report.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_table(report: &CheckReport) -> String {
    let (orders, stock, snapshots) = (&report.orders, &report.stock, &report.snapshots);
    let entities = report.entities.iter().filter(|(_, count)| *count > 0);
    let entities: Vec<String> = entities.map(|(kind, count)| format!("{count} {}", kind.name())).collect();
    let key_ring = match &report.key_ring {
        Some(ring) => ring.display().to_string(),
        None => "not in the folder; --key-ring names it".to_owned(),
    };
    let balance = |inventories: i64, orders: i64| format!("{inventories} by inventories, {orders} by orders");
    let rows = [
        ("journal", report.journal.clone()),
        ("events", format!("{} read, {} to {}", report.events, report.first, report.last)),
        ("entities", entities.join(", ")),
        (
            "snapshots",
            format!(
                "{} stored, {} compared with their events, {} older than the oldest event",
                snapshots.stored, snapshots.compared, snapshots.older
            ),
        ),
        (
            "orders",
            format!(
                "{} created, {} paid, {} cancelled, {} refused, {} opening",
                orders.created, orders.paid, orders.cancelled, orders.refused, orders.opening
            ),
        ),
        ("available units", format!("{} of {} skus", stock.available, stock.skus)),
        ("held units", balance(stock.held, stock.held_by_orders)),
        ("sold units", balance(stock.sold, stock.sold_by_orders)),
        ("oversold units", stock.oversold.to_string()),
        ("stranded units", stock.stranded.to_string()),
        ("difference", stock.difference.to_string()),
        ("keys of people", report.data_keys.to_string()),
        ("key ring", key_ring),
        ("faults", (report.faults.len() as u64 + report.more_faults).to_string()),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "{name:<16}  {value}");
    }
    if report.torn_record {
        text.push_str("note: the last record of the commit log is torn; it is dropped at the next start\n");
    }
    for fault in &report.faults {
        let remedy = if fault.remedy.is_empty() { String::new() } else { format!("; {}", fault.remedy) };
        let _infallible = writeln!(text, "fault: {}: {}{remedy}", fault.place, fault.what);
    }
    if report.more_faults > 0 {
        let _infallible = writeln!(text, "and {} more", report.more_faults);
    }
    text
}

fn as_json(report: &CheckReport) -> Value {
    let (orders, stock, snapshots) = (&report.orders, &report.stock, &report.snapshots);
    let entities: serde_json::Map<String, Value> =
        report.entities.iter().map(|(kind, count)| (kind.name().to_owned(), json!(count))).collect();
    let faults = report
        .faults
        .iter()
        .map(|fault| json!({ "place": fault.place, "what": fault.what, "remedy": fault.remedy }));
    json!({
        "journal": report.journal,
        "events": { "read": report.events, "first": report.first, "last": report.last },
        "entities": entities,
        "snapshots": {
            "stored": snapshots.stored, "compared": snapshots.compared, "older": snapshots.older,
        },
        "orders": {
            "created": orders.created, "paid": orders.paid, "cancelled": orders.cancelled,
            "refused": orders.refused, "opening": orders.opening,
        },
        "stock": {
            "skus": stock.skus, "available": stock.available,
            "held": stock.held, "held_by_orders": stock.held_by_orders,
            "sold": stock.sold, "sold_by_orders": stock.sold_by_orders,
            "oversold": stock.oversold, "stranded": stock.stranded, "difference": stock.difference,
        },
        "data_keys": report.data_keys,
        "key_ring": report.key_ring,
        "torn_record": report.torn_record,
        "faults": faults.collect::<Vec<Value>>(),
        "more_faults": report.more_faults,
    })
}
