// The chart as a picture: the server sends its figure; the browser draws and saves it.
(() => {
    "use strict";

    const FINENESS = 2; // pixels of the picture per pixel of the figure

    const draw = async (link) => {
        const answer = await fetch(link.href);
        if (!answer.ok) {
            // One line with the fault and the fix.
            window.dash_clientside.set_props("alert", { children: await answer.text() });
            return;
        }
        const figure = await answer.json();
        const { width, height } = figure.layout;
        const drawn = { format: "png", width, height, scale: FINENESS, filename: link.dataset.picture };
        await (await window.Plotly).downloadImage(figure, drawn);
    };

    document.addEventListener("click", async (event) => {
        const link = event.target.closest("a[data-picture]");
        if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) {
            return;
        }
        event.preventDefault();
        if (link.ariaBusy) {
            return;
        }
        link.ariaBusy = "true";
        try {
            await draw(link);
        } finally {
            link.ariaBusy = null;
        }
    });
})();
