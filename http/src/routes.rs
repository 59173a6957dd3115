//! The table of routes: what is where, and who may call it. Handlers are one file a resource.

mod buyer;
pub(crate) mod carts;
pub(crate) mod checkout;
pub(crate) mod docs;
pub(crate) mod inventory;
pub(crate) mod operations;
pub(crate) mod orders;
pub(crate) mod payments;
pub(crate) mod products;
pub(crate) mod validations;
mod wanted;

use crate::app::Site;
use crate::auth::Access::{Anyone, Open, Staff};

/// Every route.
pub(crate) fn site() -> Site {
    let site = operators(Site::default());
    let site = catalogue(site);
    let site = selling(site);
    paying(site)
}

fn catalogue(site: Site) -> Site {
    site.get("/api/v1/products", Anyone, products::list)
        .post("/api/v1/products", Staff, products::create)
        .get("/api/v1/products/{id}", Anyone, products::show)
        .put("/api/v1/products/{id}", Staff, products::replace)
        .patch("/api/v1/products/{id}", Staff, products::change)
        .delete("/api/v1/products/{id}", Staff, products::archive)
        .get("/api/v1/inventory/{sku}", Staff, inventory::show)
        .post("/api/v1/inventory/{sku}/adjustments", Staff, inventory::adjust)
}

fn selling(site: Site) -> Site {
    site.post("/api/v1/carts", Anyone, carts::create)
        .get("/api/v1/carts/{id}", Anyone, carts::show)
        .delete("/api/v1/carts/{id}", Anyone, carts::delete)
        .post("/api/v1/carts/{id}/items", Anyone, carts::add)
        .delete("/api/v1/carts/{id}/items", Anyone, carts::clear)
        .patch("/api/v1/carts/{id}/items/{item_id}", Anyone, carts::set_quantity)
        .delete("/api/v1/carts/{id}/items/{item_id}", Anyone, carts::remove)
        .post("/api/v1/carts/{id}/checkout", Anyone, checkout::check_out)
        .get("/api/v1/orders", Staff, orders::list)
        .post("/api/v1/orders", Anyone, checkout::place)
        .get("/api/v1/orders/{id}", Anyone, orders::show)
        .get("/api/v1/orders/{id}/history", Anyone, orders::history)
        .post("/api/v1/orders/{id}/cancel", Anyone, orders::cancel)
        .post("/api/v1/validations/validate", Anyone, validations::validate)
}

fn paying(site: Site) -> Site {
    site.post("/api/v1/payments/process", Anyone, payments::process)
        .get("/api/v1/payments/{id}", Anyone, payments::show)
        .post("/api/v1/payments/{id}/confirm", Anyone, payments::confirm)
        .post("/api/v1/payments/{id}/capture", Staff, payments::capture)
        .post("/api/v1/payments/{id}/refunds", Staff, payments::refund)
}

fn operators(site: Site) -> Site {
    site.get("/livez", Open, operations::livez)
        .get("/readyz", Open, operations::readyz)
        .get("/health", Open, operations::health)
        .get("/metrics", Open, operations::metrics)
        .get("/openapi.json", Open, docs::document)
        .get("/docs", Open, docs::page)
        .get("/docs/{*file}", Open, docs::file)
}
