//! Runs all inputs of `corpus` and `found`.

use std::fs;
use std::path::{Path, PathBuf};

use sockeye_fuzz::TARGETS;

/// The inputs in a folder, sorted. Empty if the folder doesn't exist.
fn inputs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_input_passes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, target) in TARGETS {
        let corpus = inputs(&root.join("corpus").join(name));
        assert!(corpus.len() > 10, "{name} has a corpus");
        for path in corpus.iter().chain(&inputs(&root.join("found").join(name))) {
            // Printed only if the test fails.
            println!("{}", path.display());
            target(&fs::read(path).unwrap());
        }
    }
}
