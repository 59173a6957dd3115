//! What a handler gets: the request, taken apart on demand, and the way to the engine.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::RequestPartsExt;
use axum::body::Body;
use axum::extract::RawPathParams;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as _;
use relampago_actors::keys::KeyTag;
use relampago_actors::personal::Personal;
use relampago_actors::secret::Password;
use relampago_actors::{Address, Id, Message, Party, user};
use relampago_config::Locale;
use relampago_engine::{Answered, AskError, Engine};
use relampago_keys::{KeysError, Unreadable};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::access::passwords::{Busy, Plain};
use crate::admission::Place;
use crate::app::{App, Listed};
use crate::auth::Caller;
use crate::error::{Kind, Problem};
use crate::etag::IfMatch;
use crate::idempotency::Key;
use crate::json::User;
use crate::locale;
use crate::metrics::Refusal;
use crate::trace::Tale;

/// The address at the other end of the connection, as the server notes it with every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// How much of a body that is too large is read all the same, bytes, and for how long.
const MOST_DISCARDED: usize = 16 << 20;
const DISCARD_FOR: Duration = Duration::from_secs(2);

/// What codes over bodies are for.
const BODY_CONTEXT: &str = "relampago 2026 idempotent body";

/// One request, from a caller who may make it. Boxed, because it is handed from future to future, each of which would
/// hold a copy: hundreds of them wait for the disk at any time.
#[derive(Debug)]
pub(crate) struct Call(Box<Taken>);

impl Deref for Call {
    type Target = Taken;

    fn deref(&self) -> &Taken {
        &self.0
    }
}

impl DerefMut for Call {
    fn deref_mut(&mut self) -> &mut Taken {
        &mut self.0
    }
}

/// A request, taken in.
#[derive(Debug)]
pub(crate) struct Taken {
    /// What all requests share.
    pub(crate) app: Arc<App>,
    /// Who calls.
    pub(crate) caller: Caller,
    route: Listed,
    parts: Parts,
    params: Option<RawPathParams>,
    /// Read once, through `&mut self`: the mutex is never locked, it only makes the call shareable.
    body: Mutex<Body>,
    /// Held until the answer is written, unless the route is the operators'.
    place: Option<Place>,
    /// What is told of it in the log, if anything is.
    tale: Option<Arc<Tale>>,
}

impl Call {
    pub(crate) async fn new(
        app: Arc<App>,
        caller: Caller,
        route: Listed,
        mut parts: Parts,
        body: Body,
    ) -> Self {
        // Fails where the path has no parameters or they are not UTF-8: then none of them is found.
        let params = parts.extract().await.ok();
        let body = Mutex::new(body);
        let tale = parts.extensions.remove::<Arc<Tale>>();
        Self(Box::new(Taken { app, caller, route, parts, params, body, place: None, tale }))
    }
}

impl Taken {
    /// Lets go of what the request brought, once all of it is understood: the connection reads on into the same
    /// buffer then, instead of a new one for every request that waits for the disk.
    pub(crate) fn let_go(&mut self) {
        self.parts.headers = HeaderMap::new();
        self.parts.uri = Uri::default();
        self.params = None;
    }

    /// Takes a place among the requests in flight, unless a body is still to come: then [`Taken::body`] does.
    ///
    /// # Errors
    /// 503 if there is none, or the server is going away.
    pub(crate) fn admit(&mut self) -> Result<(), Problem> {
        let takes_body = matches!(self.parts.method, Method::POST | Method::PUT | Method::PATCH);
        let is_whole = !takes_body || self.body.get_mut().is_ok_and(|body| body.is_end_stream());
        if self.route.is_api() && is_whole {
            self.place = Some(self.app.admission.admit()?);
        }
        Ok(())
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.app.engine
    }

    pub(crate) fn secret(&self) -> &[u8; 32] {
        self.app.engine.secret()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.parts.uri
    }

    /// The language to write labels in.
    pub(crate) fn locale(&self) -> Locale {
        locale::preferred(&self.parts.headers, self.app.locale)
    }

