//! A folder as a page.

mod ask;
mod order;
mod rows;
mod show;
mod text;
