//! Request bodies, through the whole front, with an engine behind it.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use relampago_config::{Flags, Settings};
use relampago_engine::Engine;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::access::bootstrap::AdminKey;
use crate::app::{Front, Listed};
use crate::{metrics, routes};

const API_KEY: &str = "fuzzing-admin-key";
/// Every key of the shop would be made anew.
const LEFT_OUT: &str = "/api/v1/admin/keys/rotate";

/// A shop with a product, a cart and an order.
struct Stage {
    runtime: Runtime,
    front: Front,
    routes: Vec<Listed>,
    product: String,
    cart: String,
    order: String,
    _folder: TempDir,
}

static STAGE: LazyLock<Stage> = LazyLock::new(Stage::new);

/// The body of a request. The first byte says to which of the routes that take one, in their order in the table of
/// routes. The shop never makes a mistake, and says what is wrong as a problem.
pub fn body(input: &[u8]) {
    let [which, body @ ..] = input else { return };
    let route = STAGE.routes[usize::from(*which) % STAGE.routes.len()];
    let (status, kind, answer) = STAGE.send(route.method, &STAGE.path(route.template), body.to_vec());
    let about =
        || format!("{} {}: {status} {}", route.method, route.template, String::from_utf8_lossy(&answer));
    assert!(!status.is_server_error() || status == StatusCode::SERVICE_UNAVAILABLE, "{}", about());
    if status.is_client_error() {
        assert_eq!(kind, "application/problem+json", "{}", about());
        let problem: Value = serde_json::from_slice(&answer).expect("a problem in JSON");
        assert_eq!(problem["status"], status.as_u16(), "{}", about());
    }
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let flags = Flags { addr: None, data: Some(folder.path().join("data")) };
        let small = [
            ("RELAMPAGO_AUTH__BOOTSTRAP_API_KEY", API_KEY),
            ("RELAMPAGO_JOURNAL__SEGMENT_BYTES", "1MiB"),
            ("RELAMPAGO_JOURNAL__ARCHIVE_RETENTION_BYTES", "16MiB"),
        ];
        let env = small.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::load(None, flags, env).expect("good settings");
        let runtime = Runtime::new().expect("a runtime");
        let front = runtime.block_on(async {
            let engine = Engine::start(&settings).await.expect("an engine");
            let key = settings.auth.bootstrap_api_key.as_ref().expect("a key");
            Front::new(engine, &settings, &AdminKey::set(key), metrics::install()).expect("a front")
        });
        let takes_body = |route: &&Listed| matches!(route.method, "POST" | "PUT" | "PATCH");
        let site = routes::site();
        let routes = site.listed().iter().filter(takes_body).filter(|route| route.template != LEFT_OUT);
        let (routes, none) = (routes.copied().collect(), String::new);
        let mut stage =
            Self { runtime, front, routes, product: none(), cart: none(), order: none(), _folder: folder };
        let product = r#"{"name": "A", "sku": "A", "price": "1.00", "stock_quantity": 1000000}"#;
        stage.product = stage.made("/api/v1/products", product);
        stage.cart = stage.made("/api/v1/carts", "{}");
        stage.order = stage.made("/api/v1/orders", r#"{"items": [{"sku": "A", "quantity": 1}]}"#);
        stage
    }

    /// The id of what a request makes.
    fn made(&self, path: &str, body: &str) -> String {
        let (_, _, answer) = self.send("POST", path, body.into());
        let made: Value = serde_json::from_slice(&answer).expect("an answer in JSON");
        made["id"].as_str().expect("an id").to_owned()
    }

    /// A path that leads to what is there, as far as it is.
    fn path(&self, template: &str) -> String {
        let id = match template.split('/').nth(3) {
            Some("products") => &self.product,
            Some("carts") => &self.cart,
            _ => &self.order,
        };
        let path = template.replace("{id}", id).replace("{sku}", "A");
        path.replace("{item_id}", &self.product).replace("{address_id}", &self.order)
    }

    fn send(&self, method: &str, path: &str, body: Vec<u8>) -> (StatusCode, String, Vec<u8>) {
        // The same request is the same key: a run can be repeated.
        let key = blake3::hash(&[path.as_bytes(), &body].concat()).to_hex();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "shop")
            .header("content-type", "application/json")
            .header("x-api-key", API_KEY)
            .header("idempotency-key", key.as_str())
            .body(Body::from(body))
            .expect("a request");
        self.runtime.block_on(async {
            let (parts, body) = self.front.handle(request).await.into_parts();
            let kind =
                parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let kind = kind.to_owned();
            let body = body.collect().await.expect("an answer").to_bytes();
            (parts.status, kind, body.into())
        })
    }
}
