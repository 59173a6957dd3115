//! Files and folders that are missing, empty, or yesterday's.

use std::fs;
use std::path::Path;

use super::stage::{Outcome, Stage, assert_helpful, remove, replace};
use crate::support::seed;

/// What is taken away, and the word by which a refusal names it.
const TAKEN: [(&[&str], &str); 14] = [
    (&["identity"], "identity"),
    (&["journal"], "journal"),
    (&["journal/db"], "journal"),
    (&["journal.mark"], "journal.mark"),
    (&["journal", "journal.mark"], "journal"),
    (&["journal", "journal.mark", "wal"], "journal"),
    (&["wal"], "wal"),
    (&["snapshots"], "snapshots"),
    (&["snapshots.mark"], "snapshots.mark"),
    (&["snapshots", "snapshots.mark"], "snapshots"),
    (&["archive"], "archive"),
    (&["vault"], "vault"),
    (&["keys.json"], "keys.json"),
    (&["keys.json", "vault"], "vault"),
];

/// What is put back from yesterday's copy, and the word by which a refusal names it.
const OLDER: [(&[&str], &str); 8] = [
    (&["journal"], "journal"),
    (&["wal"], "wal"),
    (&["journal", "journal.mark"], "wal"),
    (&["journal", "journal.mark", "wal"], "snapshot"),
    (&["snapshots"], "snapshots"),
    (&["snapshots", "snapshots.mark"], "snapshots"),
    (&["archive"], "archive"),
    (&["vault"], "vault"),
];

async fn refused_and_mended(stage: &mut Stage, what: &str, names: &[&str], word: &str) {
    match stage.outcome().await {
        Outcome::Whole => panic!("{names:?} {what}: it starts"),
        Outcome::Refused(words) => {
            println!("{names:?} {what}: {words}");
            assert_helpful(&words, word);
        }
    }
    for name in &names[1..] {
        replace(&stage.today.join(name), &stage.tried.join(name));
    }
    stage.mend(Path::new(names[0])).await;
}

#[tokio::test]
async fn what_is_missing_or_older_is_refused_by_name() {
    let mut stage = Stage::new(seed()).await;
    for (names, word) in TAKEN {
        stage.lay_out();
        names.iter().for_each(|name| remove(&stage.tried.join(name)));
        refused_and_mended(&mut stage, "missing", names, word).await;
    }
    for name in ["journal", "snapshots", "wal", "archive"] {
        stage.lay_out();
        remove(&stage.tried.join(name));
        fs::create_dir(stage.tried.join(name)).unwrap();
        refused_and_mended(&mut stage, "empty", &[name], name).await;
    }
    stage.lay_out();
    fs::write(stage.tried.join("vault"), "").unwrap();
    refused_and_mended(&mut stage, "empty", &["vault"], "vault").await;
    for (names, word) in OLDER {
        stage.lay_out();
        names.iter().for_each(|name| replace(&stage.yesterday.join(name), &stage.tried.join(name)));
        refused_and_mended(&mut stage, "of yesterday", names, word).await;
    }
}

/// A mark says what must be there at least, so an older one claims less; and the whole folder of yesterday is a backup.
#[tokio::test]
async fn an_older_mark_loses_nothing_and_the_whole_of_yesterday_is_yesterday() {
    let mut stage = Stage::new(seed()).await;
    for name in ["journal.mark", "snapshots.mark"] {
        stage.lay_out();
        replace(&stage.yesterday.join(name), &stage.tried.join(name));
        let outcome = stage.outcome().await;
        println!("{name} of yesterday: {outcome:?}");
        if let Outcome::Refused(words) = outcome {
            assert_helpful(&words, name);
        }
    }
    let outcome = stage.outcome_of_yesterday().await;
    assert!(matches!(outcome, Outcome::Whole), "{outcome:?}");
}
