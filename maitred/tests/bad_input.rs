//! Bad input on the command line and on the disk: one clear sentence that names the thing and the way out, an exit code
//! that says so, and nothing lost. What the API refuses is in the tests of `apiserver` and `kubectl`.

#[path = "harness/mod.rs"]
#[allow(dead_code, reason = "the other half is for tests by kubectl")]
mod harness;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use harness::{Said, Server};
use serde_json::json;
use tempfile::TempDir;

fn place() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Runs maitred to its end.
fn maitred(arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maitred"));
    Said::from(command.args(arguments).stdin(Stdio::null()).output().expect("the binary runs"))
}

/// `maitred server` on a free port, with these further arguments.
fn server(directory: &Path, arguments: &[&str]) -> Said {
    let directory = directory.to_str().expect("the path is text");
    maitred(&[&["server", "--listen", "127.0.0.1:0", "--data-dir", directory], arguments].concat())
}

/// Asserts a failure, told in one line that has all of these words.
#[track_caller]
fn refused(said: &Said, words: &[&str]) {
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
    let missing: Vec<&&str> = words.iter().filter(|word| !said.err.contains(**word)).collect();
    assert!(missing.is_empty(), "{missing:?} is not in {}", said.err);
}

#[test]
fn ranges_that_cannot_serve_are_refused_before_anything_is_written() {
    let place = place();
    let data = place.path().join("data");
    let (services, pods) = ("--service-cluster-ip-range", "--cluster-cidr");
    let check = |flag: &str, range: &str, words: &[&str]| refused(&server(&data, &[flag, range]), words);
    check(services, "10.244.0.0/20", &[services, "10.244.0.0/20", pods, "10.244.0.0/16", "overlap", "choose"]);
    check(pods, "10.0.0.0/8", &[services, "10.96.0.0/16", pods, "10.0.0.0/8", "overlap"]);
    check(services, "10.96.0.0/29", &[services, "10.96.0.0/29", "too small", "choose a /28 or larger"]);
    check(services, "fd00:10:96::/60", &[services, "fd00:10:96::/60", "too large", "choose a /64 or smaller"]);
    check(services, "10.96.0.0/16,10.97.0.0/16", &[services, "one of each IP family"]);
    check(pods, "10.244.0.0/16,10.245.0.0/16", &[pods, "one of each IP family"]);
    check(pods, "10.244.0.0/25", &[pods, "10.244.0.0/25", "too small", "choose a /24"]);
    check(services, "10.96.0.5/16", &[services, "10.96.0.5/16", "write 10.96.0.0/16"]);
    check(pods, "10.244.7.0/16", &[pods, "10.244.7.0/16", "write 10.244.0.0/16"]);
    assert!(!data.exists(), "nothing was written");
}

#[test]
fn a_lease_that_would_be_renewed_too_late_is_refused() {
    let said = maitred(&["up", "--lease-period", "60"]);
    refused(&said, &["--lease-period 60", "--node-monitor-grace-period 50", "shorter", "a fifth"]);
}

#[test]
fn addresses_that_cannot_serve_are_refused_before_anything_is_written() {
    let place = place();
    let data = place.path().join("data");
    let check = |flag: &str, value: &str, words: &[&str]| refused(&server(&data, &[flag, value]), words);
    let advertise = "--advertise-address";
    check(advertise, "0.0.0.0", &[advertise, "0.0.0.0", "leave it out"]);
    check(advertise, "fe80::1", &[advertise, "fe80::1", "leave it out"]);
    check(advertise, "192.0.2.7", &[advertise, "192.0.2.7", "127.0.0.1:0", "--listen 0.0.0.0:0"]);
    check(advertise, "2001:db8::7", &[advertise, "2001:db8::7", "--listen [::]:0"]);
    assert!(!data.exists(), "nothing was written");
}

#[test]
fn an_address_that_the_machine_does_not_have_is_named() {
    let place = place();
    let data = place.path().join("data");
    let said = maitred(&["server", "--listen", "203.0.113.9:6443", "--data-dir", data.to_str().expect("text")]);
    refused(&said, &["203.0.113.9:6443", "no such address", "--listen", "0.0.0.0"]);
    assert!(!said.err.contains("another server"), "{}", said.err);
    assert!(!data.exists(), "nothing was written");
}

