"use strict";
(() => {
  const one = (what) => document.querySelector(what);
  const box = one("input[type=search]");
  // A folder that is empty.
  if (!box) return;
  const files = one("#files");
  const grid = one(".grid");
  const rows = [...document.querySelectorAll("#files .f, #files .n")];
  // A Greek sigma has another form at the end of a word, and a filter may end within a word.
  const lower = (text) => text.toLowerCase().replaceAll("ς", "σ");
  const names = rows.map((row) => lower(row.querySelector("bdi").textContent));
  const found = one(".found");
  const before = [...found.childNodes];
  const asked = box.defaultValue;
  const paged = one(".pages") !== null;
  // All is here, and narrowed by typing.
  one("form button").hidden = !paged && files !== null;
  one("kbd").hidden = false;

  // To lay out thousands of rows takes a while, so they appear some at a time, and typing goes on.
  let waiting = [];
  const show = () => {
    waiting.splice(0, 500).forEach((row) => { row.hidden = false; });
    if (waiting.length > 0) requestAnimationFrame(show);
  };

  // Narrows what this page shows; Enter asks for the whole folder.
  const narrow = () => {
    if (!files) return;
    const part = lower(box.value);
    const idle = waiting.length === 0;
    waiting = [];
    let shown = 0;
    rows.forEach((row, at) => {
      const fits = names[at].includes(part);
      shown += fits ? 1 : 0;
      if (fits && row.hidden) waiting.push(row);
      else if (!fits && !row.hidden) row.hidden = true;
    });
    if (idle) show();
    files.hidden = shown === 0;
    const whole = paged || (asked !== "" && !part.includes(lower(asked)));
    if (box.value === asked) {
      found.replaceChildren(...before);
    } else {
      found.textContent = (shown > 0 ? `${shown} of ${rows.length} shown` :
        `No name ${whole ? "here " : ""}contains “${box.value}”`) +
        (whole ? "; press Enter to search the whole folder" : "");
    }
  };
  box.addEventListener("input", narrow);
  if (box.value !== asked) narrow();

  // Times as the reader's own clock would show them.
  const two = (number) => String(number).padStart(2, "0");
  document.querySelectorAll("time").forEach((time) => {
    const at = new Date(time.dateTime);
    time.firstChild.data = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    time.lastChild.textContent = ` ${two(at.getHours())}:${two(at.getMinutes())}`;
  });
  // Ten thousand of these would take a second, so each is made when it is pointed at.
  document.addEventListener("mouseover", (event) => {
    const time = event.target.closest("time");
    if (time && !time.title) time.title = new Date(time.dateTime).toLocaleString();
  });
  const utc = one(".utc");
  if (utc) utc.remove();

  // A small image isn't enlarged, and one that the browser can't show has an icon. Icons, too, say
  // that they have loaded. To ask for the size of one lays out the whole grid.
  const mend = (image, broken) => {
    // An SVG may have no size of its own.
    if (image.tagName !== "IMG" || (!broken && image.src.endsWith(".svg"))) return;
    if (broken || image.naturalWidth === 0) {
      const icon = one(".views svg").cloneNode(true);
      icon.firstElementChild.setAttribute("href", "#i");
      image.replaceWith(icon);
    } else if (image.naturalWidth < 160) {
      image.classList.add("small");
    }
  };
  if (grid) {
    grid.addEventListener("load", (event) => mend(event.target, false), true);
    grid.addEventListener("error", (event) => mend(event.target, true), true);
    grid.querySelectorAll("img").forEach((image) => { if (image.complete) mend(image, false); });
  }

  const links = () => rows.filter((row) => !row.hidden).map((row) => row.querySelector("a"));
  const step = (all, by) => {
    const to = all.indexOf(document.activeElement) + by;
    if (to < 0 || all.length === 0) box.focus();
    else all[Math.min(to, all.length - 1)].focus();
  };
  // To the next row: in a grid, to the next entry that is in the same column.
  const stepRow = (all, by) => {
    const at = all.indexOf(document.activeElement);
    if (!grid || at < 0) return step(all, by);
    const left = (entry) => entry.parentElement.offsetLeft;
    let to = at + by;
    while (all[to] && left(all[to]) !== left(all[at])) to += by;
    step(all, to - at);
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    // Keys scroll a README.
    if (event.target.closest(".readme")) return;
    const typing = document.activeElement === box;
    const all = links();
    if (event.key === "/" && !typing) box.select();
    else if (event.key === "Escape" && typing) {
      if (box.value === "") box.blur();
      box.value = "";
      narrow();
    } else if (event.key === "ArrowDown") stepRow(all, 1);
    else if (event.key === "ArrowUp" && !typing) stepRow(all, -1);
    else if (event.key === "ArrowRight" && grid && !typing) step(all, 1);
    else if (event.key === "ArrowLeft" && grid && !typing) step(all, -1);
    else if (event.key === "Home" && !typing && all.length > 0) all[0].focus();
    else if (event.key === "End" && !typing && all.length > 0) all.at(-1).focus();
    else return;
    event.preventDefault();
  });
})();
