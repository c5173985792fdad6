//! Tests of the HTML that Markdown becomes: it has only the tags, attributes and URLs that are
//! allowed.

use proptest::prelude::*;

use super::markdown::{MAX_DEPTH, MAX_HTML, MAX_LEN, MAX_TITLE, memory, render};
use super::markdown_url::{ID_PREFIX, MAX_URL};

fn rendered(source: &str) -> String {
    String::from_utf8(render(source, 3).html).unwrap()
}

#[test]
fn markdown_is_rendered() {
    for (source, html) in [
        ("# A *b*\n\nc\\\nd", "<h3 id=\"readme-a-b\">A <em>b</em></h3>\n<p>c<br>\nd</p>\n"),
        ("###### x\n# x", "<h6 id=\"readme-x\">x</h6>\n<h3 id=\"readme-x-1\">x</h3>\n"),
        (
            "# a\n# a\n# a-1\n# a",
            "<h3 id=\"readme-a\">a</h3>\n<h3 id=\"readme-a-1\">a</h3>\n\
             <h3 id=\"readme-a-1-1\">a-1</h3>\n<h3 id=\"readme-a-2\">a</h3>\n",
        ),
        ("# !", "<h3>!</h3>\n"),
        ("- [x] a\n- [ ] b", "<ul>\n<li>☑ a</li>\n<li>☐ b</li>\n</ul>\n"),
        ("3. a", "<ol start=\"3\">\n<li>a</li>\n</ol>\n"),
        ("```rust\n<b>\n```", "<pre tabindex=\"0\"><code>&lt;b&gt;\n</code></pre>\n"),
        ("`a` **b** ~~c~~", "<p><code>a</code> <strong>b</strong> <del>c</del></p>\n"),
        ("> [!TIP]\n> a", "<blockquote>\n<p><strong>Tip</strong></p>\n<p>a</p>\n</blockquote>\n"),
        ("***", "<hr>\n"),
        ("---\na: b\n---\n", "<pre class=\"raw\">a: b\n</pre>\n"),
        (
            "|a|b|\n|-|-:|\n|c|d|",
            "<div class=\"wide\" tabindex=\"0\"><table>\n<thead><tr><th>a</th>\
             <th class=\"right\">b</th></tr></thead>\n<tbody>\n<tr><td>c</td>\
             <td class=\"right\">d</td></tr>\n</tbody></table></div>\n",
        ),
    ] {
        assert_eq!(rendered(source), html, "{source}");
    }
}

#[test]
fn html_is_shown_as_text_and_comments_are_left_out() {
    for (source, html) in [
        ("a <b onclick=x>", "<p>a &lt;b onclick=x&gt;</p>\n"),
        ("<p>\nx</p>", "<pre class=\"raw\">&lt;p&gt;\nx&lt;/p&gt;</pre>\n"),
        ("a<!-- b -->c", "<p>ac</p>\n"),
        ("<!-- a -->\n\nb", "<p>b</p>\n"),
        ("<!--\na\n\n> b\n-->\nc", "<p>c</p>\n"),
        ("- <!--\n  a -->\n  b", "<ul>\n<li>b</li>\n</ul>\n"),
        ("<!-- a\nb", "<pre class=\"raw\">&lt;!-- a\nb</pre>\n"),
        ("<!-- a --> <b>-->", "<pre class=\"raw\">&lt;!-- a --&gt; &lt;b&gt;--&gt;</pre>\n"),
    ] {
        assert_eq!(rendered(source), html, "{source}");
    }
}

#[test]
fn links_lead_only_where_they_may() {
    for (source, html) in [
        ("[a](b/c%20d?e&f#g)", "<a href=\"b/c%20d?e&amp;f#g\">a</a>"),
        ("[a](<b é'>)", "<a href=\"b%20%C3%A9%27\">a</a>"),
        ("[a](#Über-x)", "<a href=\"#readme-%C3%BCber-x\">a</a>"),
        ("[a](HTTPS://b)", "<a href=\"HTTPS://b\" rel=\"nofollow noreferrer\">a</a>"),
        ("<a@b.c>", "<a href=\"mailto:a@b.c\" rel=\"nofollow noreferrer\">a@b.c</a>"),
        ("[a](java&Tab;script:b)", "a"),
        ("[a](&#1;javascript:b)", "a"),
        ("[a](&#32;javascript:b)", "a"),
        ("[a](JaVaScRiPt:b)", "a"),
        ("[a](javascript&colon;b)", "a"),
        ("[a](data:text/html,b)", "a"),
        ("[a](vbscript:b)", "a"),
        ("[a](http:b)", "a"),
        ("[a](//b)", "a"),
        ("[a](&#32;//b)", "a"),
        ("[a](/\\\\b)", "a"),
        ("[a](/&Tab;/b)", "a"),
        ("![*a*](b.png)", "<img loading=\"lazy\" src=\"b.png\" alt=\"a\">"),
        ("![a\"b](c)", "<img loading=\"lazy\" src=\"c\" alt=\"a&quot;b\">"),
        ("![a](http://b)", "<a href=\"http://b\" rel=\"nofollow noreferrer\">a</a>"),
        ("![a](data:image/png,b)", "a"),
        ("[![a](http://b)](c)", "<a href=\"c\">a</a>"),
        ("[![a](b)](c)", "<a href=\"c\"><img loading=\"lazy\" src=\"b\" alt=\"a\"></a>"),
        ("![a [b](c)](http://d)", "<a href=\"http://d\" rel=\"nofollow noreferrer\">a b</a>"),
    ] {
        assert_eq!(rendered(source), format!("<p>{html}</p>\n"), "{source}");
    }
    let long = format!("[a]({})", "b".repeat(MAX_URL + 1));
    assert_eq!(rendered(&long), "<p>a</p>\n");
}

