//! Attacks on credentials and accounts, each as somebody hostile would try it.

mod accounts;
mod api_keys;
mod enumeration;
mod forged_tokens;
mod forger;
mod guessing;
mod leaks;
mod sessions;

use std::net::{IpAddr, Ipv4Addr};

use relampago_load::{Answer, Client};
use serde_json::Value;

use crate::support::Shop;

const ME: &str = "/api/v1/users/me";

/// The `number`th place to call from, 0 to 65,535.
fn place(number: usize) -> IpAddr {
    let [high, low] = u16::try_from(number).expect("so many places").to_be_bytes();
    Ipv4Addr::new(127, 9, high, low).into()
}

/// Somebody without a credential, at the `number`th place.
fn stranger(shop: &Shop, number: usize) -> Client {
    shop.guest().from_address(place(number))
}

/// What an answer tells but for what differs from request to request anyway: status, headers and body.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let differs = ["date", "traceparent", "x-request-id"];
    let headers = answer.headers.iter().filter(|(name, _)| !differs.contains(&name.as_str()));
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let mut headers: Vec<_> =
        headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
    headers.sort();
    let mut body: Value = answer.json().unwrap_or_default();
    if let Some(body) = body.as_object_mut() {
        body.remove("trace_id");
    }
    (answer.code(), headers, body)
}
