// Reloads this page when a file changes that it is made of or has loaded. A style sheet is replaced
// without a reload. sockeye http --live puts this script into pages; nothing else of them changes.
(() => {
  "use strict";
  const tag = document.currentScript;
  const running = Symbol.for("sockeye live");
  // Run once: HTML that a script has fetched and put into the page may have this tag, too.
  if (!tag || window[running]) return;
  window[running] = true;

  const MAX_PATHS = 10000;
  const MAX_PAUSE = 10000;
  const socketURL = new URL("live", tag.src);
  socketURL.protocol = socketURL.protocol.replace("http", "ws");

  // The path of a URL in the form in which the server sends paths: everything is percent-encoded
  // but letters, digits, "-", "_", ".", "~" and "/". Undefined for another origin.
  const path = (text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url?.origin !== new URL(tag.src).origin) return undefined;
    return url.pathname.replace(/%[0-9a-f]{2}|[^%]/gi, (part) => {
      const code = part.length === 3 ? parseInt(part.slice(1), 16) : part.charCodeAt(0);
      const character = String.fromCharCode(code);
      if (code < 128 && /[\w.~/-]/.test(character)) return character;
      return "%" + code.toString(16).toUpperCase().padStart(2, "0");
    });
  };

  const loaded = new Set();
  new PerformanceObserver((list) => {
    for (const { name } of list.getEntries()) {
      const used = path(name);
      if (used !== undefined && loaded.size < MAX_PATHS) loaded.add(used);
    }
  }).observe({ type: "resource", buffered: true });

  // The files and folders that decide what this page's URL shows: the file that it is made of, and
  // those that would be sent instead if they existed.
  const isOfPage = (changed) => {
    const file = tag.dataset.file;
    const page = path(location.href) ?? file;
    const name = page.replace(/\/$/, "");
    const parent = changed.replace(/[^/]+\/?$/, "");
    return [file, page, name, name + "/", name + ".html", name + "/index.html"].includes(changed) ||
      // A folder above it.
      changed.endsWith("/") && (page.startsWith(changed) || file.startsWith(changed)) ||
      // The page is a listing.
      file.endsWith("/") && parent === file;
  };

  const isLoaded = (changed) =>
    loaded.has(changed) ||
    changed.endsWith("/") && [...loaded].some((used) => used.startsWith(changed));

  const sheets = (changed) => [...document.querySelectorAll("link[rel~=stylesheet][href]")]
    .filter((link) => path(link.href) === changed);

  // The new sheet is loaded beside the old one, so that the page is never without its style.
  let version = 0;
  const replaced = new WeakSet();
  const replace = (link) => {
    if (replaced.has(link)) return;
    replaced.add(link);
    const next = link.cloneNode();
    const url = new URL(link.href);
    url.searchParams.set("live", `${Date.now()}.${++version}`);
    next.href = url.href;
    next.addEventListener("load", () => link.remove());
    next.addEventListener("error", () => link.remove());
    link.after(next);
  };

  let since = tag.dataset.since;
  let pause = 500;
  const connect = () => {
    socketURL.search = `?since=${since}`;
    let socket;
    try {
      socket = new WebSocket(socketURL.href);
    } catch {
      return; // A Content-Security-Policy forbids it.
    }
    socket.onopen = () => {
      pause = 500;
    };
    // A token, and a line for each path. With a final slash, everything in that folder has changed.
    socket.onmessage = ({ data }) => {
      const [token, ...changes] = data.split("\n");
      since = token;
      const styles = changes.map(sheets);
      if (changes.some((changed, at) => isOfPage(changed) || !styles[at].length && isLoaded(changed))) {
        location.reload();
      } else {
        styles.flat().forEach(replace);
      }
    };
    // The server was stopped, or the machine slept.
    socket.onclose = () => {
      setTimeout(connect, pause);
      pause = Math.min(2 * pause, MAX_PAUSE);
    };
  };
  connect();
})();
