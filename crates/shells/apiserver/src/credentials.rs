//! Keys, certificates and kubeconfigs of a server: made at the first start, kept afterwards.
//!
//! ```text
//!   DIR/pki/ca.crt, ca.key             the authority that signs everything below (ten years)
//!   DIR/pki/server.crt, server.key     renewed whenever the names it must carry change
//!   DIR/admin.kubeconfig               client certificate of group system:masters
//!   DIR/agent.kubeconfig               client certificate of group system:nodes
//! ```
//!
//! Every file is written whole with mode 0600 and renamed into place, and only if it says something new: a server starts
//! on a full disk, too. What cannot be used any more is signed anew; only the authority itself is never replaced behind
//! anybody's back, because every client trusts that one.

mod fit;

use std::fs;
use std::io;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

pub use fit::Misfit;
use fit::Usage;

/// What could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder.
    #[error("cannot {action} {}; {way_out}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What to do.
        way_out: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// One of the authority's two files is gone, and what it signed is in use.
    #[error(
        "{} is missing, so nothing can be signed that clients trust; restore it, or remove {} to have a new authority \
         made, after which every client needs a new kubeconfig",
        file.display(), pki.display()
    )]
    AuthorityMissing {
        /// The file.
        file: PathBuf,
        /// The directory of all credentials.
        pki: PathBuf,
    },
    /// One of the authority's two files is damaged, or they don't belong together.
    #[error(
        "{} cannot be used; restore it, or remove {} to have a new authority made, after which every client needs a \
         new kubeconfig",
        file.display(), pki.display()
    )]
    AuthorityDamaged {
        /// The file.
        file: PathBuf,
        /// The directory of all credentials.
        pki: PathBuf,
        /// What is wrong with it.
        source: Misfit,
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
    make_private(&pki)?;
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
        let missing = |file: &PathBuf| Error::AuthorityMissing { file: file.clone(), pki: pki.to_owned() };
        match (lies(&certificate_path), lies(&key_path)) {
            (true, true) => {}
            (true, false) => return Err(missing(&key_path)),
            (false, _) if has_signed(pki) => return Err(missing(&certificate_path)),
            // The first start, or one that was cut short before anybody could trust it.
            (false, _) => {
                let key = KeyPair::generate().map_err(|source| wrong("make the authority's key", source))?;
                let certificate = authority()
                    .self_signed(&key)
                    .map_err(|source| wrong("sign the authority's certificate", source))?;
                write(&key_path, &key.serialize_pem())?;
                write(&certificate_path, &certificate.pem())?;
            }
        }
        make_private(&key_path)?;
        let (certificate, key) = (read(&certificate_path)?, read(&key_path)?);
        let damaged =
            |file: &PathBuf, source| Error::AuthorityDamaged { file: file.clone(), pki: pki.to_owned(), source };
        let parsed = fit::certificate(&certificate).map_err(|source| damaged(&certificate_path, source))?;
        fit::pair(parsed, &key).map_err(|source| damaged(&key_path, source))?;
        let key = KeyPair::from_pem(&key).map_err(|source| wrong("read the authority's key", source))?;
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
        self.kept(pki, "server", Usage::Server, &params, &carried)
    }

    fn client(&self, pki: &Path, name: &str, user: &str, group: &str) -> Result<(String, String), Error> {
        self.kept(pki, name, Usage::Client, &leaf(user, group, ExtendedKeyUsagePurpose::ClientAuth), user)
    }

    /// The pair of files NAME.crt and NAME.key; made anew if it cannot be used, or if NAME.names says something else than
    /// `carried`.
    fn kept(
        &self,
        pki: &Path,
        name: &str,
        usage: Usage,
        params: &CertificateParams,
        carried: &str,
    ) -> Result<(String, String), Error> {
        let path = |ending: &str| pki.join(format!("{name}.{ending}"));
        if fs::read_to_string(path("names")).is_ok_and(|names| names == carried) {
            match self.usable(&path("crt"), &path("key"), usage) {
                Ok(pair) => return make_private(&path("key")).map(|()| pair),
                Err(why) => tracing::warn!("{} is signed anew: {why}", path("crt").display()),
            }
        }
        let wrong = |source| Error::Certificate { action: "sign a certificate", path: path("crt"), source };
        let key = KeyPair::generate().map_err(wrong)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(wrong)?.pem();
        let key = key.serialize_pem();
        // Whoever finds the names may trust that the pair was written whole.
        remove(&path("names"))?;
        write(&path("key"), &key)?;
        write(&path("crt"), &certificate)?;
        write(&path("names"), carried)?;
        Ok((certificate, key))
    }

    /// The pair as it lies on the disk, or why it is of no use.
    fn usable(&self, certificate: &Path, key: &Path, usage: Usage) -> Result<(String, String), String> {
        let text = |path: &Path| fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
        let (certificate, key) = (text(certificate)?, text(key)?);
        let fits = fit::certificate(&certificate).and_then(|parsed| {
            fit::signed(&parsed, &self.certificate, usage)?;
            fit::pair(parsed, &key)
        });
        fits.map(|()| (certificate, key)).map_err(|misfit| misfit.to_string())
    }
}

