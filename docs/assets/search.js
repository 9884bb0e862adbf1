// The theme fetches the index of the search with every page. It is the largest part of a page, and most readers of a page
// do not search: here it waits until the search field is entered.
(() => {
  const { open, send } = XMLHttpRequest.prototype;
  const waiting = [];
  let wanted = false;
  XMLHttpRequest.prototype.open = function (method, url, ...rest) {
    this.isSearchIndex = String(url).endsWith("/search/search_index.json");
    return open.call(this, method, url, ...rest);
  };
  XMLHttpRequest.prototype.send = function (body) {
    if (this.isSearchIndex && !wanted) waiting.push(() => send.call(this, body));
    else send.call(this, body);
  };
  addEventListener("focusin", (event) => {
    if (!event.target.matches("[data-md-component='search-query']")) return;
    wanted = true;
    for (const go of waiting.splice(0)) go();
  });
})();
