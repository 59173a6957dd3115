"""Who calls in a run of schemathesis, and what for: credentials that are renewed, and ids that something has."""

import itertools
import json
import os
import urllib.error
import urllib.request
import zlib

import requests
import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import TestPhase

URL = os.environ["RELAMPAGO_URL"]
ADMIN_KEY = os.environ["RELAMPAGO_ADMIN_KEY"]
CREDENTIAL = os.environ["RELAMPAGO_CREDENTIAL"]
# Where the links that were followed are written down.
FOLLOWED = os.environ["RELAMPAGO_FOLLOWED"]
PASSWORD = "correct horse 9"
PRICE = "19.99"
# Ids that are kept of each sort, the newest.
MOST_KNOWN = 100
# After these a credential may be none any more.
ENDING = {"auth_logout", "auth_set", "users_erase", "users_change", "api-keys_revoke"}

numbers = itertools.count()
# Values that something has, by what they are.
known = {}
# What orders cost.
totals = {}
# Ids of what was removed.
gone = set()
# A sku that can always be bought: no call is told of its product, so that none takes it out of the shop.
shelf = []


def call(method, path, body=None, headers=None):
    """The JSON that a call answers, which has to be a success."""
    request = urllib.request.Request(URL + path, method=method, data=None if body is None else json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    for name, value in (headers or {"X-API-Key": ADMIN_KEY}).items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request) as response:
            return json.loads(response.read() or "null")
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from error


def fresh_key():
    return {"Idempotency-Key": f"{CREDENTIAL}-{os.getpid()}-{next(numbers):032}"}


def remember(kind, *values):
    kept = known.setdefault(kind, [])
    kept.extend(value for value in values if value not in kept)
    del kept[:-MOST_KNOWN]


def sign_in(role):
    """The header of somebody new with this role."""
    email = f"{role}-{os.getpid()}-{next(numbers)}@example.com"
    user = call("POST", "/api/v1/users", {"name": "Ana", "email": email, "password": PASSWORD, "role": role})
    remember("user", user["id"])
    tokens = call("POST", "/api/v1/auth/login", {"email": email, "password": PASSWORD})
    remember("refresh_token", tokens["refresh_token"])
    remember("email", email)
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def make_key():
    """The header of a program that may do what storefronts and warehouses do."""
    scopes = ["catalogue:read", "catalogue:write", "stock:read", "stock:write", "carts:use", "orders:place", "orders:use",
              "payments:make", "payments:use", "users:register", "auth:sign-in"]
    made = call("POST", "/api/v1/api-keys", {"name": "storefront", "scopes": scopes})
    remember("api_key", made["id"])
    return {"X-API-Key": made["key"]}


def credential():
    """The headers of who calls in this run."""
    match CREDENTIAL:
        case "nobody":
            return {}
        case "key":
            return make_key()
        case "admin-key":
            return {"X-API-Key": ADMIN_KEY}
        case role:
            return sign_in(role)


class Caller:
    """Has a credential, and gets another when it may have ended."""

    def __init__(self):
        self.headers = None

    def current(self):
        if self.headers is None:
            known.clear()
            self.headers = credential()
            stock(self.headers)
        return self.headers


caller = Caller()


def stock(headers):
    """Things to deal with, so that not everything ends with a 404. They are the caller's own as far as they can be."""
    mine = headers or {"Accept": "application/json"}
    if not shelf:
        shelf.append(call("POST", "/api/v1/products", {"name": "Shelf lamp", "price": PRICE, "stock_quantity": 1000000})["sku"])
    remember("file", "index.css", "swagger-ui.css")
    product = call("POST", "/api/v1/products", {"name": "Storm lamp", "price": PRICE, "stock_quantity": 1000})
    remember("product", product["id"])
    remember("sku", product["sku"])
    line = {"sku": product["sku"], "quantity": 1}
    for _ in range(2):
        cart = call("POST", "/api/v1/carts", {}, mine)
        cart = call("POST", f"/api/v1/carts/{cart['id']}/items", line, mine)
        remember("cart", cart["id"])
        remember("item", cart["items"][0]["id"])
    for how in [None, {}, {"capture_method": "manual"}, {"token": "tok_action"}]:
        order = call("POST", "/api/v1/orders", {"items": [line]}, mine | fresh_key())
        remember("order", order["id"])
        totals[order["id"]] = order["total"]
        if how is not None:
            paying = {"order_id": order["id"], "amount": order["total"], "payment_method": "credit_card"} | how
            remember("payment", call("POST", "/api/v1/payments/process", paying, mine | fresh_key())["id"])
    if "Authorization" in headers:
        remember("user", "me")
        address = {"line1": "Calle 1", "city": "Lima", "country": "PE"}
        remember("address", call("POST", "/api/v1/users/me/addresses", {"address": address}, mine)["id"])


# What a parameter or a field holds: by its name, and for `id` by the resource.
FIELDS = {"item_id": "item", "address_id": "address", "sku": "sku", "product_id": "product", "order_id": "order",
          "cart_id": "cart", "file": "file", "user_id": "user", "refresh_token": "refresh_token"}
