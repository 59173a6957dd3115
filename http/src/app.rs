//! The front: what happens to every request, whatever its route.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::header::{HOST, HeaderValue, TRANSFER_ENCODING};
use axum::http::request::Parts;
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{StatusCode, Version};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;
use relampago_actors::money::Currency;
use relampago_config::{Locale, Settings};
use relampago_engine::Engine;
use tokio::time::timeout_at;
use tower::ServiceExt;

use crate::access::bootstrap::AdminKey;
use crate::access::gate::{Gate, GateError};
use crate::admission::Admission;
use crate::admission::pressure::Adapting;
use crate::audited::Recorded;
use crate::auth::{self, Access, Auth};
use crate::error::{Kind, Problem};
use crate::extract::Call;
use crate::lane::Short;
use crate::metrics::{Refusal, RouteMetrics};
use crate::trace::{self, Tale, TraceId};
use crate::{openapi, routes};

/// Paths below this are the shop's.
const API: &str = "/api/";
/// Longest path with its query, bytes; the longest cursor fits well.
const MAX_TARGET_BYTES: usize = 8 * 1024;
/// Names and values of all headers together, bytes.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// What all requests share.
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) metrics: PrometheusHandle,
    /// Currency of products and carts that name none.
    pub(crate) currency: Currency,
    /// Language of callers who name none of ours.
    pub(crate) locale: Locale,
    /// Longest time for a body to arrive, and for the engine to answer.
    pub(crate) request_timeout: Duration,
    pub(crate) body_limit: usize,
    pub(crate) started: Instant,
    /// The data folder.
    pub(crate) data: PathBuf,
    /// The OpenAPI document, as it is served.
    pub(crate) openapi: Bytes,
    pub(crate) admission: Admission,
    /// What signing in needs.
    pub(crate) access: Arc<Gate>,
    pub(crate) auth: Auth,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

/// The front cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// The shop's currency is not one that money can be counted in, such as gold.
    #[error("shop.currency has no minor units")]
    UnusableCurrency,
    /// Nobody could sign in.
    #[error(transparent)]
    Gate(#[from] GateError),
}

/// The whole REST interface; clones share it. It needs no port: give it a request, get the answer.
#[derive(Clone, Debug)]
pub struct Front {
    app: Arc<App>,
    /// Routes whose path is always the same: found at once.
    fixed: Arc<Fixed>,
    /// All routes.
    router: Router,
    /// The hot route again, for who goes the short way.
    pub(crate) short: Arc<Short>,
}

impl Front {
    /// A front for a running engine.
    ///
    /// # Errors
    /// As [`FrontError`] says.
    pub fn new(
        engine: Engine,
        settings: &Settings,
        admin: &AdminKey,
        metrics: PrometheusHandle,
    ) -> Result<Self, FrontError> {
        let site = routes::site();
        let access = Arc::new(Gate::new(settings, engine.keys())?);
        let issuer = Arc::clone(&access.issuer);
        let app = Arc::new(App {
            openapi: openapi::document(site.listed()),
            engine,
            metrics,
            currency: settings.shop.currency.parse().map_err(|_| FrontError::UnusableCurrency)?,
            locale: settings.shop.locale,
            request_timeout: settings.server.request_timeout,
            body_limit: settings.server.body_limit_bytes,
            started: Instant::now(),
            data: settings.data.dir.clone(),
            admission: Admission::new(settings.server.max_in_flight),
            access,
            auth: Auth::new(admin.digest(), issuer, settings.server.request_timeout),
        });
        let (fixed, router) = site.into_routes(Arc::clone(&app));
        let short = Arc::new(Short::new(Arc::clone(&app)));
        Ok(Self { app, fixed: Arc::new(fixed), router, short })
    }

    /// Answers a request.
    pub async fn handle(&self, mut request: Request<Body>) -> Response {
        let request_id = trace::request_id(request.headers());
        request.headers_mut().insert(trace::REQUEST_ID, request_id.clone());
        strip_trailing_slash(request.uri_mut());
        let mut response = self.answer(request).await;
        response.headers_mut().insert(trace::REQUEST_ID, request_id);
        response
    }

    async fn answer(&self, request: Request<Body>) -> Response {
        if let Some(endpoint) = self.fixed.find(&request) {
            return endpoint(request, Arc::clone(&self.app)).await;
        }
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Counts a request that was refused before it was one.
    pub(crate) fn refuse(&self, why: Refusal) {
        self.app.admission.refuse(why);
    }

    /// Adapts to what is asked for how much is taken on at once, for as long as what it gives is kept.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(crate) fn adapt(&self) -> io::Result<Adapting> {
        Adapting::start(Arc::clone(&self.app))
    }