#[test]
fn relative_links_to_markdown_lead_to_its_page() {
    for (url, href) in [
        ("b.md", "b.md?format=html"),
        ("b.md#A-Part", "b.md?format=html#readme-a-part"),
        ("../b/c%20d.MD#", "../b/c%20d.MD?format=html#"),
        ("/b.markdown#x?y.z", "/b.markdown?format=html#readme-x?y.z"),
        ("b.md#%C3%BC", "b.md?format=html#readme-%c3%bc"),
        ("#A-Part", "#readme-a-part"),
        ("#b.md", "#readme-b.md"),
        ("#", "#"),
        ("b.md?raw", "b.md?raw"),
        ("b.md?raw#c", "b.md?raw#c"),
        ("?b.md", "?b.md"),
        ("b/#c", "b/#c"),
        ("b.html#C", "b.html#C"),
        ("b.md/", "b.md/"),
        (".md", ".md"),
    ] {
        let html = format!("<p><a href=\"{href}\">a</a></p>\n");
        assert_eq!(rendered(&format!("[a]({url})")), html, "{url}");
    }
    for (source, html) in [
        ("[a](http://b/c.md#d)", "<a href=\"http://b/c.md#d\" rel=\"nofollow noreferrer\">a</a>"),
        ("![a](b.md#c)", "<img loading=\"lazy\" src=\"b.md#c\" alt=\"a\">"),
        ("[a](x:b.md)", "a"),
        ("[a](//b.md)", "a"),
    ] {
        assert_eq!(rendered(source), format!("<p>{html}</p>\n"), "{source}");
    }
}

#[test]
fn the_first_heading_with_a_text_is_the_title() {
    let long = format!("# {}", "é".repeat(2 * MAX_TITLE));
    for (source, title) in [
        ("a\n\n## *B* `c` [d](e)\n# f", Some("B c d")),
        ("#\n\n# ![a](b)\n", Some("a")),
        ("a  \nb\n===", Some("a b")),
        ("> - # a", Some("a")),
        ("# a <b>&amp;", Some("a <b>&")),
        ("a", None),
        ("#", None),
    ] {
        assert_eq!(render(source, 2).title.as_deref(), title, "{source}");
    }
    let title = render(&long, 2).title.unwrap();
    assert!((MAX_TITLE..MAX_TITLE + 4).contains(&title.len()));
}

#[test]
fn a_heading_in_which_the_output_ends_is_closed_from_the_inside_out() {
    // Each `&` becomes `&amp;`.
    let [before, within] = [MAX_LEN / 2, MAX_LEN / 2 - 100].map(|len| "&".repeat(len));
    for (start, end, expected) in [("*", "*", "</em>"), ("![", "](x)", "\">"), ("", "", "")] {
        let rendered = render(&format!("{before}\n\n# {start}a{within}a{end}"), 3);
        assert!(rendered.is_truncated);
        let html = String::from_utf8(rendered.html).unwrap();
        assert!(html.ends_with(&format!("{expected}</h3>\n")), "{}", &html[html.len() - 100..]);
        check(&html).unwrap();
    }
}

#[test]
fn headings_begin_at_a_level_and_end_at_the_last() {
    let html = |level| String::from_utf8(render("# a\n#### b\n###### c", level).html).unwrap();
    assert_eq!(
        html(2),
        "<h2 id=\"readme-a\">a</h2>\n<h5 id=\"readme-b\">b</h5>\n<h6 id=\"readme-c\">c</h6>\n"
    );
    assert!(html(3).starts_with("<h3 id") && html(3).ends_with("<h6 id=\"readme-c\">c</h6>\n"));
}

