// Prepares a print: opens tables, widens charts to the page, adds origin and date.
(() => {
    "use strict";

    const WIDTH = 680; // px; A4 and Letter, upright, with side margins of 15 mm; print.css has the same width
    const HEIGHTS = { "#figure": 250, "#running": 200 };

    let opened = [];

    const resize = (sizeOf) => {
        for (const [place, height] of Object.entries(HEIGHTS)) {
            const graph = document.querySelector(`${place}:not([hidden]) .js-plotly-plot`);
            if (graph) {
                window.Plotly.relayout(graph, sizeOf(height));
            }
        }
    };

    window.addEventListener("beforeprint", () => {
        opened = [...document.querySelectorAll(".numbers:not([open], [hidden])")];
        for (const details of opened) {
            details.open = true;
        }
        const now = new Date().toLocaleString(document.documentElement.lang, { dateStyle: "long", timeStyle: "short" });
        document.body.dataset.printed = `${window.location.href} · ${now}`;
        resize((height) => ({ width: WIDTH, height, autosize: false }));
    });

    window.addEventListener("afterprint", () => {
        for (const details of opened) {
            details.open = false;
        }
        resize(() => ({ width: null, height: null, autosize: true }));
    });
})();
