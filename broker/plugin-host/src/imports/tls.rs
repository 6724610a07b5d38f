//! TLS towards the origins that were granted.

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{path::Path, sync::Arc};

/// Trusts public certificate authorities, and those of the operator; `key`: where they are named.
pub(super) fn client(key: &str, ca: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    if let Some(path) = ca {
        let refused = |why: String| {
            format!("`{key}` cannot be given, {}: {why}; name a PEM file, or remove the key", path.display())
        };
        let file = std::fs::read(path).map_err(|why| refused(why.to_string()))?;
        let certificates = CertificateDer::pem_slice_iter(&file)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|why| refused(why.to_string()))?;
        if certificates.is_empty() {
            return Err(refused("it has no certificate".into()));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|why| refused(why.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|why| format!("TLS does not work here: {why}"))?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}
