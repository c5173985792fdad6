//! Names with a hash of the content, as bundlers write them: `app.3f9a2b1c.js`,
//! `assets/index-BxYz12ab.css`. A file with such a name never changes, so caches may keep it.
//!
//! If a name matches although it has no hash, caches may keep the file for a year after its content
//! has changed. If a name with a hash doesn't match, each use costs a request that gets a 304. So
//! only the patterns that bundlers write by default match: which separator, alphabet and length go
//! together depends on the kind of file. In a photo's name, a dash and hexadecimal digits come from
//! a camera, not from a bundler. What could be words, dates, versions or ids doesn't match.

/// The kinds of files that bundlers write. Pages and documents have no hash in their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Code,
    Font,
    Media,
    Data,
}

const EXTENSIONS: &[(Kind, &[&str])] = &[
    (Kind::Code, &["js", "mjs", "cjs", "css", "map", "wasm"]),
    (Kind::Font, &["woff", "woff2", "ttf", "otf", "eot"]),
    (
        Kind::Media,
        &[
            "png", "jpg", "jpeg", "gif", "webp", "avif", "jxl", "svg", "ico", "mp3", "mp4", "m4a",
            "ogg", "opus", "webm", "wav", "flac",
        ],
    ),
    (Kind::Data, &["json", "txt"]),
];

/// Folders of SvelteKit, Next.js, Astro and Nuxt. A file in them never changes: new content gets a
/// new name. So the name needs no hash.
const FINGERPRINTED_FOLDERS: &[&[u8]] =
    &[b"_app/immutable/", b"_next/static/", b"_astro/", b"_nuxt/"];

/// The only folder beneath [`FINGERPRINTED_FOLDERS`] in which a file, `latest.json`, changes and
/// keeps its name.
const NUXT_BUILDS: &[u8] = b"_nuxt/builds/";

/// Folders that bundlers write to. People use them, too, so the name must still have a hash.
const BUNDLER_FOLDERS: &[&[u8]] = &[b"assets/", b"build/", b"chunks/"];

/// Folders to which webpack's file loaders write files whose names are only a hash, of 32
/// hexadecimal digits.
const LOADER_FOLDERS: &[&[u8]] = &[b"assets/", b"build/", b"static/", b"media/"];

/// What may follow the hash: `app.HASH.chunk.js.map`, `app-HASH.min.js`, VitePress's
/// `page.HASH.lean.js`, `Serif-HASH.ttf.woff2`.
const AFTER_HASH: &[&[u8]] = &[
    b"js", b"mjs", b"cjs", b"css", b"min", b"chunk", b"bundle", b"lean", b"module", b"worker",
    b"legacy", b"LICENSE", b"ttf", b"otf",
];

/// The lengths of hexadecimal hashes that are recognised in files of every kind: those of MD5,
/// SHA-1, SHA-256, SHA-384 and SHA-512, and the 20 digits of webpack.
const LONG_HEX_LENGTHS: &[usize] = &[20, 32, 40, 64, 96, 128];

/// Whether a file with this name never changes: bundlers write files with its extension, and it
/// contains a hash of the content, or is in a folder whose files never change.
pub(crate) fn is_fingerprinted(name: &[u8]) -> bool {
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
    let folder = &name[..name.len() - file.len()];
    let mut parts = file.rsplit(|byte| *byte == b'.').peekable();
    let Some(kind) = parts.next().filter(|_| parts.peek().is_some()).and_then(kind_of) else {
        return false;
    };
    if is_in_fingerprinted_folder(folder) {
        return true;
    }
    // From the end, skip the parts that may follow a hash, but not the first part, which is the
    // name: `min.js`. `part` is what remains: the last part that can be a hash.
    let mut is_licence = false;
    let part = loop {
        match parts.next() {
            Some(part) if parts.peek().is_some() && AFTER_HASH.contains(&part) => {
                is_licence |= part == b"LICENSE";
            }
            Some(part) => break part,
            None => return false,
        }
    };
    let name = Name {
        // The licences of a bundle: `app.HASH.js.LICENSE.txt`.
        kind: if is_licence { Kind::Code } else { kind },
        in_bundler_folder: is_in(folder, BUNDLER_FOLDERS),
        in_loader_folder: is_in(folder, LOADER_FOLDERS),
    };
    let is_hash = match parts.peek() {
        None => name.is_hash(part),
        // VitePress: `about.md.HASH.js`.
        Some(&b"md")
            if kind == Kind::Code && is_base64(part) && has_upper_or_digit_within(part) =>
        {
            true
        }
        Some(_) => name.is_hash_after_dot(part),
    };
    is_hash || after_dashes(part).any(|hash| name.is_hash_after_dash(hash)) || is_chunk(part, kind)
}

