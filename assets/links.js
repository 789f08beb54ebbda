// Links within the page, and its menus. The server's answer to `wanted` brings the content and then the address, so the
// address never names a page that did not come. dcc.Link would change it first, and scroll to the top at each step.
(() => {
    "use strict";

    // A finger is wider than a column or a cell: the first tap shows its card, the second follows it.
    let wasRead = true;
    document.addEventListener("pointerdown", (event) => {
        const target = event.target.closest(".column, [role='gridcell']");
        wasRead = event.pointerType !== "touch" || !target || target === document.activeElement;
    });

    const device = (path) => path.split("/")[2];
    const go = (address) => {
        const { pathname, search } = new URL(address, window.location.href);
        if (!window.wattfall.isOver()) {
            window.wattfall.wait();
            window.dash_clientside.set_props("wanted", { data: pathname + search });
        }
        if (device(pathname) !== device(window.location.pathname)) {
            window.scrollTo(0, 0);
        }
    };
    window.wattfall = Object.assign(window.wattfall ?? {}, { go });

    // The link of an element: its own, or for a cell of the heat map that of its day.
    const linkOf = (target) => {
        const cell = target.closest("[role='gridcell']");
        return cell ? cell.closest("table").rows[0].cells[cell.cellIndex].querySelector("a") : target.closest("a[href^='/']");
    };

    document.addEventListener("click", (event) => {
        const link = linkOf(event.target);
        const isPlain = !event.button && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
        if (!link || link.matches("[data-full], [data-picture]") || event.defaultPrevented || !isPlain) {
            return;
        }
        event.preventDefault();
        if (wasRead) {
            go(link.href);
        } else {
            event.target.closest("[tabindex]").focus({ preventScroll: true });
        }
    });

    // A menu closes after a choice, at a click elsewhere, and at Escape.
    document.addEventListener("click", (event) => {
        for (const menu of document.querySelectorAll(".menu[open]")) {
            const chosen = event.target.closest("a, button");
            if (!menu.contains(event.target) || (chosen && !("stay" in chosen.dataset))) {
                menu.open = false;
                if (menu.contains(event.target)) {
                    menu.querySelector("summary").focus({ preventScroll: true });
                }
            }
        }
        if (event.target.closest("[data-print]")) {
            window.print();
        }
    });
    document.addEventListener("keydown", (event) => {
        const menu = event.target.closest?.(".menu[open]");
        if (menu && event.key === "Escape") {
            menu.open = false;
            menu.querySelector("summary").focus();
        }
    });
})();
