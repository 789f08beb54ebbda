// The charts' library is fetched beside everything else and runs when the first chart is mounted: the numbers need not
// wait for it. Dash writes to this name from where it would load its own bundle, which is four times the size.
(() => {
    "use strict";

    const address = document.currentScript.dataset.plotly;
    Object.defineProperty(window, "_dashPlotlyJSURL", { get: () => address, set: () => {} });
})();
