//! The cases of `cases.txt`.

use proptest::prelude::*;

/// A line of the file.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) verdict: &'static str,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn cases() -> Vec<Case> {
    let text = include_str!("cases.txt");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let case = |line: &'static str| {
        let mut columns = line.splitn(3, "  ");
        let (name, verdict) = (columns.next().unwrap(), columns.next().unwrap());
        Case { name, verdict, bytes: unescape(columns.next().unwrap()) }
    };
    lines.map(case).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        if character != '\\' {
            bytes.extend(character.to_string().bytes());
            continue;
        }
        let (escape, after) = rest.split_at(1);
        rest = after;
        match escape {
            "r" => bytes.push(b'\r'),
            "n" => bytes.push(b'\n'),
            "t" => bytes.push(b'\t'),
            "\\" => bytes.push(b'\\'),
            "x" => {
                let (digits, after) = rest.split_at(2);
                bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
                rest = after;
            }
            "{" => {
                let (count, after) = rest.split_once(':').expect("a count");
                let (repeated, after) = after.split_once('}').expect("an end");
                bytes.extend(unescape(repeated).repeat(count.parse().expect("a number")));
                rest = after;
            }
            other => panic!("unknown escape {other}: {text}"),
        }
    }
    bytes
}

/// One or two cases in a row, with some bytes changed, inserted or removed.
pub(crate) fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let short: Vec<Vec<u8>> =
        cases().into_iter().map(|case| case.bytes).filter(|bytes| bytes.len() < 400).collect();
    let byte = prop_oneof![any::<u8>(), proptest::sample::select(&b"\r\n \t:;,0a\x00"[..])];
    let damage = (any::<proptest::sample::Index>(), 0..3u8, byte);
    (
        proptest::collection::vec(proptest::sample::select(short), 1..3),
        proptest::collection::vec(damage, 0..4),
    )
        .prop_map(|(cases, damage)| {
            let mut bytes = cases.concat();
            for (at, what, byte) in damage {
                let at = at.index(bytes.len().max(1));
                match what {
                    0 if at < bytes.len() => bytes[at] = byte,
                    1 => bytes.insert(at.min(bytes.len()), byte),
                    _ if at < bytes.len() => drop(bytes.remove(at)),
                    _ => {}
                }
            }
            bytes
        })
}
