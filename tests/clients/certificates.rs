//! Who is who on this machine: an authority, a server, a client.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::{fs, path::Path};

/// The authority's certificate.
pub(crate) const CA: &str = "ca.pem";
/// Certificate and key of the server, for `localhost` and its addresses.
pub(crate) const SERVER: (&str, &str) = ("server.pem", "server.key");
/// Certificate and key of a client.
pub(crate) const CLIENT: (&str, &str) = ("client.pem", "client.key");

/// Writes them all, new ones, into a folder.
///
/// # Panics
/// If that is not possible.
pub(crate) fn write(folder: &Path) {
    let mut authority = named("Authority of a test", &[]);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().expect("a key");
    let certificate = authority.self_signed(&key).expect("a certificate");
    fs::write(folder.join(CA), certificate.pem()).expect("a file");
    let issuer = Issuer::new(authority, key);

    let sign = |mut params: CertificateParams, usage, (certificate_file, key_file): (&str, &str)| {
        params.extended_key_usages = vec![usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        fs::write(folder.join(certificate_file), certificate.pem()).expect("a file");
        fs::write(folder.join(key_file), key.serialize_pem()).expect("a file");
    };
    let server = named("localhost", &["localhost", "127.0.0.1", "::1"]);
    sign(server, ExtendedKeyUsagePurpose::ServerAuth, SERVER);
    sign(named("client of a test", &[]), ExtendedKeyUsagePurpose::ClientAuth, CLIENT);
}

fn named(name: &str, alternatives: &[&str]) -> CertificateParams {
    let alternatives: Vec<String> = alternatives.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(alternatives).expect("good names");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
