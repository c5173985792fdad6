//! What every HTML page of a folder brings along.

/// How the page looks.
pub(super) const STYLE: &str = include_str!("style.css");
/// What makes it quicker to use.
pub(super) const SCRIPT: &str = include_str!("script.js");
pub(super) const ICONS: &str = include_str!("icons.svg");

/// What the page may do: look as it does, run its own script, send its own form. A test holds the
/// two hashes to the texts.
pub(crate) const POLICY: &str = "default-src 'none'; \
    style-src 'sha256-XMXzMzP/eYCQNW+EPlL606+Bjzwx+HSqiEEyOypMhD4='; script-src 'sha256-K+Bf1PlBsZoXc7ntXJgJsCUm/S1zXR9cDj01Elxanzc='; img-src data:; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'self'";
