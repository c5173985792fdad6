//! Blocks of fields made of others.

use sockeye_http::Fields;

/// Fields and one more, of checked parts.
pub(crate) fn with(mut fields: Fields, name: &str, value: &str) -> Fields {
    let pushed = fields.push(name, value.as_bytes());
    debug_assert_eq!(pushed, Ok(()), "{name} is made of checked parts");
    fields
}

/// Fields without those of some names.
pub(crate) fn without(fields: &Fields, names: &[&str]) -> Fields {
    let is_kept = |name: &str| !names.iter().any(|other| other.eq_ignore_ascii_case(name));
    let mut left = Fields::new();
    each(fields, |name, value| {
        if is_kept(name) {
            push(&mut left, name, value);
        }
    });
    left
}

/// The value of the first field of that name.
pub(crate) fn value<'f>(fields: &'f Fields, name: &str) -> Option<&'f [u8]> {
    fields.as_bytes().split(|byte| *byte == b'\n').find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (this, value) = (&line[..colon], &line[colon + 1..]);
        this.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
    })
}

/// Appends `more` to `fields`.
pub(crate) fn append(fields: &mut Fields, more: &Fields) {
    each(more, |name, value| push(fields, name, value));
}

fn push(fields: &mut Fields, name: &str, value: &[u8]) {
    let pushed = fields.push(name, value);
    debug_assert_eq!(pushed, Ok(()), "{name} was pushed before");
}

/// Calls `with` for each field. No value has a line's end in it: that is checked when it is pushed.
fn each(fields: &Fields, mut with: impl FnMut(&str, &[u8])) {
    for line in fields.as_bytes().split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        if let Ok(name) = std::str::from_utf8(&line[..colon]) {
            with(name, line[colon + 1..].trim_ascii());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_made_of_blocks() {
        let fields = Fields::new().with("A", b"1: 2").unwrap().with("B", b"").unwrap();
        let fields = with(fields, "A", "3");
        assert_eq!(fields.as_bytes(), b"A: 1: 2\r\nB: \r\nA: 3\r\n");
        assert_eq!((value(&fields, "a"), value(&fields, "c")), (Some(&b"1: 2"[..]), None));
        assert_eq!(without(&fields, &["a"]).as_bytes(), b"B: \r\n");
        assert_eq!(without(&fields, &[]), fields);
        let mut twice = fields.clone();
        append(&mut twice, &fields);
        assert_eq!(twice.as_bytes(), [fields.as_bytes(), fields.as_bytes()].concat());
    }
}