fn kind_of(extension: &[u8]) -> Option<Kind> {
    let is_known = |known: &&str| known.as_bytes().eq_ignore_ascii_case(extension);
    EXTENSIONS.iter().find(|(_, known)| known.iter().any(is_known)).map(|(kind, _)| *kind)
}

/// The kind of a file, and the folders that it is in: they decide what counts as a hash in its
/// name.
#[derive(Clone, Copy)]
struct Name {
    kind: Kind,
    in_bundler_folder: bool,
    in_loader_folder: bool,
}

impl Name {
    /// Whether `text`, which is all of the name before its extension, is a hash, as in `HASH.png`:
    /// webpack's file loaders. 32 digits alone are often an id, so they count as a hash only in
    /// [`LOADER_FOLDERS`].
    fn is_hash(self, text: &[u8]) -> bool {
        is_hex(text, LONG_HEX_LENGTHS) && (text.len() != 32 || self.in_loader_folder)
    }

    /// Whether `text` is a hash after a dot, as in `app.HASH.js`: webpack, Parcel, Django, Hugo,
    /// VitePress.
    fn is_hash_after_dot(self, text: &[u8]) -> bool {
        let short: &[usize] = match self.kind {
            Kind::Code => &[8, 10, 12, 16],
            Kind::Font | Kind::Media => &[8, 12, 16],
            Kind::Data => &[],
        };
        is_hex(text, LONG_HEX_LENGTHS)
            || is_hex(text, short)
            || self.is_rollup_or_esbuild_hash(text)
    }

    /// Whether `text` is a hash after a dash, as in `app-HASH.js`: Rollup, Vite, esbuild, Rails,
    /// Phoenix, Trunk.
    fn is_hash_after_dash(self, text: &[u8]) -> bool {
        let short: &[usize] = match self.kind {
            Kind::Code | Kind::Font => &[8, 16],
            // Cameras and phones write names with a dash and hexadecimal digits.
            Kind::Media | Kind::Data => &[],
        };
        // `app-HASH_bg.wasm` is by wasm-bindgen.
        let text = text.strip_suffix(b"_bg").unwrap_or(text);
        is_hex(text, LONG_HEX_LENGTHS)
            || is_hex(text, short)
            || self.is_rollup_or_esbuild_hash(text)
    }

    fn is_rollup_or_esbuild_hash(self, text: &[u8]) -> bool {
        let has_digit = has_digit_within(text);
        match self.kind {
            Kind::Code | Kind::Font if is_base64(text) => {
                // Without a digit, a hash is likelier than words only in the folder of a bundler.
                (has_digit || self.in_bundler_folder) && Words::of(text).is_random(1, has_digit)
            }
            Kind::Code | Kind::Font => {
                has_digit && is_base32(text) && Words::of(text).is_random(1, true)
            }
            // Names of photos contain more than words, so one unpronounceable letter is not enough.
            Kind::Media if self.in_bundler_folder && is_base64(text) => {
                Words::of(text).is_random(2, has_digit)
            }
            Kind::Media | Kind::Data => false,
        }
    }
}

