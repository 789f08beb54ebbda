// Fetches the chart library in parallel and runs it when a script reads `window.Plotly`, a promise until then. Dash's
// own bundle, four times the size, is never requested.
(() => {
    "use strict";

    const AGAIN_MS = 3000; // after a failure: a train leaves its tunnel
    const address = document.currentScript.dataset.plotly;
    let coming = null;

    const load = (resolve) => {
        const script = Object.assign(document.createElement("script"), { src: address });
        script.onload = () => resolve(window.Plotly);
        script.onerror = () => {
            script.remove();
            window.setTimeout(load, AGAIN_MS, resolve);
        };
        document.head.append(script);
    };

    Object.defineProperty(window, "Plotly", {
        configurable: true,
        get: () => (coming ??= new Promise(load)),
        set: (library) => Object.defineProperty(window, "Plotly", { value: library, writable: true }),
    });
})();
