//! The rules of the house, checked: who may import whom, what the domain may know, and the paper around it.
//!
//! Every rule is one test, and a failure names file and line.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{MetadataCommand, Package};

/// The workspace crates that each crate may depend on, tests and build included; `None` is any.
const IMPORTS: [(&str, Option<&[&str]>); 13] = [
    ("relampago-compact", Some(&[])),
    ("relampago-actors", Some(&["relampago-compact"])),
    ("relampago-snapshots", Some(&["relampago-compact"])),
    ("relampago-config", Some(&[])),
    ("relampago-load", Some(&[])),
    ("relampago-baselines", Some(&[])),
    ("relampago-speed", Some(&["relampago-load"])),
    (
        "relampago-engine",
        Some(&[
            "relampago-actors",
            "relampago-compact",
            "relampago-snapshots",
            "relampago-config",
            "relampago-gateways",
            "relampago-keys",
        ]),
    ),
    // Nested in the engine's folder: the ports to the outside world.
    ("relampago-gateways", Some(&["relampago-actors"])),
    // Nested too: what personal data is sealed and tokens are signed with.
    ("relampago-keys", Some(&["relampago-actors"])),
    (
        "relampago-http",
        Some(&[
            "relampago-engine",
            "relampago-actors",
            "relampago-config",
            "relampago-keys",
            "relampago-load",
        ]),
    ),
    ("relampago-benches", None),
    ("relampago-tests", None),
];

/// Everything the domain may depend on: data, hashes and errors; nothing that waits, reads or guesses.
const DOMAIN_DEPENDENCIES: [&str; 9] = [
    "relampago-compact",
    "blake3",
    "iso_currency",
    "rustc-hash",
    "serde",
    "smallvec",
    "thiserror",
    "proptest",
    "bincode",
];

/// Dependencies with a home, and the crates that are their home.
const HOMES: [(&str, &[&str]); 4] = [
    ("sled", &["relampago-snapshots"]),
    // The key ring is a JSON file too.
    (
        "serde_json",
        &[
            "relampago-http",
            "relampago-keys",
            "relampago-load",
            "relampago-speed",
            "relampago-tests",
            "relampago-benches",
        ],
    ),
    (
        "axum",
        &["relampago-http", "relampago-load", "relampago-baselines", "relampago-tests", "relampago-benches"],
    ),
    ("ractor", &["relampago-engine", "relampago-benches", "relampago-tests"]),
];

/// Modules of `std` that reach outside the process or make it behave differently twice.
const IMPURE_MODULES: [&str; 6] = ["env", "fs", "net", "process", "thread", "os"];
/// Names that bring a clock, or an order that differs from run to run.
const IMPURE_NAMES: [&str; 8] =
    ["SystemTime", "Instant", "HashMap", "HashSet", "RandomState", "rand", "getrandom", "fastrand"];

/// Folders whose source files have a length limit, and the limit.
const LIMITED_FOLDERS: [&str; 5] = ["actors", "engine", "http", "snapshots", "config"];
const MAX_FILE_LINES: usize = 700;
const MAX_ARCHITECTURE_LINES: usize = 200;

/// Names of source files and folders that say nothing about what is in them.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "helpers", "common", "misc", "manager"];

#[test]
fn crates_import_only_what_the_design_allows() {
    let packages = packages();
    let members: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut violations = Vec::new();
    for package in &packages {
        let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| package.name.as_str() == *name) else {
            violations.push(format!("{}: no import rule for {}", manifest(package), package.name));
            continue;
        };
        let Some(allowed) = allowed else { continue };
        let imports = package.dependencies.iter().map(|dependency| dependency.name.as_str());
        let refused = imports.filter(|name| members.contains(name) && !allowed.contains(name));
        violations.extend(refused.map(|name| dependency_line(package, name)));
    }
    assert_none("a crate imports one that it must not know", &violations);
}