/// Whether `part` is `chunk-HASH` or `polyfills-HASH`, with a hash of eight capitals: esbuild and
/// Angular, whose hashes may have no digit.
fn is_chunk(part: &[u8], kind: Kind) -> bool {
    let hash = part.strip_prefix(b"chunk-").or_else(|| part.strip_prefix(b"polyfills-"));
    let hash = hash.filter(|_| kind == Kind::Code);
    hash.is_some_and(|hash| {
        let is_upper = hash.len() == 8 && hash.iter().all(u8::is_ascii_uppercase);
        is_upper && Words::of(hash).unpronounceable > 0
    })
}

fn is_in_fingerprinted_folder(folder: &[u8]) -> bool {
    is_in(folder, FINGERPRINTED_FOLDERS) && !is_in(folder, &[NUXT_BUILDS])
        || is_in_gatsby_folder(folder)
}

/// Whether the folder is in `static/HASH/`: Gatsby.
fn is_in_gatsby_folder(folder: &[u8]) -> bool {
    let mut before: &[u8] = b"";
    folder.split(|byte| *byte == b'/').any(|segment| {
        let before = std::mem::replace(&mut before, segment);
        before == b"static" && is_hex(segment, &[32])
    })
}

/// Whether `path` is in one of `folders`, at any depth.
fn is_in(path: &[u8], folders: &[&[u8]]) -> bool {
    let mut starts = (0..path.len()).filter(|at| *at == 0 || path[*at - 1] == b'/');
    starts.any(|at| folders.iter().any(|folder| path[at..].starts_with(folder)))
}

/// The text after each dash except a leading one. Some hashes contain dashes, too.
fn after_dashes(part: &[u8]) -> impl Iterator<Item = &[u8]> {
    let dashes = part.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'-');
    dashes.map(|(at, _)| &part[at + 1..])
}

/// Whether this is a hash in hexadecimal digits, with one of these lengths. It must have letters
/// and digits, so that it is neither a date nor a word.
fn is_hex(text: &[u8], lengths: &[usize]) -> bool {
    lengths.contains(&text.len())
        && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && text.iter().any(u8::is_ascii_digit)
        && text.iter().any(u8::is_ascii_lowercase)
        && !is_random_uuid(text)
}

/// Whether this is a random UUID without dashes (RFC 9562, 5.4), which is the id of something, not
/// a hash of content.
fn is_random_uuid(text: &[u8]) -> bool {
    text.len() == 32 && text[12] == b'4' && matches!(text[16], b'8' | b'9' | b'a' | b'b')
}

/// Whether this is eight characters of URL-safe base64, with lower and upper case: Rollup and Vite.
fn is_base64(text: &[u8]) -> bool {
    text.len() == 8
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && text.iter().any(u8::is_ascii_lowercase)
        && text.iter().any(u8::is_ascii_uppercase)
}

/// Whether this is eight characters of base32 (RFC 4648): esbuild.
fn is_base32(text: &[u8]) -> bool {
    text.len() == 8 && text.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
}

/// Whether a letter follows a digit. Digits at the end may be a version or a count.
fn has_digit_within(text: &[u8]) -> bool {
    let digit = text.iter().position(u8::is_ascii_digit);
    digit.is_some_and(|at| text[at..].iter().any(u8::is_ascii_alphabetic))
}

