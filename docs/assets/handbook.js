// What the theme leaves to its users: a copy that keeps the last newline, and names for a screen reader.
function mend() {
  for (const button of document.querySelectorAll("[data-copy] [data-clipboard-target]:not([data-clipboard-text])")) {
    button.dataset.clipboardText = button.closest("[data-copy]").dataset.copy;
    button.setAttribute("aria-label", `Copy ${button.closest("[data-copy]").dataset.address}`);
  }
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
  document.querySelector(".md-content .md-tags")?.setAttribute("aria-label", "Tags of this page");
  document.querySelectorAll(".md-code__nav").forEach((nav, i) => nav.setAttribute("aria-label", `Code block ${i + 1}`));
  document.querySelectorAll(".md-typeset__scrollwrap, .drawing").forEach((wrap, i) => {
    wrap.tabIndex = 0;
    wrap.setAttribute("role", "region");
    wrap.setAttribute("aria-label", wrap.matches(".drawing") ? `Drawing ${i + 1}` : `Table ${i + 1}`);
  });
  document.querySelectorAll("nav.md-nav[data-md-level='1']").forEach((nav) => {
    const label = nav.querySelector(".md-nav__title")?.textContent.trim();
    nav.removeAttribute("aria-labelledby");
    nav.setAttribute("aria-label", label || "Section");
  });
}
// Escape closes the card of a chip until both the pointer and the focus have left it.
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const chip of document.querySelectorAll(".chip:is(:hover, :focus-within)")) chip.classList.add("dismissed");
});
for (const [left, other] of [["pointerout", ":focus-within"], ["focusout", ":hover"]]) {
  addEventListener(left, (event) => {
    const chip = event.target.closest?.(".chip");
    if (chip && !chip.contains(event.relatedTarget) && !chip.matches(other)) chip.classList.remove("dismissed");
  });
}
// A link into a tab opens it: the theme does so for the tab's own name alone.
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const tab = target?.closest(".tabbed-block");
  if (!tab) return;
  const place = [...tab.parentElement.children].indexOf(tab);
  tab.closest(".tabbed-set").querySelectorAll(":scope > input")[place].checked = true;
  target.scrollIntoView();
}
addEventListener("hashchange", reveal);
document$.subscribe(() => {
  mend();
  reveal();
  const article = document.querySelector("article");
  if (article) new MutationObserver(mend).observe(article, { childList: true, subtree: true });
});
