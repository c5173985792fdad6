//! Checks the values of `--cache-control` (RFC 9111, section 5.2): lists of directives.

use crate::quantity::Span;

/// Directives whose argument is a number of seconds, written as a token (RFC 9111, section 5.2.2,
/// and RFC 5861).
const SECONDS: [&str; 4] = ["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"];

/// Checks `value`, the directives in an argument of the form `PATTERN: DIRECTIVES` or `DIRECTIVES`.
/// `is_whole` says that the argument has no pattern. An error says what to write instead.
///
/// Unknown directives are allowed, except those that look like the argument of a directive (`60`)
/// or like a pattern (`*.css`): no directive begins with a digit, or contains a star or a dot.
pub(super) fn check(value: &str, is_whole: bool) -> Result<(), String> {
    match check_list(value) {
        Err(error) if is_whole => Err(repaired(value).unwrap_or(error)),
        other => other,
    }
}

fn check_list(value: &str) -> Result<(), String> {
    split(value).into_iter().try_for_each(|directive| check_directive(directive.trim()))
}

/// Splits at the commas that are not in a quoted string.
fn split(value: &str) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    value
        .split(move |c: char| {
            let is_comma = c == ',' && !is_quoted;
            is_quoted ^= c == '"' && !is_escaped;
            is_escaped = is_quoted && c == '\\' && !is_escaped;
            is_comma
        })
        .collect()
}

fn check_directive(directive: &str) -> Result<(), String> {
    let (name, argument) = match directive.split_once('=') {
        Some((name, argument)) => (name, Some(argument)),
        None => (directive, None),
    };
    let is_argument = argument.is_none_or(|argument| is_token(argument) || is_quoted(argument));
    let is_other = name.starts_with(|c: char| c.is_ascii_digit()) || name.contains(['*', '.']);
    if !is_token(name) || is_other || !is_argument {
        let help = match max_age(directive) {
            Some(max_age) => format!("write {max_age}"),
            None => "write directives as 'max-age=60, public'".into(),
        };
        return Err(format!("{directive:?} is no directive; {help}"));
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let needs_number = SECONDS.iter().any(|known| known.eq_ignore_ascii_case(name));
    if needs_number && !argument.is_some_and(is_number) {
        let seconds = argument.and_then(seconds).unwrap_or(60);
        return Err(format!("{name} needs a number of seconds, as {name}={seconds}"));
    }
    Ok(())
}

/// A token (RFC 9110, section 5.6.2).
fn is_token(text: &str) -> bool {
    let is_in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_in_token)
}

/// A quoted string (RFC 9110, section 5.6.4). The caller has refused control characters.
fn is_quoted(text: &str) -> bool {
    let Some(content) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return false;
    };
    let mut characters = content.chars();
    while let Some(character) = characters.next() {
        if character == '"' || character == '\\' && characters.next().is_none() {
            return false;
        }
    }
    true
}

/// The directive that was probably meant by a number (`60`) or a time (`1h`).
fn max_age(text: &str) -> Option<String> {
    let seconds = text.parse().ok().or_else(|| seconds(text))?;
    Some(format!("max-age={seconds}"))
}

/// The whole seconds of a time with a unit, such as `1h`.
fn seconds(text: &str) -> Option<u64> {
    text.parse::<Span>().ok().map(|span| span.0.as_secs())
}

/// The error if only the first comma is missing, or only the colon after a pattern.
fn repaired(value: &str) -> Option<String> {
    let (first, rest) = value.split_once(' ').filter(|(first, _)| !first.ends_with(','))?;
    let with_comma = format!("{first}, {rest}");
    let text = if check_list(first).is_ok() && check_list(&with_comma).is_ok() {
        with_comma
    } else if check_list(rest).is_ok() && !first.contains('=') {
        format!("{first}: {rest}")
    } else {
        return None;
    };
    Some(format!("{value:?} is no directive; write '{text}'"))
}
