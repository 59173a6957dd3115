//! What operators see: figures, alert rules, logs with traces, readiness.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use relampago_load::{Client, Request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::{adjust, expect, get, key, post, product, purchase, send, text};
use crate::support::{Shop, eventually, is_ci};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OTHER_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

async fn figures(guest: &mut Client) -> String {
    String::from_utf8(send(guest, Request::get("/metrics")).await.body.to_vec()).unwrap()
}

/// The value of a figure, named with its labels.
fn figure(figures: &str, name: &str) -> Option<f64> {
    figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// Waits until a figure is `wanted`.
async fn until_figure(guest: &mut Client, name: &str, wanted: f64) {
    eventually(name, async || (figure(&figures(guest).await, name) == Some(wanted)).then_some(())).await;
}

/// A little of everything that is counted: sold, refused, cancelled.
async fn trade(shop: &Shop) {
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 5).await;
    for _ in 0..5 {
        expect(&send(&mut guest, purchase("BOLT", 1).key(&key())).await, 201);
    }
    expect(&send(&mut guest, purchase("BOLT", 1).key(&key())).await, 409);
    expect(&adjust(&mut staff, "BOLT", 3).await, 200);
    let order = expect(&send(&mut guest, purchase("BOLT", 2).key(&key())).await, 201);
    let path = format!("/api/v1/orders/{}/cancel", text(&order, "id"));
    expect(&post(&mut guest, path, json!({})).await, 200);
}

/// Runs promtool with something on its standard input; `None` if there is none on this machine.
fn promtool(arguments: &[&str], folder: &Path, input: &str) -> Option<(bool, String)> {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            assert!(!is_ci(), "promtool cannot be run: {error}");
            eprintln!("SKIPPED: promtool cannot be run ({error}); it comes with the package prometheus");
            return None;
        }
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].map(|told| String::from_utf8_lossy(&told).into_owned());
    Some((output.status.success(), told.concat()))
}

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config")
}

#[tokio::test]
async fn the_figures_are_well_formed_and_the_alerts_ask_for_some_that_are_there() {
    let shop = Shop::open(&[]).await;
    trade(&shop).await;
    let figures = figures(&mut shop.guest()).await;
    let rules = std::fs::read_to_string(config().join("alerts.yml")).unwrap();
    let words = rules.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    let asked: BTreeSet<&str> =
        words.filter(|word| word.starts_with("relampago_") || word.starts_with("http_")).collect();
    assert!(asked.len() > 12, "{asked:?}");
    for name in asked {
        let is_there =
            |line: &str| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} "));
        assert!(figures.lines().any(is_there), "no {name} in the figures");
    }
    let looks: [(&[&str], &str); 3] = [
        (&["check", "metrics"], &figures),
        (&["check", "rules", "alerts.yml"], ""),
        (&["test", "rules", "alerts_test.yml"], ""),
    ];
    for (arguments, input) in looks {
        let Some((is_well, told)) = promtool(arguments, &config(), input) else { return };
        assert!(is_well, "promtool {arguments:?}: {told}");
    }
}

#[tokio::test]
async fn orders_are_checked_against_inventories_while_the_shop_sells() {
    let mut shop = Shop::open(&[]).await;
    trade(&shop).await;
    for crash in [true, false] {
        let mut guest = shop.guest();
        until_figure(&mut guest, "relampago_crosscheck_lag_events", 0.0).await;
        // Five orders wait to be paid.
        until_figure(&mut guest, "relampago_crosscheck_orders", 5.0).await;
        let figures = figures(&mut guest).await;
        for name in ["oversold_units", "stranded_units", "conservation_difference_units"] {
            assert_eq!(figure(&figures, &format!("relampago_{name}")), Some(0.0), "{name}");
        }
        if crash {
            shop.crash().await;
        }
    }
}

/// The log's lines that belong to a trace.
fn lines_of(log: &str, trace: &str) -> Vec<Value> {
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    lines.filter(|line| line["fields"]["trace_id"] == trace).collect()
}

fn traced(request: Request, trace: &str) -> Request {
    request.header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"))
}

#[tokio::test]
async fn a_trace_is_followed_through_the_actors() {
    let mut shop = Shop::open(&[("LOG__FILTER", "debug"), ("LOG__FORMAT", "json")]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 5).await;
    // By the short way, and by the long one.
    let order = traced(purchase("BOLT", 1).key(&key()), TRACE);
    let order = expect(&send(&mut guest, order).await, 201);
    let cancel = Request::post(format!("/api/v1/orders/{}/cancel", text(&order, "id")), &json!({}));
    expect(&send(&mut guest, traced(cancel.key(&key()), OTHER_TRACE)).await, 200);
    assert!(shop.terminate().await.success());

    let log = std::fs::read_to_string(shop.log()).unwrap();
    for (trace, route, status) in
        [(TRACE, "/api/v1/orders", 201), (OTHER_TRACE, "/api/v1/orders/{id}/cancel", 200)]
    {
        let lines = lines_of(&log, trace);
        let requests: Vec<&Value> = lines.iter().filter(|line| line["fields"]["route"] == route).collect();
        let [request] = requests[..] else { panic!("{requests:?} of {lines:?}") };
        assert_eq!(request["fields"]["status"], status, "{request}");
        let us = |name: &str| request["fields"][name].as_u64().unwrap_or_else(|| panic!("{request}"));
        let (took, waited) = (us("took_us"), us("waited_for_disk_us"));
        assert!(waited > 0 && waited < took, "{request}");
        for kind in ["order", "inventory"] {
            let worked = |line: &Value| {
                line["fields"]["kind"] == kind
                    && line["target"].as_str().unwrap().starts_with("relampago_engine")
            };
            assert!(lines.iter().any(worked), "no line of an {kind}: {lines:?}");
        }
    }
    // Whoever has the log cannot pay or cancel.
    assert!(!log.contains(text(&order, "id")), "the id of a guest's order stands in the log");
}

#[tokio::test]
async fn readiness_names_what_it_looked_at() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let plain = send(&mut guest, Request::get("/readyz")).await;
    assert_eq!((plain.code(), &plain.body[..]), (200, &b"ok\n"[..]));
    let verbose = send(&mut guest, Request::get("/readyz?verbose")).await;
    let verbose = String::from_utf8(verbose.body.to_vec()).unwrap();
    for name in ["recovery", "engine", "journal", "admission", "snapshots", "stock"] {
        assert!(verbose.contains(&format!("[+] {name}: ")), "{name}: {verbose}");
    }
    // What this machine has left is its own business.
    assert!(verbose.contains("] disk: ") && verbose.ends_with("\nok\n"), "{verbose}");
    assert_eq!(figure(&figures(&mut guest).await, "relampago_ready"), Some(1.0));
}

#[tokio::test]
async fn refusals_are_counted_by_reason() {
    let shop = Shop::open(&[("SERVER__HEADER_READ_TIMEOUT", "100ms")]).await;
    let mut slow = TcpStream::connect(shop.address()).await.unwrap();
    slow.write_all(b"GET /livez HTTP/1.1\r\nHost:").await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let mut guest = shop.guest();
    until_figure(&mut guest, "http_requests_refused_total{reason=\"head_timeout\"}", 1.0).await;
    let figures = figures(&mut guest).await;
    for reason in ["overloaded", "bodies", "shutting_down", "body_timeout", "too_many_attempts", "passwords"]
    {
        let name = format!("http_requests_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(figure(&figures, &name), Some(0.0), "{name}");
    }
    let health = get(&mut guest, "/health").await;
    assert_eq!(health["status"], "ready");
}
