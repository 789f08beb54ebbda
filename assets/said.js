// Confirms an action of another page, named in the address's fragment, above the chart until the next step.
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
            // A reload or bookmark must not repeat it. Dash must learn of the change, or it would restore the fragment.
            history.replaceState(history.state, "", path);
            window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
        }
    };
    new MutationObserver(look).observe(document.documentElement, { subtree: true, childList: true, attributes: true });
})();
