//! Personal data at rest: nothing of it lies in clear in the data folder, and nobody reads what was erased.

mod dump;
mod rotation;

use std::fs;
use std::path::Path;

use relampago_actors::Id;
use relampago_actors::personal::Personal;
use relampago_keys::{DataKey, Keys, Unreadable};
use relampago_load::{Client, Request};
use serde_json::{Value, json};

use crate::api::{expect, get, key, post, problem, send, text};
use crate::people_support::{NOTICE, Person, RESET, VERIFY, letter, login, mailed_token, refresh, register};
use crate::support::{Shop, scratch};
use dump::Dump;

const ME: &str = "/api/v1/users/me";
/// Small files, so that they are searched fast; packed and archived soon.
const SMALL: [(&str, &str); 5] = [
    ("JOURNAL__SEGMENT_BYTES", "1MiB"),
    ("JOURNAL__FEED_INTERVAL", "20ms"),
    ("JOURNAL__SEGMENTS", "2"),
    ("JOURNAL__SLED_SEGMENT_BYTES", "512KiB"),
    ("ENGINE__SNAPSHOT_INTERVAL", "100ms"),
];
/// What may stand there in clear: the name of a product. It shows that the search finds what is there.
const CONTROL: &str = "Lámpara de Contraste";

/// Somebody with recognisable data.
struct Somebody {
    name: &'static str,
    email: &'static str,
    phone: &'static str,
    password: &'static str,
    address: &'static str,
}

const ZORAIDA: Somebody = Somebody {
    name: "Zoraida Quispe Ñahui",
    email: "Zoraida.Quispe@Correo-Andino.example",
    phone: "+51 987 654 321",
    password: "quebrada honda 41",
    address: "Jirón Huáscar 7713, Ayacucho",
};
const BASILIO: Somebody = Somebody {
    name: "Basilio Xirinachs",
    email: "basilio@vallhebron.example",
    phone: "+34 612 000 999",
    password: "muntanya blava 52",
    address: "Carrer de l'Olivera 88, Vic",
};

impl Somebody {
    /// Everything of theirs that nobody may find.
    fn texts(&self) -> Vec<String> {
        let (local, domain) = self.email.split_once('@').expect("an address");
        let mut texts: Vec<String> =
            [self.name, self.email, local, domain, self.phone, self.password, self.address]
                .map(str::to_owned)
                .to_vec();
        texts.extend(self.name.split(' ').chain(self.address.split(", ")).map(str::to_owned));
        texts.push(self.phone.replace(' ', ""));
        texts
    }

    /// Registers and signs in, adds a postal address, and buys with all of it.
    async fn arrive(&self, guest: &mut Client) -> Person {
        let body = json!({
            "name": self.name, "email": self.email, "phone": self.phone, "password": self.password,
        });
        expect(&post(guest, "/api/v1/users", body).await, 201);
        let person = Person::of(&login(guest, self.email, self.password).await);
        let address = json!({ "address": { "line1": self.address } });
        let add = Request::post("/api/v1/users/me/addresses", &address);
        expect(&person.send(guest, add).await, 201);
        expect(&person.send(guest, self.purchase()).await, 201);
        person
    }

    fn purchase(&self) -> Request {
        let body = json!({
            "items": [{ "sku": "LAMP", "quantity": 1 }], "email": self.email,
            "shipping_address": { "name": self.name, "line1": self.address, "phone": self.phone },
        });
        Request::post("/api/v1/orders", &body).key(&key())
    }
}

/// A shop with a product whose name is no secret.
async fn open() -> Shop {
    let shop = Shop::open(&SMALL).await;
    let body = json!({ "name": CONTROL, "sku": "LAMP", "price": "1.00", "stock_quantity": 100_000 });
    expect(&post(&mut shop.staff(), "/api/v1/products", body).await, 201);
    shop
}

/// What somebody who has the folder looks for, and finds where.
fn found(dump: &Dump, texts: &[String]) -> Vec<String> {
    let held = |text: &String| {
        let places =
            dump.holding(text.as_bytes()).into_iter().chain(dump.holding(text.to_lowercase().as_bytes()));
        places.map(|place| format!("{text:?} in {place}")).collect::<Vec<_>>()
    };
    texts.iter().flat_map(held).collect()
}

