// The chart as a picture: its figure comes from the server, the browser draws it and keeps it as a file.
(() => {
    "use strict";

    const FINENESS = 2; // pixels of the picture for each of the figure's

    const fileName = (address) => {
        const [, , device, , period] = new URL(address, window.location.href).pathname.split("/").map(decodeURIComponent);
        return `wattfall-${device}-${period}`.replace(/[^\w.-]/g, "-");
    };

    const draw = async (address) => {
        const answer = await fetch(address);
        if (!answer.ok) {
            // One line that says what is wrong and how to mend it.
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
