// The chart as a picture: the server sends its figure; the browser draws and saves it.
(() => {
    "use strict";

    const FINENESS = 2; // pixels of the picture per pixel of the figure

    const fileName = (address) => {
        const [, , device, , period] = new URL(address, window.location.href).pathname.split("/").map(decodeURIComponent);
        return `wattfall-${device}-${period}`.replace(/[^\w.-]/g, "-");
    };

    const draw = async (address) => {
        const answer = await fetch(address);
        if (!answer.ok) {
            // One line with the fault and the fix.
            window.dash_clientside.set_props("alert", { children: await answer.text() });
            return;
        }
        const figure = await answer.json();
        const { width, height } = figure.layout;
        const drawn = { format: "png", width, height, scale: FINENESS, filename: fileName(address) };
        await (await window.Plotly).downloadImage(figure, drawn);
    };

    document.addEventListener("click", async (event) => {
        const link = event.target.closest("a[data-picture]");
        if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) {
            return;
        }
        event.preventDefault();
        if (link.getAttribute("aria-busy") === "true") {
            return;
        }
        link.setAttribute("aria-busy", "true");
        try {
            await draw(link.href);
        } finally {
            link.removeAttribute("aria-busy");
        }
    });
})();
