//! A new master key, while everybody works and whenever a crash comes.

use std::{
    fs::{self, File},
    io::Read,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
};

use relampago_actors::{Id, personal::Personal};
use relampago_keys::{KeysError, Unreadable};
use serde_json::{Value, json};

use crate::support::{ANA, BEA, CAL, SLOT, Scratch, aside, write_private};

#[test]
fn the_old_master_is_gone_and_everything_still_opens() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    let (ana, bea) = (keys.key_of(ANA).unwrap(), keys.key_of(BEA).unwrap());
    let (of_ana, of_bea) = (keys.seal(ana, "Ana").unwrap(), keys.seal(bea, "Bea").unwrap());
    keys.destroy(BEA).unwrap();
    let wrapped = scratch.wrapped_key(0);
    let old_master = scratch.ring_json()["master"][0]["key"].as_str().unwrap().to_owned();
    // Unlinked files can be read by who has them open.
    let old_files = [scratch.ring(), scratch.vault()].map(|path| File::open(path).unwrap());

    assert_eq!(keys.rotate_master(2_000).unwrap(), 2);
    assert_eq!((scratch.masters(), scratch.files()), (vec![2], vec!["keys.json".into(), "vault".into()]));
    assert_eq!(scratch.ring_json()["master"][0]["created_ms"], json!(2_000));
    assert!(!scratch.any_file_holds(&wrapped) && !scratch.any_file_holds(old_master.as_bytes()));
    for mut file in old_files {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert!(!bytes.is_empty() && bytes.iter().all(|byte| *byte == 0), "it was unlinked with its keys");
    }
    for keys in [keys, scratch.open()] {
        assert_eq!(*keys.reveal(&of_ana).unwrap(), "Ana");
        assert_eq!(keys.reveal(&of_bea), Err(Unreadable::Destroyed));
        assert_eq!(keys.key_of(ANA).unwrap(), ana);
    }
}

#[test]
fn more_keys_than_are_written_at_once_are_wrapped_anew() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    let sealed: Vec<Personal> = (0..2_500)
        .map(|owner| keys.seal(keys.key_of(Id(owner)).unwrap(), &format!("user {owner}")).unwrap())
        .collect();
    keys.rotate_master(2_000).unwrap();
    let keys = scratch.open();
    for (owner, personal) in sealed.iter().enumerate() {
        assert_eq!(*keys.reveal(personal).unwrap(), format!("user {owner}"));
    }
}

/// What the files hold before and after a rotation.
struct Rotation {
    scratch: Scratch,
    ring_before: Value,
    ring_after: Value,
    ring_between: Value,
    vault_before: Vec<u8>,
    vault_after: Vec<u8>,
    of_ana: Personal,
    of_bea: Personal,
}

impl Rotation {
    fn carried_out() -> Self {
        let scratch = Scratch::new();
        let keys = scratch.open();
        let of_ana = keys.seal(keys.key_of(ANA).unwrap(), "Ana").unwrap();
        let of_bea = keys.seal(keys.key_of(BEA).unwrap(), "Bea").unwrap();
        keys.destroy(BEA).unwrap();
        let (ring_before, vault_before) = (scratch.ring_json(), fs::read(scratch.vault()).unwrap());
        keys.rotate_master(2_000).unwrap();
        let (ring_after, vault_after) = (scratch.ring_json(), fs::read(scratch.vault()).unwrap());
        let mut ring_between = ring_before.clone();
        ring_between["master"].as_array_mut().unwrap().push(ring_after["master"][0].clone());
        Self { scratch, ring_before, ring_after, ring_between, vault_before, vault_after, of_ana, of_bea }
    }

    /// Puts the files as a crash would have left them.
    fn stage(&self, ring: &Value, vault: &[u8], vault_aside: Option<&[u8]>) {
        self.scratch.write_ring(ring);
        write_private(&self.scratch.vault(), vault);
        if let Some(bytes) = vault_aside {
            write_private(&aside(&self.scratch.vault()), bytes);
        }
    }

    /// Everything works, nothing is left aside, and the ring has these masters.
    fn assert_recovers(&self, crash: &str, masters: &[u64]) {
        let keys = self.scratch.open();
        assert_eq!(self.scratch.masters(), masters, "{crash}");
        assert_eq!(self.scratch.files(), ["keys.json", "vault"], "{crash}");
        assert_eq!(*keys.reveal(&self.of_ana).unwrap(), "Ana", "{crash}");
        assert_eq!(keys.reveal(&self.of_bea), Err(Unreadable::Destroyed), "{crash}");
        assert_eq!(keys.key_of(CAL).unwrap().id().get(), 3, "{crash}");

        let next = masters.last().unwrap() + 1;
        assert_eq!(u64::from(keys.rotate_master(3_000).unwrap()), next, "{crash}");
        drop(keys);
        assert_eq!(self.scratch.masters(), [next], "{crash}");
        let keys = self.scratch.open();
        assert_eq!(*keys.reveal(&self.of_ana).unwrap(), "Ana", "{crash}");
        assert_eq!(keys.existing_key_of(CAL).unwrap().id().get(), 3, "{crash}");
    }
}

