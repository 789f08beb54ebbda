// What has just been done on another page, as the end of the address says: a word above the chart, until one goes on.
(() => {
    "use strict";

    const said = location.hash.slice(1).replace(/-(.)/g, (_, letter) => letter.toUpperCase());
    if (!said) {
        return;
    }
    const path = location.pathname + location.search;

    const look = (_, observer) => {
        const place = document.getElementById("said");
        const isHere = location.pathname + location.search === path;
        if (place && (!isHere || !Object.hasOwn(place.dataset, said))) {
            observer.disconnect();
            place.hidden = true;
        } else if (place?.hidden && document.getElementById("household")?.hidden === false) {
            place.hidden = false;
            place.textContent = place.dataset[said];
            // Reloaded, or kept as a bookmark, it is said no more. Dash has to hear of it, or it would put it back.
            history.replaceState(history.state, "", path);
            window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
        }
    };
    new MutationObserver(look).observe(document.documentElement, { subtree: true, childList: true, attributes: true });
})();
