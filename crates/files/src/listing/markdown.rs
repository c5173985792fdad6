//! Renders Markdown (CommonMark with GitHub's tables, task lists and strikethrough) as HTML.
//!
//! Whoever wrote the text may be a stranger, so the output has only the tags and attributes that
//! this file writes:
//!
//! - HTML in the text is shown as text, except comments, which are left out.
//! - A link leads to an `http`, `https` or `mailto` URL, or is relative. Any other link becomes
//!   plain text.
//! - An image has a relative URL. An image from another server becomes a link to the image, because
//!   the page's `Content-Security-Policy` would block it.
//! - A heading ranks below those of the page itself: `#` becomes `<h3>`, for example. The IDs of
//!   headings have a prefix, so that none equals an ID of the page.
//!
//! A relative link to a Markdown file leads to the page of that file.
//!
//! [`memory`] limits time and memory, [`MAX_HTML`] the output, and [`MAX_DEPTH`] its nesting.

use std::collections::HashMap;
use std::mem;

use pulldown_cmark::{Alignment, BlockQuoteKind, Event, LinkType, Options, Parser, Tag, TagEnd};

use super::markdown_url::{ID_PREFIX, MAX_URL, Target, escaped, escaped_link, target};
use super::text::{self, put};

/// The most bytes of a text that is rendered.
pub(super) const MAX_LEN: usize = 256 * 1024;

/// The most bytes of HTML. The tag that exceeds this limit is still written, and then the end tags
/// of the open elements.
pub(super) const MAX_HTML: usize = 1024 * 1024;

/// The most memory for rendering a text, in bytes.
pub(super) const MAX_MEMORY: usize = 24 * 1024 * 1024;

/// The most lists and quotes that begin in one line. The parser's time is quadratic in their
/// number.
const MAX_CONTAINERS: usize = 32;

/// The blanks that may be before and after the marker of a list or quote.
const BLANKS: [char; 2] = [' ', '\t'];

/// The parser adds at most this number of cells to rows that are shorter than the first row of
/// their table.
const MAX_ADDED_CELLS: usize = 1 << 18;

/// The most bytes of the start and end tags for one node of the parser's tree.
const MAX_TAGS: usize = 64;

/// The memory that the parser takes for the shortest text, in bytes.
const PARSER_MEMORY: usize = 64 * 1024;

/// An upper bound of the memory that rendering a text takes, in bytes. `None` if the bound is more
/// than [`MAX_MEMORY`], or if rendering would take long. Tests compare the bound with the memory
/// that demanding texts really take.
///
/// The parser's tree has a node for each line, and for each character that may be markup.
pub(super) fn memory(source: &str) -> Option<usize> {
    let (mut nodes, mut lines, mut columns, mut links, mut longest) = (0, 0, 0, 0, 0);
    for line in source.split(['\n', '\r']) {
        if containers(line) > MAX_CONTAINERS {
            return None;
        }
        let count = |test: &dyn Fn(u8) -> bool| line.bytes().filter(|byte| test(*byte)).count();
        nodes += 1 + count(&|byte| byte.is_ascii_punctuation());
        lines += 1;
        columns = columns.max(count(&|byte| byte == b'|'));
        links += count(&|byte| matches!(byte, b'[' | b'<'));
        longest = longest.max(line.len());
    }
    nodes += (lines * columns).min(MAX_ADDED_CELLS);
    // A byte of the source takes up to six bytes of HTML (`&quot;`), and in a heading up to two
    // more for its ID. Each link may repeat the longest URL (at most a line), because many links
    // may refer to one definition. Each byte of a URL takes up to five bytes (`&amp;`).
    let tags = MAX_TAGS * nodes + links * 5 * longest.min(MAX_URL);
    let html = MAX_HTML.min(8 * source.len() + tags);
    // The capacity of a buffer that grows is up to twice its length. While it grows, its old memory
    // is still allocated. As the tests show, 256 bytes per node are enough for the parser.
    let memory = PARSER_MEMORY + source.len() + 256 * nodes + 4 * html;
    (memory <= MAX_MEMORY).then_some(memory)
}

