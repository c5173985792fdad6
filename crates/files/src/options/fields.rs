//! Header fields whose names and values are known to be valid.

use sockeye_http::Fields;

/// Adds a field. Its name and value must be valid.
pub(crate) fn push(fields: &mut Fields, name: &str, value: &[u8]) {
    let pushed = fields.push(name, value);
    debug_assert_eq!(pushed, Ok(()), "{name} is valid");
}

/// `fields`, and one more field after them.
pub(crate) fn with(mut fields: Fields, name: &str, value: &str) -> Fields {
    push(&mut fields, name, value.as_bytes());
    fields
}

/// `fields` without the fields that have one of these names.
pub(crate) fn without(fields: &Fields, names: &[&str]) -> Fields {
    let mut kept = Fields::new();
    for (name, value) in fields.iter() {
        let name = std::str::from_utf8(name).unwrap_or_default();
        if !names.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            push(&mut kept, name, value);
        }
    }
    kept
}

/// The value of the first field with this name.
pub(crate) fn value<'f>(fields: &'f Fields, name: &str) -> Option<&'f [u8]> {
    let mut fields = fields.iter().filter(|(this, _)| this.eq_ignore_ascii_case(name.as_bytes()));
    fields.next().map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_added_and_removed() {
        let fields = Fields::new().with("A", b"1: 2").unwrap().with("B", b"").unwrap();
        let fields = with(fields, "A", "3");
        assert_eq!(fields.as_bytes(), b"A: 1: 2\r\nB: \r\nA: 3\r\n");
        assert_eq!((value(&fields, "a"), value(&fields, "c")), (Some(&b"1: 2"[..]), None));
        assert_eq!(without(&fields, &["a"]).as_bytes(), b"B: \r\n");
        assert_eq!(without(&fields, &[]), fields);
    }
}
