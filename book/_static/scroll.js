// What scrolls sideways can be reached and scrolled from the keyboard.
const mark = () => document.querySelectorAll(".bd-content :is(div.math, .text_html, .pst-scrollable-table-container, pre)")
  .forEach(box => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  });
addEventListener("load", () => {
  mark();
  window.MathJax?.startup?.promise?.then(mark);
});
addEventListener("resize", mark);
addEventListener("toggle", mark, true);
