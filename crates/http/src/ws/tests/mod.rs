//! Tests of WebSockets.
