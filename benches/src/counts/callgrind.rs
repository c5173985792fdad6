//! Counts the instructions and allocations of a request with callgrind, a tool of valgrind.

use std::{
    collections::HashMap,
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use super::scene;
use crate::Result;

/// Number of counted exchanges. In each, all clients send requests and get the responses, in one
/// turn of the event loop or more. Some work is done once per second. With fewer exchanges, it
/// would add much to each request. With more, the counted exchanges would take longer than a second
/// under callgrind, and the work would be done twice.
fn exchanges(name: &str) -> usize {
    match name {
        "h2-small" => 25,
        "pipelined" => 50,
        _ => 100,
    }
}

/// Maximum number of attempts to run a scene fast enough.
const ATTEMPTS: usize = 10;

/// The costs of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Costs {
    pub(super) instructions: f64,
    pub(super) allocations: f64,
}

/// Counts the costs of a request in a [`scene`].
///
/// Callgrind counts instructions only within the counted exchanges, but it counts function calls
/// from the start of the program. So the allocations of a run with one exchange are subtracted.
pub(super) fn count(name: &str) -> Result<Costs> {
    let run = |exchanges| -> Result<_> {
        let (text, requests) = collect(name, exchanges, |out| Ok(fs::read_to_string(out)?))?;
        let (instructions, calls) = read(&text).ok_or("callgrind counted nothing")?;
        Ok((instructions as f64, calls as f64, requests))
    };
    let ((_, few, first), (instructions, many, requests)) = (run(1)?, run(exchanges(name))?);
    Ok(Costs {
        instructions: instructions / requests,
        allocations: (many - few) / (requests - first),
    })
}

/// The functions, each with its own instructions per request: those of the functions that it calls
/// are not included. The largest number is first.
pub(super) fn profile(name: &str) -> Result<Vec<(String, f64)>> {
    let annotate = |out: &Path| {
        let output = Command::new("callgrind_annotate")
            .args(["--auto=no", "--threshold=100"])
            .arg(out)
            .output()?;
        Ok(String::from_utf8(output.stdout)?)
    };
    let (text, requests) = collect(name, exchanges(name), annotate)?;
    let mut functions: HashMap<&str, u64> = HashMap::new();
    for (function, count) in text.lines().filter_map(annotated) {
        *functions.entry(function).or_default() += count;
    }
    let mut functions: Vec<_> =
        functions.into_iter().map(|(name, n)| (name.to_owned(), n as f64 / requests)).collect();
    functions.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    Ok(functions)
}

/// Parses a line of `callgrind_annotate`: `1,234 ( 5.67%)  file:function [object]`. A function with
/// inlined code has a line for each file that the code is from.
fn annotated(line: &str) -> Option<(&str, u64)> {
    let (count, rest) = line.trim_start().split_once(" (")?;
    let (_, place) = rest.split_once(")  ")?;
    let (_, function) = place.split_once(':')?;
    let function = function.split(" [/").next().unwrap_or(function);
    Some((function, count.replace(',', "").parse().ok()?))
}

/// Runs a scene under callgrind. Returns the result of `take` for callgrind's output file, and the
/// number of requests. Tries again if the scene was too slow, as on a busy machine.
fn collect(
    name: &str,
    exchanges: usize,
    take: impl Fn(&Path) -> Result<String>,
) -> Result<(String, f64)> {
    for _ in 0..ATTEMPTS {
        let (text, printed) = attempt(name, exchanges, &take)?;
        if printed.trim() != scene::TOO_SLOW {
            return Ok((text, printed.trim().parse()?));
        }
    }
    Err(format!("{name} was too slow, {ATTEMPTS} times: is the machine busy?").into())
}

/// Runs a scene once. Returns the result of `take` for callgrind's output file, and what the scene
/// prints.
fn attempt(
    name: &str,
    exchanges: usize,
    take: impl Fn(&Path) -> Result<String>,
) -> Result<(String, String)> {
    let out = env::temp_dir().join(format!("sockeye-counts-{}-{name}", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*counted_turn*", "--quiet"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe()?)
        .args(["counts", "scene", name, &exchanges.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let text = take(&out);
    // A leftover in the temporary folder is harmless.
    let _ = fs::remove_file(&out);
    if !output.status.success() {
        let printed = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name} under valgrind: {}", printed.trim()).into());
    }
    Ok((text?, String::from_utf8(output.stdout)?))
}

/// Parses callgrind's output file: the numbers of instructions and of calls to allocators.
pub(super) fn read(text: &str) -> Option<(u64, u64)> {
    const ALLOCATE: [&str; 4] = ["malloc", "calloc", "realloc", "posix_memalign"];
    let mut names: HashMap<&str, &str> = HashMap::new();
    let (mut called, mut allocations, mut total) = ("", 0, None);
    for line in text.lines() {
        // Functions are numbered. Only the first mention has the name: `cfn=(12) malloc`, then
        // `cfn=(12)`.
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
            // `@` separates a symbol from its version.
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
    fn annotations_are_read_without_files_and_objects() {
        let line = " 224,000 ( 3.51%)  crates/a.rs:x::Server<H>::read [/target/y]";
        assert_eq!(annotated(line), Some(("x::Server<H>::read", 224_000)));
        assert_eq!(annotated("Ir                file:function"), None);
    }

    #[test]
    fn calls_are_found_by_name_and_by_number() {
        let text = "events: Ir\nfn=(1) main\n5 10\ncfn=(2) malloc\ncalls=3 0\n5 30\n\
                    cfn=(3) free\ncalls=9 0\n5 9\nfn=(4) other\ncfn=(2)\ncalls=4 0\n1 2\n\
                    fn=(5) last\ncfn=(6) realloc@GLIBC\ncalls=1 0\n1 1\ntotals: 4711\n";
        assert_eq!(read(text), Some((4711, 8)));
        assert_eq!(read("events: Ir\ntotals: 0\n"), None);
    }
}