    /// A part of the path, percent-decoded.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params.as_ref()?.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// An id in the path.
    ///
    /// # Errors
    /// The same 404 for a malformed id as for one that nothing has.
    pub(crate) fn id(&self, name: &str, missing: Kind) -> Result<Id, Problem> {
        let id = self.param(name).and_then(|text| text.parse().ok());
        id.ok_or_else(|| Problem::new(missing, format!("{}.", missing.title)))
    }

    /// The idempotency key, if there is one.
    ///
    /// # Errors
    /// 400 if it is malformed.
    pub(crate) fn key(&self) -> Result<Option<Key>, Problem> {
        Key::of(&self.parts.headers, self.caller)
    }

    /// The idempotency key of a request that needs one.
    ///
    /// # Errors
    /// 400 if it is missing or malformed.
    pub(crate) fn required_key(&self) -> Result<Key, Problem> {
        self.key()?.ok_or_else(|| {
            Problem::new(Kind::KEY_REQUIRED, "Send an Idempotency-Key: it makes the request safe to repeat.")
        })
    }

    /// The key in its scope, with the body it came with.
    pub(crate) fn tag(&self, key: &Key, body: &[u8]) -> KeyTag {
        let params: Vec<Cow<'_, [u8]>> = self.scope_params().collect();
        let place: Vec<&[u8]> = [self.route.method.as_bytes(), self.route.template.as_bytes()]
            .into_iter()
            .chain(params.iter().map(|param| &**param))
            .collect();
        key.tag(self.secret(), self.caller, &place, body)
    }

