//! A Markdown file as an HTML page of its own. A file that can't be rendered is shown as plain
//! text.

use super::content::{self, Content};
use super::frame;
use super::human::Size;
use super::page::Page;
use super::text::{self, put};
use crate::limits::lease::Lease;
use crate::store::absent::Absent;
use crate::store::traits::{Opened, Store};

/// The level that a heading of level 1 in the file gets. The name of the file has level 1.
const LEVEL: u8 = 2;

/// Makes the page of the file `name`, which includes the names of folders. `path` is the requested
/// path, percent-encoded. `script` is put at the end: with `--live`, the `<script>` tag that makes
/// the page reload, otherwise nothing. Blocks.
///
/// # Errors
///
/// If the file can't be read. [`Absent::Exhausted`] if `lease` (memory charged to the client) can't
/// be resized for the page.
pub(super) fn make(
    store: &dyn Store,
    name: &[u8],
    path: &[u8],
    script: &[u8],
    mut lease: Lease,
) -> Result<Page, Absent> {
    // The lookup found a file with this name. If it isn't a file now, it was replaced meanwhile.
    let Opened::File(file, identity) = store.open(name)? else { return Err(Absent::Changing) };
    let (content, why) = match Content::read(&*file, name, LEVEL, &mut lease)? {
        Ok(content) => (content, None),
        Err(why) => (Content::plain(&*file, &mut lease)?, Some(why)),
    };
    let segments = frame::segments(path);
    let own_name = segments.last().map_or(name, |name| name);
    let title = content.title.as_ref().map_or(own_name, |title| title.as_bytes());
    let (mut html, mut closing) = (Vec::new(), Vec::new());
    let out = &mut html;
    frame::head(title, out);
    put!(out, "<header>\n");
    frame::heading(&segments, true, "", out);
    put!(out, "<p class=\"sum\">{} · <a href=\"", Size(identity.size));
    text::url(own_name, out);
    put!(out, "\">Source</a></p>\n");
    frame::content(out);
    if let Some(why) = why {
        put!(out, "<p class=\"note\">This file is shown as plain text, because {why}.</p>\n");
    }
    put!(out, "<article class=\"readme doc\">\n");
    let out = &mut closing;
    put!(out, "</article>\n</main>\n<footer>The source of this page is ");
    content::link(own_name, out);
    put!(out, ".</footer>\n</body>\n</html>\n");
    out.extend_from_slice(script);
    let max_len = html.len() + content.max_len(own_name) + closing.len();
    if !lease.resize(content.memory() + max_len) {
        return Err(Absent::Exhausted);
    }
    html.reserve_exact(max_len - html.len());
    content.write(own_name, &mut html);
    html.extend_from_slice(&closing);
    debug_assert!(html.len() <= max_len, "{} of {max_len}", html.len());
    Ok(Page::new(html, true, lease))
}