#[test]
fn a_crash_at_any_step_leaves_what_opens_again() {
    let done = Rotation::carried_out();
    let Rotation { ring_before, ring_after, ring_between, vault_before: old, vault_after: new, .. } = &done;
    let zeros = vec![0; old.len()];
    let half_wiped = [&zeros[..SLOT], &old[SLOT..]].concat();

    for (crash, ring, vault, vault_aside, masters) in [
        ("before anything", ring_before, old, None, vec![1]),
        ("after the ring has both", ring_between, old, None, vec![1, 2]),
        ("with a new vault begun", ring_between, old, Some(&new[..0]), vec![1, 2]),
        ("with half a new vault", ring_between, old, Some(&new[..SLOT + 50]), vec![1, 2]),
        ("with a whole new vault", ring_between, old, Some(&new[..]), vec![1, 2]),
        ("after the exchange", ring_between, new, Some(&old[..]), vec![2]),
        ("while the old vault is wiped", ring_between, new, Some(&half_wiped[..]), vec![2]),
        ("after it was wiped", ring_between, new, Some(&zeros[..]), vec![2]),
        ("after the old master left the ring", ring_after, new, Some(&zeros[..]), vec![2]),
        ("after everything", ring_after, new, None, vec![2]),
    ] {
        done.stage(ring, vault, vault_aside);
        done.assert_recovers(crash, &masters);

        // And once more with a ring that was being written.
        done.stage(ring, vault, vault_aside);
        write_private(&aside(&done.scratch.ring()), &serde_json::to_vec(ring_before).unwrap()[..70]);
        done.assert_recovers(crash, &masters);
    }
}

#[test]
fn what_a_cut_off_rotation_left_cannot_undo_an_erasure() {
    let done = Rotation::carried_out();
    done.stage(&done.ring_between, &done.vault_before, Some(&done.vault_after));
    let copies = [done.vault_before[44..92].to_vec(), done.vault_after[44..92].to_vec()];
    done.scratch.open().destroy(ANA).unwrap();
    for copy in copies {
        assert!(!done.scratch.any_file_holds(&copy));
    }
    assert_eq!(done.scratch.open().reveal(&done.of_ana), Err(Unreadable::Destroyed));
}

#[test]
fn a_damaged_slot_ends_the_rotation_before_anything_is_lost() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    for owner in [ANA, BEA, CAL] {
        keys.key_of(owner).unwrap();
    }
    let of_ana = keys.seal(keys.key_of(ANA).unwrap(), "Ana").unwrap();
    let whole = fs::read(scratch.vault()).unwrap();
    scratch.edit_vault(|bytes| bytes[SLOT + 60] ^= 1);
    let error = keys.rotate_master(2_000).unwrap_err();
    assert!(matches!(error, KeysError::Damaged { slot: 1, .. }), "{error}");
    assert_eq!(scratch.files(), ["keys.json", "vault"]);
    assert_eq!(*keys.reveal(&of_ana).unwrap(), "Ana");

    // With the slot restored it goes on.
    fs::write(scratch.vault(), whole).unwrap();
    assert_eq!(keys.rotate_master(3_000).unwrap(), 3);
    assert_eq!(scratch.masters(), [3]);
    assert_eq!(*scratch.open().reveal(&of_ana).unwrap(), "Ana");
}

#[test]
fn everybody_works_while_the_master_changes() {
    const WORKERS: u32 = 4;
    const ROTATIONS: u32 = 8;

    let scratch = Scratch::new();
    let keys = scratch.open();
    let done = AtomicBool::new(false);
    // Each worker has got this far; a rotation begins when all have gone on since the last.
    let rounds: [AtomicU32; WORKERS as usize] = Default::default();
    let sealed: Vec<(Id, Personal, bool)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let (keys, done, rounds) = (&keys, &done, &rounds);
                scope.spawn(move || {
                    let mut sealed: Vec<(Id, Personal, bool)> = Vec::new();
                    while !done.load(Ordering::Relaxed) {
                        let round = rounds[worker as usize].fetch_add(1, Ordering::Relaxed);
                        let owner = Id(u128::from(worker) << 64 | u128::from(round));
                        let key = keys.key_of(owner).unwrap();
                        let personal = keys.seal(key, &owner.to_string()).unwrap();
                        let destroyed = round % 5 == 4;
                        if destroyed {
                            keys.destroy(owner).unwrap();
                        }
                        sealed.push((owner, personal, destroyed));
                        for (owner, personal, destroyed) in &sealed {
                            let expected = if *destroyed { None } else { Some(owner.to_string()) };
                            assert_eq!(keys.reveal(personal).ok().as_deref(), expected.as_ref());
                        }
                    }
                    sealed
                })
            })
            .collect();
        for rotation in 0..ROTATIONS {
            let seen: Vec<u32> = rounds.iter().map(|round| round.load(Ordering::Relaxed)).collect();
            let gone_on = |(round, seen): (&AtomicU32, &u32)| round.load(Ordering::Relaxed) > *seen + 1;
            while !rounds.iter().zip(&seen).all(gone_on) {
                assert!(workers.iter().all(|worker| !worker.is_finished()), "a worker fell");
                thread::yield_now();
            }
            assert_eq!(keys.rotate_master(2_000).unwrap(), rotation + 2);
        }
        done.store(true, Ordering::Relaxed);
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });

    assert_eq!(scratch.masters(), [u64::from(ROTATIONS) + 1]);
    for keys in [keys, scratch.open()] {
        for (owner, personal, destroyed) in &sealed {
            let expected = if *destroyed { Err(Unreadable::Destroyed) } else { Ok(owner.to_string()) };
            assert_eq!(keys.reveal(personal).map(|text| text.to_string()), expected, "{owner}");
        }
    }
}

#[test]
fn racing_askers_get_the_same_key() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    let ids: Vec<u32> = thread::scope(|scope| {
        let askers: Vec<_> = (0..8).map(|_| scope.spawn(|| keys.key_of(ANA).unwrap().id().get())).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    assert_eq!(ids, [1; 8]);
    assert_eq!(fs::metadata(scratch.vault()).unwrap().len(), SLOT as u64);
}
