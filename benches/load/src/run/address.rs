//! Where the load goes, and whether it may.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use hyper::Uri;
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::target::Target;
use crate::tls::{Tls, TlsError};

/// How long one of several addresses of a name has to answer.
const KNOCK: Duration = Duration::from_secs(2);
const LINK_LOCAL: &str =
    "an address of the network right here, where clouds keep the secrets of their machines";
const MANY: &str = "an address of many machines";
/// Where one cloud offers its metadata service, in the midst of what is private.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xFD00, 0xEC2, 0, 0, 0, 0, 0, 0x254);

/// Why the load goes nowhere.
#[derive(Debug, Error)]
pub enum AddressError {
    /// The text is no address of a shop.
    #[error("`{0}` is no address of a shop; say http://HOST:PORT or https://HOST")]
    Url(String),
    /// What stands behind the name is no port.
    #[error("`{0}` has no port behind its colon; ports are whole numbers from 1 to 65535")]
    Port(String),
    /// There is no TLS to the shop.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Certificates were given to whom none is asked for.
    #[error("--cacert says whose certificates are trusted, and `{0}` has none; say https://")]
    Cacert(String),
    /// Nobody knows the name.
    #[error("cannot find {host}")]
    Name {
        /// The name.
        host: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The name stands for no address.
    #[error("{0} has no address")]
    Nowhere(String),
    /// The address stands for every address of this machine, and for none that others connect to.
    #[error(
        "{0} is where a server listens, not where it is found; say http://127.0.0.1:PORT for this machine"
    )]
    Unspecified(IpAddr),
    /// The address may be anybody's.
    #[error(
        "{host} is {kind}. Load on somebody else's server is an attack: say --yes-this-is-mine if it is yours"
    )]
    Foreign {
        /// The name, and the address that it stands for.
        host: String,
        /// What kind of address that is.
        kind: &'static str,
    },
}

/// The address of a shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Name and port, as the `host` header has them.
    pub host: String,
    is_secure: bool,
    name: String,
    port: u16,
    /// What stands before every path, without a slash at its end.
    pub base: String,
}

impl Url {
    /// Reads `http://HOST[:PORT][/BASE]`, or the same with `https`.
    ///
    /// # Errors
    /// [`AddressError::Url`] and [`AddressError::Port`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let refused = || AddressError::Url(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let (is_secure, usual_port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(refused()),
        };
        let authority = uri.authority().ok_or_else(refused)?;
        if uri.query().is_some() || authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(refused());
        }
        // The library takes what is no port for none.
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => usual_port,
            rest => {
                let port = rest.and_then(|rest| rest.strip_prefix(':')).and_then(|port| port.parse().ok());
                port.filter(|port| *port != 0).ok_or_else(|| AddressError::Port(text.to_owned()))?
            }
        };
        Ok(Self {
            host: authority.as_str().to_owned(),
            is_secure,
            name: authority.host().trim_matches(['[', ']']).to_owned(),
            port,
            base: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Where clients go: what [`Self::resolve`] found, and TLS if the address says so. Its certificate must be issued by
    /// somebody whom the system or the PEM file `cacert` trusts, which is found out here.
    ///
    /// # Errors
    /// Those of [`Self::resolve`], [`AddressError::Tls`] and [`AddressError::Cacert`].
    pub async fn target(&self, is_mine: bool, cacert: Option<&Path>) -> Result<Target, AddressError> {
        if !self.is_secure && cacert.is_some() {
            return Err(AddressError::Cacert(self.to_string()));
        }
        let address = self.resolve(is_mine).await?;
        if !self.is_secure {
            return Ok(Target::new(address));
        }
        let tls = Tls::new(&self.name, &self.host, cacert)?;
        tls.look_at(address).await?;
        Ok(Target::secure(address, tls))
    }

    /// The socket address: of several, the first at which somebody listens. Every address of the name must be on this
    /// machine or in a private network, unless `is_mine`. All of the run connects to the address that was looked at
    /// here; the name is not asked for again, whatever it stands for meanwhile.
    ///
    /// # Errors
    /// [`AddressError::Name`], [`AddressError::Nowhere`], [`AddressError::Unspecified`] and [`AddressError::Foreign`].
    pub async fn resolve(&self, is_mine: bool) -> Result<SocketAddr, AddressError> {
        let found = lookup_host((self.name.as_str(), self.port)).await;
        let found = found.map_err(|source| AddressError::Name { host: self.name.clone(), source })?;
        let found: Vec<SocketAddr> = found.collect();
        for address in found.iter().map(|found| found.ip().to_canonical()) {
            if address.is_unspecified() {
                return Err(AddressError::Unspecified(address));
            }
            if let Some(kind) = foreign(address).filter(|_| !is_mine) {
                let is_name = self.name.parse::<IpAddr>().is_err();
                let host = if is_name { format!("{} ({address})", self.name) } else { self.name.clone() };
                return Err(AddressError::Foreign { host, kind });
            }
        }
        let first = found.first().copied().ok_or_else(|| AddressError::Nowhere(self.name.clone()))?;
        if found.len() > 1 {
            for address in found {
                if let Ok(Ok(_listens)) = timeout(KNOCK, TcpStream::connect(address)).await {
                    return Ok(address);
                }
            }
        }
        Ok(first)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.host, self.base)
    }
}

