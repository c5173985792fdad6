//! Instructions and allocations, by callgrind.

use std::{
    collections::HashMap,
    env, fs,
    process::{Command, Stdio},
};

use crate::Result;

/// Turns that are counted; enough that what happens once a second doesn't show.
const TURNS: usize = 100;

/// What a request costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) instructions: f64,
    pub(super) allocations: f64,
}

/// Counts what the turns of a scene cost.
pub(super) fn count(name: &str) -> Result<Found> {
    let out = env::temp_dir().join(format!("sockeye-counts-{}-{name}", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*counted_turn*", "--quiet"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe()?)
        .args(["counts", "scene", name, &TURNS.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let text = fs::read_to_string(&out);
    // What is left in the temporary folder is no harm.
    let _ = fs::remove_file(&out);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name} under valgrind: {}", said.trim()).into());
    }
    let requests: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
    let (instructions, allocations) = read(&text?).ok_or("callgrind counted nothing")?;
    Ok(Found {
        instructions: instructions as f64 / requests,
        allocations: allocations as f64 / requests,
    })
}

/// Reads callgrind's output: all instructions, and the calls of what allocates.
fn read(text: &str) -> Option<(u64, u64)> {
    const ALLOCATE: [&str; 4] = ["malloc", "calloc", "realloc", "posix_memalign"];
    let mut names: HashMap<&str, &str> = HashMap::new();
    let (mut called, mut allocations, mut total) = ("", 0, None);
    for line in text.lines() {
        // A name stands at the first mention of its number: `cfn=(12) malloc`, later `cfn=(12)`.
        if let Some((number, name)) = line
            .strip_prefix("cfn=")
            .or(line.strip_prefix("fn="))
            .and_then(|rest| rest.split_once(')'))
        {
            if !name.is_empty() {
                names.insert(number, name.trim());
            }
            if line.starts_with('c') {
                called = names.get(number).copied().unwrap_or_default();
            }
        } else if let Some(rest) = line.strip_prefix("calls=") {
            // Versions of a symbol stand behind an @.
            let name = called.split('@').next().unwrap_or_default();
            if ALLOCATE.contains(&name) {
                allocations += rest.split(' ').next()?.parse::<u64>().ok()?;
            }
        } else if let Some(rest) = line.strip_prefix("totals: ").or(line.strip_prefix("summary: "))
        {
            total = rest.split(' ').next()?.parse().ok().filter(|count| *count > 0);
        }
    }
    Some((total?, allocations))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_by_name_and_by_number() {
        let text = "events: Ir\nfn=(1) main\n5 10\ncfn=(2) malloc\ncalls=3 0\n5 30\n\
                    cfn=(3) free\ncalls=9 0\n5 9\nfn=(4) other\ncfn=(2)\ncalls=4 0\n1 2\n\
                    fn=(5) last\ncfn=(6) realloc@GLIBC\ncalls=1 0\n1 1\ntotals: 4711\n";
        assert_eq!(read(text), Some((4711, 8)));
        assert_eq!(read("events: Ir\ntotals: 0\n"), None);
    }
}
