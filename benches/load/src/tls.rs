//! TLS to the server: whom the generator trusts, and what is wrong when it may not.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use humantime::format_rfc3339_seconds;
use hyper::header::HeaderValue;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The one protocol that is offered: HTTP/1.1.
const ALPN: &[u8] = b"http/1.1";
/// How long connecting may take, the handshake, and the end of a first look.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no TLS to the server.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The file of trusted certificates cannot be read.
    #[error("--cacert: cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what PEM looks like.
    #[error("--cacert: {path} is no PEM")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// There is nothing between `BEGIN CERTIFICATE` and `END CERTIFICATE`, or no such lines.
    #[error("--cacert: {0} has no certificate; it takes PEM, which says BEGIN CERTIFICATE")]
    NoCertificate(PathBuf),
    /// What the file says is a certificate is none.
    #[error("--cacert: certificate {number} of {path} cannot be read")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Which one, from 1.
        number: usize,
        /// What is wrong.
        source: rustls::Error,
    },
    /// Without any root, nobody could be trusted.
    #[error("this system trusts nobody{0}; say with --cacert FILE who is to be trusted")]
    NoRoots(String),
    /// No certificate could be of that name.
    #[error("`{0}` is no name that a certificate can have")]
    Name(String),
    /// The library refuses the settings.
    #[error("TLS cannot be set up")]
    Settings(#[source] rustls::Error),
    /// Nobody answers for the server that it is who it says.
    #[error("the server's certificate is not trusted: {0}")]
    Untrusted(String),
    /// The server answered something else.
    #[error("the server does not speak TLS there; say http:// if that is what it speaks")]
    NotTls,
    /// The server hung up on the handshake.
    #[error("the server ended the connection in the midst of the TLS handshake: does it speak TLS there?")]
    HungUp(#[source] io::Error),
    /// The server accepted a connection, and said nothing.
    #[error("the server did not answer the TLS handshake within {0:?}: does it speak TLS there?")]
    Silent(Duration),
    /// The handshake failed otherwise.
    #[error("the TLS handshake failed: {0}")]
    Handshake(io::Error),
}

/// How clients reach a server by TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    /// Name and port, as the `host` header has them.
    host: HeaderValue,
}

impl Tls {
    /// TLS to the server that is called `name`, and `host` with its port. Trusted are those whom the system trusts, and
    /// who stands in the file `cacert`.
    ///
    /// # Errors
    /// What is wrong with the name or the file; [`TlsError::NoRoots`].
    pub fn new(name: &str, host: &str, cacert: Option<&Path>) -> Result<Self, TlsError> {
        let refused = || TlsError::Name(name.to_owned());
        let server = ServerName::try_from(name.to_owned()).map_err(|_| refused())?;
        let host = HeaderValue::from_str(host).map_err(|_| refused())?;
        Ok(Self { config: Arc::new(config(roots(cacert)?)?), name: server, host })
    }

    /// Makes one connection and ends it, to find out what is wrong with the server's certificate before a load is made
    /// of it. A server that is not there yet is none of this.
    ///
    /// # Errors
    /// [`TlsError::Untrusted`], and whatever else a handshake can come to.
    pub async fn look_at(&self, address: SocketAddr) -> Result<(), TlsError> {
        let Ok(Ok(stream)) = timeout(PATIENCE, TcpStream::connect(address)).await else { return Ok(()) };
        let mut stream = self.connect(stream).await?;
        // The server may have hung up already.
        let _closed = timeout(PATIENCE, stream.shutdown()).await;
        Ok(())
    }

    /// Makes the handshake on a connection.
    pub(crate) async fn connect(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, TlsError> {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let shaken = timeout(PATIENCE, connector.connect(self.name.clone(), stream)).await;
        shaken.map_err(|_| TlsError::Silent(PATIENCE))?.map_err(failure)
    }

    pub(crate) fn host(&self) -> &HeaderValue {
        &self.host
    }
}

fn config(roots: RootCertStore) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Settings)?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Connections stand for different people: none of them knows a session of another.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn roots(cacert: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    // One bad file among hundreds takes nothing from the others.
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = cacert {
        add_file(&mut roots, path)?;
    }
    if roots.is_empty() {
        let why = system.errors.first().map(|error| format!(" ({error})"));
        return Err(TlsError::NoRoots(why.unwrap_or_default()));
    }
    Ok(roots)
}

/// Adds every certificate of a PEM file; what else is in it, such as a key, is passed over.
fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    let named = || path.to_owned();
    let text = std::fs::read(path).map_err(|source| TlsError::Unreadable { path: named(), source })?;
    let mut found = 0;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|source| TlsError::Pem { path: named(), source })?;
        found += 1;
        let added = roots.add(certificate);
        added.map_err(|source| TlsError::Certificate { path: named(), number: found, source })?;
    }
    if found == 0 { Err(TlsError::NoCertificate(named())) } else { Ok(()) }
}

/// What a failed handshake means.
fn failure(error: io::Error) -> TlsError {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(fault)) => TlsError::Untrusted(distrust(fault)),
        Some(rustls::Error::InvalidMessage(_)) => TlsError::NotTls,
        None if hung_up(error.kind()) => TlsError::HungUp(error),
        _ => TlsError::Handshake(error),
    }
}

fn hung_up(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// Why a certificate is not trusted, and what to do about it.
fn distrust(fault: &CertificateError) -> String {
    match fault {
        CertificateError::UnknownIssuer => {
            "nobody whom this system trusts has issued it; --cacert FILE if it is your own".to_owned()
        }
        CertificateError::BadSignature => {
            "it names an issuer whom this system trusts, and is signed by another; --cacert FILE if it is your own"
                .to_owned()
        }
        CertificateError::ExpiredContext { not_after, .. } => format!("it expired at {}", moment(*not_after)),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("it is not valid before {}", moment(*not_before))
        }
        CertificateError::NotValidForNameContext { expected, presented } if presented.is_empty() => {
            format!("it is of no name, and not of {} either", expected.to_str())
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!("it is of {}, not of {}", presented.join(", "), expected.to_str())
        }
        CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
            "it is one of an authority (CA:TRUE), which no server may have; issue one for the server"
                .to_owned()
        }
        other => other.to_string(),
    }
}

fn moment(time: UnixTime) -> String {
    let since = Duration::from_secs(time.as_secs());
    // Beyond the year 9999 there is no text.
    UNIX_EPOCH.checked_add(since).map_or_else(String::new, |at| format_rfc3339_seconds(at).to_string())
}
