//! Who may do what: one table, and nothing that is not in it.
//!
//! A caller has the permissions of the role, an API key those that it was made with. Whose things they reach is
//! asked by the entities themselves: see [`Party`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::address::Id;

/// In whose name something is asked of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// The shop: its staff, its programs, and its entities among themselves.
    Shop,
    /// Somebody unknown, who reaches what belongs to nobody by knowing its id.
    Guest,
    /// An account, which reaches its own things too.
    User(Id),
}

impl Party {
    /// Whether they reach what belongs to `owner`.
    #[must_use]
    pub fn reaches(self, owner: Option<Id>) -> bool {
        match (self, owner) {
            (Self::Shop, _) | (_, None) => true,
            (Self::User(user), Some(owner)) => user == owner,
            (Self::Guest, Some(_)) => false,
        }
    }
}

/// What an account is. The numbers are stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Buys.
    Customer,
    /// Runs the shop.
    Staff,
    /// Runs the system.
    Admin,
}

impl Role {
    /// Every role, the least powerful first.
    pub const ALL: [Self; 3] = [Self::Customer, Self::Staff, Self::Admin];

    /// As requests, answers and tokens spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Staff => "staff",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// What it may do.
    #[must_use]
    pub const fn permissions(self) -> Permissions {
        const CUSTOMER: Permissions = Permissions::of(Column::Customer);
        const STAFF: Permissions = Permissions::of(Column::Staff);
        const ADMIN: Permissions = Permissions::of(Column::Admin);
        match self {
            Self::Customer => CUSTOMER,
            Self::Staff => STAFF,
            Self::Admin => ADMIN,
        }
    }
}

/// Something that may be permitted. The numbers are stored with API keys: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Permission {
    /// See what is sold.
    CatalogueRead = 0,
    /// Change what is sold.
    CatalogueWrite = 1,
    /// See how much there is.
    StockRead = 2,
    /// Correct how much there is.
    StockWrite = 3,
    /// Fill a cart.
    CartsUse = 4,
    /// Buy.
    OrdersPlace = 5,
    /// See, validate and cancel an order.
    OrdersUse = 6,
    /// List one's orders.
    OrdersList = 7,
    /// Reach everybody's carts, orders and payments, and buy for an account.
    OrdersManage = 8,
    /// Pay.
    PaymentsMake = 9,
    /// See and confirm a payment.
    PaymentsUse = 10,
    /// Capture and refund.
    PaymentsManage = 11,
    /// Make an account or a guest profile.
    UsersRegister = 12,
    /// See and change one's account.
    UsersSelf = 13,
    /// See and change customers' accounts.
    UsersManage = 14,
    /// Say who is staff.
    RolesGrant = 15,
    /// Make and revoke API keys.
    KeysManage = 16,
    /// See who did what.
    AuditRead = 17,
    /// Rotate keys and see the mail that the embedded mailbox holds.
    SecurityManage = 18,
    /// Sign in, and set a password.
    SignIn = 19,
    /// Take a backup: everything the shop has stored, its secret too.
    BackupTake = 20,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What.
    pub permission: Permission,
    /// As an API key's scope spells it.
    pub scope: &'static str,
    guest: bool,
    customer: bool,
    staff: bool,
    admin: bool,
}

const fn rule(permission: Permission, scope: &'static str, roles: [u8; 4]) -> Rule {
    let [guest, customer, staff, admin] = roles;
    Rule {
        permission,
        scope,
        guest: guest == 1,
        customer: customer == 1,
        staff: staff == 1,
        admin: admin == 1,
    }
}

/// Who may do what: guest, customer, staff, admin.
#[rustfmt::skip]
pub const TABLE: [Rule; 21] = [
    rule(Permission::CatalogueRead,  "catalogue:read",  [1, 1, 1, 1]),
    rule(Permission::CatalogueWrite, "catalogue:write", [0, 0, 1, 1]),
    rule(Permission::StockRead,      "stock:read",      [0, 0, 1, 1]),
    rule(Permission::StockWrite,     "stock:write",     [0, 0, 1, 1]),
    rule(Permission::CartsUse,       "carts:use",       [1, 1, 1, 1]),
    rule(Permission::OrdersPlace,    "orders:place",    [1, 1, 1, 1]),
    rule(Permission::OrdersUse,      "orders:use",      [1, 1, 1, 1]),
    rule(Permission::OrdersList,     "orders:list",     [0, 1, 1, 1]),
    rule(Permission::OrdersManage,   "orders:manage",   [0, 0, 1, 1]),
    rule(Permission::PaymentsMake,   "payments:make",   [1, 1, 1, 1]),
    rule(Permission::PaymentsUse,    "payments:use",    [1, 1, 1, 1]),
    rule(Permission::PaymentsManage, "payments:manage", [0, 0, 1, 1]),
    rule(Permission::UsersRegister,  "users:register",  [1, 1, 1, 1]),
    rule(Permission::UsersSelf,      "users:self",      [0, 1, 1, 1]),
    rule(Permission::UsersManage,    "users:manage",    [0, 0, 1, 1]),
    rule(Permission::RolesGrant,     "roles:grant",     [0, 0, 0, 1]),
    rule(Permission::KeysManage,     "keys:manage",     [0, 0, 0, 1]),
    rule(Permission::AuditRead,      "audit:read",      [0, 0, 0, 1]),
    rule(Permission::SecurityManage, "security:manage", [0, 0, 0, 1]),
    rule(Permission::SignIn,         "auth:sign-in",    [1, 1, 1, 1]),
    rule(Permission::BackupTake,     "backup:take",     [0, 0, 0, 1]),
];

