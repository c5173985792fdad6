//! The pages of steps 10, 11 and 12.

const HOME: &str = "<!doctype html>
<title>Squares</title>
<h1>Squares</h1>
<p>The square of 12 is <a href=/square/12>here</a>.
";

/// The media type and the content of the page with this path.
pub(crate) fn page(path: &str) -> Option<(&'static str, String)> {
    if path == "/" {
        return Some(("text/html; charset=utf-8", HOME.into()));
    }
    let number: u64 = path.strip_prefix("/square/")?.parse().ok()?;
    Some(("text/plain; charset=utf-8", format!("{}\n", number.checked_mul(number)?)))
}