#[test]
fn the_domain_depends_on_nothing_but_data() {
    let packages = packages();
    let actors = packages.iter().find(|package| package.name.as_str() == "relampago-actors").unwrap();
    let foreign = actors.dependencies.iter().map(|dependency| dependency.name.as_str());
    let foreign = foreign.filter(|name| !DOMAIN_DEPENDENCIES.contains(name));
    let violations: Vec<String> = foreign.map(|name| dependency_line(actors, name)).collect();
    assert_none("the domain has a dependency that is not on its list", &violations);
}

#[test]
fn the_domain_names_no_clock_no_chance_and_no_outside() {
    let violations = lines_where(&sources("actors/src"), |line| {
        let code = line.split("//").next().unwrap_or(line);
        names(code).any(|name| IMPURE_NAMES.contains(&name))
            || IMPURE_MODULES.iter().any(|module| imports_std(code, module))
    });
    assert_none(
        "the domain takes time as `now`, ids from its caller and nothing from outside; maps are ordered or Fx",
        &violations,
    );
}

#[test]
fn dependencies_stay_at_home() {
    let packages = packages();
    let mut violations = Vec::new();
    for (dependency, homes) in HOMES {
        let users =
            packages.iter().filter(|package| package.dependencies.iter().any(|d| d.name == dependency));
        let strangers = users.filter(|package| !homes.contains(&package.name.as_str()));
        violations.extend(strangers.map(|package| dependency_line(package, dependency)));
    }
    assert_none("a dependency is used outside its home", &violations);
}

#[test]
fn every_dependency_has_a_reason() {
    let text = read("Cargo.toml");
    let lines = numbered(&text)
        .skip_while(|(_, line)| *line != "[workspace.dependencies]")
        .skip(1)
        .take_while(|(_, line)| !line.starts_with('['))
        .filter(|(_, line)| line.contains(" = ") && !line.starts_with('#') && !line.contains("{ path = "));
    let mut checked = 0;
    let mut violations = Vec::new();
    for (number, line) in lines {
        checked += 1;
        if line.split_once(" # ").is_none_or(|(_, reason)| reason.trim().is_empty()) {
            violations.push(format!("Cargo.toml:{number}: {line}"));
        }
    }
    assert!(checked > 0, "no dependency found in Cargo.toml");
    assert_none("a dependency says no reason behind a #", &violations);
}

#[test]
fn versions_and_lints_stand_in_the_root_alone() {
    let mut violations = Vec::new();
    for package in packages() {
        let path = manifest(&package);
        let text = read(&path);
        if !text.contains("[lints]\nworkspace = true") {
            violations.push(format!("{path}: no `[lints] workspace = true`"));
        }
        let dependencies = numbered(&text)
            .skip_while(|(_, line)| !line.ends_with("dependencies]"))
            .filter(|(_, line)| line.contains(" = ") && line.contains("version"));
        violations.extend(dependencies.map(|(number, line)| format!("{path}:{number}: {line}")));
    }
    assert_none("a crate has its own version of something", &violations);
}

#[test]
fn files_are_short_enough_to_read() {
    let mut violations = Vec::new();
    for path in LIMITED_FOLDERS.iter().flat_map(|folder| sources(folder)) {
        let lines = read(&path).lines().count();
        if lines > MAX_FILE_LINES {
            violations.push(format!("{path}:{MAX_FILE_LINES}: {lines} lines"));
        }
    }
    let lines = read("ARCHITECTURE.md").lines().count();
    if lines > MAX_ARCHITECTURE_LINES {
        violations.push(format!("ARCHITECTURE.md:{MAX_ARCHITECTURE_LINES}: {lines} lines"));
    }
    assert_none("a file is too long; look for its seam", &violations);
}

#[test]
fn files_are_named_for_what_they_hold() {
    let is_empty_name = |part: &str| EMPTY_NAMES.contains(&part.trim_end_matches(".rs"));
    let mut violations = sources("");
    violations.retain(|path| path.split('/').any(is_empty_name));
    assert_none("a name that says nothing", &violations);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, or this file would be its own first violation.
    let refused = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ig", "nore")];
    let violations = lines_where(&sources(""), |line| refused.iter().any(|word| line.contains(word)));
    assert_none("unfinished work or a test that never runs", &violations);
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let refused = [concat!("/wo", "rk/"), concat!("../sha", "red")];
    let mut files = Vec::new();
    collect(&root(), &mut files, &|_| true);
    let violations = lines_where(&files, |line| refused.iter().any(|word| line.contains(word)));
    assert_none("a path of one machine", &violations);
}

