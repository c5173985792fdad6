//! Why a header block can't be decoded.

/// Why a header block can't be decoded. After such an error, the dynamic table may differ from the
/// peer's, so the connection must end. Its error code is `COMPRESSION_ERROR` (RFC 9113, 4.3), or
/// for [`Self::Stopped`] one that the caller chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompressionError {
    /// The block ends inside a field, or inside a change of the table's size.
    Truncated,
    /// An integer has more than four continuation bytes (RFC 7541, 5.1).
    LongInteger,
    /// No entry has this index (RFC 7541, 2.3.3), or the index is zero (6.1).
    BadIndex,
    /// A Huffman-coded string contains the symbol EOS (end of string), or its padding isn't the
    /// start of the code of EOS, or is longer than seven bits (RFC 7541, 5.2).
    BadHuffman,
    /// The peer sets the size of the dynamic table above our limit (RFC 7541, 6.3).
    TableSizeAboveLimit,
    /// The size of the dynamic table changes after a field, or for a third time in one block
    /// (RFC 7541, 4.2).
    UnexpectedTableSize,
    /// The function that the decoder calls with each field has returned false: it takes no more.
    Stopped,
}