    /// The parts of the path in one form each: two ways to write a path are one path.
    fn scope_params(&self) -> impl Iterator<Item = Cow<'_, [u8]>> {
        let params = self.params.iter().flat_map(RawPathParams::iter);
        params.map(|(name, value)| match value.parse::<Id>() {
            Ok(id) if name.ends_with("id") => Cow::Owned(id.encode().to_vec()),
            _ => Cow::Borrowed(value.as_bytes()),
        })
    }

    /// The whole body; empty if there is none.
    ///
    /// # Errors
    /// 413 if it is too large, 415 if it is there and not JSON, 408 if it takes too long to arrive.
    pub(crate) async fn body(&mut self) -> Result<Bytes, Problem> {
        let limit = self.app.body_limit;
        if self.announced_length().is_some_and(|length| length > limit as u64) {
            let body = self.body.get_mut().map(std::mem::take).unwrap_or_default();
            let _arriving = self.app.admission.receive()?;
            discard(body).await;
            return Err(too_large(limit));
        }
        if self.parts.headers.get_all(CONTENT_ENCODING).iter().any(|encoding| encoding != "identity") {
            return Err(Problem::new(
                Kind::UNSUPPORTED_MEDIA_TYPE,
                "Send the body without a content encoding.",
            ));
        }
        let body = self.body.get_mut().map(std::mem::take).unwrap_or_default();
        if self.place.is_some() {
            return Ok(Bytes::new());
        }
        let arriving = self.app.admission.receive()?;
        let body = self.receive(Limited::new(body, limit)).await?;
        drop(arriving);
        self.place = Some(self.app.admission.admit()?);
        if !body.is_empty() && !self.sends_json() {
            let detail = "Send the body as application/json in UTF-8.";
            return Err(Problem::new(Kind::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        Ok(body)
    }

    async fn receive(&self, body: Limited<Body>) -> Result<Bytes, Problem> {
        let body = tokio::select! {
            // As a rule the body is here already.
            biased;
            body = timeout(self.app.request_timeout, body.collect()) => body.map_err(|_| self.late())?,
            () = self.app.admission.draining() => return Err(Problem::shutting_down()),
        };
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return too_large(self.app.body_limit);
            }
            // The connection broke: nobody is there to read this.
            Problem::new(Kind::MALFORMED_JSON, "The body did not arrive whole.")
        })?;
        Ok(body.to_bytes())
    }

    fn announced_length(&self) -> Option<u64> {
        self.parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    fn sends_json(&self) -> bool {
        let mut types = self.parts.headers.get_all(CONTENT_TYPE).iter();
        types.next().is_some_and(|value| is_json(value.as_bytes())) && types.next().is_none()
    }

    /// The route that is called.
    pub(crate) fn route(&self) -> Listed {
        self.route
    }

    /// Whether the request asks for nothing to be changed.
    pub(crate) fn is_safe(&self) -> bool {
        self.parts.method.is_safe()
    }

    /// Where the request comes from.
    pub(crate) fn source(&self) -> IpAddr {
        let peer = self.parts.extensions.get::<Peer>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Peer(address)| *address);
        self.app.access.source(peer, &self.parts.headers)
    }

    /// As [`Taken::tag`] for a body with a secret in it: what is stored of it is of no use to who has the shop's
    /// data without its keys.
    pub(crate) fn secret_tag(&self, key: &Key, body: &[u8]) -> KeyTag {
        let mac = self.engine().keys().token_mac(BODY_CONTEXT, body);
        self.tag(key, &mac)
    }

    /// A secret that is the same for the same idempotency key and body, of which nothing is stored. The body is what
    /// the caller proves who they are by: guests share one scope, so the key alone would give somebody who happens
    /// to know it, and signs in as themselves, the secret of another's session.
    pub(crate) fn derived_secret(&self, what: &str, key: &Key, body: &[u8]) -> [u8; 32] {
        let scope = self.tag(key, &[]).key.to_le_bytes();
        let body = blake3::hash(body);
        let parts = [what.as_bytes(), &scope, body.as_bytes(), key.as_bytes()].concat();
        *blake3::keyed_hash(self.secret(), &parts).as_bytes()
    }

    /// Seals personal data under the key of its owner, who gets one at the first time.
    ///
    /// # Errors
    /// 404 if the owner was erased.
    pub(crate) async fn seal(&self, owner: Id, text: &str) -> Result<Personal, Problem> {
        let keys = self.engine().keys();
        let key = match keys.existing_key_of(owner) {
            Some(key) => key,
            None => {
                let keys = Arc::clone(keys);
                let made = spawn_blocking(move || keys.key_of(owner)).await;
                made.map_err(|error| Problem::internal(&error))?.map_err(unsealed)?
            }
        };
        keys.seal(key, text).map_err(unsealed)
    }

    /// Personal data in clear.
    ///
    /// # Errors
    /// 500 if it cannot be read: who was erased is not shown at all.
    pub(crate) fn reveal(&self, personal: &Personal) -> Result<Zeroizing<String>, Problem> {
        self.engine().keys().reveal(personal).map_err(unreadable)
    }

    /// A user in clear.
    ///
    /// # Errors
    /// As [`Taken::reveal`].
    pub(crate) fn reveal_user(&self, view: &user::View) -> Result<User, Problem> {
        User::new(view, self.engine().keys()).map_err(unreadable)
    }

    /// The hash of a password that somebody has chosen.
    ///
    /// # Errors
    /// 503 if too many passwords wait.
    pub(crate) async fn hash_password(&self, password: Plain) -> Result<Password, Problem> {
        let hash = self.app.access.passwords.hash(password).await;
        hash.map_err(|busy| self.busy(busy))
    }

    /// Too many passwords wait.
    pub(crate) fn busy(&self, busy: Busy) -> Problem {
        self.app.admission.refuse(Refusal::Passwords);
        Problem::busy(busy.retry_after)
    }

    fn late(&self) -> Problem {
        self.app.admission.refuse(Refusal::BodyTimeout);
        late()
    }

    /// Asks an entity in the shop's own name, for a caller whose right was looked at before.
    ///
    /// # Errors
    /// As [`Taken::ask`].
    pub(crate) async fn ask_for_shop(&self, to: Address, message: Message) -> Result<Answered, Problem> {
        match self.try_ask_for_shop(to, message).await {
            Err(AskError::TimedOut) if self.is_safe() => Err(slow()),
            answer => Ok(answer?),
        }
    }

    /// As [`Taken::ask_for_shop`], for a route that has its own words for a refusal.
    ///
    /// # Errors
    /// As [`Taken::try_ask`].
    pub(crate) async fn try_ask_for_shop(&self, to: Address, message: Message) -> Result<Answered, AskError> {
        self.ask_as(to, Party::Shop, message).await
    }

    /// Asks an entity and waits for the answer, at most as long as a request may take.
    ///
    /// # Errors
    /// What the domain or the engine refuses; 503 if there is no answer in time.
    pub(crate) async fn ask(&self, to: Address, message: Message) -> Result<Answered, Problem> {
        match self.try_ask(to, message).await {
            Err(AskError::TimedOut) if self.parts.method.is_safe() => Err(slow()),
            answer => Ok(answer?),
        }
    }

    /// As [`Taken::ask`], for a route that has its own words for a refusal.
    ///
    /// # Errors
    /// The engine's; that the outcome is unknown if there is no answer in time.
    pub(crate) async fn try_ask(&self, to: Address, message: Message) -> Result<Answered, AskError> {
        self.ask_as(to, self.caller.party(), message).await
    }

    async fn ask_as(&self, to: Address, by: Party, message: Message) -> Result<Answered, AskError> {
        let Some(tale) = &self.tale else {
            return self.app.engine.ask(to, by, message, self.app.request_timeout).await;
        };
        let mut asked = self.app.engine.begin_traced(to, by, message, tale.trace().into())?;
        match timeout(self.app.request_timeout, &mut asked).await {
            Ok(answer) => {
                tale.has_waited(asked.waited());
                answer
            }
            Err(_) => Err(self.app.engine.too_late(&asked)),
        }
    }

    /// Waits for the engine, at most as long as a request may take.
    ///
    /// # Errors
    /// The engine's; 503 if it takes too long.
    pub(crate) async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, AskError>>,
    ) -> Result<T, Problem> {
        match timeout(self.app.request_timeout, asked).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(slow()),
        }
    }

    /// The one version that `If-Match` lets a change start from; `None` for any. `current` tells the version
    /// of now and is asked only if the caller names several.
    ///
    /// # Errors
    /// 412 if `If-Match` rules every version out; those of `current`.
    pub(crate) async fn expected_version(
        &self,
        current: impl Future<Output = Result<u64, Problem>>,
    ) -> Result<Option<u64>, Problem> {
        let versions = match IfMatch::of(&self.parts.headers)? {
            IfMatch::Any => return Ok(None),
            IfMatch::OneOf(versions) => versions,
        };
        if let [version] = versions[..] {
            return Ok(Some(version));
        }
        let current = current.await?;
        if versions.contains(&current) {
            return Ok(Some(current));
        }
        Err(Problem::new(Kind::VERSION_CONFLICT, format!("The resource is at version {current}.")))
    }
}

