// Sends the form without leaving the page, and adds the answer to the page while it arrives. Without this script the browser loads a new page.
"use strict";
const words = document.body.dataset;

// A parser makes shadow trees only of templates in the page itself. The answer is written into a hidden document, so this is done here.
function attachShadows(part) {
  for (const template of part.querySelectorAll("template")) {
    if (!template.nextSibling) continue; // it may not be complete yet
    template.parentNode.attachShadow({mode: "open"}).append(template.content);
    template.remove();
  }
}

function addCopyButtons(root) {
  if (!navigator.clipboard) return; // over plain HTTP there is none
  for (const pre of root.querySelectorAll("pre:not(:has(.copy)):has(> code)")) {
    const button = Object.assign(document.createElement("button"), {type: "button", className: "copy", textContent: words.copy});
    button.onclick = async () => {
      await navigator.clipboard.writeText(pre.querySelector("code").textContent);
      button.textContent = words.copied;
    };
    pre.prepend(button);
  }
}

function addAlert(part, text) {
  const alert = document.createElement("p");
  alert.role = "alert";
  alert.textContent = text;
  part.append(alert);
}

// Whether Dify has stopped the run. Dify stops runs only of apps whose own key Duck has.
function stopRun(url, task) {
  return fetch(url, {method: "POST", body: new URLSearchParams({task_id: task})}).then((answer) => answer.ok, () => false);
}

// Makes the next question part of the conversation that this one has begun.
function setConversation(form, conversation) {
  const field = form.querySelector("[name=conversation_id]") ?? document.createElement("input");
  form.append(Object.assign(field, {type: "hidden", name: "conversation_id", value: conversation}));
}

// Replaces the form by the one that came with the answer, and keeps what has been typed meanwhile.
function replace(form, next) {
  const typed = form.querySelector("[name=query]"), box = next?.querySelector("[name=query]");
  if (!next || !form.isConnected || (typed && !box)) return; // it may not be complete yet
  if (typed?.value) {
    box.value = typed.value;
    box.setSelectionRange(typed.selectionStart, typed.selectionEnd);
  }
  form.remove();
}

// What is shown until the server answers. It waits for the app's first event, so that its status can tell whether there is one.
function waiting(question) {
  const article = document.createElement("article"), status = document.createElement("p");
  if (question) article.append(Object.assign(document.createElement("h2"), {textContent: question, dir: "auto"}));
  article.append(Object.assign(status, {textContent: words.waiting, className: "status", role: "status"}));
  return article;
}

async function run(form, submitter) {
  const main = form.parentNode, body = new FormData(form, submitter), stop = new AbortController();
  const go = form.querySelector(".go"), label = go.textContent, question = form.querySelector("[name=query]");
  const asked = body.get("duck.say") ?? body.get("query") ?? "";
  for (const old of main.querySelectorAll(`form > [role=alert], ${question ? ".opening, .suggestions" : "article"}`)) old.remove();
  go.textContent = words.stop;
  go.formNoValidate = true;
  if (question) question.value = "";
  form.stop = () => stop.abort();
  const hidden = document.implementation.createHTMLDocument(), part = document.createElement("div"), first = waiting(question && asked);
  hidden.write("<!doctype html><body><div>");
  part.append(first, hidden.body.firstChild);
  main.insertBefore(part, question ? form : form.nextSibling);
  first.scrollIntoView({block: "nearest"});
  try {
    const headers = {Accept: "text/html", "X-Duck-Part": "1"};
    const response = await fetch(form.getAttribute("action"), {method: "POST", body, headers, signal: stop.signal});
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let read; !(read = await reader.read()).done;) {
      const follows = innerHeight + scrollY > document.documentElement.scrollHeight - 80;
      first.remove();
      hidden.write(read.value);
      attachShadows(part);
      replace(form, part.querySelector("form.run"));
      if (follows) scrollTo(0, document.documentElement.scrollHeight);
    }
    hidden.close();
  } catch (error) {
    const about = part.querySelector("x-run")?.dataset ?? {}, isMeant = error.name === "AbortError";
    const isHalted = isMeant && form.dataset.stop && about.task && await stopRun(form.dataset.stop, about.task);
    first.querySelector(".status").remove();
    part.querySelector(".answer")?.append(Object.assign(document.createElement("span"), {slot: "done", textContent: words.ended}));
    if (about.conversation) setConversation(form, about.conversation);
    addAlert(part, isHalted ? words.halted : isMeant ? words.stopped : words.broken);
  }
  addCopyButtons(part);
  form.stop = null;
  const next = part.querySelector("form.run");
  if (next) {
    part.after(next);
    const wrong = next.querySelector("[aria-invalid]");
    if (wrong) wrong.focus();
    else if (question) next.querySelector("[name=query]").focus({preventScroll: true});
  } else {
    go.textContent = label;
    go.formNoValidate = false;
    if (question) question.value ||= asked;
  }
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches(".run")) return;
  event.preventDefault();
  if (event.target.stop) event.target.stop();
  else run(event.target, event.submitter);
});

document.addEventListener("keydown", (event) => {
  const form = event.target.form;
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.target.name !== "query") return;
  event.preventDefault();
  if (!form.stop) form.requestSubmit(form.querySelector(".go"));
});

// Behind some proxies the server does not know its public port.
for (const code of document.querySelectorAll("code[data-url]")) {
  code.textContent = code.textContent.replaceAll(code.dataset.url, location.href.split(/[?#]/)[0]);
}
addCopyButtons(document);
