// The filter of the Proof page: hides the rows that lack a word or the state, and says how many are left.
for (const bar of document.querySelectorAll(".proof-filter")) {
  const [text, state, status] = bar.querySelectorAll("input, select, [role=status]");
  // What is inside of another stands before it, so that a list with a row left is left itself.
  const rows = [...document.querySelectorAll("[data-state]")].reverse();

  // What is inside of another is found by its name, too: a probe by its module and its stack.
  const said = (row) => {
    const above = row.parentElement.closest("[data-state]");
    return `${above ? said(above) : ""} ${(row.querySelector("h3, summary") ?? row).textContent.toLowerCase()}`;
  };

  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const found = words.every((word) => said(row).includes(word)) && [row.dataset.state, ""].includes(state.value);
      row.hidden = !found && !row.querySelector("[data-state]:not([hidden])");
      row.open = text.value || state.value;
    }
    status.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  };

  // A link to a row leads to it, whatever the filter says.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target?.closest("[hidden]")) return;
    text.value = state.value = "";
    filter();
    target.scrollIntoView();
  };

  bar.hidden = false;
  bar.addEventListener("input", filter);
  addEventListener("hashchange", reveal);
  filter();
}
