//! `tidegate self-signed`: certificates to try TLS with, signed by an authority of one's own.

use anyhow::{Context, bail, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// What to make.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder for the files; made if it is missing
    #[arg(long, value_name = "FOLDER", default_value = "certs")]
    out: PathBuf,
    /// How long they hold
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// Make a client certificate for this user, NAME.pem and NAME.key, instead of one for the server
    #[arg(long, value_name = "NAME", conflicts_with = "names")]
    client: Option<String>,
    /// Names and addresses of the server [default: localhost 127.0.0.1 ::1]
    #[arg(value_name = "HOST")]
    names: Vec<String>,
}

/// Makes what is asked for, and the authority if there is none in the folder yet. Nothing that is there is written over.
///
/// # Errors
/// With the file, and what to do about it.
pub(crate) fn make(options: &Options) -> anyhow::Result<()> {
    let Options { out, days, client, names } = options;
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let authority = authority(out, *days)?;
    let (file, mut params) = match client {
        Some(name) => {
            let harmless = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
            ensure!(harmless && name != "ca" && name != "server", "{name:?} is no name for a file");
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name.as_str());
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            (name.as_str(), params)
        }
        None => {
            let defaults = || ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
            let names = if names.is_empty() { defaults() } else { names.clone() };
            let mut params = CertificateParams::new(names.clone())
                .with_context(|| format!("{}: not all of them are names of hosts", names.join(" ")))?;
            params.distinguished_name.push(DnType::CommonName, names[0].as_str());
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            ("server", params)
        }
    };
    holds_for(&mut params, *days);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().context("cannot make a key")?;
    let certificate = params.signed_by(&key, &authority).context("cannot sign a certificate")?;
    let (cert, private) = (out.join(file).with_extension("pem"), out.join(file).with_extension("key"));
    write(&private, &key.serialize_pem(), 0o600)?;
    write(&cert, &certificate.pem(), 0o644)?;
    let ca = out.join("ca.pem");
    match client {
        Some(name) => eprintln!(
            "{0} and {1} are for {name}. In the listener: client_cert = \"required\", client_ca = {2:?}. With mosquitto_pub: --cafile {3} \
             --cert {0} --key {1}",
            cert.display(),
            private.display(),
            ca,
            ca.display()
        ),
        None => eprintln!(
            "[[listener]]\nkind = \"tls\"\naddress = \"127.0.0.1:8883\"\ncert = {cert:?}\nkey = {private:?}\n\nclients trust {}: \
             mosquitto_pub --cafile {} -p 8883 …",
            ca.display(),
            ca.display()
        ),
    }
    Ok(())
}

/// The authority in the folder, or a new one.
fn authority(out: &Path, days: u32) -> anyhow::Result<Issuer<'static, KeyPair>> {
    let (cert, private) = (out.join("ca.pem"), out.join("ca.key"));
    if cert.exists() && private.exists() {
        let read =
            |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        let key = KeyPair::from_pem(&read(&private)?)
            .with_context(|| format!("{} is no private key", private.display()))?;
        return Issuer::from_ca_cert_pem(&read(&cert)?, key)
            .with_context(|| format!("{} is no certificate of an authority", cert.display()));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Tidegate self-signed");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    holds_for(&mut params, days);
    let key = KeyPair::generate().context("cannot make a key")?;
    let certificate = params.self_signed(&key).context("cannot sign a certificate")?;
    write(&private, &key.serialize_pem(), 0o600)?;
    write(&cert, &certificate.pem(), 0o644)?;
    Ok(Issuer::new(params, key))
}

fn holds_for(params: &mut CertificateParams, days: u32) {
    // An hour of yesterday, for clocks that are a little behind.
    let now = SystemTime::now();
    params.not_before = (now - Duration::from_secs(3600)).into();
    params.not_after = (now + Duration::from_secs(u64::from(days) * 86_400)).into();
}

/// Nothing that is there is written over: clients may trust it.
fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = match file {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("{} is there already; remove it, or name another folder with --out", path.display())
        }
        file => file.with_context(|| format!("cannot write {}", path.display()))?,
    };
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}
