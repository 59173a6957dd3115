//! `relampago check` and `inspect` on the data folder of a real shop: one that stopped, one that was killed, and
//! ones that somebody has laid hands on.

mod backup;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use serde_json::Value;

use crate::api::{cancel, expect, order, pay, post, product, text};
use crate::support::{Shop, binary};

/// Snapshots at once, and small chunks: a short sale fills several.
const QUICK: [(&str, &str); 3] = [
    ("ENGINE__SNAPSHOT_INTERVAL", "50ms"),
    ("JOURNAL__SLED_SEGMENT_BYTES", "512KiB"),
    ("JOURNAL__SEGMENT_BYTES", "1MiB"),
];

fn run(arguments: &[&str], dir: &Path, rest: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).arg(dir).args(rest);
    command.output().expect("run the tool")
}

fn check(dir: &Path) -> (Option<i32>, String) {
    let output = run(&["check"], dir, &[]);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("text"))
}

fn check_json(dir: &Path) -> Value {
    let output = run(&["check"], dir, &["--json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn inspect(dir: &Path, kind: &str, id: &str) -> (Option<i32>, Value) {
    let output = run(&["inspect"], dir, &[kind, id]);
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

/// Runs a tool whose reader goes away before it has said anything.
fn unread(arguments: &[&str], dir: &Path, rest: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).arg(dir).args(rest).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tool = command.spawn().expect("run the tool");
    drop(tool.stdout.take());
    tool.wait_with_output().expect("the tool ends")
}

/// Every file with its size, its time and what it says.
fn contents(dir: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let changed = path.metadata().unwrap().modified().unwrap();
            found.insert(path.clone(), (changed, fs::read(&path).unwrap()));
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { fs::copy(&path, &target).map(drop).unwrap() }
    }
}

/// The largest file below a folder.
fn largest(dir: &Path) -> PathBuf {
    let files = contents(dir);
    files.into_iter().max_by_key(|(_, (_, bytes))| bytes.len()).expect("a file").0
}

/// Turns over the bits of a file's bytes from `from` on, as many as there are up to `count`.
fn damage(path: &Path, from: usize, count: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes.iter_mut().skip(from).take(count).for_each(|byte| *byte = !*byte);
    fs::write(path, bytes).unwrap();
}

/// A shop that has sold: orders that stand, that are paid, cancelled and refused. The last order that was placed.
async fn sell(shop: &Shop) -> Value {
    product(&mut shop.staff(), "BOLT", "19.99", 60).await;
    product(&mut shop.staff(), "SPARK", "4.99", 1_000).await;
    let mut guest = shop.guest();
    let mut last = Value::Null;
    for number in 0..40 {
        last = order(&mut guest, if number % 2 == 0 { "BOLT" } else { "SPARK" }, 2).await;
        match number % 4 {
            1 => drop(expect(&pay(&mut guest, &last, "tok_approve").await, 201)),
            2 => drop(expect(&cancel(&mut guest, &last).await, 200)),
            _ => {}
        }
    }
    last
}

/// Stops the shop so that all of its journal but the newest chunk is in the archive: a drain cuts what a start has
/// taken into sled.
async fn fill_archive(shop: &mut Shop) {
    shop.terminate().await;
    shop.start_closed().await;
    shop.terminate().await;
}

#[tokio::test]
async fn a_shop_that_was_stopped_or_killed_is_in_order_and_stays_as_it_is() {
    let mut shop = Shop::open(&QUICK).await;
    let last = sell(&shop).await;
    let (code, text_in_use) = check(shop.data());
    assert_eq!(code, Some(2), "{text_in_use}");
    assert!(text_in_use.contains("is held by another process"), "{text_in_use}");
    assert_eq!(inspect(shop.data(), "order", text(&last, "id")).0, Some(2));

    for killed in [true, false] {
        if killed {
            shop.kill().await;
        } else {
            shop.start().await;
            order(&mut shop.guest(), "SPARK", 1).await;
            shop.terminate().await;
        }
        let before = contents(shop.data());
        let report = check_json(shop.data());
        assert_eq!(report["faults"], Value::Array(Vec::new()), "{report:#}");
        let (code, table) = check(shop.data());
        assert_eq!(code, Some(0), "{table}");
        for (tool, rest) in [("check", &[][..]), ("inspect", &["order", text(&last, "id")])] {
            let output = unread(&[tool], shop.data(), rest);
            assert!(output.status.success() && output.stderr.is_empty(), "{tool}: {output:?}");
        }
        assert!(contents(shop.data()) == before, "the check has changed the folder");
        let beside = fs::read_dir(shop.data().parent().unwrap()).unwrap();
        let left = beside.filter(|entry| entry.as_ref().unwrap().file_name() != "data");
        assert!(left.map(|entry| entry.unwrap().file_name()).all(|name| name == "server.log"));

        let stock = &report["stock"];
        let (held, sold) = (if killed { 40 } else { 41 }, 20);
        assert_eq!((stock["held"].as_i64(), stock["held_by_orders"].as_i64()), (Some(held), Some(held)));
        assert_eq!((stock["sold"].as_i64(), stock["sold_by_orders"].as_i64()), (Some(sold), Some(sold)));
        assert_eq!(stock["oversold"].as_i64(), Some(0));
        assert_eq!(report["events"]["first"], 1, "{report:#}");
        assert!(killed || report["snapshots"]["compared"].as_u64() > Some(40), "{report:#}");
    }
}

#[tokio::test]
async fn damage_is_named() {
    let mut shop = Shop::open(&QUICK).await;
    sell(&shop).await;
    fill_archive(&mut shop).await;
    let scratch = shop.data().parent().unwrap().join("hurt");
    let hurt = |name: &str, how: &dyn Fn(&Path)| {
        let dir = scratch.join(name);
        copy(shop.data(), &dir);
        how(&dir);
        let (code, found) = check(&dir);
        fs::remove_dir_all(&dir).unwrap();
        (code, found)
    };
    let half = |path: &Path| fs::metadata(path).unwrap().len() as usize / 2;
    type How<'a> = &'a dyn Fn(&Path);
    let cases: [(&str, How<'_>, &str); 10] = [
        ("identity", &|dir| damage(&dir.join("identity"), 20, 1), "identity"),
        ("no identity", &|dir| fs::remove_file(dir.join("identity")).unwrap(), "identity"),
        ("journal", &|dir| damage(&dir.join("journal/db"), 0, usize::MAX), "/journal"),
        ("no journal", &|dir| fs::remove_dir_all(dir.join("journal")).unwrap(), "/journal"),
        ("snapshots", &|dir| damage(&dir.join("snapshots/db"), 0, usize::MAX), "/snapshots"),
        ("mark", &|dir| damage(&dir.join("journal.mark"), 0, usize::MAX), "journal.mark"),
        (
            "archive",
            &|dir| {
                let file = largest(&dir.join("archive"));
                damage(&file, half(&file), 1);
            },
            "archive/",
        ),
        ("vault", &|dir| fs::remove_file(dir.join("vault")).unwrap(), "vault"),
        ("key ring", &|dir| damage(&dir.join("keys.json"), 80, 1), "keys.json"),
        ("no snapshots", &|dir| fs::remove_dir_all(dir.join("snapshots")).unwrap(), "/snapshots"),
    ];
    for (name, how, expected) in cases {
        let (code, found) = hurt(name, how);
        assert_eq!(code, Some(1), "{name}: {found}");
        let fault = found.lines().find(|line| line.starts_with("fault: ")).unwrap_or_default();
        assert!(fault.contains(expected) && fault.contains(&format!("/{name}/")), "{name}: {found}");
        assert!(fault.contains("restore"), "{name}: no remedy in {found}");
        // What follows from a fault is not told as another.
        assert!(!found.contains("the program that wrote it"), "{name}: {found}");
    }
    let (code, found) = check(&scratch.join("nothing"));
    assert_eq!(code, Some(2), "{found}");
}

#[tokio::test]
async fn a_damaged_record_of_the_log_is_named() {
    // Nothing leaves the log meanwhile.
    let mut shop = Shop::open(&[("JOURNAL__FEED_INTERVAL", "10s"), ("JOURNAL__SEGMENT_BYTES", "1MiB")]).await;
    product(&mut shop.staff(), "BOLT", "19.99", 60).await;
    for _ in 0..5 {
        order(&mut shop.guest(), "BOLT", 1).await;
    }
    shop.kill().await;
    let segments = contents(&shop.data().join("wal"));
    let record = |bytes: &[u8]| bytes.chunks(4096).skip(1).any(|block| block.iter().any(|byte| *byte != 0));
    let (segment, _) = segments.iter().find(|(_, (_, bytes))| record(bytes)).expect("a segment in use");
    // The first record behind the header; many follow.
    damage(segment, 4096 + 64, 16);
    let (code, found) = check(shop.data());
    assert_eq!(code, Some(1), "{found}");
    assert!(found.contains("wal/segment-") && found.contains("a record is invalid"), "{found}");
}

#[tokio::test]
async fn an_entity_is_shown_with_its_events_and_nothing_personal() {
    let mut shop = Shop::open(&QUICK).await;
    product(&mut shop.staff(), "BOLT", "19.99", 60).await;
    let body = serde_json::json!({
        "items": [{ "sku": "BOLT", "quantity": 3 }], "email": "ana@example.com"
    });
    let placed = expect(&post(&mut shop.guest(), "/api/v1/orders", body).await, 201);
    shop.terminate().await;

    let (code, shown) = inspect(shop.data(), "order", text(&placed, "id"));
    assert_eq!(code, Some(0), "{shown:#}");
    assert_eq!(shown["id"], placed["id"]);
    assert_eq!(shown["state"]["view"]["status"], "Created", "{shown:#}");
    assert_eq!(shown["state"]["stock"][0]["standing"], "Held", "{shown:#}");
    assert_eq!(shown["snapshot"]["covers"], shown["last_event"], "{shown:#}");
    let events = shown["events"].as_array().unwrap();
    assert!(
        events[0]["event"]["Opened"].is_object() && events[1]["event"]["Placed"].is_object(),
        "{shown:#}"
    );
    assert!(events[0]["sequence"].as_u64() < events[1]["sequence"].as_u64(), "{shown:#}");
    assert!(events[0]["at"].as_str().unwrap().ends_with('Z'), "{shown:#}");
    assert!(!shown.to_string().contains("ana@example.com"), "{shown:#}");

    let (code, stock) = inspect(shop.data(), "inventory", "BOLT");
    assert_eq!(code, Some(0), "{stock:#}");
    assert_eq!((&stock["state"]["available"], &stock["state"]["reserved"]), (&57.into(), &3.into()));
    assert_eq!(stock["events"][1]["event"]["Reserved"]["hold"]["order"], placed["id"], "{stock:#}");

    assert_eq!(inspect(shop.data(), "order", "00000000-0000-0000-0000-000000000000").0, Some(1));
    assert_eq!(inspect(shop.data(), "inventory", "NOTHING").0, Some(1));
}
