//! SIGKILL while people contend for few e-mail addresses: no address ever has two owners, none is lost to everybody,
//! and what was acknowledged is so.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use relampago_load::{Answer, Client, Request, Rng, Target};
use serde_json::json;
use tokio::task::JoinSet;

use crate::api::{expect, post, problem, send, text};
use crate::people_support::{PASSWORD, Person, login};
use crate::support::{API_KEY, Shop, eventually, seed};

const ROUNDS: u32 = 12;
const PEOPLE: usize = 16;
/// Far fewer than people, so that most of what they want is somebody else's.
const CONTENDED: u64 = 5;
const PATIENCE: Duration = Duration::from_secs(60);

/// What one user is known to be.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The address that was acknowledged last; none once erasure was.
    address: Option<String>,
    /// What was asked for and not answered yet: another address, or to be erased.
    asked: Option<Option<String>>,
    has_password: bool,
}

/// All users that were acknowledged, by id.
#[derive(Clone, Debug, Default)]
struct Register(Arc<Mutex<BTreeMap<String, Known>>>);

impl Register {
    fn all(&self) -> BTreeMap<String, Known> {
        self.0.lock().unwrap().clone()
    }

    fn set(&self, id: &str, known: Known) {
        self.0.lock().unwrap().insert(id.to_owned(), known);
    }

    fn asked(&self, id: &str, wanted: Option<String>) {
        self.0.lock().unwrap().get_mut(id).expect("a known user").asked = Some(wanted);
    }

    fn answered(&self, id: &str, address: Option<String>) {
        let mut users = self.0.lock().unwrap();
        let known = users.get_mut(id).expect("a known user");
        (known.address, known.asked) = (address, None);
    }

    fn refused(&self, id: &str) {
        self.0.lock().unwrap().get_mut(id).expect("a known user").asked = None;
    }
}

fn contended(number: u64) -> String {
    format!("wanted-{number}@example.com")
}

/// What all people share.
#[derive(Clone)]
struct Crowd {
    target: Target,
    register: Register,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    parked: Arc<AtomicU64>,
}

/// Somebody who makes users, moves them from address to address, and erases them.
struct Contender {
    crowd: Crowd,
    client: Client,
    rng: Rng,
}

