//! Keys, certificates and kubeconfigs of a server: made at the first start, kept afterwards.
//!
//! ```text
//!   DIR/pki/ca.crt, ca.key             the authority that signs everything below (ten years)
//!   DIR/pki/server.crt, server.key     renewed whenever the names it must carry change
//!   DIR/admin.kubeconfig               client certificate of group system:masters
//!   DIR/agent.kubeconfig               client certificate of group system:nodes
//! ```
//!
//! Every file is written whole with mode 0600 and renamed into place.

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// What could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder.
    #[error("{action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A key or certificate.
    #[error("{action}; remove {} to have new credentials made", path.display())]
    Certificate {
        /// What was tried.
        action: &'static str,
        /// The file that stands in the way.
        path: PathBuf,
        /// Why it failed.
        source: rcgen::Error,
    },
}

/// The names under which a server is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS names.
    pub dns: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
}

/// A server's credentials, in PEM.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The authority's certificate.
    pub ca: String,
    /// The server's certificate.
    pub certificate: String,
    /// The server's key.
    pub key: String,
}

/// Reads the credentials in a data directory, makes what is missing, and writes the kubeconfigs for `url`.
pub fn ensure(directory: &Path, names: &Names, url: &str) -> Result<Credentials, Error> {
    let pki = directory.join("pki");
    make_directory(directory)?;
    make_directory(&pki)?;
    let authority = Authority::ensure(&pki)?;
    let (certificate, key) = authority.server(&pki, names)?;
    for (name, user, group) in
        [("admin", "kubernetes-admin", "system:masters"), ("agent", "system:node:agent", "system:nodes")]
    {
        let (certificate, key) = authority.client(&pki, name, user, group)?;
        let text = kubeconfig(url, &authority.certificate, user, &certificate, &key);
        write(&directory.join(format!("{name}.kubeconfig")), &text)?;
    }
    Ok(Credentials { ca: authority.certificate, certificate, key })
}

struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn ensure(pki: &Path) -> Result<Authority, Error> {
        let (certificate_path, key_path) = (pki.join("ca.crt"), pki.join("ca.key"));
        let wrong = |action, source| Error::Certificate { action, path: pki.to_owned(), source };
        if !certificate_path.exists() {
            let key = KeyPair::generate().map_err(|source| wrong("make the authority's key", source))?;
            let certificate =
                authority().self_signed(&key).map_err(|source| wrong("sign the authority's certificate", source))?;
            write(&key_path, &key.serialize_pem())?;
            write(&certificate_path, &certificate.pem())?;
        }
        let certificate = read(&certificate_path)?;
        let key = KeyPair::from_pem(&read(&key_path)?).map_err(|source| wrong("read the authority's key", source))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, key)
            .map_err(|source| wrong("read the authority's certificate", source))?;
        Ok(Authority { certificate, issuer })
    }

    /// The server's certificate, kept while it carries exactly these names.
    fn server(&self, pki: &Path, names: &Names) -> Result<(String, String), Error> {
        let mut params = leaf("kube-apiserver", "", ExtendedKeyUsagePurpose::ServerAuth);
        let wrong =
            |source| Error::Certificate { action: "make the server's certificate", path: pki.to_owned(), source };
        for name in &names.dns {
            let name = name.as_str().try_into().map_err(wrong)?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        params.subject_alt_names.extend(names.addresses.iter().map(|address| SanType::IpAddress(*address)));
        let carried = format!("{} {:?}", names.dns.join(" "), names.addresses);
        self.kept(pki, "server", &params, &carried)
    }

    fn client(&self, pki: &Path, name: &str, user: &str, group: &str) -> Result<(String, String), Error> {
        self.kept(pki, name, &leaf(user, group, ExtendedKeyUsagePurpose::ClientAuth), user)
    }

    /// The pair of files NAME.crt and NAME.key; made anew if NAME.names says something else than `carried`.
    fn kept(
        &self,
        pki: &Path,
        name: &str,
        params: &CertificateParams,
        carried: &str,
    ) -> Result<(String, String), Error> {
        let path = |ending: &str| pki.join(format!("{name}.{ending}"));
        if fs::read_to_string(path("names")).is_ok_and(|names| names == carried) {
            return Ok((read(&path("crt"))?, read(&path("key"))?));
        }
        let wrong = |source| Error::Certificate { action: "sign a certificate", path: path("crt"), source };
        let key = KeyPair::generate().map_err(wrong)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(wrong)?.pem();
        let key = key.serialize_pem();
        write(&path("key"), &key)?;
        write(&path("crt"), &certificate)?;
        write(&path("names"), carried)?;
        Ok((certificate, key))
    }
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("maitred-ca", "");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    valid(&mut params);
    params
}

fn leaf(user: &str, group: &str, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(user, group);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![usage];
    valid(&mut params);
    params
}

fn name(user: &str, group: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if !group.is_empty() {
        name.push(DnType::OrganizationName, group);
    }
    name.push(DnType::CommonName, user);
    name
}

/// Ten years from yesterday, so that a clock that is a little behind does no harm.
fn valid(params: &mut CertificateParams) {
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let now = std::time::SystemTime::now();
    params.not_before = (now - day).into();
    params.not_after = (now + 3650 * day).into();
}

fn kubeconfig(url: &str, ca: &str, user: &str, certificate: &str, key: &str) -> String {
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: maitred\nclusters:\n- name: maitred\n  cluster:\n    \
         server: {url}\n    certificate-authority-data: {}\ncontexts:\n- name: maitred\n  context:\n    \
         cluster: maitred\n    user: {user}\nusers:\n- name: {user}\n  user:\n    client-certificate-data: {}\n    \
         client-key-data: {}\n",
        base64(ca),
        base64(certificate),
        base64(key),
    )
}

fn make_directory(path: &Path) -> Result<(), Error> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| Error::File { action: "make the directory", path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::File { action: "read", path: path.to_owned(), source })
}

/// Writes a file whole, with mode 0600, or not at all.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let draft = path.with_extension("new");
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, path));
    written.map_err(|source| Error::File { action: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(addresses: &[&str]) -> Names {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        Names { dns: vec!["localhost".to_owned()], addresses }
    }

    #[test]
    fn credentials_are_private_and_outlive_a_restart() {
        let place = tempfile::tempdir().expect("a place");
        let url = "https://127.0.0.1:6443";
        let first = ensure(place.path(), &names(&["127.0.0.1"]), url).expect("made");
        let again = ensure(place.path(), &names(&["127.0.0.1"]), url).expect("read");
        assert_eq!((&first.ca, &first.certificate, &first.key), (&again.ca, &again.certificate, &again.key));
        let moved = ensure(place.path(), &names(&["127.0.0.1", "10.0.0.1"]), url).expect("made anew");
        assert_eq!(first.ca, moved.ca);
        assert_ne!(first.certificate, moved.certificate, "a new address needs a new certificate");
        for file in ["admin.kubeconfig", "agent.kubeconfig", "pki/ca.key", "pki/server.key"] {
            let mode = fs::metadata(place.path().join(file)).expect("the file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }
}