/// Whether there is anything that somebody who trusts the authority may hold: whatever lies beside its key.
fn has_signed(pki: &Path) -> bool {
    let own = [Path::new("ca.key"), Path::new("ca.new")];
    let is_other =
        |entry: io::Result<fs::DirEntry>| entry.map_or(true, |entry| !own.contains(&Path::new(&entry.file_name())));
    // What cannot be read may be anything.
    let other =
        fs::read_dir(pki).map_or_else(|error| error.kind() != io::ErrorKind::NotFound, |mut all| all.any(is_other));
    let kubeconfigs = ["admin.kubeconfig", "agent.kubeconfig"].map(|name| pki.with_file_name(name));
    other || kubeconfigs.iter().any(|path| lies(path))
}

/// Whether there is such a name, be it a link to what isn't there at present.
fn lies(path: &Path) -> bool {
    path.symlink_metadata().map_or_else(|error| error.kind() != io::ErrorKind::NotFound, |_| true)
}

/// Takes everybody else's rights to a file or folder away, and tells if there were any. Where that cannot be done, as on a
/// disk that is only read, it is told.
fn make_private(path: &Path) -> Result<(), Error> {
    let failed =
        |source| Error::File { action: "keep to this user", path: path.to_owned(), way_out: ELSEWHERE, source };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let changed = fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700));
        let path = path.display();
        match changed {
            Ok(()) => tracing::warn!("{path} was open to others (mode {mode:o}); it is this user's alone now"),
            Err(error) => {
                tracing::warn!(%error, "{path} is open to others (mode {mode:o}); see that only this user reads it")
            }
        }
    }
    Ok(())
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

const ELSEWHERE: &str = "let this user write there, or choose another place by --data-dir";
const ROOM: &str = "free some space and let this user write there, or choose another place by --data-dir";

fn make_directory(path: &Path) -> Result<(), Error> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| Error::File { action: "create", path: path.to_owned(), way_out: ELSEWHERE, source })
}

fn read(path: &Path) -> Result<String, Error> {
    let way_out = "restore it and let this user read it";
    fs::read_to_string(path).map_err(|source| Error::File { action: "read", path: path.to_owned(), way_out, source })
}

/// Writes a file whole, with mode 0600, or not at all; nothing if it says that already.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let says_so = fs::read(path).is_ok_and(|found| found == text.as_bytes());
    let written = match fs::metadata(path) {
        Ok(found) if says_so && found.permissions().mode() & 0o077 == 0 => Ok(()),
        Ok(_) if says_so => fs::set_permissions(path, fs::Permissions::from_mode(0o600)),
        _ => replace(path, text),
    };
    written.map_err(|source| Error::File { action: "write", path: path.to_owned(), way_out: ROOM, source })
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    // One that was left has whatever mode it has.
    let _ = fs::remove_file(&draft);
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, path))
        .and_then(|()| sync_directory(path));
    if written.is_err() {
        // On a full disk even a piece of a draft is in somebody's way.
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Removes a file, for good before anything else is written.
fn remove(path: &Path) -> Result<(), Error> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        removed => removed.and_then(|()| sync_directory(path)),
    };
    removed.map_err(|source| Error::File { action: "remove", path: path.to_owned(), way_out: ELSEWHERE, source })
}