fn unsealed(error: KeysError) -> Problem {
    match error {
        KeysError::Destroyed => Problem::new(Kind::USER_NOT_FOUND, "There is no such user."),
        // The engine stops for it.
        KeysError::Io { .. } | KeysError::Stopped => Problem::outcome_unknown(),
        error => Problem::internal(&error),
    }
}

fn unreadable(error: Unreadable) -> Problem {
    Problem::internal(&error)
}

/// Reads on for a while what nobody wants: a client that is still writing when the connection closes may never see the
/// answer.
async fn discard(mut body: Body) {
    let reading = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > MOST_DISCARDED {
                return;
            }
        }
    };
    // However it ends, the answer is the same.
    let _ended = timeout(DISCARD_FOR, reading).await;
}

/// `application/json`, with no other parameter than `charset=utf-8`.
pub(crate) fn is_json(content_type: &[u8]) -> bool {
    let Ok(value) = std::str::from_utf8(content_type) else { return false };
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    is_json
        && parts.all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Kind::BODY_TOO_LARGE, format!("The body may have {limit} bytes."))
}

fn slow() -> Problem {
    Problem::new(Kind::TIMEOUT, "The answer took too long. Try again.")
}

fn late() -> Problem {
    Problem::new(Kind::REQUEST_TIMEOUT, "The body took too long to arrive.")
}
