//! Who may call what: every route of the OpenAPI document, called by everybody there is.
//!
//! The expected table stands beside this file, one line a route and case. `RELAMPAGO_SHOW_TABLES=1` prints what it is.

mod scenes;
mod stage;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;

use relampago_load::{Answer, Client, Request};
use serde_json::Value;
use tokio::task::{JoinSet, LocalSet};

use crate::api::{expect, get, problem, send};
use crate::support::{API_KEY, Shop};
use scenes::{Scene, scenes};
use stage::{Given, Of, Stage, Who};

const EXPECTED: &str = include_str!("matrix.txt");
/// Stands for a credential that there is none of.
const NONE: &str = "-";
/// The scope of a route that does not even look at credentials.
const OPEN: &str = "open";

/// What the OpenAPI document says of who may call a route.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    /// The scope it needs, or [`OPEN`].
    scope: String,
    for_guests: bool,
}

/// A line of the table: route, case, scope, and a status for each of [`Who::ALL`].
#[derive(Debug)]
struct Row {
    name: [String; 3],
    cells: Vec<Cell>,
}

#[derive(Debug, PartialEq, Eq)]
struct Cell {
    /// The status; with the code of the problem if that is not the usual one of the status.
    shown: String,
    /// What came with it.
    body: String,
}

#[tokio::test]
async fn everybody_may_do_what_the_table_says_and_nothing_else() {
    let shop = Shop::open(&[("AUTH__PASSWORD_THREADS", "2")]).await;
    let listed = listed(&mut shop.guest()).await;
    let scenes = scenes();
    let played: Vec<&str> = scenes.iter().map(|scene| scene.route).collect();
    let missing: Vec<&String> = listed.keys().filter(|route| !played.contains(&route.as_str())).collect();
    assert!(missing.is_empty(), "routes of the document that nobody tries: {missing:#?}");
    let unknown: Vec<&&str> = played.iter().filter(|route| !listed.contains_key(**route)).collect();
    assert!(unknown.is_empty(), "routes that are not in the document: {unknown:#?}");

    let scopes = listed.values().map(|listed| listed.scope.as_str());
    let stage = Rc::new(Stage::set(&shop, scopes).await);
    let rows = LocalSet::new().run_until(play_all(stage, scenes, &listed)).await;
    if std::env::var_os("RELAMPAGO_SHOW_TABLES").is_some() {
        println!("{}", table(&rows));
    }
    let differences = [differences(&rows), broken_promises(&listed, &rows)].concat();
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[tokio::test]
async fn a_bad_credential_is_refused_on_every_route_that_looks_at_it() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let listed = listed(&mut guest).await;
    assert!(listed.values().filter(|listed| listed.for_guests && listed.scope != OPEN).count() > 10);
    let anywhere = [("GET /api/v1/nowhere", true), ("TRACE /livez", true)];
    let routes = listed.iter().map(|(route, listed)| (route.as_str(), listed.scope != OPEN));
    for (route, looks) in routes.chain(anywhere) {
        let bare = scenes::request(route, "", &Value::Null, None);
        let with = |name: &'static str, value: &str| bare.clone().header(name, value);
        let bad = [
            (with("authorization", "Bearer garbage"), "invalid_token"),
            (with("authorization", "Bearer a.b.c"), "invalid_token"),
            (with("authorization", "Basic cHJvYmU6"), "invalid_token"),
            (with("x-api-key", "garbage"), "invalid_api_key"),
            (with("x-api-key", ""), "invalid_api_key"),
            (with("x-api-key", API_KEY).header("authorization", "Bearer a.b.c"), "invalid_token"),
        ];
        for (request, code) in bad {
            let answer = send(&mut guest, request).await;
            if looks {
                problem(&answer, 401, code);
                assert!(answer.header("www-authenticate").is_some(), "{route}");
            } else {
                assert!(matches!(answer.code(), 200 | 404), "{route}: {}", answer.kind());
            }
        }
    }
}

#[tokio::test]
async fn lists_show_what_the_caller_reaches_and_no_more() {
    let shop = Shop::open(&[]).await;
    let scopes = ["orders:list", "catalogue:read"];
    let stage = Stage::set(&shop, scopes.into_iter()).await;
    for given in [Given::Order(Of::Owner), Given::Order(Of::Guest), Given::Archived] {
        stage.prepare(given, Who::Bootstrap).await;
    }
    let mut client = shop.guest();
    for (path, scope, who, items) in [
        ("/api/v1/orders", scopes[0], Who::Another, 0),
        ("/api/v1/orders", scopes[0], Who::Owner, 1),
        ("/api/v1/orders", scopes[0], Who::Staff, 2),
        ("/api/v1/orders", scopes[0], Who::Wider, 2),
        ("/api/v1/users/me/orders", scopes[0], Who::Another, 0),
        ("/api/v1/users/me/orders", scopes[0], Who::Owner, 1),
        ("/api/v1/products", scopes[1], Who::Nobody, 1),
        ("/api/v1/products", scopes[1], Who::Owner, 1),
        ("/api/v1/products", scopes[1], Who::Scope, 1),
        ("/api/v1/products", scopes[1], Who::Wider, 2),
    ] {
        let credential = stage.credential(who, scope).unwrap();
        let list = expect(&send(&mut client, credential.put_on(Request::get(path))).await, 200);
        assert_eq!(list["items"].as_array().map(Vec::len), Some(items), "{path} as {}: {list}", who.name());
    }
}

/// Every route of the OpenAPI document, as `GET /api/v1/products`.
async fn listed(guest: &mut Client) -> BTreeMap<String, Listed> {
    let document = get(guest, "/openapi.json").await;
    let mut listed = BTreeMap::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            listed.insert(format!("{} {path}", method.to_uppercase()), needs(operation));
        }
    }
    listed
}

