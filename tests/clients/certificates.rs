//! Who is who on this machine: an authority, a server, a client.

use std::{fs, path::Path};
use tidegate_tests::Authority;

/// The authority's certificate.
pub(crate) const CA: &str = "ca.pem";
/// Certificate and key of the server.
pub(crate) const SERVER: (&str, &str) = ("server.pem", "server.key");
/// Certificate and key of a client.
pub(crate) const CLIENT: (&str, &str) = ("client.pem", "client.key");

/// Writes them all, new ones, into a folder.
pub(crate) fn write(folder: &Path) {
    let authority = Authority::new("authority of a test");
    fs::write(folder.join(CA), authority.pem()).expect("a file can be written");
    for (serial, (certificate, key)) in [(1, SERVER), (2, CLIENT)] {
        let pair = authority.sign(certificate, serial);
        fs::write(folder.join(certificate), pair.cert).expect("a file can be written");
        fs::write(folder.join(key), pair.key).expect("a file can be written");
    }
}
