//! `relampago serve`: from settings to a listening server, and to its orderly end.

use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use metrics_exporter_prometheus::PrometheusHandle;
use relampago_config::{Log, LogFormat, Settings};
use relampago_engine::Engine;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tracing_subscriber::EnvFilter;

use crate::access::bootstrap::AdminKey;
use crate::allocator;
use crate::app::Front;
use crate::connection;
use crate::metrics::{self, ListenerMetrics};
use crate::pace::Patience;
use crate::recovering;

/// Connections that may wait to be accepted; the kernel's own limit may be lower.
const BACKLOG: u32 = 4096;
/// Pause after a failed accept, mostly for want of file descriptors: others have to close first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often the samples of histograms are folded into buckets, if nobody asks for metrics meanwhile.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// If the server cannot start, if its engine fails, or if the drain does.
pub fn run(settings: &Settings) -> Result<()> {
    start_logs(&settings.log)?;
    raise_file_limit();
    let mut builder = Builder::new_multi_thread();
    if settings.server.worker_threads > 0 {
        builder.worker_threads(settings.server.worker_threads);
    }
    builder.on_thread_park(allocator::tidy);
    let runtime = builder.enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(serve(settings))
}

/// Connections are file descriptors, and the usual soft limit is 1,024: takes what the hard limit allows.
pub(crate) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn start_logs(log: &Log) -> Result<()> {
    let filter = EnvFilter::try_new(&log.filter).context("log.filter")?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let as_text = match log.format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let started = if as_text { builder.try_init() } else { builder.json().try_init() };
    started.map_err(|error| anyhow!("cannot start the logs: {error}"))
}

async fn serve(settings: &Settings) -> Result<()> {
    let stop = stop_signal()?;
    let metrics = metrics::install();
    let listener = listen(settings.server.addr)?;
    let address = listener.local_addr().context("cannot tell the address")?;
    tracing::info!(%address, "recovering");
    let patience = settings.server.header_read_timeout;
    let started = recovering::until(&listener, recovering::GRACE, patience, Engine::start(settings));
    // The engine's errors name their causes themselves.
    let engine = started.await.map_err(|error| anyhow!("cannot start the engine: {error}"))?;
    let admin = admin_key(settings)?;
    let front = Front::new(engine.clone(), settings, &admin, metrics.clone())?;
    announce(address)?;

    let mut upkeep = JoinSet::new();
    upkeep.spawn(keep_up(metrics));
    let adapting = front.adapt().context("cannot start a thread")?;
    let ended = Acceptor::new(settings, front.clone()).run(listener, stop, &engine).await;
    drop((upkeep, adapting));
    match ended {
        Ended::Stopped => {
            engine.drain().await.map_err(|error| anyhow!("cannot drain the engine: {error}"))?;
            tracing::info!("drained");
            Ok(())
        }
        Ended::Failed(reason) => Err(anyhow!("the engine has failed: {reason}")),
    }
}

/// Resolves at the first SIGTERM or SIGINT.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// The admin key of the settings, or the one kept in the data folder, which the engine has made and locked.
fn admin_key(settings: &Settings) -> Result<AdminKey> {
    if let Some(key) = &settings.auth.bootstrap_api_key {
        return Ok(AdminKey::set(key));
    }
    let admin = AdminKey::kept_in(&settings.data.dir).context("cannot keep the admin key's digest")?;
    if let AdminKey::Made(_, key) = &admin {
        // Not a log line: logs are kept, and this is shown once.
        eprintln!("relampago: admin API key, shown only this once: {}", key.expose());
    }
    Ok(admin)
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart must not wait for the old connections' TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().with_context(|| format!("cannot listen on {address}"))
}

/// The one line on standard output that says where the server listens.
fn announce(address: SocketAddr) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "relampago listening on http://{address}").context("cannot write to standard output")?;
    out.flush().context("cannot write to standard output")
}

async fn keep_up(metrics: PrometheusHandle) {
    let mut ticks = interval(METRICS_UPKEEP);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}

/// Why the server does not accept any more.
enum Ended {
    /// It was asked to stop.
    Stopped,
    /// The engine cannot go on.
    Failed(String),
}

/// Accepts connections and serves them.
struct Acceptor {
    front: Front,
    patience: Patience,
    permits: Arc<Semaphore>,
    drain_timeout: Duration,
    metrics: ListenerMetrics,
}

impl Acceptor {
    fn new(settings: &Settings, front: Front) -> Self {
        let server = &settings.server;
        Self {
            front,
            patience: Patience { head: server.header_read_timeout, idle: server.keep_alive_timeout },
            permits: Arc::new(Semaphore::new(server.max_connections.min(Semaphore::MAX_PERMITS))),
            drain_timeout: server.drain_timeout,
            metrics: ListenerMetrics::new(server.max_connections),
        }
    }

    /// Serves until `stop` resolves or the engine fails; then lets the requests in flight finish.
    async fn run(self, listener: TcpListener, stop: impl Future<Output = ()>, engine: &Engine) -> Ended {
        let (stopping, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        let (mut stop, mut failed) = (pin!(stop), pin!(engine.failed()));
        let ended = loop {
            tokio::select! {
                biased;
                () = &mut stop => break Ended::Stopped,
                reason = &mut failed => break Ended::Failed(reason),
                Some(ended) = connections.join_next() => {
                    self.metrics.open.set(connections.len() as f64);
                    if ended.is_err_and(|error| error.is_panic()) {
                        self.metrics.panicked.increment(1);
                    }
                }
                accepted = self.accept(&listener) => {
                    if let Some((stream, peer, permit)) = accepted {
                        let (front, stopped) = (self.front.clone(), stopped.clone());
                        let served = connection::serve(stream, peer, front, self.patience, stopped);
                        connections.spawn(async move {
                            served.await;
                            drop(permit);
                        });
                        self.metrics.open.set(connections.len() as f64);
                    }
                }
            }
        };
        drop(listener);
        self.front.drain();
        stopping.send_replace(true);
        tracing::info!(connections = connections.len(), "draining");
        let rest = async { while connections.join_next().await.is_some() {} };
        if timeout(self.drain_timeout, rest).await.is_err() {
            tracing::warn!(connections = connections.len(), "gave up on connections that did not finish");
        }
        ended
    }

    /// The next connection, once there is room for it. Cancelling this loses none.
    async fn accept(&self, listener: &TcpListener) -> Option<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "no TCP_NODELAY");
                }
                Some((stream, peer.ip(), permit))
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}
