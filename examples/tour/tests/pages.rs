//! Compares the code in the pages of the tour with its programs.

use std::fs;
use std::path::Path;

/// The blocks of a page in `language`, each with its first line.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("\n```{language}\n");
    page.split(&*fence).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

/// Whether `text` contains all parts of a block, in order. Lines of `…` separate the parts.
fn contains(text: &str, block: &str) -> bool {
    let mut rest = text;
    block.split("\n…\n").all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

#[test]
fn code_in_a_page_is_that_of_a_program_of_its_step() {
    let tour = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut checked = 0;
    for step in fs::read_dir(tour).unwrap().map(Result::unwrap) {
        let name = step.file_name().into_string().unwrap();
        if !name.starts_with(|char: char| char.is_ascii_digit()) {
            continue;
        }
        let page = tour.join("../../docs/tour").join(format!("{}.md", name.replace('_', "-")));
        let page = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{page:?}: {error}"));
        let programs: Vec<String> = fs::read_dir(step.path())
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| path.is_file()) // Python makes a folder `__pycache__`.
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
        for block in ["rust", "python"].iter().flat_map(|language| blocks(&page, language)) {
            let is_there = programs.iter().any(|program| contains(program, block));
            assert!(is_there, "{name} has no program with this code:\n{block}");
            checked += 1;
        }
    }
    assert!(checked > 0);
}
