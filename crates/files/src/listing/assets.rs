//! The style, script and icons of HTML listings.

pub(crate) const STYLE: &str = include_str!("style.css");
pub(super) const SCRIPT: &str = include_str!("script.js");
/// A script that shows the host of the URL on the page. It runs before the entries arrive.
pub(super) const HOST_SCRIPT: &str = include_str!("host.js");
pub(super) const ICONS: &str = include_str!("icons.svg");

/// The `Content-Security-Policy` of a listing. It allows the style and scripts (by hashes, which a
/// test checks), images from this server, the page's icon, and the form.
pub(crate) const POLICY: &str = "default-src 'none'; img-src 'self' data:; \
    style-src 'sha256-fLwnm11cPc6kexez54CAsrrhfckbvSJd58HPJLVi2jI='; \
    script-src 'sha256-R36wZJifdDa8U7RVdrh7fN9/nX8RY/ZkLxJuxY2OsHk=' \
    'sha256-1SZxB9RjUBMWiHiVfo612jVozklh+QmHp5eIpjftyh0='; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'self'";
