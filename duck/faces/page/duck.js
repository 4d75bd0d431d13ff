// Makes the page feel like a chat: sends the form without leaving the page, adds the answer while it arrives and follows it, keeps
// what is typed, attached and said. Nothing needs it: without this script the browser loads a new page for each answer.
// @ts-check
"use strict";
{
const words = /** @type {Record<string, string>} */ ({...document.body.dataset});
const isChat = document.body.classList.contains("chat");
const isTouch = matchMedia("(hover: none) and (pointer: coarse)").matches;
const place = `duck ${location.pathname}${location.search}`; // of the conversation in the session's storage
const MAX_STORED = 2_000_000; // characters; browsers allow some five million
const MAX_TURNS = 200_000; // characters of the conversation that go with a question; the server takes 256 KiB
const SILENCE_MS = 45_000; // after which a connection is lost: the server says something every 15 seconds

/** @type {AbortController | undefined} */
let running;
let over = Promise.resolve(); // once the last run is
let isLeft = false; // whether the page is being left, which breaks the connection
let follows = true; // whether the page scrolls along with the answer
let lastY = 0;
let draft = ""; // what was typed before a question was taken back into the box
/** @type {File[]} */
let chosen = []; // the files that go with the next question

/** @param {string} name @param {Record<string, unknown>} properties @param {(Node | string)[]} children @returns {any} an HTMLElement */
function make(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** @param {string} selector @param {ParentNode} [root] @returns {any} an HTMLElement, or null */
const find = (selector, root = document) => root.querySelector(selector);
/** @param {string} selector @param {ParentNode} [root] @returns {any[]} */
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
/** @returns {HTMLFormElement | null} */
const theForm = () => find("main > form.run");
/** @param {ParentNode | null} form @param {string} name @returns {any} */
const field = (form, name) => form?.querySelector(`[name="${name}"]`);

// The answer

// A parser makes shadow trees only of templates in the page itself. The answer is written into a hidden document, so this is done here.
// The template stays, because it is stored with the answer.
/** @param {Element} root */
function attachShadows(root) {
  for (const template of all(".answer > template", root)) {
    const answer = template.parentElement;
    if (answer.shadowRoot || !template.nextSibling) continue; // it may not be complete yet
    answer.attachShadow({mode: "open"}).append(template.content.cloneNode(true));
  }
}

// Removes what is hidden by what came after it, which costs a browser time with each piece. The text as the app has written it is kept.
/** @param {HTMLElement} answer */
function tidy(answer) {
  const last = (/** @type {string} */ name) => all(`:scope > ${name}`, answer).at(-1);
  const reset = last("x-reset"), cut = last("x-cut");
  if (!reset && !cut) return;
  const written = find(":scope > x-written", answer) ?? make("x-written", {});
  answer.prepend(written);
  const goes = (/** @type {Element} */ piece, /** @type {Element | undefined} */ mark) =>
    mark && piece.compareDocumentPosition(mark) & Node.DOCUMENT_POSITION_FOLLOWING;
  if (reset) written.replaceChildren();
  for (const piece of all(":scope > [slot=blocks]", answer)) if (goes(piece, reset)) piece.remove();
  for (const piece of all(":scope > x-t", answer)) {
    if (goes(piece, cut) && !goes(piece, reset) && !piece.matches(".sent")) written.append(...piece.childNodes);
    if (goes(piece, cut) || goes(piece, reset)) piece.remove();
  }
  for (const draft of all(":scope > [slot=draft]:has(~ x-reset, ~ [slot=draft], ~ [slot=blocks])", answer)) draft.remove();
  for (const mark of all(":scope > x-cut, :scope > x-reset, :scope > x-now:has(~ x-now)", answer)) mark.remove();
}

/** The answer as the app has written it. @param {HTMLElement} answer */
function writtenIn(answer) {
  tidy(answer);
  return all(":scope > x-written, :scope > x-t:not(.sent)", answer).map((piece) => piece.textContent).join("");
}

/** What there is to copy of an answer. @param {HTMLElement} answer */
function textOf(answer) {
  const shown = all("[slot=final] > dl, [slot=final]:not(:has(> dl)), :scope:is(.past) > div", answer);
  return writtenIn(answer) || shown.map((piece) => piece.innerText).join("\n");
}

/** @param {string} action @param {string} text */
const button = (action, text) => {
  const made = make("button", {type: "button", textContent: text});
  made.dataset.do = action;
  return made;
};

/** @param {ParentNode} root */
function addButtons(root) {
  for (const pre of all("pre:not(:has(.copy)):has(> code)", root)) {
    const copy = button("copy", words.copy);
    copy.className = "copy";
    pre.prepend(copy);
  }
  for (const answer of all("article:not(:has(.actions)) > .answer", root)) {
    const actions = make("p", {className: "actions"}, button("copy", words.copy));
    if (find(".said", answer.parentElement)) actions.append(button("again", words.ask_again), button("edit", words.edit));
    answer.after(actions);
  }
}

/** @param {string} text */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const focused = /** @type {HTMLElement} */ (document.activeElement); // over plain HTTP there is no clipboard
  const area = make("textarea", {value: text, className: "hidden"});
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  focused.focus({preventScroll: true});
}

document.addEventListener("click", async (event) => {
  const pressed = /** @type {Element} */ (event.target).closest("button, a");
  if (!(pressed instanceof HTMLElement)) return;
  const isPlain = !event.button && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (pressed.matches("a.again") && isPlain) forget(/** @type {HTMLAnchorElement} */ (pressed).href);
  if (pressed.matches(".run .go") && running) {
    event.preventDefault(); // it may be "Send" again before the click is over
    if (event.detail < 2) running.abort(); // the second click of a double click is not meant for what has become "Stop" in between
  }
  const action = pressed.dataset.do, article = pressed.closest("article"), pre = pressed.closest("pre"), form = theForm();
  if (action === "copy") {
    await copy(pre ? find("code", pre).textContent : article ? textOf(find(".answer", article)) : "");
    pressed.textContent = words.copied;
    setTimeout(() => { pressed.textContent = words.copy; }, 2000);
  } else if (action === "remove") {
    chosen.splice(all(".chips button").indexOf(pressed), 1);
    setFiles(form);
    field(form, "query").focus();
  } else if (action === "end") {
    follows = true;
    fit();
    if (!isTouch) field(form, "query").focus({preventScroll: true});
  } else if (form && article && (action === "edit" || (action === "again" && !running))) {
    const box = field(form, "query");
    draft ||= box.value;
    box.value = find(".said", article).textContent;
    grow(box);
    if (action === "edit") return box.focus();
    const later = chosen; // the files for the next question
    chosen = [];
    setFiles(form);
    form.requestSubmit(find(".go", form));
    chosen = later;
    setFiles(form);
  }
});

// Following the answer

const toEnd = button("end", "↓");
toEnd.className = "to-end";
toEnd.hidden = true;
toEnd.ariaLabel = toEnd.title = words.to_end;

/** @param {number} [room] */
const isAtEnd = (room = 1) => innerHeight + scrollY >= document.documentElement.scrollHeight - room;

// Makes the last turn so high that its question can stand at the top of the window, and shows its end.
function fit() {
  const turn = find(".turn.live"), root = document.documentElement;
  if (turn) {
    const below = root.scrollHeight - turn.getBoundingClientRect().bottom - scrollY;
    root.style.setProperty("--below", `${below}px`);
  }
  if (follows) scrollTo(0, root.scrollHeight);
  toEnd.hidden = isAtEnd(8);
}

addEventListener("scroll", () => {
  if (scrollY < lastY) follows = isAtEnd();
  else if (isAtEnd(8)) follows = true;
  lastY = scrollY;
  toEnd.hidden = isAtEnd(8);
});
// A page that scrolls along would cancel a scrolling that has just begun.
addEventListener("wheel", (event) => { if (event.deltaY < 0) follows = false; }, {passive: true});
addEventListener("touchmove", () => { follows = false; }, {passive: true});
addEventListener("keydown", (event) => {
  const isTyping = event.target instanceof HTMLTextAreaElement;
  if (["PageUp", "Home", "ArrowUp"].includes(event.key) && !isTyping) follows = false;
});

// The message box

/** @param {HTMLTextAreaElement} box */
function grow(box) {
  if (CSS.supports("field-sizing", "content")) return;
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
}

/** Shows the chosen files, and puts them into the form. @param {HTMLFormElement | null} form */
function setFiles(form) {
  const input = field(form, "files"), say = form && find(".say", form);
  if (!input || !say) return;
  const transfer = new DataTransfer();
  for (const file of chosen) transfer.items.add(file);
  input.files = transfer.files;
  const chips = chosen.map((file) => {
    const remove = button("remove", "×");
    remove.ariaLabel = words.remove.replace("{name}", file.name);
    return make("span", {className: "chip"}, make("span", {textContent: `${file.name} `}), remove);
  });
  find(".chips", say)?.remove();
  say.prepend(make("div", {className: "chips"}, ...chips));
}

/** @param {Iterable<File>} files */
function addFiles(files) {
  const form = theForm(), input = field(form, "files");
  chosen = input?.multiple ? [...chosen, ...files] : [...files].slice(0, 1);
  setFiles(form);
}

document.addEventListener("change", (event) => {
  const input = /** @type {HTMLInputElement} */ (event.target);
  if (input.name === "files" && input.files) addFiles(input.files);
});
document.addEventListener("paste", (event) => {
  const files = event.clipboardData?.files;
  if (!files?.length || event.clipboardData?.types.includes("text/plain") || !field(theForm(), "files")) return;
  event.preventDefault();
  addFiles(files);
});
document.addEventListener("dragover", (event) => {
  if (event.dataTransfer?.types.includes("Files") && field(theForm(), "files")) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  if (!event.dataTransfer?.files.length || !field(theForm(), "files")) return;
  event.preventDefault();
  addFiles(event.dataTransfer.files);
});
document.addEventListener("input", (event) => {
  if (event.target instanceof HTMLTextAreaElement && event.target.name === "query") grow(event.target);
});
document.addEventListener("keydown", (event) => {
  const box = event.target;
  if (!(box instanceof HTMLTextAreaElement) || box.name !== "query") return;
  if (event.key === "Escape" && draft) [box.value, draft] = [draft, ""];
  // An Enter that ends the composition of a word is not meant for the form. Safari tells so by the code alone.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229 || isTouch) return;
  event.preventDefault();
  if (!running) box.form?.requestSubmit(find(".go", box.form));
});

// A run

// What is shown until the server answers. It waits for the app's first event, so that its status can tell whether there is one.
/** @param {string} asked @param {string[]} files */
function waiting(asked, files) {
  const chips = files.map((name) => make("span", {className: "chip", textContent: name}));
  const question = make("h2", {className: "question", dir: "auto"}, make("span", {className: "said", textContent: asked}), ...chips);
  const icon = document.body.classList.contains("with-icons") && find("header .mark")?.cloneNode(true);
  const name = make("span", {textContent: isChat ? find("h1")?.textContent : "", dir: "auto"});
  const status = make("span", {textContent: words.waiting, className: "status", role: "status"});
  const answer = make("div", {className: "answer past"}, make("p", {className: "who"}, ...(icon ? [icon] : []), name, status));
  return make("article", {}, ...(asked || files.length ? [question] : []), answer);
}

/** @param {string} url @param {string} task */
function stopRun(url, task) {
  // Whether Dify has stopped the run. Dify stops runs only of apps whose own key Duck has.
  // Who signed in on this page sends no password to other paths unless asked for one, as those are who ask for a page.
  const body = new URLSearchParams({task_id: task}), headers = {Accept: "text/html"}, signal = AbortSignal.timeout(10_000);
  return fetch(url, {method: "POST", body, headers, signal}).then((answer) => answer.ok, () => false);
}

/** Takes over what the next question needs of the form that came with the answer. @param {HTMLFormElement} form @param {HTMLFormElement} next */
function adopt(form, next) {
  for (const name of ["conversation_id", "duck.turns"]) if (field(form, name)) field(form, name).value = field(next, name).value;
  const box = field(form, "query");
  if (box && !box.value) box.value = field(next, "query").value; // of a failed run
  next.remove();
  goOn(form);
}

/** Makes the form one of a conversation that has begun. @param {HTMLFormElement} form */
function goOn(form) {
  for (const link of all("a.again", form)) link.hidden = false;
  for (const inputs of all("details.inputs:not(:has(:invalid))", form)) inputs.removeAttribute("open");
}

/** Replaces the form by the one with the mistakes in it, and keeps what that lacks. @param {HTMLFormElement} form @param {HTMLFormElement} next */
function replace(form, next) {
  const typed = field(form, "query")?.value;
  if (typed) field(next, "query").value = typed;
  for (const input of all("[type=file]", form)) {
    const same = field(next, input.name);
    if (same) same.files = input.files;
  }
  form.replaceWith(next);
  setUp(next);
  setFiles(next);
  find("[aria-invalid]", next)?.focus();
}

/** Makes an answer that did not come to its end a turn of the conversation. @param {HTMLFormElement} form @param {HTMLElement} part */
function keepUnfinished(form, part) {
  const turns = field(form, "duck.turns"), about = find("x-run", part)?.dataset, answer = find(".answer:not(.past)", part);
  if (!turns || !answer) return;
  if (about?.conversation) field(form, "conversation_id").value = about.conversation;
  const names = all(".question .chip", part).map((chip) => chip.textContent);
  const turn = [find(".said", part)?.textContent ?? "", writtenIn(answer), ...(names.length ? [names] : [])];
  const kept = [...JSON.parse(turns.value), turn];
  while (JSON.stringify(kept).length > MAX_TURNS) kept.shift();
  turns.value = JSON.stringify(kept);
  goOn(form);
}

/** @param {HTMLElement} part @param {string} text */
function endWith(part, text, isError = true) {
  const note = make("p", {textContent: text, className: isError ? "" : "note", role: isError ? "alert" : "status", slot: "alert"});
  const answer = find(".answer:not(.past)", part);
  find(".status", part)?.remove();
  (answer ?? find(".answer", part)).append(note);
  if (answer && !find("[slot=done]", answer)) answer.append(make("span", {slot: "done", textContent: words.ended}));
}

/** Makes room for the answer to what is asked now. @param {HTMLFormElement} form @param {HTMLElement} waiting @param {HTMLFormElement | null} human */
function begin(form, waiting, human) {
  const part = make("div", {className: isChat ? "turn live" : "turn"}, waiting), box = field(form, "query");
  for (const old of all("form > [role=alert], .opening, .suggestions")) old.remove();
  if (!isChat && !human) for (const old of all("article")) old.remove();
  for (const old of all(".turn.live")) old.classList.remove("live");
  if (human) {
    /** @type {Element} */ (human.closest("article")).after(part);
    fit();
  } else if (isChat) {
    form.before(part);
    [box.value, draft, chosen] = [draft, "", []];
    grow(box);
    setFiles(form);
    if (!isTouch) box.focus({preventScroll: true});
    follows = true;
    fit();
  } else {
    form.after(part);
    part.scrollIntoView({block: "nearest"});
  }
  return part;
}

/** Writes the answer into the part while it arrives. @param {Response} response @param {HTMLElement} part @param {AbortController} stop */
async function receive(response, part, stop) {
  if (!response.body || !response.headers.has("X-Duck-Part")) throw new TypeError("This is not from Duck.");
  const hidden = document.implementation.createHTMLDocument(), reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  hidden.write("<!doctype html><body><div>");
  const written = /** @type {HTMLElement} */ (hidden.body.firstChild);
  for (let read; ;) {
    const silence = setTimeout(() => stop.abort("silence"), SILENCE_MS);
    read = await reader.read().finally(() => clearTimeout(silence));
    if (read.done) break;
    if (written.parentNode !== part) part.replaceChildren(written);
    hidden.write(read.value);
    attachShadows(part);
    for (const answer of all(".answer", part)) tidy(answer);
    if (isChat) fit();
  }
  hidden.close();
  const isWhole = find("[slot=done]", part) && (!isChat || field(find("form.run", part), "duck.turns"));
  if (response.ok && !isWhole) throw new TypeError("This is not the end.");
}

/** Runs the app, or goes on with a run that has waited for its form. @param {HTMLFormElement} form @param {HTMLElement | null} submitter */
async function run(form, submitter, human = /** @type {HTMLFormElement | null} */ (null)) {
  const body = new FormData(human ?? form, submitter), stop = new AbortController(), go = find(".go", form), label = go.textContent;
  const asked = isChat ? String(body.get("duck.say") ?? body.get("query") ?? "") : "", box = field(form, "query"), files = chosen;
  const names = [...body.values()].flatMap((value) => (value instanceof File && value.name ? [value.name] : []));
  const first = waiting(asked, human || !isChat ? [] : names), part = begin(form, first, human);
  [go.textContent, go.type, running] = [words.stop, "button", stop];
  try {
    const headers = {Accept: "text/html", "X-Duck-Part": "1"}, url = form.getAttribute("action") ?? "";
    await receive(await fetch(url, {method: "POST", body, headers, signal: stop.signal}), part, stop);
  } catch {
    for (const half of all("form.run", part)) half.remove();
    const hasBegun = find(".answer:not(.past)", part), isMeant = stop.signal.aborted && stop.signal.reason !== "silence";
    if (!hasBegun) part.replaceChildren(first);
    const task = find("x-run", part)?.dataset.task;
    const isHalted = isMeant && form.dataset.stop && task && await stopRun(form.dataset.stop, task);
    const lost = hasBegun ? words.broken : navigator.onLine ? words.unreached : words.offline;
    endWith(part, isHalted ? words.halted : isMeant ? words.stopped : isLeft ? words.left : lost, !isMeant && !isLeft);
    keepUnfinished(form, part);
    if (box && !human && !hasBegun && !isMeant) {
      box.value ||= asked;
      chosen = [...files, ...chosen];
      setFiles(form);
    }
  }
  [go.textContent, go.type, running] = [label, "submit", undefined];
  const next = find("form.run", part), refused = find("[role=alert]", part);
  if (human && refused && !find("x-run", part)) {
    human.prepend(refused);
    part.remove();
  } else if (human) {
    human.replaceWith(make("p", {slot: "forms", className: "note", textContent: /** @type {HTMLElement} */ (submitter).textContent}));
    if (next) adopt(form, next);
  } else if (next && find(".answer", part)) adopt(form, next);
  else if (next) {
    chosen = chosen.length ? chosen : files;
    part.remove();
    replace(form, next);
  }
  if (box) grow(box);
  addButtons(part);
  if (isChat) fit();
  save();
}

document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  const main = theForm(), human = form.matches(".human") ? form : null;
  if (!main || (form !== main && !human)) return;
  event.preventDefault();
  if (human && !human.dataset.sent) { // the stream in which it came may not be over yet
    human.dataset.sent = "true";
    over = over.then(() => run(main, event.submitter, human)).finally(() => delete human.dataset.sent);
  } else if (!human && !running) over = run(main, event.submitter);
});
// A browser cannot tell of a field that is folded away.
document.addEventListener("invalid", (event) => {
  /** @type {Element} */ (event.target).closest("details")?.setAttribute("open", "");
}, true);