    /// From now on requests are refused; those in flight go on.
    pub fn drain(&self) {
        self.app.admission.drain();
    }
}

/// What is wrong with a request before anybody asks what it wants.
fn check_head(parts: &Parts) -> Result<(), Problem> {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > MAX_TARGET_BYTES {
        let detail = format!("Path and query may have {MAX_TARGET_BYTES} bytes.");
        return Err(Problem::new(Kind::URI_TOO_LONG, detail));
    }
    let headers = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    if headers.sum::<usize>() > MAX_HEADER_BYTES {
        let detail = format!("The headers may have {MAX_HEADER_BYTES} bytes.");
        return Err(Problem::new(Kind::HEADERS_TOO_LARGE, detail));
    }
    let mut hosts = parts.headers.get_all(HOST).iter();
    let is_good = match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_host(host.as_bytes()),
        (None, None) => parts.version == Version::HTTP_10,
        _ => false,
    };
    if !is_good {
        return Err(Problem::new(Kind::BAD_REQUEST, "Send one Host header, with a host in it."));
    }
    // hyper asks for no more than that the last coding is chunked. Whoever stands in between may see another body in
    // whatever else there is.
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some_and(|coding| !is_chunked(coding)) || codings.next().is_some() {
        return Err(Problem::new(
            Kind::BAD_REQUEST,
            "Send no other transfer coding than chunked, and that once.",
        ));
    }
    Ok(())
}

/// Whether these could be a host and a port, as RFC 3986 writes them; empty is one.
pub(crate) fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte))
}

/// `/carts/` is `/carts`: answered directly, without a redirect.
fn strip_trailing_slash(uri: &mut Uri) {
    let path = uri.path();
    let stripped = path.trim_end_matches('/');
    if stripped.len() == path.len() || stripped.is_empty() {
        return;
    }
    let text = match uri.query() {
        None => stripped.to_owned(),
        Some(query) => format!("{stripped}?{query}"),
    };
    let mut parts = uri.clone().into_parts();
    if let Ok(stripped) = PathAndQuery::try_from(text) {
        parts.path_and_query = Some(stripped);
        if let Ok(stripped) = Uri::from_parts(parts) {
            *uri = stripped;
        }
    }
}

/// A route, as the table of routes names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    /// In capitals.
    pub(crate) method: &'static str,
    /// The path, with its parameters in braces.
    pub(crate) template: &'static str,
    /// Who may call it.
    pub(crate) access: Access,
}

impl Listed {
    /// Whether it is the shop's: the others are the operators', who must get in when the shop is full.
    pub(crate) fn is_api(&self) -> bool {
        self.template.starts_with(API)
    }
}

/// An answer on its way.
type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Routes without parameters, by path and method. The router knows them too, for what is not found here.
#[derive(Default)]
struct Fixed(Vec<(Listed, Box<Answer>)>);

type Answer = dyn Fn(Request, Arc<App>) -> Answering + Send + Sync;

impl Fixed {
    fn find(&self, request: &Request) -> Option<&Answer> {
        let (path, method) = (request.uri().path(), request.method().as_str());
        let found = self.0.iter().find(|(route, _)| route.template == path && route.method == method);
        found.map(|(_, answer)| &**answer)
    }
}

impl fmt::Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(route, _)| route)).finish()
    }
}

/// The routes, as they are put together.
#[derive(Default)]
pub(crate) struct Site {
    fixed: Fixed,
    router: Router<Arc<App>>,
    listed: Vec<Listed>,
}

impl Site {
    pub(crate) fn get(self, template: &'static str, access: impl Into<Access>, handler: impl Handle) -> Self {
        self.route(MethodFilter::GET, Listed { method: "GET", template, access: access.into() }, handler)
    }

    pub(crate) fn post(
        self,
        template: &'static str,
        access: impl Into<Access>,
        handler: impl Handle,
    ) -> Self {
        self.route(MethodFilter::POST, Listed { method: "POST", template, access: access.into() }, handler)
    }

    pub(crate) fn put(self, template: &'static str, access: impl Into<Access>, handler: impl Handle) -> Self {
        self.route(MethodFilter::PUT, Listed { method: "PUT", template, access: access.into() }, handler)
    }

    pub(crate) fn patch(
        self,
        template: &'static str,
        access: impl Into<Access>,
        handler: impl Handle,
    ) -> Self {
        self.route(MethodFilter::PATCH, Listed { method: "PATCH", template, access: access.into() }, handler)
    }

    pub(crate) fn delete(
        self,
        template: &'static str,
        access: impl Into<Access>,
        handler: impl Handle,
    ) -> Self {
        self.route(
            MethodFilter::DELETE,
            Listed { method: "DELETE", template, access: access.into() },
            handler,
        )
    }