/// Makes the directory's names durable.
fn sync_directory(file: &Path) -> std::io::Result<()> {
    fs::File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
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

    #[test]
    fn keys_that_others_could_read_are_private_again_after_a_start() {
        let (place, _) = started();
        let open = |file: &str, mode| {
            fs::set_permissions(place.path().join(file), fs::Permissions::from_mode(mode))
                .expect("its mode can be set");
        };
        let keys = ["pki/ca.key", "pki/server.key", "pki/admin.key", "pki/agent.key", "agent.kubeconfig"];
        keys.iter().for_each(|file| open(file, 0o644));
        open("pki", 0o755);
        ensure(place.path(), &names(&["127.0.0.1"]), URL).expect("read");
        for file in keys.into_iter().chain(["pki"]) {
            let mode = fs::metadata(place.path().join(file)).expect("the file").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{file}");
        }
    }

    #[test]
    fn an_authority_is_missed_as_long_as_anything_may_trust_it() {
        type Lost = fn(&Path) -> bool;
        let is_certificate = |path: &Path| path.extension().is_some_and(|ending| ending == "crt");
        let is_authority = |path: &Path| path.file_stem().is_some_and(|stem| stem == "ca");
        let cases: [Lost; 2] = [is_certificate, is_authority];
        for lost in cases {
            let (place, _) = started();
            for entry in fs::read_dir(place.path().join("pki")).expect("a folder").flatten() {
                if lost(&entry.path()) {
                    fs::remove_file(entry.path()).expect("removed");
                }
            }
            let before = files(place.path());
            let error = ensure(place.path(), &names(&["127.0.0.1"]), URL).expect_err("nobody would trust a new one");
            assert!(matches!(error, Error::AuthorityMissing { .. }), "{error}");
            assert_eq!(files(place.path()), before);
        }
    }

    /// All files below the data directory, by name: which file they are, and what they say.
    fn files(place: &Path) -> std::collections::BTreeMap<String, (u64, String)> {
        use std::os::unix::fs::MetadataExt as _;
        let names = |directory: &Path| {
            let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
            entries.filter(|path| path.is_file()).collect::<Vec<_>>()
        };
        let all = names(place).into_iter().chain(names(&place.join("pki")));
        let file = |path: PathBuf| {
            let inode = fs::metadata(&path).expect("the file").ino();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, (inode, fs::read_to_string(&path).expect("text")))
        };
        all.map(file).collect()
    }

    /// A data directory after its first start, and what lies in it.
    fn started() -> (tempfile::TempDir, std::collections::BTreeMap<String, (u64, String)>) {
        let place = tempfile::tempdir().expect("a place");
        ensure(place.path(), &names(&["127.0.0.1"]), URL).expect("made");
        let files = files(place.path());
        (place, files)
    }

    const URL: &str = "https://127.0.0.1:6443";

    /// Which files another start has written.
    fn written(place: &Path, before: &std::collections::BTreeMap<String, (u64, String)>) -> Vec<String> {
        ensure(place, &names(&["127.0.0.1"]), URL).expect("it starts");
        // Its content is the same each time, and its place may be, too.
        let told = |name: &str| !name.ends_with(".names");
        let found = files(place).into_iter().filter(|(name, file)| told(name) && before.get(name) != Some(file));
        found.map(|(name, _)| name).collect()
    }

    #[test]
    fn a_start_that_has_nothing_new_to_say_writes_nothing() {
        let (place, before) = started();
        assert_eq!(written(place.path(), &before), Vec::<String>::new());
    }

    #[test]
    fn a_damaged_or_missing_certificate_is_signed_anew() {
        let anew = |name: &str| ["crt", "key"].map(|ending| format!("{name}.{ending}")).to_vec();
        for (name, kubeconfig) in
            [("server", None), ("admin", Some("admin.kubeconfig")), ("agent", Some("agent.kubeconfig"))]
        {
            let expected: Vec<String> = anew(name).into_iter().chain(kubeconfig.map(str::to_owned)).collect();
            let expected: std::collections::BTreeSet<String> = expected.into_iter().collect();
            for ending in ["crt", "key"] {
                for garbage in
                    [None, Some("garbage"), Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")]
                {
                    let (place, before) = started();
                    let file = place.path().join("pki").join(format!("{name}.{ending}"));
                    match garbage {
                        None => fs::remove_file(file).expect("removed"),
                        Some(garbage) => fs::write(file, garbage).expect("written"),
                    }
                    let found: std::collections::BTreeSet<String> =
                        written(place.path(), &before).into_iter().collect();
                    assert_eq!(found, expected, "{name}.{ending}: {garbage:?}");
                }
            }
        }
    }

    /// As a crash between the two writes would leave it, were the names still there.
    #[test]
    fn a_key_of_another_certificate_is_found_out() {
        let (place, before) = started();
        let pki = place.path().join("pki");
        fs::copy(pki.join("admin.key"), pki.join("server.key")).expect("copied");
        let found = written(place.path(), &before);
        assert!(found.contains(&"server.crt".to_owned()), "{found:?}");
    }

    #[test]
    fn what_another_authority_signed_is_signed_anew() {
        let (place, before) = started();
        let (other, _) = started();
        for name in ["ca.crt", "ca.key"] {
            fs::copy(other.path().join("pki").join(name), place.path().join("pki").join(name)).expect("copied");
        }
        let found = written(place.path(), &before);
        for name in ["server.crt", "admin.crt", "agent.crt", "admin.kubeconfig", "agent.kubeconfig"] {
            assert!(found.contains(&name.to_owned()), "{name} {found:?}");
        }
    }

    #[test]
    fn an_authority_that_cannot_be_used_is_named_and_never_replaced() {
        let (other, _) = started();
        let foreign = fs::read_to_string(other.path().join("pki/ca.key")).expect("a key");
        let cases = [
            ("ca.crt", None, "is missing"),
            ("ca.key", None, "is missing"),
            ("ca.crt", Some("garbage"), "cannot be used"),
            ("ca.key", Some("garbage"), "cannot be used"),
            ("ca.key", Some(foreign.as_str()), "cannot be used"),
        ];
        for (name, content, words) in cases {
            let (place, _) = started();
            let file = place.path().join("pki").join(name);
            match content {
                None => fs::remove_file(&file).expect("removed"),
                Some(content) => fs::write(&file, content).expect("written"),
            }
            let before = files(place.path());
            let error = ensure(place.path(), &names(&["127.0.0.1"]), URL).expect_err("it cannot sign");
            let said = error.to_string();
            let pki = place.path().join("pki").display().to_string();
            assert!(said.contains(words) && said.contains(&file.display().to_string()), "{said}");
            assert!(said.contains("restore it") && said.contains(&format!("remove {pki} ")), "{said}");
            assert_eq!(files(place.path()), before);
        }
    }

    /// A start that was cut short between the authority's two files has signed nothing that anybody could hold.
    #[test]
    fn a_first_start_that_was_cut_short_is_made_good() {
        let place = tempfile::tempdir().expect("a place");
        fs::create_dir(place.path().join("pki")).expect("made");
        fs::write(place.path().join("pki/ca.key"), KeyPair::generate().expect("a key").serialize_pem())
            .expect("written");
        ensure(place.path(), &names(&["127.0.0.1"]), URL).expect("made");
    }
}
