//! Writes a [`View`], the part of a listing that a request selects, as JSON or text, in pieces.

use super::data;
use super::query::Format;
use super::text::put;
use super::view::View;

/// A view, and the position in it up to which it is written.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) view: View,
    pub(crate) etag: String,
    next: Position,
}

/// What is written next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Opening,
    Row(usize),
    End,
}

impl Document {
    pub(crate) fn new(view: View) -> Self {
        let etag = view.etag();
        Self { view, etag, next: Position::Opening }
    }

    /// Appends to `out` until it has `min_len` bytes or everything is written; splits no row.
    /// Returns whether there is more.
    pub(crate) fn fill(&mut self, out: &mut Vec<u8>, min_len: usize) -> bool {
        while out.len() < min_len && self.next != Position::End {
            self.next = self.step(out);
        }
        self.next != Position::End
    }

    fn step(&self, out: &mut Vec<u8>) -> Position {
        let (view, format) = (&self.view, self.view.format);
        let at = match self.next {
            Position::Opening => {
                if format == Format::Json {
                    data::json_opening(view, out);
                }
                return Position::Row(0);
            }
            Position::Row(at) => at,
            Position::End => return Position::End,
        };
        let Some(row) = view.rows().get(at) else {
            match format {
                Format::Json => put!(out, "\n]}}\n"),
                _ => data::text_closing(view, out),
            }
            return Position::End;
        };
        match format {
            Format::Json => data::json_row(row, at == 0, out),
            _ => data::text_row(row, out),
        }
        Position::Row(at + 1)
    }
}
