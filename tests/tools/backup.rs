//! `relampago backup` of a shop that sells, and `relampago restore`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use relampago_load::Client;
use serde_json::Value;
use tokio::task::{JoinSet, spawn_blocking};

use super::{QUICK, check, check_json, damage, fill_archive, sell};
use crate::api::{commit, expect, get, inventory, key, order, product, purchase, send, text};
use crate::support::{API_KEY, Shop, binary, eventually, scratch};

/// Buys until it is told to stop; every order, with its position.
async fn buy_on(mut guest: Client, stop: Arc<AtomicBool>) -> Vec<(String, u64)> {
    let mut orders = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let answer = send(&mut guest, purchase("BULK", 1).key(&key())).await;
        let id = text(&expect(&answer, 201), "id").to_owned();
        orders.push((id, commit(&answer).1));
    }
    orders
}

fn backup(address: &str, to: &Path, rest: &[&str]) -> Output {
    let key_file = to.with_extension("key");
    fs::write(&key_file, format!("{API_KEY}\n")).unwrap();
    let mut command = Command::new(binary());
    command.args(["backup", "--url", &format!("http://{address}"), "--api-key-file"]).arg(&key_file);
    command.arg("--to").arg(to).args(rest);
    command.output().expect("run the tool")
}

fn restore(from: &Path, data: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(binary());
    let output = command.arg("restore").arg("--from").arg(from).arg("--data").arg(data).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[tokio::test]
async fn a_backup_under_load_holds_all_that_was_acknowledged_up_to_its_position() {
    const UNITS: i64 = 1_000_000;
    const SHOPPERS: usize = 8;
    let scratch = scratch();
    let (kept, data) = (scratch.path().join("backup"), scratch.path().join("restored"));
    let mut shop = Shop::open_alone(&QUICK).await;
    // A part of the journal is in the archive.
    sell(&shop).await;
    fill_archive(&mut shop).await;
    shop.start().await;
    product(&mut shop.staff(), "BULK", "19.99", UNITS).await;
    let (mut shoppers, stop) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
    for _ in 0..SHOPPERS {
        shoppers.spawn(buy_on(shop.guest(), Arc::clone(&stop)));
    }
    let sold = async |shop: &Shop, wanted: i64| {
        eventually("the shop sells", async || {
            let stock = inventory(&mut shop.staff(), "BULK").await;
            (stock.reserved >= wanted).then_some(stock.reserved)
        })
        .await
    };
    // Enough that a part of the journal was stored, and the log holds another.
    let before = sold(&shop, 500).await;
    let ring = shop.data().join("keys.json");
    let (address, to) = (shop.address().to_string(), kept.clone());
    let taken = spawn_blocking(move || backup(&address, &to, &["--key-ring", ring.to_str().unwrap()]));
    let output = taken.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    sold(&shop, before + 200).await;
    stop.store(true, Ordering::Release);
    let orders: Vec<(String, u64)> = shoppers.join_all().await.into_iter().flatten().collect();
    shop.kill().await;
    drop(shop);

    let manifest: Value = serde_json::from_slice(&fs::read(kept.join("manifest.json")).unwrap()).unwrap();
    let position = manifest["position"].as_u64().unwrap();
    let (inside, after): (Vec<_>, Vec<_>) = orders.iter().partition(|(_, at)| *at <= position);
    println!("position {position}: {} orders before, {} after", inside.len(), after.len());
    assert!(inside.len() as i64 + 64 >= before && !after.is_empty());

    let (code, said) = restore(&kept, &data);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("restored up to event {position}")), "{said}");
    let report = check_json(&data);
    assert_eq!(report["faults"], Value::Array(Vec::new()), "{report:#}");
    assert_eq!(report["events"]["first"], 1, "{report:#}");
    assert_eq!(report["events"]["last"].as_u64(), Some(position), "{report:#}");

    let mut shop = Shop::open_alone_at(&data, &QUICK).await;
    let mut guest = shop.guest();
    for (id, _) in &inside {
        assert_eq!(get(&mut guest, format!("/api/v1/orders/{id}")).await["status"], "created");
    }
    let stock = inventory(&mut shop.staff(), "BULK").await;
    assert_eq!((stock.stocked, stock.sold), (UNITS, 0));
    assert!(stock.reserved >= inside.len() as i64, "{stock:?}");
    // It goes on.
    order(&mut guest, "BULK", 1).await;
    shop.terminate().await;
    let (code, table) = check(&data);
    assert_eq!(code, Some(0), "{table}");
}

#[tokio::test]
async fn what_is_no_whole_backup_is_not_restored() {
    let scratch = scratch();
    let kept = scratch.path().join("backup");
    let mut shop = Shop::open(&QUICK).await;
    sell(&shop).await;
    let address = shop.address().to_string();
    let output = backup(&address, &kept, &[]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("personal data cannot be read") && !kept.join("keys.json").exists(), "{said}");
    let again = backup(&address, &kept, &[]);
    assert!(!again.status.success(), "an occupied folder was taken: {again:?}");
    shop.terminate().await;
    let gone = backup(&address, &scratch.path().join("none"), &[]);
    assert!(!gone.status.success() && !scratch.path().join("none/manifest.json").exists(), "{gone:?}");

    let data = |name: &str| scratch.path().join(name);
    let (code, said) = restore(&kept, shop.data());
    assert!(code == Some(1) && said.contains("is not empty"), "{said}");
    let stream = kept.join("data");
    let half = fs::metadata(&stream).unwrap().len() as usize / 2;
    damage(&stream, half, 1);
    let (code, said) = restore(&kept, &data("one"));
    assert!(code == Some(1) && said.contains("checksum is not that of the manifest"), "{said}");
    damage(&stream, half, 1);
    fs::remove_file(kept.join("manifest.json")).unwrap();
    let (code, said) = restore(&kept, &data("two"));
    assert!(code == Some(1) && said.contains("this is no backup"), "{said}");
}
