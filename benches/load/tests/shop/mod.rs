//! A shop in memory that speaks just enough of the contract, and makes mistakes on demand.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, server::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What the shop does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Every so many purchases are carried out, but their answer never leaves: the connection closes.
    LoseEveryNthAnswer(u64),
    /// A key that comes again makes a second order.
    ForgetKeys,
    /// Orders take stock that is not there.
    Oversell,
    /// Every so many orders are forgotten after they were answered.
    ForgetEveryNthOrder(u64),
    /// Nobody knows of any stock when it is read again.
    ForgetStock,
    /// Orders come out a cent cheaper when they are read again.
    ChangeTotals,
}

#[derive(Default)]
struct State {
    /// Stocked, available, reserved and sold units by sku.
    stock: BTreeMap<String, [i64; 4]>,
    carts: HashMap<String, Vec<(String, i64)>>,
    orders: BTreeMap<String, Value>,
    payments: HashMap<String, Value>,
    answered: HashMap<String, (u16, Value)>,
    made: u64,
    answers: u64,
}

/// A running shop. Dropping it closes the listener and every connection.
pub(crate) struct Shop {
    pub(crate) address: SocketAddr,
    _server: JoinSet<()>,
}

impl Shop {
    pub(crate) async fn open(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let state = Arc::clone(&state);
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&state), fault, request));
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, _server: server }
    }
}

/// An error makes hyper close the connection without an answer.
async fn answer(
    state: Arc<Mutex<State>>,
    fault: Fault,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let key = head.headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
    let path = head.uri.path().strip_prefix("/api/v1/").unwrap().to_owned();
    let mut state = state.lock().unwrap();
    let scope = key.map(|key| format!("{path} {key}")).filter(|_| fault != Fault::ForgetKeys);
    let known = scope.as_ref().and_then(|scope| state.answered.get(scope).cloned());
    let replayed = known.is_some();
    let (status, value) = known.unwrap_or_else(|| state.handle(fault, &head.method, &path, &body));
    if let Some(scope) = scope.filter(|_| status < 300) {
        state.answered.insert(scope, (status, value.clone()));
    }
    state.answers += 1;
    if let Fault::LoseEveryNthAnswer(n) = fault
        && state.answers.is_multiple_of(n)
    {
        return Err(std::io::Error::other("lost"));
    }
    let body = Full::new(Bytes::from(value.to_string()));
    let mut response = Response::builder().status(status);
    if replayed {
        response = response.header("idempotent-replayed", "true");
    }
    Ok(response.body(body).unwrap())
}

impl State {
    fn handle(&mut self, fault: Fault, method: &Method, path: &str, body: &Value) -> (u16, Value) {
        let parts: Vec<&str> = path.split('/').collect();
        match (method.as_str(), parts.as_slice()) {
            ("POST", ["products"]) => self.create_product(body),
            ("GET", ["inventory", _]) if fault == Fault::ForgetStock => (404, json!({})),
            ("GET", ["inventory", sku]) => self.inventory(sku),
            ("POST", ["inventory", sku, "adjustments"]) => self.adjust(sku, body["delta"].as_i64().unwrap()),
            ("POST", ["carts"]) => self.open_cart(),
            ("POST", ["carts", id, "items"]) => self.add_item(id, body),
            ("POST", ["carts", id, "checkout"]) => {
                let lines = self.carts[*id].clone();
                self.order(fault, lines, json!(id))
            }
            ("POST", ["orders"]) => {
                let lines = body["items"].as_array().unwrap();
                let lines = lines.iter().map(line_of).collect();
                self.order(fault, lines, Value::Null)
            }
            ("GET", ["orders"]) => self.list(),
            ("GET", ["orders", id]) => self.read_order(fault, id),
            ("POST", ["orders", id, "cancel"]) => self.cancel(id),
            ("POST", ["payments", "process"]) => self.pay(body),
            ("GET", ["payments", id]) => (200, self.payments[*id].clone()),
            _ => (404, json!({ "code": "not_found" })),
        }
    }

