"use strict";
// The server writes no host into a page that it sends to everyone: a client can send any.
(() => {
  const root = document.querySelector(".host");
  const top = root.closest("h1") !== null;
  root.textContent = location.host;
  document.title = top ? location.host : `${document.title} — ${location.host}`;
})();