// A reload

/** @param {string} next the address of the new conversation */
function forget(next) {
  removeEventListener("pagehide", save);
  document.removeEventListener("visibilitychange", save);
  const url = new URL(next);
  store("", `duck ${url.pathname}${url.search}`);
  store("");
}

/** @param {string} text */
function store(text, key = place) {
  try {
    if (text) sessionStorage.setItem(key, text);
    else sessionStorage.removeItem(key);
  } catch {
    // A browser may forbid it, or have no room: then a reload begins anew.
  }
}

function save() {
  const form = theForm();
  if (!isChat || !form) return;
  const box = field(form, "query"), [conversation, turns] = ["conversation_id", "duck.turns"].map((name) => field(form, name).value);
  const inputs = all("[name^='inputs.']:not([type=file], [type=hidden])", form).map((input) => [input.name, input.value, input.checked]);
  const state = {conversation, turns, html: "", draft: box.value, inputs}, articles = all("article");
  if (running) {
    const last = articles.pop().cloneNode(true);
    endWith(last, words.left, false);
    articles.push(last);
    state.conversation = find("x-run", last)?.dataset.conversation || conversation;
  }
  for (const article of articles.reverse()) {
    if (state.html.length + article.outerHTML.length > MAX_STORED) break;
    state.html = article.outerHTML + state.html;
  }
  store(JSON.stringify(state));
}

