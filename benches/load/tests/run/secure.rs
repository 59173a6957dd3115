//! A server for tests that ends TLS in front of another one, with certificates of its own making.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Issues certificates, and has a file of its own that says so.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    /// What `--cacert` takes.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for `localhost`, as `change` would have it.
    pub(crate) fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            certificate: certificate.der().clone(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }
}

/// Who a server is.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

/// What a client said in a handshake: the name it looked for, and the protocol agreed upon.
pub(crate) type Greeting = (Option<String>, Option<Vec<u8>>);

/// A server that ends TLS. Dropping it closes every connection.
pub(crate) struct Gate {
    pub(crate) address: SocketAddr,
    greetings: Arc<Mutex<Vec<Greeting>>>,
    _server: JoinSet<()>,
}

impl Gate {
    /// Passes on to `behind` what comes by TLS.
    pub(crate) async fn open(identity: Identity, behind: SocketAddr) -> Self {
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = config.with_single_cert(vec![identity.certificate], identity.key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let greetings = Arc::default();
        let mut server = JoinSet::new();
        server.spawn(serve(listener, acceptor, behind, Arc::clone(&greetings)));
        Self { address, greetings, _server: server }
    }

    pub(crate) fn greetings(&self) -> Vec<Greeting> {
        self.greetings.lock().unwrap().clone()
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    behind: SocketAddr,
    greetings: Arc<Mutex<Vec<Greeting>>>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, greetings) = (acceptor.clone(), Arc::clone(&greetings));
        connections.spawn(async move {
            // A client that does not trust us hangs up.
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let said = stream.get_ref().1;
            let greeting = (said.server_name().map(str::to_owned), said.alpn_protocol().map(<[u8]>::to_vec));
            greetings.lock().unwrap().push(greeting);
            let mut shop = TcpStream::connect(behind).await.unwrap();
            shop.set_nodelay(true).unwrap();
            let _ended = copy_bidirectional(&mut stream, &mut shop).await;
        });
    }
}
