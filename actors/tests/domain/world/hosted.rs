//! Each entity as the world sees it.

use relampago_actors::api_keys::{self, ApiKeys};
use relampago_actors::audit::{self, Audit};
use relampago_actors::cart::{self, Cart};
use relampago_actors::email::{self, Email};
use relampago_actors::inventory::{self, Inventory};
use relampago_actors::order::{self, Order};
use relampago_actors::payment::{self, Payment};
use relampago_actors::product::{self, Product};
use relampago_actors::user::{self, User};
use relampago_actors::{Address, Message, Stamp};

use super::log::Fact;
use super::resident::Hosted;
use super::watch::Watch;
use crate::support::shelf::Shelf;

macro_rules! hosted {
    ($kind:ident, $entity:ident, $module:ident, $look:expr) => {
        impl Hosted for $entity {
            fn command(message: Message) -> Option<$module::Command> {
                match message {
                    Message::$kind(command) => Some(command),
                    _ => None,
                }
            }

            fn fact(event: $module::Event) -> Fact {
                Fact::$kind(event)
            }

            fn event(fact: &Fact) -> Option<$module::Event> {
                match fact {
                    Fact::$kind(event) => Some(event.clone()),
                    _ => None,
                }
            }

            fn look(
                &self,
                me: Address,
                event: &$module::Event,
                stamp: Stamp,
                shelf: &mut Shelf,
                watch: &mut Watch,
            ) {
                let look: fn(&Self, Address, &$module::Event, Stamp, &mut Shelf, &mut Watch) = $look;
                look(self, me, event, stamp, shelf, watch);
            }
        }
    };
}

hosted!(Product, Product, product, |product, me, _, stamp, shelf, _| {
    shelf.note_product(me.id, product, stamp.sequence);
});

hosted!(Inventory, Inventory, inventory, |inventory, me, event, stamp, shelf, watch| {
    let view = inventory.view().unwrap();
    shelf.note_stock(me, view.available, stamp.sequence);
    watch.stock_moved(me, &view, inventory.holds(), event);
});

hosted!(Cart, Cart, cart, |_, me, event, _, _, watch| watch.cart_changed(me.id, event));

hosted!(Order, Order, order, |order, me, event, _, _, watch| {
    watch.order_changed(me.id, order, event);
});

hosted!(Payment, Payment, payment, |_, me, event, _, _, watch| watch.payment_changed(me.id, event));

hosted!(User, User, user, |user, me, event, _, _, watch| watch.people.user_changed(me.id, user, event));

hosted!(Email, Email, email, |email, me, _, _, _, watch| watch.people.claim_changed(me.id, email));

hosted!(ApiKeys, ApiKeys, api_keys, |_, _, _, _, _, _| {});

hosted!(Audit, Audit, audit, |_, _, _, _, _, _| {});