/// Texts on which parsers have spent too much time or memory.
fn heavy_texts() -> Vec<String> {
    let repeated = |unit: &str| unit.repeat(MAX_LEN / unit.len());
    let halves = |a: &str, b: &str| {
        let count = MAX_LEN / (a.len() + b.len());
        a.repeat(count) + &b.repeat(count)
    };
    let mut texts: Vec<_> = [
        "*a_b", "a**b", "[", "![", "[a](", "[a](<b", "`a``", ">", "> a\n", "- ", "* a\n", "<",
        "<!--", "<?", "<!A ", "</", "&", "\"", "'", "|", "|a|\n", "~", "\\", "[a]: b\n", "[a][b",
        "[^a]", "\0", "&lt;", "# a\n", "a\n\n", "  \n", "\u{202e}", "[a](b)", "![a](b)", "<a@b.c>",
        "1. ", "***\n", "_*", "](", "\t", "<a b=\"",
    ]
    .map(repeated)
    .into();
    texts.extend([
        halves("[", "]"),
        halves("*", "a*"),
        halves("> ", "\n"),
        halves("[a](", ")"),
        halves("![", "](b)"),
        halves("`", " "),
        halves("- ", "a\n"),
        halves("<a ", ">"),
    ]);
    texts.push((0..1000).map(|at| "  ".repeat(at % 130) + "- a\n").collect());
    texts.push((0..500).map(|at| ">".repeat(at) + " a\n").collect());
    texts.push((1..700).map(|at| "`".repeat(at) + " ").collect());
    // Nested lists, and lines that belong to all of them.
    let nested: String = (0..450).map(|at| "  ".repeat(at) + "- a\n").collect();
    texts.push(nested + &"a\n".repeat(25_000));
    texts.push(format!("{}a\n{}", "> ".repeat(32), "a\n".repeat(99_000)));
    // Each row has as many cells as the first.
    texts.push(format!("{}\n{}\n{}", "|a".repeat(9000), "|-".repeat(9000), "a\n".repeat(99_000)));
    texts.push(format!("{}\n{}\n{}", "|a".repeat(60), "|-".repeat(60), "a\n".repeat(99_000)));
    // Each use of a reference repeats its URL.
    texts.push(format!("[a]: {}\n{}", "b".repeat(2000), "[a] ".repeat(60_000)));
    // Short texts, whose HTML is long for their length.
    for unit in
        ["\"", "|a|\n|-|\n", "a\n\n", "# \u{e0001}\n", "[a][b]", "> [!IMPORTANT]\n\n", "```\n\n"]
    {
        texts.push(format!("{}\n\n[b]: {}", unit.repeat(300), "&".repeat(300)));
    }
    texts.extend(["", "#", "\0", "[a](b)"].map(str::to_owned));
    texts.push((0..30_000).map(|at| format!("# {at:x}\n")).collect());
    texts.push((0..20_000).map(|at| format!("[{at:x}]: b\n")).collect());
    // The longest beginnings that are rendered.
    for text in &mut texts {
        text.truncate(MAX_LEN);
        while memory(text).is_none() {
            text.truncate(text.len() * 7 / 8);
        }
    }
    texts
}

#[test]
fn texts_that_take_too_much_time_or_memory_are_refused() {
    let is_refused = |text: &str| memory(text).is_none();
    for marker in ["- ", "*  ", "+\t", ">", "> ", "1. ", " 23) ", ">- "] {
        let line = marker.repeat(33);
        assert!(is_refused(&line) && is_refused(&format!("a\ra {line}\r{line}b\n")), "{line}");
        assert!(!is_refused(&marker.repeat(16)) && !is_refused(&format!("a{line}")), "{line}");
    }
    for harmless in ["-", "*", "1.", "+", "_ "] {
        assert!(!is_refused(&harmless.repeat(100)), "{harmless}");
    }
    assert!(is_refused(&"[".repeat(MAX_LEN)));
    assert!(!is_refused(&"A sentence, with a [link](target.md) and `code`.\n".repeat(5000)));
}

#[test]
fn heavy_texts_stay_within_their_memory_and_the_limits() {
    for text in heavy_texts() {
        let start = &text[..text.len().min(30)];
        let Some(memory) = memory(&text) else {
            eprintln!("{start:?} refused");
            continue;
        };
        let mut html = Vec::new();
        let info = allocation_counter::measure(|| html = render(&text, 3).html);
        assert!(info.bytes_max as usize <= memory, "{start}: {} of {memory}", info.bytes_max);
        assert!(html.len() <= MAX_HTML + 4 * MAX_URL, "{start}: {}", html.len());
        check(&String::from_utf8(html).unwrap()).expect(start);
    }
}

