//! Where the load goes, and whether it may.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use hyper::Uri;
use thiserror::Error;
use tokio::net::lookup_host;

/// Why the load goes nowhere.
#[derive(Debug, Error)]
pub enum AddressError {
    /// The text is no address of a shop.
    #[error("`{0}` is no address of a shop; say http://HOST:PORT")]
    Url(String),
    /// The generator speaks no TLS.
    #[error(
        "`{0}` asks for TLS, which the generator does not speak: its cost would drown the figures. Put a proxy that \
         ends TLS in front of the shop, or address the shop behind it"
    )]
    Tls(String),
    /// Nobody knows the name.
    #[error("cannot find {host}: {source}")]
    Name {
        /// The name.
        host: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The name stands for no address.
    #[error("{0} has no address")]
    Nowhere(String),
    /// The address may be anybody's.
    #[error(
        "{host} is {address}, which is neither this machine nor a private network. Load on somebody else's server is an \
         attack: say --yes-this-is-mine if it is yours"
    )]
    Public {
        /// The name.
        host: String,
        /// What it stands for.
        address: IpAddr,
    },
}

/// The address of a shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Name and port, as the `host` header has them.
    pub host: String,
    name: String,
    port: u16,
    /// What stands before every path, without a slash at its end.
    pub base: String,
}

impl Url {
    /// Reads `http://HOST[:PORT][/BASE]`.
    ///
    /// # Errors
    /// [`AddressError::Url`] and [`AddressError::Tls`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let refused = || AddressError::Url(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| refused())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(AddressError::Tls(text.to_owned())),
            _ => return Err(refused()),
        }
        let authority = uri.authority().ok_or_else(refused)?;
        if uri.query().is_some() || authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(refused());
        }
        Ok(Self {
            host: authority.as_str().to_owned(),
            name: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            base: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The socket address. Every address of the name must be private, unless `is_mine`.
    ///
    /// # Errors
    /// [`AddressError::Name`], [`AddressError::Nowhere`] and [`AddressError::Public`].
    pub async fn resolve(&self, is_mine: bool) -> Result<SocketAddr, AddressError> {
        let found = lookup_host((self.name.as_str(), self.port)).await;
        let found = found.map_err(|source| AddressError::Name { host: self.name.clone(), source })?;
        let mut first = None;
        for address in found {
            if !is_mine && !is_private(address.ip()) {
                return Err(AddressError::Public { host: self.name.clone(), address: address.ip() });
            }
            first = first.or(Some(address));
        }
        first.ok_or_else(|| AddressError::Nowhere(self.name.clone()))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.host, self.base)
    }
}

/// Whether an address belongs to this machine or to a network that is not the internet.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_private(v4.into()),
            None => v6 == Ipv6Addr::LOCALHOST || v6.is_unique_local() || v6.is_unicast_link_local(),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn addresses_are_read() {
        let url = Url::parse("http://shop.local:8080/store/").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.base.as_str()), ("shop.local:8080", 8080, "/store"));
        assert_eq!(Url::parse("http://127.0.0.1").unwrap().port, 80);
        assert_eq!(Url::parse("http://[::1]:81").unwrap().name, "::1");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "shop", "ftp://shop", "http://", "http://a@b/", "http://shop/?x=1"] {
            assert!(matches!(Url::parse(text), Err(AddressError::Url(_))), "{text}");
        }
        assert!(matches!(Url::parse("https://shop"), Err(AddressError::Tls(_))));
    }

    #[test]
    fn only_private_addresses_are_private() {
        for (address, expected) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("172.32.0.1", false),
            ("192.168.1.1", true),
            ("169.254.1.1", true),
            ("8.8.8.8", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("::1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("2001:db8::1", false),
            ("::ffff:8.8.8.8", false),
            ("::ffff:10.0.0.1", true),
        ] {
            assert_eq!(is_private(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[tokio::test]
    async fn a_public_address_needs_a_word() {
        let url = Url::parse("http://192.0.2.1:80").unwrap();
        assert!(matches!(url.resolve(false).await, Err(AddressError::Public { .. })));
        assert_eq!(url.resolve(true).await.unwrap().to_string(), "192.0.2.1:80");
    }
}