/// How many lists and quotes begin in a line.
fn containers(line: &str) -> usize {
    let (mut rest, mut count) = (line.trim_start_matches(BLANKS), 0);
    loop {
        let marker = rest.trim_start_matches(|char: char| char.is_ascii_digit());
        let is_numbered = marker.len() < rest.len();
        let after = match marker.chars().next() {
            Some('>') if !is_numbered => &marker[1..],
            Some('-' | '+' | '*') if !is_numbered => &marker[1..],
            Some('.' | ')') if is_numbered => &marker[1..],
            _ => return count,
        };
        rest = after.trim_start_matches(BLANKS);
        // The marker of a list ends with a blank.
        if rest.len() == after.len() && !rest.is_empty() && !marker.starts_with('>') {
            return count;
        }
        count += 1;
    }
}

/// The maximum depth of nested elements. Browsers are slow with thousands.
pub(super) const MAX_DEPTH: usize = 24;

/// The most bytes of the ID of a heading.
const MAX_ID: usize = 100;

/// A title ends with the character that reaches this length, in bytes.
pub(super) const MAX_TITLE: usize = 200;

/// The end tag of a link.
const LINK_END: &str = "</a>";

const OPTIONS: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_GFM)
    .union(Options::ENABLE_YAML_STYLE_METADATA_BLOCKS);

/// The tags around text that is shown as it was written: HTML and YAML metadata.
const RAW: &str = "<pre class=\"raw\">";
const RAW_END: &str = "</pre>\n";

/// A rendered text.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) html: Vec<u8>,
    /// The text of the first heading that has text, cut at [`MAX_TITLE`].
    pub(super) title: Option<String>,
    /// Whether `html` is only the beginning, because all of it would be longer than [`MAX_HTML`].
    pub(super) is_truncated: bool,
}

/// Renders `source`. A heading of level 1 in it gets the level `level`.
pub(super) fn render(source: &str, level: u8) -> Rendered {
    let mut renderer = Renderer { level, ..Renderer::default() };
    for event in Parser::new_ext(source, OPTIONS) {
        renderer.event(event);
        if renderer.is_full || renderer.out.len() > MAX_HTML {
            renderer.is_full = true;
            break;
        }
    }
    while !renderer.open.is_empty() {
        renderer.close();
    }
    let Renderer { out: html, title, is_full: is_truncated, .. } = renderer;
    Rendered { html, title, is_truncated }
}

#[derive(Debug, Default)]
struct Renderer {
    out: Vec<u8>,
    /// The level that a heading of level 1 gets in the output.
    level: u8,
    title: Option<String>,
    /// The end tag of each open element. Empty for an element that isn't written, and for a
    /// heading, whose tags are written at its end.
    open: Vec<&'static str>,
    /// Whether the rest is left out because the output would be longer than [`MAX_HTML`].
    is_full: bool,
    /// Set inside an image, where no tags are written, because its `alt` attribute is text. The
    /// value is the length of `open` before the image.
    text_only: Option<usize>,
    /// Whether a link is open. A link inside another one is not written.
    in_link: bool,
    heading: Option<Heading>,
    /// The lines so far of an HTML block (HTML between paragraphs). The parser passes them one by
    /// one.
    html_block: String,
    /// The IDs of headings. The value is the last number that was appended to the ID for a later
    /// heading whose text makes the same ID, or 0.
    ids: HashMap<String, u32>,
    alignments: Vec<Alignment>,
    column: usize,
    in_table_head: bool,
}

/// A heading whose start tag is not written yet, because its ID is made of its text.
#[derive(Debug)]
struct Heading {
    level: u8,
    /// The length of `open` before the heading.
    depth: usize,
    /// The position in the output where the start tag is inserted.
    start: usize,
    id: String,
    /// The text of the heading, if no earlier heading is the title.
    title: Option<String>,
}

