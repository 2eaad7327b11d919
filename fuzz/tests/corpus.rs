//! Every input of the corpus, once, through its target.

use std::any::Any;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use fuzz::{TARGETS, Target};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The files of a folder, by name.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    paths
}

/// What an input broke, if anything.
fn broken(target: &Target, input: &Path) -> Option<String> {
    let bytes = fs::read(input).unwrap_or_else(|error| panic!("{}: {error}", input.display()));
    let run = target.run;
    let panic = catch_unwind(move || run(&bytes)).err()?;
    Some(format!("{}: {}", input.display(), text(panic.as_ref())))
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}

#[test]
fn no_input_of_the_corpus_breaks_its_target() {
    let mut inputs = 0;
    let mut found = Vec::new();
    for target in TARGETS {
        let all = entries(&corpus().join(target.name));
        inputs += all.len();
        found.extend(all.iter().filter_map(|input| broken(target, input)));
    }
    println!("{inputs} inputs for {} targets", TARGETS.len());
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_target_has_inputs_and_every_folder_a_target() {
    let folders: Vec<String> = entries(&corpus())
        .iter()
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(folders, names);
    for name in names {
        assert!(entries(&corpus().join(name)).len() >= 3, "{name} has hardly an input");
    }
}
