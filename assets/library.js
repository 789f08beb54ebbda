// The charts' library is fetched beside everything else, and runs once somebody asks for `window.Plotly`: a promise
// until it is there. Dash's own bundle of it, four times the size, is never asked for.
(() => {
    "use strict";

    const address = document.currentScript.dataset.plotly;
    let coming = null;

    const load = () =>
        new Promise((resolve, reject) => {
            const failed = () => {
                coming = null; // whoever asks next tries again
                reject(new Error("the library of the charts did not come"));
            };
            const script = Object.assign(document.createElement("script"), { src: address, onerror: failed });
            script.onload = () => resolve(window.Plotly);
            document.head.append(script);
        });

    Object.defineProperty(window, "Plotly", {
        configurable: true,
        get: () => (coming ??= load()),
        set: (library) => Object.defineProperty(window, "Plotly", { value: library, writable: true }),
    });
})();