#[test]
fn arguments_that_cannot_be_read_are_named_with_what_was_given() {
    for (arguments, words) in [
        (["--service-node-port-range", "32767-30000"], ["\"32767-30000\"", "FROM-TO"]),
        (["--service-cluster-ip-range", "10.96.0.0"], ["10.96.0.0", "--service-cluster-ip-range"]),
        (["--event-ttl", "soon"], ["\"soon\"", "1h0m0s"]),
        (["--event-ttl", "-1s"], ["-1s", "--event-ttl"]),
    ] {
        let said = server(place().path(), &[&format!("{}={}", arguments[0], arguments[1])]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(words.iter().all(|word| said.err.contains(word)), "{words:?} {said:?}");
    }
}

#[test]
fn names_that_no_object_can_have_are_refused_with_their_option_before_anything_runs() {
    let kubeconfig = "--kubeconfig=/nothing";
    for (role, option, text) in [
        (&["up"][..], "--node-name", "Bad_Name"),
        (&["agent"], "--node-name", "my_host"),
        (&["proxy", kubeconfig], "--node-name", "a..b"),
        (&["plan", kubeconfig], "--node-name", "-a"),
        (&["up"], "--cluster-domain", "-bad-"),
        (&["agent"], "--cluster-domain", "a_b"),
        (&["server"], "--cluster-domain", "-bad-"),
        (&["dns", kubeconfig], "--cluster-domain", "a..b"),
        (&["check"], "--node-name", "Bad_Name"),
    ] {
        // With --help, nothing would run if the name were taken.
        let said = maitred(&[role, &[&format!("{option}={text}"), "--help"]].concat());
        assert_eq!(said.code, 2, "{role:?} {said:?}");
        for word in [option, &format!("{text:?}"), "lower-case letters", "such as"] {
            assert!(said.err.contains(word), "{role:?}: {word} is not in {}", said.err);
        }
    }
}

#[test]
fn labels_that_no_node_can_have_are_refused() {
    for text in
        ["a=b=c", "a b=c", "a", "=b", "-a=b", "a=b-", "Bad_Domain/a=b", "a/b/c=d", &format!("{}=b", "a".repeat(64))]
    {
        let said = maitred(&["up", &format!("--node-label={text}"), "--help"]);
        assert_eq!(said.code, 2, "{text}: {said:?}");
        assert!(said.err.contains("--node-label") && said.err.contains("write NAME=VALUE"), "{text}: {said:?}");
    }
    for text in ["a=", "a=b", "example.com/a_b.C-d=9", "topology.kubernetes.io/zone=a,b=c"] {
        let said = maitred(&["up", &format!("--node-label={text}"), "--help"]);
        assert_eq!(said.code, 0, "{text}: {said:?}");
    }
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let place = place();
    let file = place.path().join("file");
    fs::write(&file, "somebody's").expect("it is written");
    let below = file.join("data");
    refused(&server(&below, &[]), &[&below.display().to_string(), "--data-dir", "cannot create"]);
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "somebody's");
}

#[test]
fn a_port_that_somebody_listens_at_is_named() {
    let place = place();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let data = place.path().join("data");
    let said = maitred(&["server", "--listen", &address, "--data-dir", data.to_str().expect("text")]);
    refused(&said, &[&address, "another server", "--listen"]);
    assert!(!data.exists(), "nothing was written");
}

#[test]
fn a_data_directory_in_use_is_refused_and_the_first_servers_files_stay() {
    let first = Server::start();
    let kubeconfig = fs::read_to_string(first.kubeconfig()).expect("the first server wrote it");
    let directory = first.kubeconfig().parent().expect("it lies in the data directory").to_owned();
    refused(&server(&directory, &[]), &[&directory.display().to_string(), "another process holds", "choose another"]);
    assert_eq!(fs::read_to_string(first.kubeconfig()).expect("still there"), kubeconfig);
}

/// All files of the store, by name.
fn contents(store: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(store)
        .expect("the store is a directory")
        .map(|entry| entry.expect("it can be listed"))
        .map(|entry| (entry.file_name().into_string().expect("text"), fs::read(entry.path()).expect("it can be read")))
        .collect();
    files.sort();
    files
}

#[test]
fn a_damaged_store_is_refused_with_its_file_and_left_as_it_is() {
    let directory = Server::start().kill();
    let store = directory.path().join("store");
    let (log, mut bytes) =
        contents(&store).into_iter().find(|(name, _)| name.starts_with("log-")).expect("there is a log");
    // A byte in the midst of the first writes, which later ones follow.
    let place = bytes.windows(2).position(|two| two == b"{\"").expect("objects are JSON");
    bytes[place] ^= 1;
    fs::write(store.join(&log), &bytes).expect("it can be written");
    let before = contents(&store);
    refused(&server(directory.path(), &[]), &[&log, "damaged at byte", "backup", "truncate"]);
    assert_eq!(contents(&store), before, "nothing was lost");
}

