//! A shop with one product, with and without a server around it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use relampago_actors::catalogue::{Card, Catalogue, Stock};
use relampago_actors::keys::KeyTag;
use relampago_actors::line::{ProductRef, Wanted};
use relampago_actors::money::Currency;
use relampago_actors::order::{Buyer, Command, Source};
use relampago_actors::{Address, Id, Message, Party, product};
use relampago_config::{Flags, Settings};
use relampago_engine::Engine;
use relampago_http::access::bootstrap::AdminKey;
use relampago_http::app::Front;
use relampago_http::metrics;
use tokio::task::JoinSet;

pub(crate) const SKU: &str = "HOT";

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const PRODUCT: Id = Id(0x0192_f0c1_2345_7abc_8def_0123_4567_89ab);

/// A purchase of one unit.
pub(crate) fn place(key: u128) -> Command {
    let wanted = Wanted { product: ProductRef::Sku(SKU.into()), quantity: 1 };
    let tag = KeyTag { key, body: 1 };
    Command::Place { source: Source::Items(vec![wanted]), buyer: Buyer::default(), tag }
}

/// A catalogue of one product that is never sold out.
#[derive(Debug)]
pub(crate) struct Shelf(Arc<Card>);

impl Shelf {
    pub(crate) fn new() -> Self {
        let stock = Arc::new(Stock::default());
        stock.record(i64::MAX, 1);
        Self(Arc::new(Card {
            product: PRODUCT,
            sku: SKU.into(),
            name: "Storm lamp".into(),
            price: 1999,
            currency: Currency::USD,
            active: true,
            inventory: Address::inventory(SKU),
            stock,
            sequence: 1,
        }))
    }
}

impl Catalogue for Shelf {
    fn by_sku(&self, _sku: &str) -> Option<Arc<Card>> {
        Some(Arc::clone(&self.0))
    }

    fn by_product(&self, _product: Id) -> Option<Arc<Card>> {
        Some(Arc::clone(&self.0))
    }
}

/// An engine with its HTTP front.
pub(crate) struct Shop {
    engine: Engine,
    front: Front,
    next: Arc<AtomicU64>,
}

impl Shop {
    /// A shop in a new folder, with its product.
    pub(crate) async fn open(data: &Path) -> Self {
        let shop = Self::reopen(data).await;
        let details = product::Details {
            sku: SKU.into(),
            name: "Storm lamp".into(),
            description: "".into(),
            category: None,
            price: 1999,
            currency: Currency::USD,
        };
        let create = product::Command::Create { details, stock: 1_000_000_000_000, tag: None };
        let (at, create) = (Address::product(PRODUCT), Message::Product(create));
        shop.engine.ask(at, Party::Shop, create, PATIENCE).await.unwrap();
        shop
    }

    /// The shop that lies in a folder.
    pub(crate) async fn reopen(data: &Path) -> Self {
        let flags = Flags { addr: None, data: Some(data.to_owned()) };
        let settings = Settings::load(None, flags, std::iter::empty()).unwrap();
        let engine = Engine::start(&settings).await.unwrap();
        let admin = AdminKey::kept_in(data).unwrap();
        let front = Front::new(engine.clone(), &settings, &admin, metrics::install()).unwrap();
        Self { engine, front, next: Arc::default() }
    }

    pub(crate) async fn close(self) {
        self.engine.drain().await.unwrap();
    }

    /// Time for so many purchases, each by a new key, by `callers` who wait for their answers.
    pub(crate) async fn purchases(&self, callers: u64, requests: u64) -> Duration {
        let buy = |number| {
            let body = format!(r#"{{"items":[{{"sku":"{SKU}","quantity":1}}]}}"#);
            let request = Request::post("/api/v1/orders").header("content-type", "application/json");
            request.header("idempotency-key", format!("bench-key-{number:020}")).body(body.into()).unwrap()
        };
        self.crowd(callers, requests, buy, StatusCode::CREATED).await
    }

    /// Time for so many looks at the product.
    pub(crate) async fn views(&self, callers: u64, requests: u64) -> Duration {
        let look = |_| Request::get(format!("/api/v1/products/{PRODUCT}")).body(Body::empty()).unwrap();
        self.crowd(callers, requests, look, StatusCode::OK).await
    }

    async fn crowd(
        &self,
        callers: u64,
        requests: u64,
        request: impl Fn(u64) -> Request<Body> + Clone + Send + 'static,
        expected: StatusCode,
    ) -> Duration {
        let last = self.next.load(Ordering::Relaxed) + requests;
        let began = Instant::now();
        let mut crowd = JoinSet::new();
        for _ in 0..callers {
            let (front, next, request) = (self.front.clone(), Arc::clone(&self.next), request.clone());
            crowd.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= last {
                        return;
                    }
                    let mut request = request(number);
                    request.headers_mut().insert("host", "bench".parse().unwrap());
                    let answer = front.handle(request).await;
                    assert_eq!(answer.status(), expected);
                }
            });
        }
        crowd.join_all().await;
        began.elapsed()
    }
}
