"use strict";
(() => {
  const one = (what) => document.querySelector(what);
  const box = one("input[type=search]");
  const rows = [...document.querySelectorAll("tbody tr[class]")];
  const names = rows.map((row) => row.querySelector("bdi").textContent.toLowerCase());
  const found = one(".found");
  const before = found.textContent;
  const asked = box.defaultValue;
  const paged = one(".pages") !== null;
  // All is here, and narrowed by typing.
  one("form button").hidden = !paged;
  one(".keys").hidden = false;

  // To lay out thousands of rows takes a while, so they appear some at a time, and typing goes on.
  let waiting = [];
  const show = () => {
    waiting.splice(0, 500).forEach((row) => { row.hidden = false; });
    if (waiting.length > 0) requestAnimationFrame(show);
  };

  // Narrows what this page shows; Enter asks for the whole folder.
  const narrow = () => {
    const part = box.value.toLowerCase();
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
    const whole = paged || (asked !== "" && !part.includes(asked.toLowerCase()));
    if (box.value === asked) {
      found.textContent = before;
    } else {
      found.textContent = `${shown} of ${rows.length} shown` +
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

  const links = () => rows.filter((row) => !row.hidden).map((row) => row.querySelector("a"));
  const step = (by) => {
    const all = links();
    const at = all.indexOf(document.activeElement);
    if (at + by < 0 || all.length === 0) box.focus();
    else all[Math.min(at + by, all.length - 1)].focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = document.activeElement === box;
    if (event.key === "/" && !typing) box.select();
    else if (event.key === "Escape" && typing) {
      if (box.value === "") box.blur();
      box.value = "";
      narrow();
    } else if (event.key === "ArrowDown") step(1);
    else if (event.key === "ArrowUp" && !typing) step(-1);
    else if (event.key === "Home" && !typing && links().length > 0) links()[0].focus();
    else if (event.key === "End" && !typing && links().length > 0) links().at(-1).focus();
    else return;
    event.preventDefault();
  });
})();
