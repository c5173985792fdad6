//! Checks that the tests exist which `docs/rfc9112.md` names.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

const RFC9112: &str = include_str!("../../../docs/rfc9112.md");
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

#[test]
fn every_test_on_the_page_about_rfc_9112_exists_and_every_row_has_one() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut files);
    let mut rows = 0;
    for row in RFC9112.lines().filter(|line| line.starts_with('|') && !line.starts_with("|-")) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, _, tests_cell] = cells[..] else { panic!("three columns: {row}") };
        if tests_cell == "tests" {
            continue;
        }
        rows += 1;
        // The names are between backticks, with commas between them.
        let tests: Vec<_> = tests_cell.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test: {row}");
        for test in tests {
            if let Some(case) = test.strip_prefix("case: ") {
                let line = format!("\n{case}  ");
                assert!(CASES.contains(&line), "there is no case {case}");
                continue;
            }
            let (stem, name) = test.split_once("::").expect(test);
            let mut named = files.iter().filter(|(path, _)| path.file_stem().unwrap() == stem);
            assert!(named.any(|(_, text)| has_test(text, name)), "there is no test {test}");
        }
    }
    assert!(rows > 80, "{rows} rows");
}
