//! The key ring file.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use relampago_keys::{Keys, KeysError};
use serde_json::json;

use crate::support::{ANA, BEA, Scratch, aside, holds, write_private};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn it_is_made_only_if_that_is_allowed_and_for_its_owner_alone() {
    let scratch = Scratch::new();
    let error = Keys::open(&scratch.ring(), &scratch.vault(), false, 5).unwrap_err();
    assert!(matches!(&error, KeysError::RingMissing { ring } if *ring == scratch.ring()), "{error}");
    assert!(scratch.files().is_empty());

    let keys = Keys::open(&scratch.ring(), &scratch.vault(), true, 5).unwrap();
    assert_eq!((mode(&scratch.ring()), mode(&scratch.vault())), (0o600, 0o600));
    let json = scratch.ring_json();
    assert_eq!((&json["master"][0]["id"], &json["master"][0]["created_ms"]), (&json!(1), &json!(5)));
    assert_eq!(json["signing"][0]["kid"], json!(keys.signing().active.kid()));
    assert_eq!(json["signing"][0]["retired_ms"], json!(null));

    keys.rotate_master(6).unwrap();
    keys.rotate_signing(7).unwrap();
    assert_eq!((mode(&scratch.ring()), mode(&scratch.vault())), (0o600, 0o600));
    drop(keys);
    assert!(Keys::open(&scratch.ring(), &scratch.vault(), false, 8).is_ok());
}

#[test]
fn one_that_others_may_use_is_refused() {
    let scratch = Scratch::new();
    drop(scratch.open());
    for bits in [0o640, 0o604, 0o620, 0o610, 0o644, 0o666] {
        fs::set_permissions(scratch.ring(), fs::Permissions::from_mode(bits)).unwrap();
        let error = scratch.refusal();
        let text = error.to_string();
        assert!(matches!(error, KeysError::RingExposed { mode, .. } if mode == bits), "{text}");
        assert!(text.contains("chmod 600") && text.contains(scratch.ring().to_str().unwrap()), "{text}");
    }
    fs::set_permissions(scratch.ring(), fs::Permissions::from_mode(0o400)).unwrap();
    scratch.open();
}

#[test]
fn a_vault_without_its_ring_gets_no_new_one() {
    let scratch = Scratch::new();
    scratch.open().key_of(ANA).unwrap();
    fs::remove_file(scratch.ring()).unwrap();
    let error = scratch.refusal();
    assert!(matches!(error, KeysError::RingLost { master: 1, .. }), "{error}");
    assert!(error.to_string().contains("master 1"), "{error}");
    assert_eq!(scratch.files(), ["vault"]);
}

#[test]
fn a_ring_without_the_master_that_is_needed_is_refused() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    keys.rotate_master(2_000).unwrap();
    keys.key_of(ANA).unwrap();
    let good = scratch.ring_json();
    let mut bad = good.clone();
    bad["master"][0]["id"] = json!(3);
    scratch.write_ring(&bad);

    for error in [keys.reload().unwrap_err(), scratch.refusal()] {
        assert!(matches!(error, KeysError::MasterMissing { master: 2, .. }), "{error}");
        assert!(error.to_string().contains("master 2"), "{error}");
    }
    // The ring in memory still works.
    assert!(keys.seal(keys.key_of(ANA).unwrap(), "Ana").is_ok());
    scratch.write_ring(&good);
    keys.reload().unwrap();
}

#[test]
fn another_master_of_the_same_id_is_refused() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    let keys = scratch.open();
    keys.key_of(ANA).unwrap();
    drop(other.open());
    scratch.write_ring(&other.ring_json());
    for error in [keys.reload().unwrap_err(), scratch.refusal()] {
        assert!(matches!(error, KeysError::MasterDiffers { master: 1, slot: 0, .. }), "{error}");
    }
}