#[test]
fn the_readme_lists_every_setting() {
    let readme = read("README.md");
    let defaults = read("config/default.toml");
    let mut section = "";
    let mut violations = Vec::new();
    for (number, line) in numbered(&defaults) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, rest)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            let default = rest.split('#').next().unwrap_or(rest).trim().trim_matches('"');
            let default = if default.is_empty() { "none".to_owned() } else { format!("`{default}`") };
            if !readme.contains(&format!("| `{section}.{key}` | {default} |")) {
                violations.push(format!("config/default.toml:{number}: {section}.{key}, default {default}"));
            }
        }
    }
    assert_none("the README's table lacks a setting or has another default", &violations);
}

/// The workspace's own packages, without resolving what they depend on: that would need the network.
fn packages() -> Vec<Package> {
    let metadata = MetadataCommand::new().current_dir(root()).no_deps().exec().unwrap();
    assert!(metadata.packages.len() >= IMPORTS.len(), "the workspace has lost a crate of {IMPORTS:?}");
    metadata.packages
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn manifest(package: &Package) -> String {
    let path = package.manifest_path.as_std_path();
    path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()
}

/// File and line of a dependency in its crate's manifest.
fn dependency_line(package: &Package, dependency: &str) -> String {
    let path = manifest(package);
    let text = read(&path);
    let is_it =
        |line: &str| line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    let number = numbered(&text).find(|(_, line)| is_it(line)).map_or(1, |(number, _)| number);
    format!("{path}:{number}: {dependency}")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Rust sources below a folder of the workspace, as paths from its root.
fn sources(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    collect(&root().join(folder), &mut files, &|path| path.extension().is_some_and(|e| e == "rs"));
    assert!(!files.is_empty(), "no sources in {folder:?}");
    files
}

/// Walks a folder in order; build output, data and version control are not the project's text.
fn collect(folder: &Path, files: &mut Vec<String>, wanted: &dyn Fn(&Path) -> bool) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !matches!(name, "target" | "data" | ".git") {
            collect(&path, files, wanted);
        } else if path.is_file() && wanted(&path) {
            files.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// `file:line: text` of every line that the rule refuses. Files that are not text have no lines.
fn lines_where(files: &[String], refused: impl Fn(&str) -> bool) -> Vec<String> {
    let mut violations = Vec::new();
    for path in files {
        let text = String::from_utf8(fs::read(root().join(path)).unwrap()).unwrap_or_default();
        let lines = numbered(&text).filter(|(_, line)| refused(line));
        violations.extend(lines.map(|(number, line)| format!("{path}:{number}: {}", line.trim())));
    }
    violations
}

/// The identifiers of a line of code.
fn names(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// Whether the line names `std::module`, alone or within `use std::{…}`.
fn imports_std(code: &str, module: &str) -> bool {
    let grouped = code.trim_start().strip_prefix("use std::{");
    let path = format!("std::{module}");
    let follows = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    code.match_indices(&path).any(|(at, _)| follows(&code[at + path.len()..]))
        || grouped.is_some_and(|group| names(group).any(|name| name == module))
}

#[test]
fn the_rules_see_what_they_forbid() {
    for (code, module, expected) in [
        ("use std::fs;", "fs", true),
        ("let path = std::env::var(name);", "env", true),
        ("use std::{collections::BTreeMap, thread};", "thread", true),
        ("use std::{collections::BTreeMap, fmt};", "thread", false),
        ("use std::network::Thing;", "net", false),
        ("let thread = 1;", "thread", false),
    ] {
        assert_eq!(imports_std(code, module), expected, "{code}");
    }
    assert!(names("let at = SystemTime::now();").any(|name| name == "SystemTime"));
    assert!(!names("let map = FxHashMap::default();").any(|name| name == "HashMap"));
}

fn assert_none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}
