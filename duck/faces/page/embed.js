// Puts an app's page behind a button on another website's page:
// <script src="https://<dify>/e/<hook>/embed.js" data-app="support" data-label="Ask us" data-color="#0b665f" defer></script>
(() => {
  "use strict";
  const script = document.currentScript, {app = "default", label = script.title || "Chat", color = "#0b665f"} = script.dataset;
  const address = new URL(`chat/${encodeURIComponent(app)}`, script.src).href, narrow = matchMedia("(max-width: 30rem)");

  const make = (name, attributes, styles, ...children) => {
    const isDrawn = name === "svg" || name === "path";
    const element = isDrawn ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return Object.assign(element.style, styles) && element; // a policy may forbid the attribute `style`, but not this
  };
  const speech = "M6 4h12a3 3 0 0 1 3 3v7a3 3 0 0 1-3 3h-5l-5 4v-4H6a3 3 0 0 1-3-3V7a3 3 0 0 1 3-3z", cross = "M6 6l12 12M18 6L6 18";
  const path = make("path", {d: speech, fill: "none", stroke: "currentColor", "stroke-width": 2, "stroke-linecap": "round"}, {});
  const icon = make("svg", {viewBox: "0 0 24 24", "aria-hidden": "true"}, {width: "60%", display: "block", margin: "auto"}, path);
  const button = make("button", {type: "button", title: label, "aria-label": label, "aria-expanded": "false", "aria-controls": "panel"}, {
    position: "fixed", padding: "0", border: "0", borderRadius: "50%", background: color, color: "#fff", cursor: "pointer",
    boxShadow: "0 2px 10px rgb(0 0 0 / .3)",
  }, icon);
  const frame = make("iframe", {title: label, allow: "clipboard-write"}, {border: "0", width: "100%", height: "100%", display: "block"});
  const panel = make("div", {id: "panel", role: "dialog", "aria-label": label}, {
    display: "none", position: "fixed", boxSizing: "border-box", overflow: "hidden", background: "Canvas",
  }, frame);
  const host = make("div", {"data-duck-embed": app}, {position: "relative", zIndex: "2147483000"});
  const root = host.attachShadow({mode: "open"}); // so that the website's styles do not reach in
  const isOpen = () => button.getAttribute("aria-expanded") === "true";

  const arrange = () => {
    const fills = isOpen() && narrow.matches, right = `${1 + 4 * [...document.querySelectorAll("[data-duck-embed]")].indexOf(host)}rem`;
    const size = fills ? "2.5rem" : "3.5rem";
    Object.assign(button.style, fills ? {top: ".25rem", right: ".25rem", bottom: "auto"} : {top: "auto", right, bottom: "1rem"});
    Object.assign(button.style, {width: size, height: size});
    Object.assign(panel.style, narrow.matches
      ? {inset: "0", width: "auto", height: "auto", paddingTop: "3rem", borderRadius: "0", boxShadow: "none"}
      : {inset: "auto 1rem 5.25rem auto", width: "26rem", height: "min(42rem, calc(100vh - 7rem))", paddingTop: "0", borderRadius: "1rem",
        boxShadow: "0 4px 24px rgb(0 0 0 / .3)"});
  };
  const show = (open) => {
    button.setAttribute("aria-expanded", open);
    path.setAttribute("d", open ? cross : speech);
    panel.style.display = open ? "block" : "none";
    if (open && !frame.src) frame.src = address; // not before, so that the website's page does not wait for it
    arrange();
    (open ? frame : button).focus();
  };
  const add = () => {
    root.append(panel, button);
    document.body.append(host);
    arrange();
  };
  button.onclick = () => show(!isOpen());
  narrow.addEventListener("change", arrange);
  document.addEventListener("keydown", (event) => event.key === "Escape" && isOpen() && show(false));
  if (document.body) add();
  else document.addEventListener("DOMContentLoaded", add);
})();
