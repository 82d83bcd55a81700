/* Uploads by tus: several at a time, hashed here first, resumed after a dropped connection or a reload. */

import { sha256 } from "../vendor/age/@noble/hashes/esm/sha2.js";

const form = document.getElementById("upload-form");
const list = document.getElementById("upload-list");
const state = document.getElementById("upload-state");
const bar = document.getElementById("upload-progress");
const drop = document.getElementById("drop");
const PARALLEL = 3;
const PIECE = 8 * 1024 * 1024;
const WHOLE = 64 * 1024 * 1024;
const rows = new Map();
const waiting = [];
let running = 0;
let started = 0;

function sized(count) {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) if (count >= size) return `${(count / size).toFixed(1)} ${unit}`;
  return said(ngettext("%(count)s byte", "%(count)s bytes", count), { count });
}

/* A message with figures in it. */
function said(message, figures) {
  return interpolate(message, figures, true);
}

function hex(bytes) {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/* Small files at once by the browser, large ones in pieces, so that memory stays flat. */
async function hashOf(file, progress) {
  if (file.size <= WHOLE) return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer())));
  const hash = sha256.create();
  for (let at = 0; at < file.size; at += PIECE) {
    hash.update(new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()));
    progress(at / file.size);
  }
  return hex(hash.digest());
}

function show(row, words, kind = "") {
  row.cell.textContent = words;
  row.cell.className = kind;
}

function addRow(path, size) {
  const line = list.insertRow();
  line.insertCell().textContent = path;
  const sizeCell = line.insertCell();
  sizeCell.className = "n";
  sizeCell.textContent = sized(size);
  const row = { path, size, sent: 0, done: false, line, cell: line.insertCell() };
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = gettext("Remove");
  button.setAttribute("aria-label", said(gettext("Remove %(path)s"), { path }));
  button.addEventListener("click", () => remove(row));
  line.insertCell().append(button);
  rows.set(path, row);
  return row;
}

async function remove(row) {
  row.upload?.abort();
  const at = waiting.indexOf(row);
  if (at >= 0) waiting.splice(at, 1);
  if (row.location) {
    const answer = await fetch(row.location, { method: "DELETE", headers: { "Tus-Resumable": "1.0.0", "X-CSRFToken": form.dataset.csrf } });
    if (!answer.ok && answer.status !== 404) {
      show(row, said(gettext("cannot be removed: %(reason)s"), { reason: await reason(answer) }), "fail");
      return;
    }
  }
  rows.delete(row.path);
  row.line.remove();
  report();
}

async function reason(answer) {
  try {
    const problem = await answer.json();
    return [problem.title, problem.todo].filter(Boolean).join(" ");
  } catch {
    return said(gettext("the server answered %(status)s"), { status: answer.status });
  }
}

function report() {
  const all = [...rows.values()];
  const total = all.reduce((sum, row) => sum + row.size, 0);
  const sent = all.reduce((sum, row) => sum + (row.done ? row.size : row.sent), 0);
  const left = all.filter((row) => !row.done).length;
  bar.hidden = all.length === 0;
  bar.value = total ? sent / total : left ? 0 : 1;
  if (!all.length) {
    state.textContent = "";
  } else if (left) {
    const seconds = (Date.now() - started) / 1000;
    const rate = started && seconds > 1 ? sent / seconds : 0;
    const figures = { done: all.length - left, files: all.length, sent: sized(sent), size: sized(total) };
    const arrived = said(ngettext("%(done)s of %(files)s file, %(sent)s of %(size)s.", "%(done)s of %(files)s files, %(sent)s of %(size)s.", all.length), figures);
    const pace = rate ? said(gettext("%(rate)s each second, %(seconds)s s left."), { rate: sized(rate), seconds: Math.ceil((total - sent) / rate) }) : "";
    state.textContent = [arrived, pace, gettext("Closing the page loses nothing that has arrived.")].filter(Boolean).join(" ");
  } else {
    state.textContent = said(ngettext("The file has arrived, %(size)s.", "All %(files)s files have arrived, %(size)s.", all.length), { files: all.length, size: sized(total) });
  }
}

