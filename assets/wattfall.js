// The page's own scripts: links without a reload, keys, menus.
(() => {
    "use strict";

    const setProps = (id, props) => window.dash_clientside.set_props(id, props);

    // A finger is wider than a column: the first tap shows the card, and the card links on.
    let touch = null;
    document.addEventListener("pointerdown", (event) => {
        const column = event.target.closest(".column");
        touch = { isFinger: event.pointerType === "touch", wasOpen: column !== null && column === document.activeElement };
    });
    const isFirstTouch = (link) => {
        if (!link.matches(".column") || !touch?.isFinger || touch.wasOpen) {
            return false;
        }
        link.focus({ preventScroll: true });
        return true;
    };

    // The columns are one stop of the Tab key; the arrow keys move along them.
    const STEPS = { ArrowLeft: (at) => at - 1, ArrowRight: (at) => at + 1, Home: () => 0, End: () => -1 };
    document.addEventListener("keydown", (event) => {
        const column = event.target.closest?.(".column");
        if (column && STEPS[event.key]) {
            const columns = [...document.querySelectorAll(".column[tabindex]")];
            columns.at(STEPS[event.key](columns.indexOf(column)) % columns.length).focus();
            event.preventDefault();
        }
    });

    // A link of this site only changes the address; dcc.Link would also scroll to the top at each step in time.
    // The browser handles links to forms, files and other pages.
    const go = (address) => {
        const target = new URL(address, window.location.href);
        const isOther = window.wattfall.device(target.pathname) !== window.wattfall.device(window.location.pathname);
        setProps("url", { pathname: target.pathname, search: target.search });
        if (isOther) {
            window.scrollTo(0, 0);
            window.wattfall.poll();
        }
    };
    window.wattfall = Object.assign(window.wattfall ?? {}, { go, device: (path) => path.split("/")[2] });

    document.addEventListener("click", (event) => {
        const link = event.target.closest("a[href^='/']:not([data-full], [data-picture])");
        if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) {
            return;
        }
        event.preventDefault();
        if (!isFirstTouch(link)) {
            go(link.href);
        }
    });

    // A changed list is rebuilt. A press on an old link then clicks its replacement, because the browser makes no click
    // of a press and a release on two elements.
    let pressed = null;
    document.addEventListener("pointerdown", (event) => {
        pressed = event.target.closest("a[href]");
    });
    document.addEventListener("pointerup", (event) => {
        const link = event.target.closest("a[href]");
        if (pressed && !pressed.isConnected && link?.href === pressed.href && !event.button) {
            link.dispatchEvent(new MouseEvent("click", event));
        }
        pressed = null;
    });

    // The focus stays on its link.
    const LISTS = "#home a, #columns a, #table a, #more a";
    let focused = null;
    document.addEventListener("focusin", (event) => {
        focused = event.target.closest(LISTS);
    });

    const refocus = () => {
        if (focused && !focused.isConnected && document.activeElement === document.body) {
            const links = [...document.querySelectorAll(LISTS)];
            links.find((link) => link.href === focused.href)?.focus({ preventScroll: true });
        }
    };
    new MutationObserver(refocus).observe(document.documentElement, { childList: true, subtree: true });

    // A menu closes after a choice, at a click elsewhere, and at Escape.
    const close = (menu) => {
        menu.open = false;
    };
    document.addEventListener("click", (event) => {
        for (const menu of document.querySelectorAll(".menu[open]")) {
            if (!menu.contains(event.target) || event.target.closest(".menu a, .menu button")) {
                close(menu);
                if (menu.contains(event.target)) {
                    menu.querySelector("summary")?.focus({ preventScroll: true });
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
            close(menu);
            menu.querySelector("summary").focus();
        }
    });
})();