function restore() {
  const form = theForm();
  let state;
  try {
    state = JSON.parse(sessionStorage.getItem(place) ?? "null");
  } catch {
    return; // a browser may forbid it
  }
  if (!isChat || !form || !state || find("article")) return;
  const box = field(form, "query");
  box.value ||= state.draft;
  for (const [name, value, checked] of state.inputs) {
    const input = field(form, name);
    if (input) [input.value, input.checked] = [value, checked];
  }
  if (!state.html) return;
  const past = make("div", {className: "turn", innerHTML: state.html});
  for (const old of all(".opening, .suggestions")) old.remove();
  attachShadows(past);
  form.before(past);
  [field(form, "conversation_id").value, field(form, "duck.turns").value] = [state.conversation, state.turns];
  goOn(form);
}

/** @param {HTMLFormElement | null} form */
function setUp(form) {
  const box = form && find(".box", form);
  if (!box) return;
  box.prepend(toEnd);
  new ResizeObserver(fit).observe(box);
  if (!isTouch) field(form, "query").focus({preventScroll: true});
}

// Behind some proxies the server does not know its public port.
for (const code of all("code[data-url]")) {
  const root = new URL(code.dataset.root ?? "", location.href.split(/[?#]/)[0]);
  code.textContent = (code.textContent ?? "").replaceAll(code.dataset.url ?? "", root.href);
}
for (const answer of all(".answer")) { // whose shadow tree the browser's parser has made, without a template that could be stored
  if (answer.shadowRoot) answer.prepend(make("template", {innerHTML: answer.shadowRoot.innerHTML}));
}
restore();
addButtons(document);
setUp(theForm());
if (isChat) fit();
addEventListener("beforeunload", () => {
  isLeft = true;
  setTimeout(() => { isLeft = false; }, 3000); // a link to a mailbox or a download leaves nothing
});
addEventListener("pagehide", save);
document.addEventListener("visibilitychange", save);
}
