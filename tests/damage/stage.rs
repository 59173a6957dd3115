//! A folder that was killed amid a sale, with every kind of file in it, and how a start takes a change of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use relampago_load::{Ledger, Mix, Request, Rng, Sale, SalePlan, Until};
use serde_json::Value;

use crate::api::{expect, product, send, text};
use crate::people_support::{PASSWORD, login, register};
use crate::support::Shop;

const SKUS: [&str; 2] = ["BOLT", "SPARK"];
const UNITS: i64 = 1_000_000;
const ORDERS_A_LIFE: u64 = 80;
const EMAIL: &str = "ana@example.com";
/// Small files. What the last life did stands in the log alone, what the others did was cut to the archive.
const SETTINGS: [(&str, &str); 5] = [
    ("JOURNAL__SEGMENT_BYTES", "256KiB"),
    ("JOURNAL__SEGMENTS", "2"),
    ("JOURNAL__FEED_INTERVAL", "10s"),
    ("JOURNAL__SLED_SEGMENT_BYTES", "512KiB"),
    ("ENGINE__SNAPSHOT_INTERVAL", "1h"),
];
/// Words of which every refusal has one: what to do.
const REMEDIES: [&str; 3] = ["restore", "correct it", "make room"];

/// What a start made of a folder.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It serves, and all that was acknowledged is there.
    Whole,
    /// It refuses: its last words.
    Refused(String),
}

/// The folder after each life, and what was acknowledged until then.
pub(super) struct Stage {
    pub(super) shop: Shop,
    pub(super) rng: Rng,
    /// As it was after the first life, which was drained.
    pub(super) yesterday: PathBuf,
    /// As it was after the third life, which was killed.
    pub(super) today: PathBuf,
    /// Where changes are tried.
    pub(super) tried: PathBuf,
    early: Ledger,
    late: Ledger,
    person: Value,
}

impl Stage {
    pub(super) async fn new(seed: u64) -> Self {
        let mut shop = Shop::open(&SETTINGS).await;
        let [yesterday, today, tried] = ["yesterday", "today", "tried"].map(|name| shop.scratch().join(name));
        let (early, late, mut rng) = (Ledger::default(), Ledger::default(), Rng::new(seed));
        for sku in SKUS {
            product(&mut shop.staff(), sku, "19.99", UNITS).await;
            early.stocked(sku, UNITS);
        }
        let person = register(&mut shop.guest(), "Ana", EMAIL, Some(PASSWORD)).await;
        sell(&shop, &early, &mut rng).await;
        assert!(shop.terminate().await.success());
        copy(shop.data(), &yesterday);
        shop.start().await;
        register(&mut shop.guest(), "Cara", "cara@example.com", Some(PASSWORD)).await;
        sell(&shop, &late, &mut rng).await;
        assert!(shop.terminate().await.success());
        // What the log held at the end of a life is cut at the end of the next.
        shop.start().await;
        assert!(shop.terminate().await.success());
        shop.start().await;
        register(&mut shop.guest(), "Bea", "bea@example.com", Some(PASSWORD)).await;
        sell(&shop, &late, &mut rng).await;
        shop.kill().await;
        copy(shop.data(), &today);
        shop.move_to(&tried);
        Self { shop, rng, yesterday, today, tried, early, late, person }
    }

    /// Lays today's folder out anew.
    pub(super) fn lay_out(&self) {
        lay_out(&self.today, &self.tried);
    }

    /// Starts on what is laid out.
    pub(super) async fn outcome(&mut self) -> Outcome {
        self.outcome_with(&[self.early.clone(), self.late.clone()]).await
    }

    /// Starts on the folder of yesterday.
    pub(super) async fn outcome_of_yesterday(&mut self) -> Outcome {
        lay_out(&self.yesterday, &self.tried);
        let ledgers = [self.early.clone()];
        self.outcome_with(&ledgers).await
    }

    async fn outcome_with(&mut self, ledgers: &[Ledger]) -> Outcome {
        if !self.shop.starts().await {
            let words = self.shop.last_words();
            assert!(words.starts_with("relampago: "), "it ended without a word: {words}");
            return Outcome::Refused(words);
        }
        for ledger in ledgers {
            let findings = self.shop.auditor().acknowledged(ledger).await.unwrap();
            assert_eq!(findings, Vec::<String>::new());
        }
        let path = format!("/api/v1/users/{}", text(&self.person, "id"));
        assert_eq!(expect(&send(&mut self.shop.staff(), Request::get(path)).await, 200)["name"], "Ana");
        expect(&login(&mut self.shop.guest(), EMAIL, PASSWORD).await, 200);
        self.shop.kill().await;
        Outcome::Whole
    }

    /// Puts today's copy of `file` back, and starts on that: all must be there.
    pub(super) async fn mend(&mut self, file: &Path) {
        replace(&self.today.join(file), &self.tried.join(file));
        let outcome = self.outcome().await;
        assert!(matches!(outcome, Outcome::Whole), "{} is back: {outcome:?}", file.display());
    }
}

/// Whether a refusal says what, where and what to do.
#[track_caller]
pub(super) fn assert_helpful(words: &str, name: &str) {
    assert!(words.contains(name), "does not name {name}: {words}");
    assert!(REMEDIES.iter().any(|remedy| words.contains(remedy)), "no remedy: {words}");
}

async fn sell(shop: &Shop, ledger: &Ledger, rng: &mut Rng) {
    let mix = Mix { cart: 30, two_skus: 33, pay: 40, cancel: 20 };
    let (until, patience) = (Until::Orders(ORDERS_A_LIFE), Duration::from_secs(30));
    let usual = shop.sale(&SKUS, rng.below(u64::MAX));
    let plan = SalePlan { shoppers: 16, adjusters: 0, mix, until, patience, ..usual };
    Sale::new(plan, ledger.clone()).run(|_| {}).await;
}

/// All files below `folder`, by their paths from there, in order. The lock holds nothing.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::metadata(&path).unwrap().len() > 0 {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Makes `to` a copy of `from`, whatever stood there.
pub(super) fn lay_out(from: &Path, to: &Path) {
    remove(to);
    copy(from, to);
}

/// Puts a copy of the file or folder `from`, if there is one, in the place of `to`.
pub(super) fn replace(from: &Path, to: &Path) {
    remove(to);
    if from.is_dir() {
        copy(from, to);
    } else if from.exists() {
        fs::copy(from, to).unwrap();
    }
}

/// Removes a file or folder that may be there.
pub(super) fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else if path.exists() {
        fs::remove_file(path).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