impl Renderer {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(end) => self.end(end),
            Event::Text(text) => self.text(&text),
            Event::Html(line) => self.html_block.push_str(&line),
            Event::InlineHtml(text) if is_comment(&text) => {}
            Event::InlineHtml(text) => self.text(&text),
            Event::Code(text) => {
                self.tag("<code>");
                self.text(&text);
                self.tag("</code>");
            }
            Event::SoftBreak => self.text("\n"),
            Event::HardBreak => {
                self.tag("<br>");
                self.text("\n");
            }
            Event::Rule => self.tag("<hr>\n"),
            Event::TaskListMarker(done) => self.text(if done { "☑ " } else { "☐ " }),
            // The parser's options for these are off.
            Event::FootnoteReference(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.text(&text);
            }
        }
    }

    fn text(&mut self, text: &str) {
        let before = self.out.len();
        text::html_lines(text.as_bytes(), &mut self.out);
        if self.out.len() > MAX_HTML {
            self.out.truncate(before);
            self.is_full = true;
        }
        if let Some(heading) = &mut self.heading {
            if let Some(title) = &mut heading.title {
                for char in text.chars() {
                    if title.len() >= MAX_TITLE {
                        break;
                    }
                    title.push(if char == '\n' { ' ' } else { char });
                }
            }
            for char in text.chars() {
                match char {
                    _ if heading.id.len() >= MAX_ID => break,
                    ' ' | '-' => heading.id.push('-'),
                    '_' => heading.id.push('_'),
                    char if char.is_alphanumeric() => heading.id.extend(char.to_lowercase()),
                    _ => {}
                }
            }
        }
    }

    /// Writes a tag, except within an image, where only text may be.
    fn tag(&mut self, tag: &str) {
        if self.text_only.is_none() {
            self.out.extend_from_slice(tag.as_bytes());
        }
    }

    /// Opens an element. Its tags are not written if it is nested too deeply, or within an image.
    fn open(&mut self, start: &str, end: &'static str) {
        let is_written = self.text_only.is_none() && self.open.len() < MAX_DEPTH;
        if is_written {
            self.out.extend_from_slice(start.as_bytes());
        }
        self.open.push(if is_written { end } else { "" });
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph => self.open("<p>", "</p>\n"),
            Tag::Heading { level, .. } => {
                if self.text_only.is_none() && self.open.len() < MAX_DEPTH {
                    let level = (level as u8 - 1 + self.level).min(6);
                    let title = self.title.is_none().then(String::new);
                    let start = self.out.len();
                    let (depth, id) = (self.open.len(), String::new());
                    self.heading = Some(Heading { level, depth, start, id, title });
                }
                self.open.push("");
            }
            Tag::BlockQuote(kind) => {
                self.open("<blockquote>\n", "</blockquote>\n");
                if let Some(kind) = kind {
                    self.tag("<p><strong>");
                    self.tag(alert(kind));
                    self.tag("</strong></p>\n");
                }
            }
            Tag::CodeBlock(_) => self.open("<pre tabindex=\"0\"><code>", "</code></pre>\n"),
            // Nothing is written before the end of the block, which shows whether it is a comment.
            Tag::HtmlBlock => self.open("", ""),
            Tag::MetadataBlock(_) => self.open(RAW, RAW_END),
            Tag::List(None) => self.open("<ul>\n", "</ul>\n"),
            Tag::List(Some(1)) => self.open("<ol>\n", "</ol>\n"),
            Tag::List(Some(first)) => {
                // Browsers read `start` as a signed 32-bit number.
                let first = first.min(i32::MAX as u64);
                self.open(&format!("<ol start=\"{first}\">\n"), "</ol>\n");
            }
            Tag::Item => self.open("<li>", "</li>\n"),
            Tag::Table(alignments) => {
                self.alignments = alignments;
                self.open(
                    "<div class=\"wide\" tabindex=\"0\"><table>\n",
                    "</tbody></table></div>\n",
                );
            }
            Tag::TableHead => {
                (self.column, self.in_table_head) = (0, true);
                self.open("<thead><tr>", "</tr></thead>\n<tbody>\n");
            }
            Tag::TableRow => {
                self.column = 0;
                self.open("<tr>", "</tr>\n");
            }
            Tag::TableCell => self.cell(),
            Tag::Emphasis => self.open("<em>", "</em>"),
            Tag::Strong => self.open("<strong>", "</strong>"),
            Tag::Strikethrough => self.open("<del>", "</del>"),
            Tag::Link { link_type: LinkType::Email, dest_url, .. } => {
                self.link(&format!("mailto:{dest_url}"));
            }
            Tag::Link { dest_url, .. } => self.link(&dest_url),
            Tag::Image { dest_url, .. } => self.image(&dest_url),
            // The parser's options for these are off.
            Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Superscript
            | Tag::Subscript => self.open.push(""),
        }
    }

    fn end(&mut self, end: TagEnd) {
        self.close();
        match end {
            TagEnd::TableHead => self.in_table_head = false,
            TagEnd::HtmlBlock => self.end_html_block(),
            _ => {}
        }
    }

    fn end_html_block(&mut self) {
        let html = mem::take(&mut self.html_block);
        if is_comment(&html) {
            return;
        }
        self.open(RAW, RAW_END);
        for line in html.split_inclusive('\n') {
            self.text(line);
            if self.is_full {
                break;
            }
        }
        self.close();
    }

    /// Closes the innermost element.
    fn close(&mut self) {
        let end = self.open.pop().unwrap_or_default();
        if self.text_only.is_some_and(|outer| self.open.len() <= outer) {
            self.text_only = None;
        }
        self.in_link &= end != LINK_END;
        self.tag(end);
        if self.heading.as_ref().is_some_and(|heading| heading.depth == self.open.len()) {
            self.end_heading();
        }
    }

    fn end_heading(&mut self) {
        let Some(Heading { level, start, id, title, .. }) = self.heading.take() else { return };
        self.title = self.title.take().or(title.filter(|title| !title.trim().is_empty()));
        let mut tag = format!("<h{level}");
        if !id.is_empty() {
            tag += &format!(" id=\"{ID_PREFIX}{}\"", self.unique(id));
        }
        tag.push('>');
        self.out.splice(start..start, tag.bytes());
        put!(&mut self.out, "</h{level}>\n");
    }

    /// Makes an ID that no earlier heading has, as GitHub does.
    fn unique(&mut self, id: String) -> String {
        let mut unique = id.clone();
        while self.ids.contains_key(&unique) {
            let count = self.ids.entry(id.clone()).or_default();
            *count += 1;
            unique = format!("{id}-{count}");
        }
        self.ids.insert(unique.clone(), 0);
        unique
    }

    fn cell(&mut self) {
        let class = match self.alignments.get(self.column) {
            Some(Alignment::Right) => " class=\"right\"",
            Some(Alignment::Center) => " class=\"center\"",
            _ => "",
        };
        self.column += 1;
        let (name, end) = if self.in_table_head { ("th", "</th>") } else { ("td", "</td>") };
        self.open(&format!("<{name}{class}>"), end);
    }

    fn link(&mut self, url: &str) {
        let target = target(url).filter(|_| !self.in_link && self.text_only.is_none());
        let start = match target {
            Some(Target::Relative) => format!("<a href=\"{}\">", escaped_link(url)),
            Some(Target::Absolute) => {
                format!("<a href=\"{}\" rel=\"nofollow noreferrer\">", escaped(url))
            }
            None => return self.open.push(""),
        };
        self.open(&start, LINK_END);
        self.in_link = self.open.last() == Some(&LINK_END);
    }

    fn image(&mut self, url: &str) {
        let outer = self.open.len();
        match target(url) {
            Some(Target::Relative) => {
                self.open(&format!("<img loading=\"lazy\" src=\"{}\" alt=\"", escaped(url)), "\">");
            }
            _ => self.link(url),
        }
        self.text_only.get_or_insert(outer);
    }
}

/// Whether `html` is one comment and nothing else. The parser passes HTML within a paragraph one
/// tag or comment at a time.
fn is_comment(html: &str) -> bool {
    let inner = html.trim().strip_prefix("<!--").and_then(|html| html.strip_suffix("-->"));
    inner.is_some_and(|inner| !inner.contains("-->"))
}

/// The title of an alert, as GitHub calls a quote that begins with `[!NOTE]`, for example.
fn alert(kind: BlockQuoteKind) -> &'static str {
    match kind {
        BlockQuoteKind::Note => "Note",
        BlockQuoteKind::Tip => "Tip",
        BlockQuoteKind::Important => "Important",
        BlockQuoteKind::Warning => "Warning",
        BlockQuoteKind::Caution => "Caution",
    }
}