    fn route(mut self, filter: MethodFilter, listed: Listed, handler: impl Handle) -> Self {
        let endpoint = Endpoint::new(listed, handler);
        if !listed.template.contains('{') {
            let fixed = endpoint.clone();
            let answer = move |request, app| fixed.clone().call(request, app);
            self.fixed.0.push((listed, Box::new(answer)));
        }
        self.router = self.router.route(listed.template, on(filter, endpoint));
        self.listed.push(listed);
        self
    }

    /// Every route there is.
    pub(crate) fn listed(&self) -> &[Listed] {
        &self.listed
    }

    fn into_routes(self, app: Arc<App>) -> (Fixed, Router) {
        let unmatched = |template| Listed { method: "any", template, access: Access::Anyone };
        let router = self
            .router
            .fallback(Endpoint::new(unmatched("no such path"), no_such_path))
            .method_not_allowed_fallback(Endpoint::new(unmatched("no such method"), no_such_method))
            .with_state(app);
        (self.fixed, router)
    }
}

async fn no_such_path(_: Call) -> Result<Response, Problem> {
    Err(Problem::no_such_path())
}

async fn no_such_method(_: Call) -> Result<Response, Problem> {
    Err(Problem::method_not_allowed())
}

/// What answers the requests of one route.
pub(crate) trait Handle: Clone + Send + Sync + 'static {
    fn handle(&self, call: Call) -> impl Future<Output = Result<Response, Problem>> + Send;
}

impl<F, Fut> Handle for F
where
    F: Fn(Call) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Response, Problem>> + Send,
{
    fn handle(&self, call: Call) -> impl Future<Output = Result<Response, Problem>> + Send {
        self(call)
    }
}

/// A route: lets the caller in, has the request handled, writes problems, counts the answer.
struct Endpoint<H> {
    listed: Listed,
    metrics: Arc<RouteMetrics>,
    handler: H,
}

impl<H> Endpoint<H> {
    fn new(listed: Listed, handler: H) -> Self {
        let metrics = Arc::new(RouteMetrics::new(listed.method, listed.template));
        Self { listed, metrics, handler }
    }
}

impl<H: Handle> Endpoint<H> {
    async fn handle(&self, app: Arc<App>, parts: Parts, body: Body) -> Result<Response, Problem> {
        check_head(&parts)?;
        let caller = app.auth.identify(&parts.headers, self.listed.access, &app.engine).await?;
        let call = Call::new(Arc::clone(&app), caller, self.listed, parts, body).await;
        let Some(recorded) = Recorded::of(&call, &app) else {
            return self.carry_out(call, &app).await;
        };
        if !call.is_safe() {
            recorded.begun().await?;
        }
        let handled = self.carry_out(call, &app).await;
        let status = handled.as_ref().map_or_else(Problem::status, Response::status);
        recorded.ended(status).await?;
        handled
    }

    /// Lets the handler have the request, if its caller may make it and there is room.
    async fn carry_out(&self, mut call: Call, app: &App) -> Result<Response, Problem> {
        auth::permit(call.caller, self.listed.access)?;
        call.admit()?;
        let handled = self.handler.handle(call).await;
        // What had no room further in was not done, however soon it was answered.
        if handled.as_ref().err().is_none_or(|problem| problem.status() != StatusCode::SERVICE_UNAVAILABLE) {
            app.admission.done();
        }
        handled
    }
}

impl<H: Clone> Clone for Endpoint<H> {
    fn clone(&self) -> Self {
        Self { listed: self.listed, metrics: Arc::clone(&self.metrics), handler: self.handler.clone() }
    }
}

impl<H: Handle> Handler<(), Arc<App>> for Endpoint<H> {
    type Future = Answering;

    fn call(self, request: Request, app: Arc<App>) -> Self::Future {
        Box::pin(async move {
            let began = Instant::now();
            let (mut parts, body) = request.into_parts();
            let tale = Tale::of(&parts.headers);
            let trace = tale.as_ref().map(|tale| tale.trace());
            if let Some(tale) = &tale {
                parts.extensions.insert(Arc::clone(tale));
            }
            let handled = self.handle(Arc::clone(&app), parts, body).await;
            if handled.as_ref().is_err_and(Problem::is_no_place)
                && let Some(turn) = app.admission.turn()
            {
                let _is_draining = timeout_at(turn, app.admission.draining()).await;
            }
            let response =
                handled.unwrap_or_else(|problem| problem.into_response(trace.unwrap_or_else(TraceId::fresh)));
            let took = began.elapsed();
            self.metrics.record(response.status(), took);
            if let Some(tale) = tale {
                tale.tell(self.listed, response.status(), took);
            }
            response
        })
    }
}
