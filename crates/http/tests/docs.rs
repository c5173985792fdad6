//! Checks that the tests exist which `docs/rfc9112.md` and `docs/rfc9113.md` name.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

const RFC9112: &str = include_str!("../../../docs/rfc9112.md");
const RFC9113: &str = include_str!("../../../docs/rfc9113.md");
/// Has the names of the attacks.
const ATTACKS: &str = include_str!("../../../scripts/attacks/run");
const CASES: &str = include_str!("requests/cases.txt");

/// The Rust files below `folder`, with their text.
fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Whether `text` has a test of this name: a function directly below `#[test]`, or other attributes
/// below that.
fn has_test(text: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let mut lines = text.lines().map(str::trim_start).collect::<Vec<_>>().into_iter();
    let mut is_test = false;
    lines.any(|line| {
        let found = is_test && line.starts_with(&head);
        is_test = line.starts_with("#[") && (is_test || line == "#[test]");
        found
    })
}

/// The tests in the last column of each row of the tables on a page.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let is_row = |line: &&str| line.starts_with('|') && !line.starts_with("|-");
    let mut rows = Vec::new();
    for row in page.lines().filter(is_row) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, _, tests] = cells[..] else { panic!("three columns: {row}") };
        if tests == "tests" {
            continue;
        }
        // The names are between backticks, with commas between them.
        let names: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty() || tests == "–", "neither a test nor a dash: {row}");
        rows.push(names);
    }
    rows
}

fn check_that_all_exist(rows: &[Vec<&str>]) {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut files);
    for test in rows.iter().flatten() {
        if let Some(case) = test.strip_prefix("case: ") {
            assert!(CASES.contains(&format!("\n{case}  ")), "there is no case {case}");
        } else if let Some(attack) = test.strip_prefix("attack: ") {
            assert!(
                ATTACKS.contains(&format!("    \"{attack}\": ")),
                "there is no attack {attack}"
            );
        } else {
            let (stem, name) = test.split_once("::").expect(test);
            let mut named = files.iter().filter(|(path, _)| path.file_stem().unwrap() == stem);
            assert!(named.any(|(_, text)| has_test(text, name)), "there is no test {test}");
        }
    }
}

#[test]
fn every_test_on_the_page_about_rfc_9112_exists_and_every_row_has_one() {
    let rows = rows(RFC9112);
    assert!(rows.len() > 80, "{} rows", rows.len());
    assert!(rows.iter().all(|tests| !tests.is_empty()), "a dash");
    check_that_all_exist(&rows);
}

#[test]
fn every_test_on_the_page_about_rfc_9113_exists_and_every_row_has_one() {
    let rows = rows(RFC9113);
    assert!(rows.len() > 180, "{} rows", rows.len());
    assert!(rows.iter().all(|tests| !tests.is_empty()), "a dash");
    check_that_all_exist(&rows);
}