#[test]
fn a_master_that_somebody_added_wraps_what_is_new() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    let keys = scratch.open();
    let ana = keys.key_of(ANA).unwrap();
    let sealed = keys.seal(ana, "Ana").unwrap();
    let mac = keys.token_mac("reset", b"ana");
    drop(other.open());
    let mut ring = scratch.ring_json();
    let mut added = other.ring_json()["master"][0].clone();
    added["id"] = json!(9);
    ring["master"].as_array_mut().unwrap().push(added);
    scratch.write_ring(&ring);

    keys.reload().unwrap();
    keys.key_of(BEA).unwrap();
    assert!(keys.check_token_mac("reset", b"ana", &mac));
    drop(keys);
    let keys = scratch.open();
    assert_eq!(*keys.reveal(&sealed).unwrap(), "Ana");
    assert_eq!(keys.rotate_master(3_000).unwrap(), 10);
    assert_eq!(scratch.masters(), [10]);
    assert_eq!(*keys.reveal(&sealed).unwrap(), "Ana");
}

#[test]
fn a_malformed_ring_is_refused_without_being_quoted() {
    let scratch = Scratch::new();
    drop(scratch.open());
    let good = scratch.ring_json();
    let key = good["master"][0]["key"].as_str().unwrap().to_owned();
    let change = |pointer: &str, value: serde_json::Value| {
        let mut ring = good.clone();
        *ring.pointer_mut(pointer).unwrap() = value;
        serde_json::to_string_pretty(&ring).unwrap()
    };
    let mut unknown = good.clone();
    unknown["mister"] = json!(key);
    for (name, text) in [
        ("nothing", String::new()),
        ("cut", change("/signing", good["signing"].clone())[..90].to_owned()),
        ("key as id", change("/master/0/id", json!(key))),
        ("id 0", change("/master/0/id", json!(0))),
        ("id without a next one", change("/master/0/id", json!(u32::MAX))),
        ("no master", change("/master", json!([]))),
        ("twice", change("/master", json!([good["master"][0], good["master"][0]]))),
        ("short key", change("/master/0/key", json!("AAAA"))),
        ("long key", change("/master/0/key", json!(format!("{key}{key}")))),
        ("no base64", change("/master/0/key", json!(key.replace('=', "%")))),
        ("no kid", change("/signing/0/kid", json!(""))),
        ("long kid", change("/signing/0/kid", json!("k".repeat(65)))),
        ("all retired", change("/signing/0/retired_ms", json!(1))),
        ("nothing signs", change("/signing", json!([]))),
        ("unknown field", unknown.to_string()),
    ] {
        write_private(&scratch.ring(), text.as_bytes());
        let error = scratch.refusal();
        assert!(matches!(error, KeysError::RingMalformed { .. }), "{name}: {error}");
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(shown.contains(scratch.ring().to_str().unwrap()), "{name}: {shown}");
            assert!(!shown.contains(&key[..6]), "{name}: {shown}");
        }
    }
}

#[test]
fn a_flipped_bit_is_noticed() {
    let scratch = Scratch::new();
    drop(scratch.open());
    let (whole, says) = (fs::read(scratch.ring()).unwrap(), scratch.ring_json());
    assert!(says["checksum"].is_string());
    // Every byte, and of its bits another each time.
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        write_private(&scratch.ring(), &bytes);
        let error = scratch.refusal();
        assert!(matches!(error, KeysError::RingMalformed { .. }), "byte {at}: {error}");
        assert!(!error.to_string().contains("line 0"), "{error}");
    }
}

/// A ring with its checksum as an earlier program wrote it.
const EARLIER: &str = r#"{
  "master": [
    {
      "id": 1,
      "created_ms": 1000,
      "key": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
    }
  ],
  "signing": [
    {
      "kid": "a",
      "created_ms": 1000,
      "retired_ms": null,
      "seed": "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
    }
  ],
  "mac": "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=",
  "checksum": "9705e21d1f4377925fc9c4fb321dc258977366c021fbbfbe0b25f9b655265cd6"
}
"#;