impl Permission {
    /// As an API key's scope spells it.
    #[must_use]
    pub fn scope(self) -> &'static str {
        TABLE[self as usize].scope
    }

    /// The wider permission that goes without saying that one needs this one too.
    const fn included_in(self) -> Option<Self> {
        match self {
            Self::CatalogueRead => Some(Self::CatalogueWrite),
            Self::StockRead => Some(Self::StockWrite),
            Self::CartsUse | Self::OrdersUse | Self::OrdersList => Some(Self::OrdersManage),
            Self::PaymentsUse => Some(Self::PaymentsManage),
            Self::UsersSelf => Some(Self::UsersManage),
            _ => None,
        }
    }

    /// The permission that a scope names.
    #[must_use]
    pub fn from_scope(scope: &str) -> Option<Self> {
        TABLE.iter().find(|rule| rule.scope == scope).map(|rule| rule.permission)
    }
}

/// A set of permissions: a bit for each.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Permissions(u64);

/// A column of the table.
#[derive(Clone, Copy)]
enum Column {
    Guest,
    Customer,
    Staff,
    Admin,
}

impl Permissions {
    /// A whole column, put together when the program is built.
    const fn of(column: Column) -> Self {
        let (mut bits, mut row) = (0, 0);
        while row < TABLE.len() {
            let rule = &TABLE[row];
            let allowed = match column {
                Column::Guest => rule.guest,
                Column::Customer => rule.customer,
                Column::Staff => rule.staff,
                Column::Admin => rule.admin,
            };
            if allowed {
                bits |= 1 << rule.permission as u8;
            }
            row += 1;
        }
        Self(bits)
    }

    /// What somebody without a credential may do.
    #[must_use]
    pub const fn of_guests() -> Self {
        const GUEST: Permissions = Permissions::of(Column::Guest);
        GUEST
    }

    /// Whether this one is among them, or one that includes it.
    #[must_use]
    pub fn allow(self, permission: Permission) -> bool {
        self.holds(permission) || permission.included_in().is_some_and(|wider| self.holds(wider))
    }

    const fn holds(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// Those in the set, in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        TABLE.iter().map(|rule| rule.permission).filter(move |permission| self.holds(*permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<T: IntoIterator<Item = Permission>>(permissions: T) -> Self {
        Self(permissions.into_iter().fold(0, |bits, permission| bits | 1 << permission as u8))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::scope)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stands_at_the_number_of_its_permission() {
        for (number, rule) in TABLE.iter().enumerate() {
            assert_eq!(rule.permission as usize, number);
            assert_eq!(Permission::from_scope(rule.scope), Some(rule.permission));
        }
    }

    #[test]
    fn more_power_takes_nothing_away() {
        for rule in &TABLE {
            assert!(rule.guest <= rule.customer && rule.customer <= rule.staff && rule.staff <= rule.admin);
            assert!(rule.admin, "{}", rule.scope);
        }
        assert!(!Permissions::of_guests().allow(Permission::OrdersList));
        assert!(Role::Customer.permissions().allow(Permission::OrdersList));
        assert!(!Role::Staff.permissions().allow(Permission::KeysManage));
    }

    #[test]
    fn things_of_an_account_are_for_it_and_the_shop() {
        let (ana, bea) = (Id(1), Id(2));
        assert!(Party::Shop.reaches(Some(ana)) && Party::User(ana).reaches(Some(ana)));
        assert!(!Party::User(bea).reaches(Some(ana)) && !Party::Guest.reaches(Some(ana)));
        assert!([Party::Shop, Party::Guest, Party::User(bea)].into_iter().all(|party| party.reaches(None)));
    }
}