/// Whether a capital or a digit follows the first character. If not, the text may be a word.
fn has_upper_or_digit_within(text: &[u8]) -> bool {
    text[1..].iter().any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Whether a text can be read as words: `HomePage`, `Web3Apps`. The text is cut into groups, such
/// as `Web`, `3` and `Apps`: see [`is_boundary`]. A group is pronounceable if it has a vowel and
/// begins as words do: see [`is_word`].
#[derive(Clone, Copy, Debug)]
struct Words {
    /// Whether some group of three or more letters is pronounceable or a known abbreviation.
    word: bool,
    /// How many letters are in groups that are neither pronounceable nor a known abbreviation. The
    /// first letter of each group is not counted.
    unpronounceable: usize,
}

impl Words {
    fn of(text: &[u8]) -> Self {
        let (mut word, mut unpronounceable) = (false, 0);
        let mut start = 0;
        for at in 1..=text.len() {
            if at < text.len() && !is_boundary(text, at) {
                continue;
            }
            let group = text[start..at].to_ascii_lowercase();
            start = at;
            if group[0].is_ascii_alphabetic() && group.len() > 1 {
                let is_word = is_word(&group);
                word |= is_word && group.len() > 2;
                unpronounceable += if is_word { 0 } else { group.len() - 1 };
            }
        }
        Self { word, unpronounceable }
    }

    /// Whether this is more likely a hash than words: it has at least `min` unpronounceable
    /// letters, or it has a digit and no word.
    fn is_random(self, min: usize, has_digit: bool) -> bool {
        self.unpronounceable >= min || has_digit && !self.word
    }
}

/// Whether a group of letters, of digits or of other characters begins at `at`. A capital begins a
/// group, but capitals in a row are one: `XMLPage` is `XML` and `Page`.
fn is_boundary(text: &[u8], at: usize) -> bool {
    let (before, here) = (text[at - 1], text[at]);
    if !before.is_ascii_alphabetic() || !here.is_ascii_alphabetic() {
        return before.is_ascii_digit() != here.is_ascii_digit()
            || before.is_ascii_alphabetic() != here.is_ascii_alphabetic();
    }
    let next_is_lower = text.get(at + 1).is_some_and(u8::is_ascii_lowercase);
    here.is_ascii_uppercase() && (before.is_ascii_lowercase() || next_is_lower)
}

/// The pairs and triples of consonants that English words begin with.
const ONSETS: &[&[u8]] = &[
    b"bl", b"br", b"ch", b"chr", b"cl", b"cr", b"dr", b"dw", b"fl", b"fr", b"gh", b"gl", b"gn",
    b"gr", b"kn", b"ph", b"pl", b"pr", b"ps", b"rh", b"sc", b"sch", b"scr", b"sh", b"shr", b"sk",
    b"sl", b"sm", b"sn", b"sp", b"sph", b"spl", b"spr", b"sq", b"st", b"str", b"sw", b"th", b"thr",
    b"tr", b"tw", b"wh", b"wr",
];

/// Abbreviations, codes of languages and countries, and the ends of ordinals that people write in
/// file names. Most have no vowel.
const ABBREVIATIONS: &[&[u8]] = &[
    b"bg", b"blk", b"br", b"btn", b"cdn", b"cfg", b"cms", b"cn", b"crm", b"css", b"csv", b"ctx",
    b"cv", b"db", b"dj", b"dk", b"dns", b"dr", b"fn", b"ftp", b"gb", b"gl", b"gps", b"gpt", b"gql",
    b"hd", b"hk", b"html", b"http", b"https", b"img", b"jp", b"jpg", b"jr", b"js", b"jsx", b"jwt",
    b"kr", b"lg", b"llc", b"ltd", b"ltr", b"mc", b"md", b"mdx", b"mp", b"mr", b"mrs", b"ms",
    b"msg", b"nd", b"nl", b"npm", b"pc", b"pdf", b"php", b"png", b"prj", b"pt", b"px", b"ql",
    b"rd", b"rfc", b"rgb", b"rss", b"rtl", b"sdk", b"sm", b"sql", b"sr", b"src", b"ssh", b"ssl",
    b"ssr", b"st", b"sv", b"svc", b"svg", b"tcp", b"th", b"tls", b"ts", b"tsx", b"tv", b"tw",
    b"txt", b"udp", b"vm", b"vpn", b"vr", b"vs", b"wht", b"wp", b"www", b"xhr", b"xhtml", b"xl",
    b"xml", b"xs", b"zh",
];

/// Whether a group of letters in lower case can be a word: it has a vowel and begins as words do,
/// or it is a known abbreviation.
fn is_word(group: &[u8]) -> bool {
    let vowel = group.iter().position(|byte| b"aeiouy".contains(byte));
    let begins_well = |at: usize| at < 2 || ONSETS.contains(&&group[..at]);
    vowel.is_some_and(begins_well) || ABBREVIATIONS.contains(&group)
}

#[cfg(test)]
mod tests;
