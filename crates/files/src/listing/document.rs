//! Writes a view in pieces.

use super::query::Format;
use super::text::put;
use super::view::View;
use super::{data, html};

/// A view, and the position in it up to which it is written.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) view: View,
    next: Next,
}

/// What is written next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Opening,
    Row(usize),
    Nothing,
}

impl Document {
    pub(crate) fn new(view: View) -> Self {
        Self { view, next: Next::Opening }
    }

    /// Appends to `out` until it has `enough` bytes or everything is written; splits no row. Returns whether
    /// there is more.
    pub(crate) fn fill(&mut self, out: &mut Vec<u8>, enough: usize) -> bool {
        while out.len() < enough && self.next != Next::Nothing {
            self.next = self.step(out);
        }
        self.next != Next::Nothing
    }

    fn step(&self, out: &mut Vec<u8>) -> Next {
        let (view, format) = (&self.view, self.view.format);
        let at = match self.next {
            Next::Opening => {
                match format {
                    Format::Html => html::opening(view, out),
                    Format::Json => data::json_opening(view, out),
                    Format::Text | Format::Tar => {}
                }
                return Next::Row(0);
            }
            Next::Row(at) => at,
            Next::Nothing => return Next::Nothing,
        };
        let Some(row) = view.rows().get(at) else {
            match format {
                Format::Html => html::closing(view, out),
                Format::Json => put!(out, "\n]}}\n"),
                Format::Text | Format::Tar => data::text_closing(view, out),
            }
            return Next::Nothing;
        };
        match format {
            Format::Html => html::row(row, out),
            Format::Json => data::json_row(row, at == 0, out),
            Format::Text | Format::Tar => data::text_row(row, out),
        }
        Next::Row(at + 1)
    }
}