/// What an address is that belongs neither to this machine nor to a private network; none if it does. IPv4 in IPv6 is
/// judged as what it stands for.
fn foreign(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_loopback() || v4.is_private() => None,
        IpAddr::V4(v4) if v4.is_link_local() => Some(LINK_LOCAL),
        // RFC 6598: between a carrier and its customers, and in some overlay networks.
        IpAddr::V4(v4) if v4.octets()[0] == 100 && v4.octets()[1] & 0xC0 == 64 => {
            Some("an address that a provider shares among its customers")
        }
        IpAddr::V4(v4) if v4.is_multicast() || v4.is_broadcast() => Some(MANY),
        IpAddr::V6(v6) if v6.is_multicast() => Some(MANY),
        IpAddr::V6(METADATA_V6) => Some(LINK_LOCAL),
        IpAddr::V6(v6) if v6.is_loopback() || v6.is_unique_local() => None,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(LINK_LOCAL),
        _ => Some("an address of the internet"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_no_port_is_not_taken_for_the_usual_one() {
        for port in ["", "0", "65536", "99999", "abc", "8080x", "-1", "80:80"] {
            for host in ["127.0.0.1", "[::1]", "shop"] {
                let told = Url::parse(&format!("http://{host}:{port}/base")).unwrap_err().to_string();
                assert!(told.contains("port") || told.contains("no address"), "{host}:{port}: {told}");
            }
        }
    }

    #[test]
    fn addresses_are_read() {
        let url = Url::parse("http://shop.local:8080/store/").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.base.as_str()), ("shop.local:8080", 8080, "/store"));
        assert_eq!(Url::parse("http://127.0.0.1").unwrap().port, 80);
        assert_eq!(Url::parse("http://[::1]:81").unwrap().name, "::1");
        let secure = Url::parse("https://shop.local/store/").unwrap();
        assert_eq!((secure.port, secure.to_string().as_str()), (443, "https://shop.local/store"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "shop", "ftp://shop", "http://", "http://a@b/", "http://shop/?x=1"] {
            assert!(matches!(Url::parse(text), Err(AddressError::Url(_))), "{text}");
        }
    }

    #[test]
    fn only_this_machine_and_private_networks_need_no_word() {
        for (address, expected) in [
            ("127.0.0.1", ""),
            ("127.255.0.1", ""),
            ("10.1.2.3", ""),
            ("172.16.0.1", ""),
            ("172.31.255.255", ""),
            ("172.32.0.1", "internet"),
            ("192.168.1.1", ""),
            ("192.169.1.1", "internet"),
            ("169.254.169.254", "secrets"),
            ("169.254.1.1", "secrets"),
            ("100.63.255.255", "internet"),
            ("100.64.0.1", "customers"),
            ("100.100.100.200", "customers"),
            ("100.127.255.255", "customers"),
            ("100.128.0.1", "internet"),
            ("8.8.8.8", "internet"),
            ("192.0.0.192", "internet"),
            ("168.63.129.16", "internet"),
            ("224.0.0.1", "many"),
            ("255.255.255.255", "many"),
            ("::1", ""),
            ("fd00::1", ""),
            ("fc12::1", ""),
            ("fd00:ec2::254", "secrets"),
            ("fe80::1", "secrets"),
            ("ff02::1", "many"),
            ("2001:db8::1", "internet"),
            ("::ffff:8.8.8.8", "internet"),
            ("::ffff:10.0.0.1", ""),
            ("::ffff:127.0.0.1", ""),
            ("::ffff:169.254.169.254", "secrets"),
            ("64:ff9b::10.0.0.1", "internet"),
            ("2002:a00:1::1", "internet"),
            ("::127.0.0.1", "internet"),
        ] {
            let kind = foreign(address.parse().unwrap());
            assert_eq!(kind.is_none(), expected.is_empty(), "{address}: {kind:?}");
            assert!(kind.unwrap_or_default().contains(expected), "{address}: {kind:?}");
        }
    }

    #[tokio::test]
    async fn an_address_of_others_needs_a_word() {
        for host in ["192.0.2.1", "169.254.169.254", "100.64.0.1", "[fe80::1]", "[::ffff:8.8.8.8]"] {
            let url = Url::parse(&format!("http://{host}:81")).unwrap();
            let refused = url.resolve(false).await;
            let told = refused.unwrap_err().to_string();
            let bare = host.trim_matches(['[', ']']);
            assert!(told.starts_with(&format!("{bare} is an address ")), "{told}");
            assert_eq!(url.resolve(true).await.unwrap().port(), 81, "{host}");
        }
        for host in ["0.0.0.0", "[::]", "[::ffff:0.0.0.0]"] {
            let url = Url::parse(&format!("http://{host}:81")).unwrap();
            for is_mine in [false, true] {
                let refused = url.resolve(is_mine).await;
                assert!(matches!(refused, Err(AddressError::Unspecified(_))), "{host}: {refused:?}");
            }
        }
    }

    #[tokio::test]
    async fn of_the_addresses_of_a_name_one_that_listens_is_taken() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = Url::parse(&format!("http://localhost:{}", address.port())).unwrap();
        assert_eq!(url.resolve(false).await.unwrap(), address);
    }
}
