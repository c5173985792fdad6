//! What the flags of other programs mean here.

/// What to do with another program's flag that Sockeye's command doesn't have.
#[derive(Clone, Copy, Debug)]
pub(in crate::args::habits) enum Meaning {
    /// Replace it by this flag of the command, with the same value.
    Flag(&'static str),
    /// Its value is the folder to serve: use the value as an argument.
    Folder,
    /// Its value is the certificate or the key: use it as this part of `--tls CERT,KEY`.
    TlsPart(TlsPart),
    /// Refuse it. The text says what to type instead, or that Sockeye lacks the feature.
    Advice(&'static str),
}

/// A part of the value of `--tls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::args::habits) enum TlsPart {
    Certificate,
    Key,
}

/// Rows of synonymous flags and their meaning.
pub(in crate::args::habits) type Table = &'static [(&'static [&'static str], Meaning)];