#[test]
fn a_store_whose_last_write_was_torn_starts_and_has_all_the_others() {
    let directory = Server::start().kill();
    let store = directory.path().join("store");
    let (log, bytes) = contents(&store).into_iter().find(|(name, _)| name.starts_with("log-")).expect("there is a log");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("something was written");
    fs::write(store.join(&log), &bytes[..end]).expect("it can be written");
    drop(Server::start_in(directory, &[]));
}

#[test]
fn an_authority_that_cannot_be_used_is_named_with_the_way_out() {
    let directory = Server::start().kill();
    let pki = directory.path().join("pki");
    for name in ["ca.crt", "ca.key"] {
        let file = pki.join(name);
        let whole = fs::read(&file).expect("it was written");
        let way_out = format!("remove {} ", pki.display());
        let words: [&str; 4] = [file.to_str().expect("text"), "restore it", &way_out, "new kubeconfig"];
        fs::remove_file(&file).expect("it is there");
        refused(&server(directory.path(), &[]), &[&words[..], &["is missing"][..]].concat());
        assert!(!file.exists(), "no new one is made behind anybody's back");
        fs::write(&file, "garbage").expect("it can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its mode can be set");
        refused(&server(directory.path(), &[]), &[&words[..], &["cannot be used"][..]].concat());
        fs::write(&file, &whole).expect("it can be written");
    }
    drop(Server::start_in(directory, &[]));
}

#[test]
fn damaged_credentials_are_signed_anew() {
    let mut directory = Server::start().kill();
    let authority = fs::read(directory.path().join("pki/ca.crt")).expect("it was written");
    for name in ["server.crt", "server.key", "admin.crt", "admin.key", "agent.crt"] {
        let file = directory.path().join("pki").join(name);
        fs::write(&file, "garbage").expect("it can be written");
        directory = Server::start_in(directory, &[]).kill();
        assert!(fs::read_to_string(&file).expect("it is there").starts_with("-----BEGIN"), "{name}");
        fs::remove_file(&file).expect("it is there");
        directory = Server::start_in(directory, &[]).kill();
        assert!(file.exists(), "{name}");
    }
    assert_eq!(fs::read(directory.path().join("pki/ca.crt")).expect("it is there"), authority);
    let server = Server::start_in(directory, &[]);
    if harness::kubectl().is_some() {
        server.kubectl("get --raw /readyz").ok("ok");
    }
}

fn dns(kubeconfig: &Path) -> Said {
    maitred(&["dns", "--listen", "127.0.0.1:0", "--kubeconfig", kubeconfig.to_str().expect("the path is text")])
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_named() {
    let place = place();
    let file = place.path().join("kubeconfig");
    let name = file.display().to_string();
    refused(&dns(&file), &[&name, "No such file", "--kubeconfig"]);
    for garbled in ["{", "apiVersion: v1\nkind: Config\nclusters: 7\n", "apiVersion: v1\nkind: Config\n"] {
        fs::write(&file, garbled).expect("it can be written");
        refused(&dns(&file), &[&name, "--kubeconfig"]);
    }
}

/// Root may read everything, so the program runs as nobody.
#[test]
fn a_kubeconfig_that_may_not_be_read_is_named() {
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65_534;
    let place = place();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("the place is ours");
    let file = place.path().join("kubeconfig");
    fs::write(&file, expired_kubeconfig()).expect("it can be written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    let mut command = Command::new(env!("CARGO_BIN_EXE_maitred"));
    command.args(["dns", "--listen", "127.0.0.1:0", "--kubeconfig"]).arg(&file).stdin(Stdio::null());
    match command.uid(NOBODY).gid(NOBODY).output() {
        Ok(output) => {
            refused(&Said::from(output), &[&file.display().to_string(), "Permission denied", "--kubeconfig"]);
        }
        Err(error) => println!("SKIP: a_kubeconfig_that_may_not_be_read_is_named: cannot be another user: {error}"),
    }
}

/// A kubeconfig whose client certificate ended on the second day of 2020.
fn expired_kubeconfig() -> String {
    let mut params = rcgen::CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 1, 2);
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    let base64 = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
    let user = json!({
        "client-certificate-data": base64(certificate.pem()), "client-key-data": base64(key.serialize_pem()),
    });
    let named = |kind: &str, value: serde_json::Value| json!([{ "name": "old", kind: value }]);
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "old",
        "clusters": named("cluster", json!({ "server": "https://127.0.0.1:6443" })),
        "users": named("user", user),
        "contexts": named("context", json!({ "cluster": "old", "user": "old" })),
    })
    .to_string()
}

#[test]
fn an_expired_kubeconfig_says_since_when() {
    let place = place();
    let file = place.path().join("kubeconfig");
    fs::write(&file, expired_kubeconfig()).expect("it can be written");
    refused(&dns(&file), &[&file.display().to_string(), "expired at 2020-01-02T", "take a new kubeconfig"]);
}
