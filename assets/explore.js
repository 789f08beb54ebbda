// The columns of a chart, the cells of the heat map and the last hour: one stop of the Tab key each. Arrow keys move,
// Enter follows.
(() => {
    "use strict";

    const cells = (one, selector) => [...one.closest(".columns, tbody").querySelectorAll(selector)];
    const COLUMN = (all) => ({
        ArrowLeft: (at) => at - 1,
        ArrowRight: (at) => (at + 1) % all.length,
        Home: () => 0,
        End: () => -1,
    });
    const CELL = (all, wide) => ({
        ArrowLeft: (at) => (at % wide ? at - 1 : at),
        ArrowRight: (at) => ((at + 1) % wide ? at + 1 : at),
        ArrowUp: (at) => (at < wide ? at : at - wide),
        ArrowDown: (at) => (at + wide < all.length ? at + wide : at),
        Home: (at) => at - (at % wide),
        End: (at) => at - (at % wide) + wide - 1,
        PageUp: (at) => at % wide,
        PageDown: (at) => all.length - wide + (at % wide),
    });

    document.addEventListener("keydown", (event) => {
        const one = event.target.closest?.(".column, [role='gridcell']");
        if (!one || event.altKey || event.ctrlKey || event.metaKey) {
            return;
        }
        const isColumn = one.matches(".column");
        const all = cells(one, isColumn ? ".column[tabindex]" : "[role='gridcell']");
        const step = (isColumn ? COLUMN(all) : CELL(all, one.parentElement.cells.length - 1))[event.key];
        if (step) {
            event.preventDefault();
            all.at(step(all.indexOf(one))).focus();
        } else if (event.key === "Enter" && !isColumn) {
            one.click();
        } else if (event.key === "Escape") {
            one.blur();
        }
    });

    // plotly has hover labels, and no keys for them. What is read is the frame's label, so that it is spoken, too.
    const STEPS = { ArrowLeft: (at) => Math.max(at - 1, 0), ArrowRight: (at) => at + 1, Home: () => 0, End: () => Infinity };
    let read = Infinity;
    const show = (graph, at) => {
        const said = graph.data[0].text.map((words, place) => (words ? place : -1)).filter((place) => place >= 0);
        read = Math.min(at, said.length - 1);
        window.Plotly.Fx.hover(graph, [{ curveNumber: 0, pointNumber: said[read] }]);
        window.dash_clientside.set_props("hour-said", { children: graph.data[0].text[said[read]] });
    };
    document.addEventListener("keydown", (event) => {
        const graph = event.target.id === "hour-frame" && event.target.querySelector(".js-plotly-plot");
        if (graph?.data?.[0]?.x.length && STEPS[event.key]) {
            event.preventDefault();
            show(graph, STEPS[event.key](read));
        } else if (graph && event.key === "Escape") {
            window.Plotly.Fx.unhover(graph);
        }
    });
})();