RESOURCES = {"products": "product", "carts": "cart", "orders": "order", "payments": "payment", "users": "user",
             "api-keys": "api_key"}


def kind_of(name, path):
    if name == "id":
        return RESOURCES.get(path.removeprefix("/api/v1/").split("/")[0])
    return FIELDS.get(name)


def something(kind, instead_of):
    """What is known stays, as a link leads there; else something known three times out of four, the same for the same."""
    chance = zlib.crc32(repr(instead_of).encode())
    values = known.get(kind, [])
    if instead_of in values:
        return instead_of
    return values[chance // 4 % len(values)] if values and chance % 4 else instead_of


def is_good(case, location):
    part = case.meta.components.get(location) if case.meta else None
    return part is not None and part.mode.is_positive


def is_stateful(case):
    """Whether a call is one of several that follow each other. What these do must not be left to chance: hypothesis ends
    a phase in which the same choices lead elsewhere."""
    return case.meta is not None and case.meta.phase.name == TestPhase.STATEFUL


@schemathesis.hook
def before_call(context, case, kwargs):
    headers = caller.current()
    path = case.operation.path
    if is_good(case, ParameterLocation.PATH):
        for name, value in case.path_parameters.items():
            case.path_parameters[name] = something(kind_of(name, path), value)
    if is_good(case, ParameterLocation.BODY) and isinstance(case.body, dict):
        fill(case.body, path)
        for line in case.body.get("items") or []:
            fill(line, path)
    if is_good(case, ParameterLocation.HEADER):
        good_headers(case)
    if is_stateful(case):
        case.body = good_body(case.operation.definition.raw["operationId"], case.body)
    case.headers.update(headers)


def good_body(operation, generated):
    """What the call succeeds with, so that others can follow it; the finer rules of names and amounts are in no schema."""
    line = {"sku": shelf[0], "quantity": 1}
    match operation:
        case "products_create":
            return {"name": "Lamp", "price": PRICE, "stock_quantity": 1000}
        case "inventory_adjust":
            return {"delta": 1, "reason": "delivery"}
        case "carts_create" | "checkout_check_out" | "payments_capture" | "payments_confirm" | "payments_refund":
            return {}
        case "carts_add":
            return line
        case "carts_set_quantity":
            return {"quantity": 2}
        case "checkout_place":
            return {"items": [line]}
        case "payments_process" if isinstance(generated, dict):
            order = generated.get("order_id")
            # One in three has to be captured, one confirmed.
            how = [{}, {"capture_method": "manual"}, {"token": "tok_action"}][zlib.crc32(repr(order).encode()) % 3]
            return {"order_id": order, "amount": totals.get(order, PRICE), "payment_method": "credit_card"} | how
        case "users_register":
            return {"name": "Ana", "email": f"{next(numbers)}-{os.getpid()}@example.com", "password": PASSWORD}
        case "api-keys_create":
            return {"name": "storefront", "scopes": ["carts:use"]}
        case _:
            return generated


def good_headers(case):
    """Requests have keys of their own, and few depend on a version."""
    if "Idempotency-Key" in case.headers:
        case.headers.update(fresh_key())
    if "If-Match" in case.headers and (is_stateful(case) or next(numbers) % 4):
        case.headers["If-Match"] = "*"


def fill(body, path):
    for name in [name for name in body if name in FIELDS]:
        body[name] = something(FIELDS[name], body[name])
    if path == "/api/v1/payments/process" and body.get("order_id") in totals:
        body["amount"] = totals[body["order_id"]]
    elif path == "/api/v1/auth/login" and "email" in known:
        body.update(email=known["email"][-1], password=PASSWORD)
    elif path == "/api/v1/auth/email/verify" and "email" in known:
        body["token"] = mailed_token(known["email"][-1]) or body["token"]
    elif path == "/api/v1/auth/password" and "current_password" in body:
        body.pop("token", None)
        body.update(current_password=PASSWORD, new_password=PASSWORD + body["new_password"][:9])


def mailed_token(email):
    """The token of the newest letter to this address, which is a line of its own; None if none has come."""
    letters = call("GET", f"/api/v1/admin/mail?to={email}")["items"]
    return next((line for letter in letters for line in letter["body"].split() if len(line) > 60), None)


# Calls that make something, and what.
MAKING = {"products_create": "product", "carts_create": "cart", "carts_add": "item", "checkout_place": "order", "checkout_check_out": "order",
          "payments_process": "payment", "users_register": "user", "users_add": "address", "api-keys_create": "api_key"}


def note(operation, response):
    """Remembers what a success has made."""
    kind = MAKING.get(operation)
    if kind is None:
        return
    made = json.loads(response.content)
    if kind == "item":
        remember(kind, *(item["id"] for item in made["items"]))
        return
    remember(kind, made["id"])
    if kind == "product":
        remember("sku", made["sku"])
    elif kind == "order":
        totals[made["id"]] = made["total"]


@schemathesis.hook
def after_call(context, case, response):
    operation = case.operation.definition.raw.get("operationId")
    if response.status_code in (200, 201) and case.method == case.operation.method.upper():
        note(operation, response)
    if case.method == "DELETE" and response.status_code < 300 and case.operation.path.endswith("}"):
        gone.add(list(case.path_parameters.values())[-1])
    if CREDENTIAL != "nobody" and (response.status_code == 401 or (operation in ENDING and response.status_code < 300)):
        caller.headers = None


replaying = requests.Session()

# Headers that any answer may have: RFC 9110 and 9112 say what they mean.
USUAL = {"content-type", "content-length", "transfer-encoding", "date", "connection", "vary", "cache-control", "allow"}


def documented(case, response):
    """What the document says of this answer; None if the request was for a method that the path does not have."""
    if case.method.lower() != case.operation.method.lower():
        return None
    return case.operation.definition.raw["responses"].get(str(response.status_code))


def check_headers(answer, status, headers):
    allowed = USUAL | {name.lower() for name in answer.get("headers", {})}
    unknown = {name.lower() for name in headers} - allowed
    assert not unknown, f"{status} is documented without {', '.join(sorted(unknown))}"


@schemathesis.check
def headers_are_documented(context, response, case):
    if answer := documented(case, response):
        check_headers(answer, response.status_code, response.headers)


@schemathesis.check
def replays_are_documented(context, response, case):
    """The same request again, under the same key, has an answer that is documented."""
    sent = response.request
    if documented(case, response) and response.status_code < 300 and "Idempotency-Key" in sent.headers:
        again = replaying.send(sent)
        answers = case.operation.definition.raw["responses"]
        assert again.status_code < 500, f"a server error, {again.status_code}, to a repeated request"
        assert str(again.status_code) in answers, f"{again.status_code} to a repeated request is not documented"
        check_headers(answers[str(again.status_code)], again.status_code, again.headers)


@schemathesis.check
def links_are_noted(context, response, case):
    """Notes the link that led to a call which succeeded, by its name: run.py looks for those that nobody followed."""
    recorder = context.internals.recorder
    node = recorder.cases.get(case.id) if recorder else None
    if node and node.transition and node.is_transition_applied and response.status_code < 400:
        with open(FOLLOWED, "a", encoding="utf-8") as file:
            file.write(f"{node.transition.id}\n")


@schemathesis.check
def codes_are_documented(context, response, case):
    answer = documented(case, response)
    if answer and response.status_code >= 400:
        code = json.loads(response.content)["code"]
        assert f"`{code}`" in answer["description"], f"{response.status_code} is documented without {code}"


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Takes answers to have no other fields than those in the document, though they may gain some later."""
    schemas = raw_schema["components"]["schemas"]
    parts = {name for name, schema in schemas.items() for other in schemas.values() if is_part(name, other)}
    for name, schema in schemas.items():
        if name not in parts:
            close(schema)


def is_part(name, schema):
    """Whether a schema is only a part of this one, which has more fields."""
    return f"/{name}\"" in json.dumps(schema.get("allOf"))


def close(schema):
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for keyword, part in schema.items():
            if keyword != "allOf":
                close(part)
    elif isinstance(schema, list):
        for part in schema:
            close(part)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether a failure is one: these are not."""
    match type(failure).__name__:
        case "AcceptedNegativeData":
            # A parameter of a query that is empty counts as one that is left out, whatever its type.
            return not any(part.endswith("=") for part in response.request.url.partition("?")[2].split("&"))
        case "UseAfterFree":
            # Keys that were revoked are shown, as such. So are products that were taken out of the shop, to those who
            # keep it: orders name them.
            return case.operation.path != "/api/v1/api-keys/{id}" and not is_archived(case, response)
        case "EnsureResourceAvailability":
            was_removed = any(value in gone for value in case.path_parameters.values())
            return is_own(case) and not was_removed and not is_about_a_product(case, response)
    return True


def is_archived(case, response):
    """Whether an answer is a product that says of itself that it is not sold any more, or that it is as it was known."""
    body = response.json() if response.status_code == 200 else None
    if response.status_code == 304 and case.operation.path == "/api/v1/products/{id}":
        body = call("GET", f"/api/v1/products/{case.path_parameters['id']}")
    return isinstance(body, dict) and body.get("status") == "archived"


def is_about_a_product(case, response):
    """Whether it is the product named in the body that is not sold, and not what the path names that is missing."""
    missing = response.json().get("code") == "product_not_found"
    return missing and not case.operation.path.startswith("/api/v1/products")


def is_own(case):
    """Whether what a path names was made by who calls now, and is theirs to see: the accounts of others are not."""
    if CREDENTIAL in ("nobody", "customer") and case.operation.path.startswith("/api/v1/users/"):
        return False
    made = {value for values in known.values() for value in values}
    return all(value in made for value in case.path_parameters.values())
