// Puts an app's page behind a button on another website's page:
// <script src="https://<dify>/e/<hook>/embed.js" data-app="support" data-label="Ask us" data-color="#0b665f" defer></script>
(() => {
  "use strict";
  const script = /** @type {HTMLScriptElement} */ (document.currentScript);
  const {app = "default", label = script.title || "Chat", color = "#0b665f"} = script.dataset;
  const address = new URL(`chat/${encodeURIComponent(app)}`, script.src).href;
  const phone = matchMedia("(max-width: 30rem)");
  const SPEECH = "M6 4h12a3 3 0 0 1 3 3v7a3 3 0 0 1-3 3h-5l-5 4v-4H6a3 3 0 0 1-3-3V7a3 3 0 0 1 3-3z", CROSS = "M6 6l12 12M18 6L6 18";

  /**
   * A website's policy may forbid attributes of styles. It cannot forbid what is done here.
   * @template {HTMLElement | SVGElement} T
   * @param {T} element @param {Record<string, string>} attributes @param {Partial<CSSStyleDeclaration>} [styles]
   */
  function dressed(element, attributes, styles = {}) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    Object.assign(element.style, styles);
    return element;
  }

  const svg = "http://www.w3.org/2000/svg", stroke = {fill: "none", stroke: "currentColor", "stroke-width": "2", "stroke-linecap": "round"};
  const path = dressed(document.createElementNS(svg, "path"), {...stroke, d: SPEECH});
  const icon = dressed(document.createElementNS(svg, "svg"), {viewBox: "0 0 24 24", "aria-hidden": "true"}, {display: "block", width: "60%", margin: "auto"});
  const button = dressed(document.createElement("button"), {type: "button", title: label, "aria-label": label, "aria-expanded": "false", "aria-controls": "panel"}, {
    position: "fixed", padding: "0", border: "0", borderRadius: "50%", background: color, color: "#fff", cursor: "pointer", boxShadow: "0 2px 10px rgb(0 0 0 / .3)",
  });
  const panel = dressed(document.createElement("div"), {id: "panel", role: "dialog", "aria-label": label}, {
    display: "none", position: "fixed", boxSizing: "border-box", overflow: "hidden", background: "Canvas", colorScheme: "light dark", boxShadow: "0 4px 24px rgb(0 0 0 / .3)",
  });
  const frame = dressed(document.createElement("iframe"), {src: address, title: label, allow: "clipboard-write"}, {display: "block", border: "0", width: "100%", height: "100%"});
  const host = dressed(document.createElement("div"), {"data-duck-embed": app}, {position: "relative", zIndex: "2147483000"});
  icon.append(path);
  button.append(icon);
  host.attachShadow({mode: "open"}).append(panel, button); // the website's styles do not reach into it

  const isOpen = () => button.getAttribute("aria-expanded") === "true";

  function arrange() {
    const fills = isOpen() && phone.matches, size = fills ? "2.5rem" : "3.5rem";
    const place = [...document.querySelectorAll("[data-duck-embed]")].indexOf(host); // others stand beside it
    Object.assign(button.style, {width: size, height: size}, fills
      ? {inset: ".25rem .25rem auto auto"}
      : {inset: `auto ${1 + 4 * place}rem 1rem auto`});
    Object.assign(panel.style, phone.matches
      ? {inset: "0", width: "auto", height: "auto", paddingTop: "3rem", borderRadius: "0"}
      : {inset: "auto 1rem 5.25rem auto", width: "26rem", height: "min(42rem, calc(100vh - 7rem))", paddingTop: "0", borderRadius: "1rem"});
  }

  /** @param {boolean} open */
  function show(open) {
    button.setAttribute("aria-expanded", String(open));
    path.setAttribute("d", open ? CROSS : SPEECH);
    panel.style.display = open ? "block" : "none";
    if (!frame.isConnected) panel.append(frame); // not before: the chat costs nothing until it is wanted
    arrange();
    (open ? frame : button).focus();
  }

  function add() {
    document.body.append(host);
    arrange();
  }

  button.onclick = () => show(!isOpen());
  phone.addEventListener("change", arrange);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && isOpen()) show(false);
  });
  if (document.body) add();
  else document.addEventListener("DOMContentLoaded", add);
})();
