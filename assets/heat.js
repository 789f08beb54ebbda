// The heat map under a month: builds a table from the server's JSON of cells (data-grid).
// It is one stop of the Tab key; the arrow keys move, Enter opens the day. One card follows the active cell.
(() => {
    "use strict";

    const element = (name, properties = {}, attributes = {}) => {
        const made = Object.assign(document.createElement(name), properties);
        for (const [key, value] of Object.entries(attributes)) {
            made.setAttribute(key, value);
        }
        return made;
    };

    const header = ({ corner, days }) => {
        const row = element("tr", {}, { role: "row" });
        row.append(element("th", {}, { role: "columnheader" }));
        row.firstChild.append(element("span", { className: "unseen", textContent: corner }));
        for (const [name, tick, isMajor, address] of days) {
            const cell = element("th", { className: isMajor ? "major" : "" }, { role: "columnheader", "aria-label": name });
            cell.append(address ? element("a", { textContent: tick, href: address, tabIndex: -1 }, { "aria-label": name }) : element("span", { textContent: tick }));
            row.append(cell);
        }
        return row;
    };

    const line = ([name, tick], cells) => {
        const row = element("tr", {}, { role: "row" });
        row.append(element("th", {}, { role: "rowheader" }));
        row.firstChild.append(element("span", { className: "unseen", textContent: name }), element("span", { textContent: tick, ariaHidden: "true" }));
        for (const [look, words] of cells) {
            row.append(element("td", { className: look, tabIndex: -1 }, { role: "gridcell", "aria-label": words }));
        }
        return row;
    };

    const grids = new WeakMap(); // the place of a grid -> its content
    const cells = (place) => [...place.querySelectorAll("[role='gridcell']")];

    const build = (place) => {
        const shown = JSON.parse(place.dataset.grid);
        const kept = cells(place).indexOf(document.activeElement);
        grids.set(place, shown);
        const table = element("table", {}, { role: "grid", "aria-label": shown.caption, "aria-readonly": "true" });
        table.style.setProperty("--days", shown.days.length);
        const [head, body] = ["thead", "tbody"].map((name) => element(name, {}, { role: "rowgroup" }));
        head.append(header(shown));
        body.append(...shown.rows.map((row, hour) => line(shown.hours[hour], row)));
        table.append(head, body);
        place.replaceChildren(table, element("div", { className: "card", ariaHidden: "true" }));
        const all = cells(place);
        const first = all.find((cell) => cell.className) ?? all[0];
        (all[kept] ?? first).tabIndex = 0;
        all[kept]?.focus({ preventScroll: true });
    };

    const position = (place, cell) => {
        const days = grids.get(place).days.length;
        const at = cells(place).indexOf(cell);
        return { at, days, day: at % days, hour: Math.floor(at / days) };
    };

    // The card stands beside its cell, on the side with room.
    const show = (place, cell) => {
        const card = place.querySelector(".card");
        const { days, day, hour } = position(place, cell);
        const { hours, days: names, open } = grids.get(place);
        const lines = [["strong", `${names[day][0]}, ${hours[hour][0]}`], ["span", cell.ariaLabel]];
        card.replaceChildren(...lines.map(([name, textContent]) => element(name, { textContent })));
        if (names[day][3]) {
            card.append(element("span", { className: "open", textContent: open }));
        }
        card.classList.add("shown");
        const [box, frame] = [cell.getBoundingClientRect(), place.getBoundingClientRect()];
        const width = card.offsetWidth;
        const beside = day * 2 < days ? box.right - frame.left + 8 : box.left - frame.left - width - 8;
        const above = box.top - frame.top - card.offsetHeight - 8;
        const isRoomy = beside >= 0 && beside + width <= frame.width;
        const middle = box.left + box.width / 2 - frame.left - width / 2;
        card.style.left = `${isRoomy ? beside : Math.max(0, Math.min(middle, frame.width - width))}px`;
        card.style.top = `${isRoomy ? Math.max(0, above + box.height) : above}px`;
    };
    const hide = (place) => place?.querySelector(".card")?.classList.remove("shown");

    const looked = (event) => {
        const place = event.target.closest?.("[data-grid]");
        const cell = event.target.closest?.("[role='gridcell']");
        return place && grids.has(place) ? { place, cell } : {};
    };
    document.addEventListener("pointerover", (event) => {
        const { place, cell } = looked(event);
        if (cell?.className && event.pointerType !== "touch") {
            show(place, cell);
        } else {
            hide(document.querySelector("[data-grid]"));
        }
    });
    document.addEventListener("focusin", (event) => {
        const { place, cell } = looked(event);
        if (cell) {
            place.querySelector("[role='gridcell'][tabindex='0']").tabIndex = -1;
            cell.tabIndex = 0;
            show(place, cell);
        } else {
            hide(document.querySelector("[data-grid]"));
        }
    });

    const open = (place, cell) => {
        const address = grids.get(place).days[position(place, cell).day][3];
        if (address) {
            hide(place);
            window.wattfall.go(address);
        }
    };

    // A finger is wider than a cell: the first tap shows the card, the second opens the day.
    let wasShown = null;
    document.addEventListener("pointerdown", (event) => {
        const { cell } = looked(event);
        wasShown = event.pointerType !== "touch" || cell === document.activeElement ? cell : null;
    });
    document.addEventListener("click", (event) => {
        const { place, cell } = looked(event);
        if (cell && cell === wasShown) {
            open(place, cell);
        }
    });

    const STEPS = {
        ArrowLeft: ({ at, day }) => (day ? at - 1 : at),
        ArrowRight: ({ at, day, days }) => (day < days - 1 ? at + 1 : at),
        ArrowUp: ({ at, days }) => at - days,
        ArrowDown: ({ at, days }) => at + days,
        Home: ({ at, day }) => at - day,
        End: ({ at, day, days }) => at + days - 1 - day,
        PageUp: ({ day }) => day,
        PageDown: ({ day, days }) => 23 * days + day,
    };
    document.addEventListener("keydown", (event) => {
        const { place, cell } = looked(event);
        if (!cell || event.altKey || event.ctrlKey || event.metaKey) {
            return;
        }
        if (event.key === "Enter") {
            open(place, cell);
        } else if (event.key === "Escape") {
            hide(place);
        } else if (STEPS[event.key]) {
            event.preventDefault();
            cells(place)[STEPS[event.key](position(place, cell))]?.focus();
        }
    });

    new MutationObserver((changes) => {
        for (const { target } of changes) {
            if (target.dataset.grid) {
                build(target);
            }
        }
    }).observe(document.documentElement, { subtree: true, attributes: true, attributeFilter: ["data-grid"] });
})();
