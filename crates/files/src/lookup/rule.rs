//! The rules by which a path is mapped to a response.

use std::fmt;

/// The rule by which a path was mapped to its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// The path names the file.
    File,
    /// The path names a folder with an `index.html`.
    Index,
    /// The path names a folder without an `index.html`, which is listed.
    Listing,
    /// The path names a folder, and the query names the format of the response: that of a listing,
    /// or an archive.
    Format,
    /// The path names a Markdown file, and the query asks for it as a page.
    MarkdownPage,
    /// The path names a folder that is listed, but the query is invalid.
    BadQuery,
    /// The path leaves out the `.html` of the file's name.
    CleanUrl,
    /// A single file is served instead of a folder: at the root, and under its own name.
    SingleFile,
    /// The path names a folder, and lacks the final slash that the relative links of its page need:
    /// the response redirects to the path with the slash.
    AddSlash,
    /// The path leaves out the `.html` of a file's name, but has a final slash: the response
    /// redirects to the path without the slash.
    DropSlash,
    /// The path has several slashes in a row, or a `.` between two slashes. With one slash in place
    /// of these it names something: the response redirects to that path.
    MergeSlashes,
    /// Nothing is found, and the folder's `index.html` is the page of a single-page app.
    Fallback,
    /// Nothing is found, and the folder has a `404.html`.
    ErrorPage,
    /// The path is that of the script that pages get, so that they reload after changes.
    LiveScript,
    /// The path is that of the WebSocket that only the script of [`Rule::LiveScript`] opens.
    LiveChannel,
    /// No file is found that may be sent: the response is an error.
    Error,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "the path names the file",
            Self::Index => "the page of a folder is its index.html",
            Self::Listing => "the folder has no index.html and is listed",
            Self::Format => "the query names the format of a listing or archive",
            Self::MarkdownPage => "the query asks for a Markdown file as a page",
            Self::BadQuery => "the query is not valid for a listing",
            Self::CleanUrl => "clean URL: the path leaves out .html",
            Self::SingleFile => "a single file is served",
            Self::AddSlash => "a folder's path ends with a slash",
            Self::DropSlash => "clean URL: a page's path ends without a slash",
            Self::MergeSlashes => "a path has one slash between two names, not several, and no '.'",
            Self::Fallback => "single-page app: the page is the folder's index.html",
            Self::ErrorPage => "error page: the folder's 404.html",
            Self::LiveScript => "live pages: the script that each page gets",
            Self::LiveChannel => "live pages: a WebSocket, which the script of each page opens",
            Self::Error => "no file is served at this path",
        })
    }
}