async function begin(row) {
  running += 1;
  try {
    show(row, gettext("hashing"));
    row.sha256 = await hashOf(row.file, (part) => show(row, said(gettext("hashing, %(percent)s %"), { percent: Math.round(part * 100) })));
    await send(row);
    row.done = true;
    show(row, `✓ ${gettext("arrived")}`, "pass");
  } catch (error) {
    show(row, `✕ ${error.message}`, "fail");
  } finally {
    running -= 1;
    report();
    next();
  }
}

function send(row) {
  return new Promise((resolve, reject) => {
    row.upload = new tus.Upload(row.file, {
      endpoint: form.dataset.create,
      uploadUrl: row.location || null,
      chunkSize: PIECE,
      retryDelays: [0, 500, 1000, 3000, 5000, 10000, 20000],
      storeFingerprintForResuming: false,
      metadata: { path: row.path, sha256: row.sha256 },
      headers: { "X-CSRFToken": form.dataset.csrf },
      onProgress(sent) {
        row.sent = sent;
        show(row, `${Math.round((sent / Math.max(1, row.size)) * 100)} %`);
        report();
      },
      onUploadUrlAvailable() { row.location = row.upload.url; },
      onSuccess: resolve,
      onError(error) {
        const body = error.originalResponse?.getBody();
        let words = error.message;
        try {
          const problem = JSON.parse(body);
          words = [problem.title, problem.todo].filter(Boolean).join(" ");
        } catch { /* the connection failed, or the answer was not ours */ }
        reject(new Error(words));
      },
    });
    row.upload.start();
  });
}

function next() {
  while (running < PARALLEL && waiting.length) begin(waiting.shift());
}

function take(path, file) {
  const name = path.normalize("NFC");
  const known = rows.get(name);
  if (known?.done) return;
  if (known && known.size !== file.size) {
    show(known, `✕ ${gettext("a file of this name and another size is on its way; remove it first")}`, "fail");
    return;
  }
  const row = known || addRow(name, file.size);
  row.file = file;
  show(row, gettext("waiting"));
  waiting.push(row);
  started ||= Date.now();
  report();
  next();
}

/* Hidden files and the folder's own name are left out: a dataset's paths begin inside its folder. */
function takeFiles(files) {
  for (const file of files) {
    const path = file.webkitRelativePath ? file.webkitRelativePath.split("/").slice(1).join("/") : file.name;
    if (!path.split("/").some((part) => part.startsWith("."))) take(path, file);
  }
}

async function children(folder) {
  const reader = folder.createReader();
  const found = [];
  for (;;) {
    const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!batch.length) return found;
    found.push(...batch);
  }
}

async function takeEntry(entry, path) {
  if (entry.name.startsWith(".")) return;
  if (entry.isFile) {
    take(path + entry.name, await new Promise((resolve, reject) => entry.file(resolve, reject)));
    return;
  }
  for (const child of await children(entry)) await takeEntry(child, `${path}${entry.name}/`);
}

async function takeDropped(items) {
  for (const entry of [...items].map((item) => item.webkitGetAsEntry()).filter(Boolean)) {
    if (entry.isFile) await takeEntry(entry, "");
    else for (const child of await children(entry)) await takeEntry(child, "");
  }
}

if (form) {
  for (const known of JSON.parse(document.getElementById("known-files").textContent)) {
    const row = addRow(known.path, known.size);
    row.location = known.location;
    row.sent = known.received;
    row.done = known.received === known.size;
    show(row, row.done ? `✓ ${gettext("arrived")}` : said(gettext("%(size)s arrived; choose the file again to go on"), { size: sized(known.received) }), row.done ? "pass" : "");
  }
  report();
  for (const id of ["pick-folder", "pick-files"]) {
    const input = document.getElementById(id);
    input.addEventListener("change", () => takeFiles(input.files));
    // Whoever was faster than this script, or came back to the page, has chosen already.
    takeFiles(input.files);
  }
  for (const type of ["dragenter", "dragover"]) drop.addEventListener(type, (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    takeDropped(event.dataTransfer.items);
  });
  form.addEventListener("submit", (event) => {
    if ([...rows.values()].some((row) => !row.done)) {
      event.preventDefault();
      state.textContent = gettext("Some files have not arrived whole. Wait, choose them again, or remove them.");
    }
  });
}
