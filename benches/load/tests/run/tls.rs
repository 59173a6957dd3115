//! Runs by TLS: who is trusted, and what is said of everybody else.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, date_time_ymd};
use relampago_load::Target;
use relampago_load::run::Options;
use relampago_load::run::address::Url;
use relampago_load::summary::Exit;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::books;
use crate::running;
use crate::secure::{Authority, Gate};
use crate::serving::Server;
use crate::shop::{Fault, Shop};

/// Nobody answers behind a gate that nobody comes through.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

fn url(host: &str, address: SocketAddr) -> Url {
    Url::parse(&format!("https://{host}:{}", address.port())).unwrap()
}

async fn target(url: &Url, cacert: Option<&Path>) -> Result<Target, String> {
    url.target(false, cacert).await.map_err(|error| error.to_string())
}

/// Why a server with a certificate like this is not trusted, if it is called `host`.
async fn distrust(host: &str, change: impl FnOnce(&mut CertificateParams)) -> String {
    let authority = Authority::new("of the shop");
    let gate = Gate::open(authority.issue(change), NOBODY).await;
    let refused = target(&url(host, gate.address), Some(&authority.file())).await.unwrap_err();
    refused.strip_prefix("the server's certificate is not trusted: ").unwrap_or(&refused).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_shop_behind_tls_is_loaded_and_audited() {
    let (shop, authority) = (Shop::open(Fault::None).await, Authority::new("of the shop"));
    let gate = Gate::open(authority.issue(|_| {}), shop.address).await;
    let url = url("localhost", gate.address);
    let target = target(&url, Some(&authority.file())).await.unwrap();
    let options = Options { url, target, ..running::options(gate.address) };
    let running = move || running::run_with(books::SCENARIO, options, |_, _| {});
    let summary = tokio::task::spawn_blocking(running).await.unwrap();
    assert_eq!(summary.exit(), Exit::Passed, "{summary}");
    assert!(summary.audit.checks.iter().all(|check| check.passed == Some(true)), "{summary}");
    assert_eq!(summary.run.target, format!("https://localhost:{}", gate.address.port()));
    let greetings = gate.greetings();
    let expected = (Some("localhost".to_owned()), Some(b"http/1.1".to_vec()));
    assert!(greetings.iter().all(|greeting| *greeting == expected), "{greetings:?}");
    // 6 of the load; the first look, the set-up and the audit have theirs. Requests share them.
    assert!(summary.all.count > 100 && greetings.len() < 60, "{} connections", greetings.len());
}

#[tokio::test]
async fn an_issuer_whom_nobody_knows_is_told_before_the_load() {
    let (authority, other) = (Authority::new("of the shop"), Authority::new("of others"));
    let gate = Gate::open(authority.issue(|_| {}), NOBODY).await;
    let url = url("localhost", gate.address);
    let refused = target(&url, Some(&other.file())).await.unwrap_err();
    assert_eq!(
        refused,
        "the server's certificate is not trusted: nobody whom this system trusts has issued it; --cacert FILE if it \
         is your own"
    );
    // Such as one's own of yesterday, made anew.
    let namesake = Authority::new("of the shop");
    let refused = target(&url, Some(&namesake.file())).await.unwrap_err();
    assert!(refused.contains("is signed by another"), "{refused}");
    // A machine without any roots has another reason, and the same way out.
    let refused = target(&url, None).await.unwrap_err();
    assert!(refused.contains("trust") && refused.contains("--cacert FILE"), "{refused}");
    assert_eq!(gate.greetings(), []);
    assert!(target(&url, Some(&authority.file())).await.is_ok());
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told() {
    let expired = distrust("localhost", |params| params.not_after = date_time_ymd(2020, 1, 2)).await;
    assert_eq!(expired, "it expired at 2020-01-02T00:00:00Z");
    let early = distrust("localhost", |params| params.not_before = date_time_ymd(4000, 1, 2)).await;
    assert_eq!(early, "it is not valid before 4000-01-02T00:00:00Z");
    let of_other = distrust("127.0.0.1", |_| {}).await;
    assert!(of_other.contains("localhost") && of_other.ends_with(", not of 127.0.0.1"), "{of_other}");
    let of_nobody = distrust("localhost", |params| params.subject_alt_names.clear()).await;
    assert_eq!(of_nobody, "it is of no name, and not of localhost either");
    let is_ca = distrust("localhost", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    assert!(is_ca.await.contains("CA:TRUE"));
}

#[tokio::test]
async fn a_server_without_tls_is_told() {
    let plain = Server::open(|_| (200, Vec::new(), Value::Null));
    let refused = target(&url("127.0.0.1", plain.address), None).await.unwrap_err();
    assert!(refused.starts_with("the server does not speak TLS there; say http://"), "{refused}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = url("127.0.0.1", address);
    let hang_up = async { drop(listener.accept().await) };
    let (refused, ()) = tokio::join!(target(&url, None), hang_up);
    let refused = refused.unwrap_err();
    assert!(refused.contains("in the midst of the TLS handshake"), "{refused}");

    // Nobody listens any more: that is for the run to tell, as it is of plain HTTP.
    drop(listener);
    assert!(target(&url, None).await.is_ok());
}

#[tokio::test]
async fn files_without_certificates_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let url = url("127.0.0.1", NOBODY);
    let missing = target(&url, Some(&file)).await.unwrap_err();
    assert!(missing.starts_with("--cacert: cannot read ") && missing.ends_with("ca.pem"), "{missing}");
    for (text, expected) in [
        ("", "has no certificate; it takes PEM"),
        ("\x30\x03DER", "has no certificate; it takes PEM"),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "has no certificate; it takes PEM",
        ),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n", "is no PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1 of "),
    ] {
        fs::write(&file, text).unwrap();
        let refused = target(&url, Some(&file)).await.unwrap_err();
        assert!(refused.starts_with("--cacert: ") && refused.contains(expected), "{refused}");
    }
    let plain = Url::parse("http://127.0.0.1:9").unwrap();
    let refused = target(&plain, Some(&file)).await.unwrap_err();
    assert!(refused.ends_with("`http://127.0.0.1:9` has none; say https://"), "{refused}");
}