#[tokio::test]
async fn nothing_personal_lies_in_the_data_folder() {
    let mut shop = open().await;
    let (mut guest, mut admin) = (shop.guest(), shop.staff());
    let zoraida = ZORAIDA.arrive(&mut guest).await;
    // A guest, who leaves the same things behind without an account.
    expect(&send(&mut guest, BASILIO.purchase()).await, 201);
    let mut secrets: Vec<String> = ZORAIDA.texts().into_iter().chain(BASILIO.texts()).collect();
    secrets.extend([zoraida.access.clone(), zoraida.refresh.clone()]);
    secrets.extend(wander(&zoraida, &mut guest, &mut admin).await);
    // Refused requests leave nothing behind either.
    let taken = json!({ "name": "Casimira Urrutia", "email": ZORAIDA.email, "phone": "+56 2 777 1234" });
    problem(&post(&mut guest, "/api/v1/users", taken).await, 409, "email_taken");
    problem(
        &login(&mut guest, "nadie@desconocido.example", "tierra de nadie 3").await,
        401,
        "invalid_credentials",
    );
    secrets.extend(
        ["Casimira", "Urrutia", "777 1234", "nadie@", "desconocido", "tierra de nadie"].map(String::from),
    );

    for _ in 0..2 {
        assert!(shop.terminate().await.success());
        let dump = Dump::of(shop.data());
        assert!(dump.holding(CONTROL.as_bytes()).len() > 1, "{:?}", dump.holding(CONTROL.as_bytes()));
        assert!(dump.unpacked().next().is_some(), "nothing was archived");
        assert!(dump.unpacked().any(|part| dump::holds(part, CONTROL.as_bytes())));
        assert_eq!(found(&dump, &secrets), Vec::<String>::new());
        assert_eq!(found(&Dump::of(&shop.log()), &secrets), Vec::<String>::new());
        shop.start().await;
    }
    // It is there all the same, for who has the keys.
    assert_eq!(text(&get(&mut admin, format!("/api/v1/users/{}", zoraida.id)).await, "name"), ZORAIDA.name);
}

/// Everything else that people do; what of it nobody may find.
async fn wander(zoraida: &Person, guest: &mut Client, admin: &mut Client) -> Vec<String> {
    let mut secrets =
        vec!["zq@nevado.example", "nevado", "Evaristo", "evaristo@taller.example", "siempre verde"];
    secrets.extend(["otra quebrada 42", "Pasaje Inti"]);
    let verify = mailed_token(admin, ZORAIDA.email, VERIFY).await;
    let moved = json!({ "email": "zq@nevado.example", "phone": null });
    expect(&zoraida.send(guest, Request::patch(ME, &moved)).await, 200);
    letter(admin, ZORAIDA.email, NOTICE).await;
    let address =
        Request::post("/api/v1/users/me/addresses", &json!({ "address": { "line1": "Pasaje Inti" } }));
    expect(&zoraida.send(guest, address).await, 201);

    let evaristo = register(guest, "Evaristo", "evaristo@taller.example", None).await;
    let ask = json!({ "email": "evaristo@taller.example" });
    expect(&post(guest, "/api/v1/auth/password/reset", ask).await, 202);
    let reset = mailed_token(admin, "evaristo@taller.example", RESET).await;
    let set = json!({ "token": reset, "new_password": "siempre verde" });
    assert_eq!(post(guest, "/api/v1/auth/password", set).await.code(), 204);
    let change = json!({ "current_password": ZORAIDA.password, "new_password": "otra quebrada 42" });
    let change = Request::post("/api/v1/auth/password", &change).key(&key());
    assert_eq!(zoraida.send(guest, change).await.code(), 204);
    let next = Person::of(&refresh(guest, &zoraida.refresh).await);
    let back = json!({ "email": ZORAIDA.email });
    expect(&next.send(guest, Request::patch(ME, &back)).await, 200);

    let made = json!({ "name": "storefront", "scopes": ["users:register", "users:manage"] });
    let made = expect(&post(admin, "/api/v1/api-keys", made).await, 201);
    let path = format!("/api/v1/users/{}", text(&evaristo, "id"));
    let by_program = Request::patch(&path, &json!({ "name": "Evaristo Segundo" }));
    expect(&send(guest, by_program.header("x-api-key", text(&made, "key"))).await, 200);
    let mut secrets: Vec<String> = secrets.into_iter().map(str::to_owned).collect();
    secrets.extend([verify, reset, next.access, next.refresh, text(&made, "key").to_owned()]);
    secrets.push(crate::support::API_KEY.to_owned());
    secrets
}