/// So that a client can have several pages rendered at a time.
#[test]
fn ordinary_texts_take_little_memory() {
    let text =
        "A sentence, with a [link](target.md) and `code`.\n\n## A heading\n\n- item\n".repeat(150);
    assert!((10_000..16_000).contains(&text.len()));
    let memory = memory(&text).unwrap();
    assert!(memory < 2 * 1024 * 1024, "{memory}");
}

/// Fails unless `html` is well-formed, with the tags, attributes and URLs that may be in it. It
/// reads URLs as browsers do.
fn check(html: &str) -> Result<(), String> {
    const ELEMENTS: [&str; 24] = [
        "p",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "pre",
        "code",
        "ul",
        "ol",
        "li",
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "em",
        "strong",
        "del",
        "a",
        "br",
        "hr",
    ];
    let (mut open, mut rest) = (Vec::new(), html);
    while let Some((text, tag)) = rest.split_once('<') {
        no_markup(text)?;
        let (tag, after) = tag.split_once('>').ok_or("a tag without an end")?;
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> closes nothing"));
            }
            continue;
        }
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        if !ELEMENTS.contains(&name) && name != "img" {
            return Err(format!("<{name}>"));
        }
        while !attributes.is_empty() {
            let (key, value) = attributes.split_once("=\"").ok_or(attributes)?;
            let (value, after) = value.split_once('"').ok_or(value)?;
            attributes = after.strip_prefix(' ').unwrap_or(after);
            no_markup(value)?;
            match (name, key) {
                ("a", "href") => no_script(value, &["http", "https", "mailto"])?,
                ("img", "src") => no_script(value, &[])?,
                ("img", "alt") | (_, "id" | "start") => {}
                ("img", "loading") if value == "lazy" => {}
                ("a", "rel") if value == "nofollow noreferrer" => {}
                ("pre" | "div", "tabindex") if value == "0" => {}
                (_, "class") if ["wide", "raw", "right", "center"].contains(&value) => {}
                _ => return Err(format!("{name} {key}={value}")),
            }
            if key == "id" && !value.starts_with(ID_PREFIX) {
                return Err(format!("id={value}"));
            }
        }
        if !["br", "hr", "img"].contains(&name) {
            open.push(name);
        }
        if open.len() > MAX_DEPTH + 4 {
            return Err("too deep".into());
        }
    }
    no_markup(rest)?;
    if open.is_empty() { Ok(()) } else { Err(format!("{open:?} is open")) }
}

fn no_markup(text: &str) -> Result<(), String> {
    let bad = text.contains(['<', '>', '"', '\''])
        || text.split('&').skip(1).any(|after| {
            !["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|known| after.starts_with(known))
        });
    if bad { Err(format!("markup in {text}")) } else { Ok(()) }
}

fn no_script(value: &str, schemes: &[&str]) -> Result<(), String> {
    let url = value.replace("&amp;", "&").replace(['\t', '\n', '\r'], "").replace('\\', "/");
    let url = url.trim_matches(|char: char| char <= ' ');
    let scheme = url.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| {
        scheme.starts_with(|char: char| char.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    });
    let is_allowed = match scheme {
        Some(scheme) => schemes.contains(&&*scheme.to_ascii_lowercase()),
        None => !url.starts_with("//"),
    };
    if is_allowed { Ok(()) } else { Err(format!("a link to {value}")) }
}

/// Texts made of parts that are special in Markdown, HTML and URLs.
fn texts() -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &[
        "[a](",
        "![a](",
        ")",
        "](",
        "[",
        "]",
        "<",
        ">",
        "javascript:",
        "JAVA",
        "script",
        ":",
        "data:",
        "http://",
        "https:",
        "mailto:",
        "//",
        "/",
        "\\",
        "&Tab;",
        "&#9;",
        "&#10;",
        "&colon;",
        "&#0;",
        "&#32;",
        "&quot;",
        "\"",
        "'",
        "\t",
        "\n",
        "\r",
        "\0",
        "\u{1}",
        " ",
        "\n\n",
        "#",
        "# ",
        "> ",
        "- ",
        "1. ",
        "`",
        "```\n",
        "*",
        "**",
        "_",
        "~~",
        "|",
        "|a|b|\n|-|-:|\n",
        "<script>",
        "</script>",
        "<img src=x onerror=y>",
        "<!--",
        "-->",
        "<a href=",
        "a",
        "é",
        "\u{202e}",
        "\u{a0}",
        "    ",
        "[b]: ",
        "[b]",
        "---\n",
        "> [!NOTE]\n",
        "<a@b.c>",
        "<javascript:a>",
        "onclick=",
        "]: <",
    ];
    let part = prop_oneof![
        6 => proptest::sample::select(PARTS).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    proptest::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn nothing_else_is_in_the_output(source in texts()) {
        let html = rendered(&source);
        prop_assert_eq!(check(&html), Ok(()), "{}", html);
    }
}