    fn next_id(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}-{}", self.made)
    }

    fn create_product(&mut self, body: &Value) -> (u16, Value) {
        let (sku, units) = (body["sku"].as_str().unwrap(), body["stock_quantity"].as_i64().unwrap());
        self.stock.entry(sku.to_owned()).or_insert([units, units, 0, 0]);
        (201, json!({ "id": sku, "sku": sku, "price": body["price"], "stock_quantity": units }))
    }

    fn inventory(&self, sku: &str) -> (u16, Value) {
        let [stocked, available, reserved, sold] = self.stock[sku];
        let inventory = json!({
            "sku": sku, "stocked": stocked, "available": available, "reserved": reserved, "sold": sold,
        });
        (200, inventory)
    }

    fn adjust(&mut self, sku: &str, delta: i64) -> (u16, Value) {
        let stock = self.stock.get_mut(sku).unwrap();
        if stock[1] + delta < 0 {
            return (409, json!({ "code": "insufficient_stock" }));
        }
        stock[0] += delta;
        stock[1] += delta;
        self.inventory(sku)
    }

    fn open_cart(&mut self) -> (u16, Value) {
        let id = self.next_id("cart");
        self.carts.insert(id.clone(), Vec::new());
        (201, json!({ "id": id }))
    }

    fn add_item(&mut self, id: &str, body: &Value) -> (u16, Value) {
        self.carts.get_mut(id).unwrap().push(line_of(body));
        (200, json!({ "id": id }))
    }

    fn order(&mut self, fault: Fault, lines: Vec<(String, i64)>, cart: Value) -> (u16, Value) {
        let short: Vec<Value> = lines
            .iter()
            .filter(|(sku, quantity)| self.stock[sku][1] < *quantity && fault != Fault::Oversell)
            .map(|(sku, quantity)| {
                json!({ "sku": sku, "requested": quantity, "available": self.stock[sku][1] })
            })
            .collect();
        if !short.is_empty() {
            return (409, json!({ "code": "out_of_stock", "items": short }));
        }
        for (sku, quantity) in &lines {
            self.move_units(sku, *quantity, 1, 2);
        }
        let id = self.next_id("order");
        let items: Vec<Value> = lines
            .iter()
            .map(|(sku, quantity)| {
                let line_total = format!("{quantity}.00");
                json!({ "sku": sku, "quantity": quantity, "price": "1.00", "line_total": line_total })
            })
            .collect();
        let total: i64 = lines.iter().map(|(_, quantity)| quantity).sum();
        let order = json!({
            "id": id, "cart_id": cart, "items": items, "total": format!("{total}.00"), "currency": "USD",
            "status": "created", "sub_status": null, "payment_id": null,
        });
        let forgotten = matches!(fault, Fault::ForgetEveryNthOrder(n) if self.made.is_multiple_of(n));
        if !forgotten {
            self.orders.insert(id, order.clone());
        }
        (201, order)
    }

    fn list(&self) -> (u16, Value) {
        let items: Vec<&Value> = self.orders.values().collect();
        (200, json!({ "items": items, "next_cursor": null }))
    }

    fn read_order(&self, fault: Fault, id: &str) -> (u16, Value) {
        let Some(order) = self.orders.get(id) else { return (404, json!({ "code": "not_found" })) };
        let mut order = order.clone();
        if fault == Fault::ChangeTotals {
            order["total"] = json!("0.99");
        }
        (200, order)
    }

    fn cancel(&mut self, id: &str) -> (u16, Value) {
        let mut order = self.orders[id].clone();
        let from = if order["status"] == "paid" { 3 } else { 2 };
        for (sku, quantity) in lines_of(&order) {
            self.move_units(&sku, quantity, from, 1);
        }
        order["status"] = json!("cancelled");
        if let Some(payment) = order["payment_id"].as_str() {
            self.payments.get_mut(payment).unwrap()["status"] = json!("refunded");
        }
        self.orders.insert(id.to_owned(), order.clone());
        (200, order)
    }

    fn pay(&mut self, body: &Value) -> (u16, Value) {
        let id = self.next_id("payment");
        let mut payment = json!({
            "id": id, "order_id": body["order_id"], "amount": body["amount"], "currency": "USD",
            "status": "approved",
        });
        if body["token"] == "tok_decline" {
            payment["status"] = json!("rejected");
            self.payments.insert(id, payment.clone());
            return (402, json!({ "code": "card_declined", "payment": payment }));
        }
        let mut order = self.orders[body["order_id"].as_str().unwrap()].clone();
        for (sku, quantity) in lines_of(&order) {
            self.move_units(&sku, quantity, 2, 3);
        }
        order["status"] = json!("paid");
        order["payment_id"] = json!(id);
        self.orders.insert(order["id"].as_str().unwrap().to_owned(), order);
        self.payments.insert(id, payment.clone());
        (201, payment)
    }

    fn move_units(&mut self, sku: &str, units: i64, from: usize, to: usize) {
        let stock = self.stock.get_mut(sku).unwrap();
        stock[from] -= units;
        stock[to] += units;
    }
}

fn line_of(line: &Value) -> (String, i64) {
    (line["sku"].as_str().unwrap().to_owned(), line["quantity"].as_i64().unwrap())
}

fn lines_of(order: &Value) -> Vec<(String, i64)> {
    order["items"].as_array().unwrap().iter().map(line_of).collect()
}
