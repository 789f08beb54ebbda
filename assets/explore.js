// The columns of a chart and the cells of the heat map: one stop of the Tab key each. Arrow keys move, Enter follows.
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
})();
