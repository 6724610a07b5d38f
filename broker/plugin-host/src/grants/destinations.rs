//! Where a plugin may connect to: origins, and the addresses that their names may lead to.

use super::list;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};
use std::{
    fmt,
    marker::PhantomData,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

/// A list of origins, or a table with more to say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Destinations<O> {
    /// At least one.
    pub origins: Vec<O>,
    /// Networks that names may lead to although they are not public.
    pub private: Vec<IpNet>,
    /// A PEM file of certificate authorities to trust beside the public ones.
    pub ca: Option<PathBuf>,
}

impl<O> Destinations<O> {
    /// Whether a name that was granted may lead to `address`. Addresses that were granted as such are not asked about.
    pub(crate) fn leads_to(&self, name: &str, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let named = name.eq_ignore_ascii_case("localhost") && address.is_loopback();
        named || is_public(address) || self.private.iter().any(|network| network.contains(&address))
    }
}

impl<O: fmt::Display> fmt::Display for Destinations<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, &self.origins)?;
        if !self.private.is_empty() {
            f.write_str(" in ")?;
            list(f, &self.private)?;
        }
        Ok(())
    }
}

impl<'de, O: Deserialize<'de>> Deserialize<'de> for Destinations<O> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table<O> {
            origins: Vec<O>,
            #[serde(default, deserialize_with = "networks")]
            private: Vec<IpNet>,
            #[serde(default)]
            ca: Option<PathBuf>,
        }
        struct Visitor<O>(PhantomData<O>);
        impl<'de, O: Deserialize<'de>> de::Visitor<'de> for Visitor<O> {
            type Value = Destinations<O>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of origins, or a table with the keys origins, private and ca")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Destinations<O>, A::Error> {
                let origins = Vec::deserialize(de::value::SeqAccessDeserializer::new(seq))?;
                Ok(Destinations { origins, private: Vec::new(), ca: None })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Destinations<O>, A::Error> {
                let Table { origins, private, ca } =
                    Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Destinations { origins, private, ca })
            }
        }
        let grant = deserializer.deserialize_any(Visitor(PhantomData))?;
        match grant.origins.is_empty() {
            true => Err(de::Error::custom("no origin grants nothing; name some, or remove the key")),
            false => Ok(grant),
        }
    }
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: &String| {
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        network.ok_or_else(|| {
            de::Error::custom(format!("{text:?} is not a network; write for example \"10.0.0.0/8\""))
        })
    };
    Vec::<String>::deserialize(deserializer)?.iter().map(network).collect()
}

/// Whether everybody on the internet may be there. `address` is no IPv4 address in IPv6 clothes, see [`IpAddr::to_canonical`].
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// By the IANA registry of special-purpose addresses.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        // Carrier-grade NAT.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        // Benchmarks.
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !special
}

/// What is not global unicast is not public; what leads to an IPv4 address is as public as that one.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let v4 = |high: u16, low: u16| is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // NAT64
        [0x64, 0xFF9B, 0, 0, 0, 0, high, low] => v4(high, low),
        // 6to4
        [0x2002, high, low, ..] => v4(high, low),
        // Teredo and other protocols, documentation.
        [0x2001, b, ..] if b < 0x200 || b == 0xDB8 => false,
        [0x3FFF, b, ..] if b < 0x1000 => false,
        [a, ..] => a & 0xE000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::HttpGrant;

    #[derive(Debug, Deserialize)]
    struct Table {
        http: HttpGrant,
    }

    fn grant(text: &str) -> HttpGrant {
        toml::from_str::<Table>(text).unwrap().http
    }

    #[test]
    fn names_lead_to_public_addresses_only() {
        let nobody = grant("http = ['https://a', 'http://localhost']");
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.0.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
        ] {
            assert!(!nobody.leads_to("a", address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "223.0.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::",
        ] {
            assert!(nobody.leads_to("a", address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn private_networks_are_reached_if_named() {
        let grant = grant(
            "http = { origins = ['http://localhost', 'http://a'], private = ['10.0.0.0/8', 'fd00::/8'] }",
        );
        for (name, address, leads) in [
            ("a", "10.1.2.3", true),
            ("a", "::ffff:10.1.2.3", true),
            ("a", "fd00::1", true),
            ("a", "192.168.0.1", false),
            ("a", "127.0.0.1", false),
            ("localhost", "127.0.0.1", true),
            ("LOCALHOST", "::1", true),
            ("localhost", "192.168.0.1", false),
            ("localhost", "0.0.0.0", false),
        ] {
            assert_eq!(grant.leads_to(name, address.parse().unwrap()), leads, "{name} {address}");
        }
    }
}