impl Contender {
    /// Sends `request` until it is answered for good, over crashes.
    async fn ask(&mut self, request: Request) -> Answer {
        let lost = Arc::clone(&self.crowd.lost);
        loop {
            let answer = self.client.persist(&request, PATIENCE, |attempt| {
                if attempt.outcome.is_err() {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            });
            let answer = answer.await.expect("an answer");
            if answer.code() != 409 || answer.problem() != "change_in_progress" {
                self.crowd.done.fetch_add(1, Ordering::Relaxed);
                return answer;
            }
        }
    }

    /// One user after the other: registered, moved about, and sooner or later given up, so that every address
    /// becomes free again and again.
    async fn run(mut self) {
        let mut held: Option<String> = None;
        while !self.crowd.stop.load(Ordering::Relaxed) {
            if let Some(id) = held.take() {
                self.give_up(&id).await;
            }
            let Some(id) = self.register().await else { continue };
            for _ in 0..self.rng.below(4) {
                self.move_to_another(&id).await;
            }
            held = Some(id);
        }
    }

    async fn register(&mut self) -> Option<String> {
        let address = contended(self.rng.below(CONTENDED));
        // Passwords take long to hash, and who waits for that contends for nothing.
        let has_password = self.rng.percent(4);
        let mut body = json!({ "name": "Ana", "email": address });
        if has_password {
            body["password"] = PASSWORD.into();
        }
        let request = Request::post("/api/v1/users", &body).key(&self.rng.key());
        let answer = self.ask(request).await;
        if answer.code() == 409 {
            self.count_refusal(&answer);
            return None;
        }
        let id = text(&expect(&answer, 201), "id").to_owned();
        self.crowd.register.set(&id, Known { address: Some(address), asked: None, has_password });
        Some(id)
    }

    async fn move_to_another(&mut self, id: &str) {
        let wanted = match self.rng.percent(60) {
            true => contended(self.rng.below(CONTENDED)),
            false => format!("own-{}@example.com", self.crowd.parked.fetch_add(1, Ordering::Relaxed)),
        };
        self.move_to(id, wanted).await;
    }

    async fn move_to(&mut self, id: &str, wanted: String) {
        let request = Request::patch(format!("/api/v1/users/{id}"), &json!({ "email": wanted }));
        self.crowd.register.asked(id, Some(wanted.clone()));
        let answer = self.ask(request).await;
        if answer.code() == 409 {
            self.count_refusal(&answer);
            return self.crowd.register.refused(id);
        }
        assert_eq!(text(&expect(&answer, 200), "email"), wanted);
        self.crowd.register.answered(id, Some(wanted));
    }

    /// Erases the user, or lets it go on under an address that nobody else wants.
    async fn give_up(&mut self, id: &str) {
        if self.rng.percent(25) {
            let own = format!("own-{}@example.com", self.crowd.parked.fetch_add(1, Ordering::Relaxed));
            return self.move_to(id, own).await;
        }
        self.crowd.register.asked(id, None);
        let answer = self.ask(Request::delete(format!("/api/v1/users/{id}"))).await;
        // Gone already if an answer was lost.
        assert!(matches!(answer.code(), 204 | 404), "{}", answer.kind());
        self.crowd.register.answered(id, None);
    }

    #[track_caller]
    fn count_refusal(&self, answer: &Answer) {
        problem(answer, 409, "email_taken");
        self.crowd.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// The address that a user shows, unless it is erased.
async fn shown(admin: &mut Client, id: &str) -> Option<String> {
    let answer = send(admin, Request::get(format!("/api/v1/users/{id}"))).await;
    if answer.code() == 404 {
        return None;
    }
    Some(text(&expect(&answer, 200), "email").to_owned())
}

async fn all_shown(admin: &mut Client, users: &BTreeMap<String, Known>) -> BTreeMap<String, Option<String>> {
    let mut all = BTreeMap::new();
    for id in users.keys() {
        all.insert(id.clone(), shown(admin, id).await);
    }
    all
}

/// What is wrong with the users while nobody but the auditor is let in.
///
/// Changes that a crash cut off still go on, one a user at the most. So two users who both show an address in two
/// readings, one after the other, did have it at the same time.
async fn findings(admin: &mut Client, guest: &mut Client, users: &BTreeMap<String, Known>) -> Vec<String> {
    let first = all_shown(admin, users).await;
    let second = all_shown(admin, users).await;
    let mut findings = Vec::new();
    let mut owners: BTreeMap<&String, &String> = BTreeMap::new();
    for (id, address) in &second {
        let known = &users[id];
        let expected =
            *address == known.address || known.asked.as_ref().is_some_and(|asked| asked == address);
        if !expected {
            findings.push(format!("{id} shows {address:?}, and should be {known:?}"));
        }
        let Some(address) = address.as_ref().filter(|_| first[id] == *address) else { continue };
        if let Some(other) = owners.insert(address, id) {
            findings.push(format!("{address} is {id}'s and {other}'s"));
        }
    }
    // Whoever signs in with an address is the one who shows it.
    for (address, id) in
        owners.into_iter().filter(|(_, id)| users[*id].has_password && users[*id].asked.is_none())
    {
        let answer = login(guest, address, PASSWORD).await;
        if answer.code() != 200 || Person::of(&answer).id != *id {
            findings.push(format!("{address} signs in {} instead of {id}", answer.kind()));
        }
    }
    findings
}

#[tokio::test]
async fn twelve_crashes_leave_every_address_one_owner() {
    let seed = seed();
    let mut rng = Rng::new(seed);
    let mut shop = Shop::open_alone(&[("ENGINE__REDRIVE_INTERVAL", "200ms")]).await;
    let crowd = Crowd {
        target: shop.target.clone(),
        register: Register::default(),
        stop: Arc::default(),
        done: Arc::default(),
        refused: Arc::default(),
        lost: Arc::default(),
        parked: Arc::default(),
    };
    let mut people = JoinSet::new();
    for _ in 0..PEOPLE {
        let client = Client::staff(crowd.target.clone(), API_KEY);
        people.spawn(Contender { crowd: crowd.clone(), client, rng: rng.fork() }.run());
    }
    for round in 1..=ROUNDS {
        let enough = crowd.done.load(Ordering::Relaxed) + 100 + rng.below(200);
        eventually("people contend", async || (crowd.done.load(Ordering::Relaxed) >= enough).then_some(()))
            .await;
        shop.kill().await;
        let users = crowd.register.all();
        shop.start_closed().await;
        let inside = Target::new(shop.address());
        let (mut admin, mut guest) = (Client::staff(inside.clone(), API_KEY), Client::guest(inside));
        let found = findings(&mut admin, &mut guest, &users).await;
        let amid = users.values().filter(|known| known.asked.is_some()).count();
        println!(
            "round {round}: {} users, {amid} of them amid a change; {} answered, {} of it with a refusal",
            users.len(),
            crowd.done.load(Ordering::Relaxed),
            crowd.refused.load(Ordering::Relaxed)
        );
        assert_eq!(found, Vec::<String>::new(), "round {round}");
        shop.target.open(shop.address());
    }
    crowd.stop.store(true, Ordering::Relaxed);
    people.join_all().await;
    assert!(crowd.lost.load(Ordering::Relaxed) > 0, "no crash met a request");
    assert!(crowd.refused.load(Ordering::Relaxed) > 0, "nobody wanted what another had");
    assert_all_can_be_had(&shop, &crowd).await;
}

/// Nobody is on the way any more: every address is one known user's or free, and free once it is given up.
async fn assert_all_can_be_had(shop: &Shop, crowd: &Crowd) {
    let (mut admin, mut guest) = (shop.staff(), shop.guest());
    let users = crowd.register.all();
    assert!(users.values().all(|known| known.asked.is_none()));
    assert_eq!(findings(&mut admin, &mut guest, &users).await, Vec::<String>::new());
    for number in 0..CONTENDED {
        let address = contended(number);
        let owner = users.iter().find(|(_, known)| known.address.as_ref() == Some(&address));
        let body = json!({ "name": "Bea", "email": address });
        if let Some((id, _)) = owner {
            problem(&post(&mut guest, "/api/v1/users", body.clone()).await, 409, "email_taken");
            let erased = send(&mut admin, Request::delete(format!("/api/v1/users/{id}"))).await;
            assert_eq!(erased.code(), 204);
        }
        expect(&post(&mut guest, "/api/v1/users", body).await, 201);
    }
    // Every address that somebody ever had can be had again.
    for address in (0..crowd.parked.load(Ordering::Relaxed)).map(|number| format!("own-{number}@example.com"))
    {
        if users.values().all(|known| known.address.as_ref() != Some(&address)) {
            let body = json!({ "name": "Bea", "email": address });
            expect(&post(&mut guest, "/api/v1/users", body).await, 201);
        }
    }
}
