// Shows what stands behind a link while one points at it or has reached it with the keyboard (workflow/book_previews.py).
addEventListener("DOMContentLoaded", () => {
  const held = new Map([...document.querySelectorAll("template[data-preview]")].map(e => [e.dataset.preview, e]));
  const box = document.body.appendChild(document.createElement("div"));
  Object.assign(box, {id: "preview", className: "preview", hidden: true});
  box.setAttribute("role", "tooltip");
  let shown = null, leaving;

  const place = () => {
    const link = shown.getBoundingClientRect(), room = document.documentElement.clientWidth;
    box.style.left = `${Math.max(8, Math.min(link.left, room - box.offsetWidth - 8))}px`;
    const below = link.bottom + 4;
    box.style.top = `${below + box.offsetHeight <= innerHeight ? below : Math.max(4, link.top - box.offsetHeight - 4)}px`;
  };
  const hide = () => {
    shown?.removeAttribute("aria-describedby");
    shown = null;
    box.hidden = true;
  };
  const show = async link => {
    clearTimeout(leaving);
    if (shown === link) return;
    hide();
    shown = link;
    box.replaceChildren(held.get(link.getAttribute("href")).content.cloneNode(true));
    box.hidden = false;
    link.setAttribute("aria-describedby", "preview");
    place();
    await window.MathJax?.startup?.promise;
    await window.MathJax?.typesetPromise?.([box]);
    if (shown === link) place();
  };

  for (const link of document.querySelectorAll("a.reference.internal")) {
    if (!held.has(link.getAttribute("href"))) continue;
    link.removeAttribute("title");
    link.addEventListener("pointerenter", event => event.pointerType === "mouse" && show(link));
    link.addEventListener("focus", () => link.matches(":focus-visible") && show(link));
    link.addEventListener("blur", hide);
    link.addEventListener("pointerleave", () => leaving = setTimeout(hide, 200));
  }
  box.addEventListener("pointerenter", () => clearTimeout(leaving));  // one may read on in it
  box.addEventListener("pointerleave", hide);
  addEventListener("keydown", event => event.key === "Escape" && hide());
  addEventListener("scroll", () => shown && place(), {passive: true});
});
