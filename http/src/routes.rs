//! The table of routes: what is where, and who may call it. Handlers are one file a resource.

pub(crate) mod addresses;
pub(crate) mod api_keys;
pub(crate) mod backup;
mod buyer;
pub(crate) mod carts;
pub(crate) mod checkout;
pub(crate) mod docs;
pub(crate) mod inventory;
pub(crate) mod operations;
pub(crate) mod orders;
pub(crate) mod passwords;
pub(crate) mod payments;
mod person;
pub(crate) mod products;
pub(crate) mod security;
pub(crate) mod sessions;
pub(crate) mod users;
pub(crate) mod validations;
mod wanted;

use relampago_actors::access::Permission::{
    AuditRead, BackupTake, CartsUse, CatalogueRead, CatalogueWrite, KeysManage, OrdersList, OrdersPlace,
    OrdersUse, PaymentsMake, PaymentsManage, PaymentsUse, SecurityManage, SignIn, StockRead, StockWrite,
    UsersRegister, UsersSelf,
};

use crate::app::Site;
use crate::auth::Access;

/// Every route.
pub(crate) fn site() -> Site {
    let site = operators(Site::default());
    let site = catalogue(site);
    let site = selling(site);
    let site = paying(site);
    let site = people(site);
    securing(site)
}

fn catalogue(site: Site) -> Site {
    site.get("/api/v1/products", CatalogueRead, products::list)
        .post("/api/v1/products", CatalogueWrite, products::create)
        .get("/api/v1/products/{id}", CatalogueRead, products::show)
        .put("/api/v1/products/{id}", CatalogueWrite, products::replace)
        .patch("/api/v1/products/{id}", CatalogueWrite, products::change)
        .delete("/api/v1/products/{id}", CatalogueWrite, products::archive)
        .get("/api/v1/inventory/{sku}", StockRead, inventory::show)
        .post("/api/v1/inventory/{sku}/adjustments", StockWrite, inventory::adjust)
}

fn selling(site: Site) -> Site {
    site.post("/api/v1/carts", CartsUse, carts::create)
        .get("/api/v1/carts/{id}", CartsUse, carts::show)
        .delete("/api/v1/carts/{id}", CartsUse, carts::delete)
        .post("/api/v1/carts/{id}/items", CartsUse, carts::add)
        .delete("/api/v1/carts/{id}/items", CartsUse, carts::clear)
        .patch("/api/v1/carts/{id}/items/{item_id}", CartsUse, carts::set_quantity)
        .delete("/api/v1/carts/{id}/items/{item_id}", CartsUse, carts::remove)
        .post("/api/v1/carts/{id}/checkout", OrdersPlace, checkout::check_out)
        .get("/api/v1/orders", OrdersList, orders::list)
        .post("/api/v1/orders", OrdersPlace, checkout::place)
        .get("/api/v1/orders/{id}", OrdersUse, orders::show)
        .get("/api/v1/orders/{id}/history", OrdersUse, orders::history)
        .post("/api/v1/orders/{id}/cancel", OrdersUse, orders::cancel)
        .post("/api/v1/validations/validate", OrdersUse, validations::validate)
}

fn paying(site: Site) -> Site {
    site.post("/api/v1/payments/process", PaymentsMake, payments::process)
        .get("/api/v1/payments/{id}", PaymentsUse, payments::show)
        .post("/api/v1/payments/{id}/confirm", PaymentsUse, payments::confirm)
        .post("/api/v1/payments/{id}/capture", PaymentsManage, payments::capture)
        .post("/api/v1/payments/{id}/refunds", PaymentsManage, payments::refund)
}

fn people(site: Site) -> Site {
    site.post("/api/v1/users", UsersRegister, users::register)
        .get("/api/v1/users/{id}", UsersSelf, users::show)
        .patch("/api/v1/users/{id}", UsersSelf, users::change)
        .delete("/api/v1/users/{id}", UsersSelf, users::erase)
        .get("/api/v1/users/{id}/orders", UsersSelf, users::orders)
        .get("/api/v1/users/{id}/addresses", UsersSelf, addresses::list)
        .post("/api/v1/users/{id}/addresses", UsersSelf, addresses::add)
        .put("/api/v1/users/{id}/addresses/{address_id}", UsersSelf, addresses::replace)
        .delete("/api/v1/users/{id}/addresses/{address_id}", UsersSelf, addresses::remove)
        .post("/api/v1/auth/login", SignIn, sessions::login)
        .post("/api/v1/auth/refresh", SignIn, sessions::refresh)
        .post("/api/v1/auth/logout", UsersSelf, sessions::logout)
        .post("/api/v1/auth/password", SignIn, passwords::set)
        .post("/api/v1/auth/password/reset", SignIn, passwords::request_reset)
        .post("/api/v1/auth/email/verify", SignIn, passwords::verify)
        .post("/api/v1/auth/email/verification", UsersSelf, passwords::request_verification)
}

fn securing(site: Site) -> Site {
    site.get("/.well-known/jwks.json", Access::Open, security::jwks)
        .get("/api/v1/api-keys", KeysManage, api_keys::list)
        .post("/api/v1/api-keys", KeysManage, api_keys::create)
        .get("/api/v1/api-keys/{id}", KeysManage, api_keys::show)
        .delete("/api/v1/api-keys/{id}", KeysManage, api_keys::revoke)
        .get("/api/v1/admin/audit", AuditRead, security::audit)
        .get("/api/v1/admin/mail", SecurityManage, security::mail)
        .post("/api/v1/admin/keys/rotate", SecurityManage, security::rotate)
        .get("/api/v1/admin/backup", BackupTake, backup::take)
}

fn operators(site: Site) -> Site {
    site.get("/livez", Access::Open, operations::livez)
        .get("/readyz", Access::Open, operations::readyz)
        .get("/health", Access::Open, operations::health)
        .get("/metrics", Access::Open, operations::metrics)
        .get("/openapi.json", Access::Open, docs::document)
        .get("/docs", Access::Open, docs::page)
        .get("/docs/{*file}", Access::Open, docs::file)
}