/// Copies the folder's files; sled's are few and flat.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder for the copy");
    for entry in fs::read_dir(from).expect("read the folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copy a file");
        }
    }
}

fn keys(data: &Path) -> Keys {
    Keys::open(&data.join("keys.json"), &data.join("vault"), false, 0).expect("the keys open")
}

/// The owner's key, which must be there.
fn key_of(keys: &Keys, owner: &str) -> DataKey {
    keys.existing_key_of(owner.parse::<Id>().expect("an id")).expect("a key")
}

/// The sealed form of `text` under `key`, wherever it lies in the folder: the format's number 1, a nonce of 12 bytes,
/// the ciphertext, as long as the text, and a tag of 16 bytes.
fn sealed(dump: &Dump, keys: &Keys, key: DataKey, text: &str) -> Vec<Personal> {
    let is_it = |personal: &Personal| keys.reveal(personal).is_ok_and(|clear| *clear == text);
    let candidates = dump.parts().flat_map(|part| part.windows(1 + 12 + text.len() + 16));
    let candidates = candidates.filter(|bytes| bytes[0] == 1);
    candidates.map(|bytes| Personal::sealed(key.id(), bytes)).filter(is_it).collect()
}

/// The slot of a key in the vault: 128 bytes, of which the state is the 29th, and nonce and wrapped key are 60 from
/// the 33rd on.
fn slot(data: &Path, key: DataKey) -> Vec<u8> {
    let vault = fs::read(data.join("vault")).expect("the vault");
    let first = (key.id().get() as usize - 1) * 128;
    vault[first..first + 128].to_vec()
}

#[tokio::test]
async fn what_is_erased_cannot_be_read_from_the_old_bytes() {
    let mut shop = open().await;
    let mut guest = shop.guest();
    let zoraida = ZORAIDA.arrive(&mut guest).await;
    let basilio = BASILIO.arrive(&mut guest).await;
    assert!(shop.terminate().await.success());

    let copies = scratch();
    let before = copies.path().join("before");
    copy(shop.data(), &before);
    let (dump, old) = (Dump::of(&before), keys(&before));
    let (hers, his) = (key_of(&old, &zoraida.id), key_of(&old, &basilio.id));
    let address = json!({ "line1": ZORAIDA.address }).to_string();
    let mut taken = Vec::new();
    for text in [ZORAIDA.name, ZORAIDA.email, ZORAIDA.phone, &address] {
        let found = sealed(&dump, &old, hers, text);
        assert!(!found.is_empty(), "the sealed form of {text:?} is nowhere");
        taken.extend(found);
    }
    let his_name = sealed(&dump, &old, his, BASILIO.name).remove(0);
    let wrapped = slot(shop.data(), hers)[32..92].to_vec();
    assert!(dump::holds(&fs::read(shop.data().join("vault")).unwrap(), &wrapped));

    shop.start().await;
    assert_eq!(zoraida.send(&mut guest, Request::delete(ME)).await.code(), 204);
    assert!(shop.terminate().await.success());
    let (dump, new) = (Dump::of(shop.data()), keys(shop.data()));
    let still: Vec<&Personal> = taken.iter().filter(|old| !dump.holding(old.bytes()).is_empty()).collect();
    assert!(!still.is_empty(), "the journal forgot what it held");
    println!("{} sealed texts before, {} of them still there", taken.len(), still.len());
    for personal in &taken {
        assert_eq!(new.reveal(personal).map(|_| ()), Err(Unreadable::Destroyed));
    }
    assert_eq!(*new.reveal(&his_name).expect("his key is untouched"), BASILIO.name);
    assert_eq!(new.existing_key_of(zoraida.id.parse().unwrap()), None);
    let slot = slot(shop.data(), hers);
    assert_eq!((slot[28], &slot[32..92]), (2, &[0; 60][..]));
    assert_eq!(dump.holding(&wrapped), Vec::<String>::new());

    shop.start().await;
    let mut admin = shop.staff();
    problem(
        &send(&mut admin, Request::get(format!("/api/v1/users/{}", zoraida.id))).await,
        404,
        "user_not_found",
    );
    let orders = get(&mut admin, format!("/api/v1/orders?user_id={}", zoraida.id)).await;
    assert_eq!(orders["items"].as_array().map(Vec::len), Some(1), "{orders}");
    assert_eq!(basilio.get(&mut guest, ME).await["name"], Value::from(BASILIO.name));
}