#[test]
fn one_that_an_earlier_program_wrote_is_read() {
    let scratch = Scratch::new();
    write_private(&scratch.ring(), EARLIER.as_bytes());
    let keys = scratch.open();
    assert_eq!(keys.signing().active.kid(), "a");
    // It writes the same in the same words.
    keys.rotate_signing(2_000).unwrap();
    drop(keys);
    scratch.open();
}

#[test]
fn a_checksum_is_that_of_the_text_whatever_words_it_uses() {
    let scratch = Scratch::new();
    // Fields in another order, and one left out that this program writes: another version may.
    let text = EARLIER.replace("      \"retired_ms\": null,\n", "").replace(
        "      \"id\": 1,\n      \"created_ms\": 1000,\n",
        "      \"created_ms\": 1000, \"id\": 1,\n",
    );
    assert!(text.len() < EARLIER.len());
    let (fields, _) = text.split_once(",\n  \"checksum\"").unwrap();
    let checksum = blake3::hash(format!("{fields}\n}}\n").as_bytes()).to_hex();
    write_private(&scratch.ring(), format!("{fields},\n  \"checksum\": \"{checksum}\"\n}}\n").as_bytes());
    assert_eq!(scratch.open().signing().active.kid(), "a");
    let changed = fs::read_to_string(scratch.ring()).unwrap().replace("\"kid\": \"a\"", "\"kid\": \"b\"");
    write_private(&scratch.ring(), changed.as_bytes());
    let error = scratch.refusal();
    assert!(error.to_string().contains("its checksum does not match"), "{error}");
}

#[test]
fn what_a_crash_left_aside_is_wiped() {
    let scratch = Scratch::new();
    drop(scratch.open());
    write_private(&aside(&scratch.ring()), b"half a ring");
    let before = scratch.ring_json();
    drop(scratch.open());
    assert_eq!((scratch.files(), scratch.ring_json()), (vec!["keys.json".into(), "vault".into()], before));

    // The first start was cut off before there was a ring.
    fs::rename(scratch.ring(), aside(&scratch.ring())).unwrap();
    drop(scratch.open());
    assert_eq!(scratch.files(), ["keys.json", "vault"]);
}

#[test]
fn a_ring_that_cannot_be_written_changes_nothing_in_memory() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    let before = keys.signing();
    // A folder where the new ring is to be written.
    fs::create_dir(aside(&scratch.ring())).unwrap();
    assert!(matches!(keys.rotate_signing(2_000), Err(KeysError::Io { .. })));
    assert!(matches!(keys.rotate_master(2_000), Err(KeysError::Io { .. })));
    assert_eq!(keys.signing().active.kid(), before.active.kid());
    fs::remove_dir(aside(&scratch.ring())).unwrap();
    assert_eq!(keys.rotate_master(2_000).unwrap(), 2);
}

#[test]
fn nothing_shows_a_key() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    let data_key = keys.key_of(ANA).unwrap();
    let sealed = keys.seal(data_key, "Ana").unwrap();
    let signing = keys.signing();
    let shown = format!("{keys:?} {data_key:?} {sealed:?} {signing:?} {:?}", signing.active);
    assert!(shown.contains(signing.active.kid()));
    let ring = scratch.ring_json();
    for secret in [&ring["master"][0]["key"], &ring["signing"][0]["seed"]] {
        assert!(!shown.contains(&secret.as_str().unwrap()[..6]), "{shown}");
    }
    let seed = &signing.active.pkcs8()[16..48];
    for pair in [format!("{:?}", &seed[..4]), format!("{}, {}, {}", seed[0], seed[1], seed[2])] {
        assert!(!holds(shown.as_bytes(), pair.trim_matches(['[', ']']).as_bytes()), "{shown}");
    }
}
