// Builds links, cards and rows from the server's JSON of a chart's columns (data-cells) and tables (data-rows).
(() => {
    "use strict";

    const element = (name, className, text, attributes = {}) => {
        const made = document.createElement(name);
        made.className = className;
        made.textContent = text;
        for (const [key, value] of Object.entries(attributes)) {
            made.setAttribute(key, value);
        }
        return made;
    };
    const hidden = { "aria-hidden": "true" };

    const card = ({ name, said, side, href }, open) => {
        const made = element("span", `card ${side}`, "");
        made.append(element("strong", "", name), ...said.map((line) => element("span", "", line)));
        if (href) {
            made.append(element("span", "open", open, hidden));
        }
        return made;
    };

    const cell = (shown, { open, missing }) => {
        const { name, tick, note = "", look = "", said, href, gap } = shown;
        const made = element(href && said ? "a" : "div", `column ${look.includes("now") ? "now" : ""}`, "");
        if (said) {
            made.append(card(shown, open));
            made.tabIndex = -1;
        }
        if (said && href) {
            made.setAttribute("href", href);
        } else if (said) {
            made.setAttribute("role", "img");
            made.setAttribute("aria-label", [name, ...said].join(" · "));
        }
        if (gap) {
            const band = element("span", "gap", "", hidden);
            band.style.width = `${gap * 100}%`;
            band.append(element("span", "", missing));
            made.append(band);
        }
        const label = element("span", `tick ${look}`, tick, hidden);
        label.append(element("small", "", note));
        made.append(label);
        return made;
    };

    // The focus stays on its column while the chart shows the same period.
    const periods = new WeakMap();
    const build = (place) => {
        const shown = JSON.parse(place.dataset.cells);
        const kept = periods.get(place) === shown.period ? [...place.children].indexOf(document.activeElement) : -1;
        periods.set(place, shown.period);
        place.replaceChildren(...shown.cells.map((one) => cell(one, shown)));
        const first = place.querySelector("[tabindex]");
        if (first) {
            first.tabIndex = 0;
        }
        place.children[kept]?.focus({ preventScroll: true });
    };

    const row = ([name, href, numbers]) => {
        const made = document.createElement("tr");
        const head = element("th", "", href ? "" : name, { scope: "row" });
        if (href) {
            head.append(element("a", "", name, { href }));
        }
        made.append(head, ...numbers.map((number) => element("td", "", number)));
        return made;
    };

    const tabulate = (place) => {
        const { caption, heads, rows } = JSON.parse(place.dataset.rows);
        const table = document.createElement("table");
        const top = document.createElement("tr");
        top.append(document.createElement("td"), ...heads.map((head) => element("th", "", head, { scope: "col" })));
        const [head, body] = ["thead", "tbody"].map((name) => document.createElement(name));
        head.append(top);
        body.append(...rows.map(row));
        table.append(element("caption", "unseen", caption), head, body);
        place.replaceChildren(table);
    };

    // A closed table is built when it opens.
    const show = (place) => {
        if (place.closest("details")?.open) {
            tabulate(place);
        }
    };
    document.addEventListener("toggle", ({ target }) => target.querySelectorAll?.("[data-rows]").forEach(show), true);

    const built = (target) => (target.dataset.cells ? build(target) : target.dataset.rows ? show(target) : null);
    new MutationObserver((changes) => changes.forEach(({ target }) => built(target))).observe(document.documentElement, {
        subtree: true,
        attributes: true,
        attributeFilter: ["data-cells", "data-rows"],
    });
})();