fn needs(operation: &Value) -> Listed {
    let Some(ways) = operation["security"].as_array() else {
        return Listed { scope: OPEN.to_owned(), for_guests: true };
    };
    let mut scopes = ways.iter().filter_map(|way| way.as_object()?.values().next()).map(|scopes| &scopes[0]);
    let scope = scopes.next().and_then(Value::as_str).expect("a scope");
    assert!(scopes.all(|other| other == scope), "one scope, whatever the credential: {ways:?}");
    let for_guests = ways.iter().any(|way| way.as_object().is_some_and(serde_json::Map::is_empty));
    Listed { scope: scope.to_owned(), for_guests }
}

/// Plays all scenes at once; their rows in the order of the scenes.
async fn play_all(stage: Rc<Stage>, scenes: Vec<Scene>, listed: &BTreeMap<String, Listed>) -> Vec<Row> {
    let mut playing = JoinSet::new();
    for (number, scene) in scenes.into_iter().enumerate() {
        let (stage, scope) = (Rc::clone(&stage), listed[scene.route].scope.clone());
        playing.spawn_local(async move { (number, play(&stage, scene, scope).await) });
    }
    let rows: BTreeMap<usize, Row> = playing.join_all().await.into_iter().collect();
    rows.into_values().collect()
}

/// Has everybody try the same, each on things of its own.
async fn play(stage: &Stage, scene: Scene, scope: String) -> Row {
    let mut client = Client::guest(stage.target.clone());
    let mut cells = Vec::new();
    for who in Who::ALL {
        let cell = match stage.credential(who, &scope) {
            None => Cell { shown: NONE.to_owned(), body: String::new() },
            Some(credential) => {
                let (thing, own) = stage.prepare(scene.given, who).await;
                let request = scenes::request(scene.route, scene.query, &thing, scene.body);
                Cell::of(&send(&mut client, own.unwrap_or(credential).put_on(request)).await)
            }
        };
        cells.push(cell);
    }
    Row { name: [scene.route.to_owned(), scene.case.to_owned(), scope], cells }
}

impl Cell {
    fn of(answer: &Answer) -> Self {
        let (status, code) = (answer.code(), answer.problem());
        let usual = match status {
            401 => code == "authentication_required",
            403 => code == "forbidden",
            404 => code.ends_with("_not_found"),
            status => status < 400,
        };
        let shown = if usual { status.to_string() } else { format!("{status}:{code}") };
        Self { shown, body: String::from_utf8_lossy(&answer.body).trim_end().to_owned() }
    }
}

impl Row {
    fn named(&self) -> String {
        self.name.join(" | ")
    }
}

/// The lines of the expected table: their names, and their cells.
fn expected() -> Vec<([String; 3], Vec<&'static str>)> {
    let lines = EXPECTED.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let header = |line: &&str| line.starts_with("route ");
    lines.filter(|line| !header(line)).map(row).collect()
}

fn row(line: &'static str) -> ([String; 3], Vec<&'static str>) {
    let parts: Vec<&str> = line.split('|').map(str::trim).collect();
    let [route, case, scope, cells] = parts[..] else { panic!("not a row: {line}") };
    let cells: Vec<&str> = cells.split_whitespace().collect();
    assert_eq!(cells.len(), Who::ALL.len(), "cells in {line}");
    ([route, case, scope].map(str::to_owned), cells)
}

/// Where the table is not as expected, a line each.
fn differences(rows: &[Row]) -> Vec<String> {
    let mut expected: BTreeMap<[String; 3], Vec<&str>> = expected().into_iter().collect();
    let mut differences = Vec::new();
    for row in rows {
        let Some(cells) = expected.remove(&row.name) else {
            differences.push(format!("{}: has no row in matrix.txt", row.named()));
            continue;
        };
        for ((who, cell), expected) in Who::ALL.into_iter().zip(&row.cells).zip(cells) {
            if cell.shown != expected {
                let Cell { shown, body } = cell;
                let name = row.named();
                differences.push(format!("{name}: {} expected {expected}, got {shown}: {body}", who.name()));
            }
        }
    }
    differences.extend(expected.keys().map(|name| format!("{}: a row without a route", name.join(" | "))));
    differences
}

/// Where the document is wrong about who needs no credential, a line each.
fn broken_promises(listed: &BTreeMap<String, Listed>, rows: &[Row]) -> Vec<String> {
    let is_open = |route: &String| {
        let mut of_route = rows.iter().filter(|row| row.name[0] == *route);
        of_route.any(|row| row.cells[0].shown != "401")
    };
    let wrong = listed.iter().filter(|(route, listed)| listed.for_guests != is_open(route));
    wrong
        .map(|(route, listed)| format!("{route}: the document says for guests: {}", listed.for_guests))
        .collect()
}

/// As it stands in the file.
fn table(rows: &[Row]) -> String {
    let widths: [usize; 3] =
        std::array::from_fn(|column| rows.iter().map(|row| row.name[column].len()).max().unwrap_or_default());
    let names = |[route, case, scope]: [&str; 3]| {
        let [first, second, third] = widths;
        format!("{route:first$} | {case:second$} | {scope:third$} |")
    };
    let mut table = names(["route", "case", "scope"]);
    for who in Who::ALL {
        write!(table, " {}", who.name()).unwrap();
    }
    for row in rows {
        let [route, case, scope] = &row.name;
        write!(table, "\n{}", names([route, case, scope])).unwrap();
        for (who, cell) in Who::ALL.into_iter().zip(&row.cells) {
            write!(table, " {:width$}", cell.shown, width = who.name().len()).unwrap();
        }
        table.truncate(table.trim_end().len());
    }
    table
}
