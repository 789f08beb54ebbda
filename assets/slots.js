// Writes the server's values (data-written) to their places before the next frame.
(() => {
    "use strict";

    const set = (place, name, value) => {
        const attribute = name === "className" ? "class" : name;
        const written = value === true ? "" : String(value);
        if (name === "style") {
            place.style.cssText = ""; // values of the answer before that this one lacks
            Object.assign(place.style, value);
        } else if (value === null || value === false) {
            place.removeAttribute(attribute);
        } else if (place.getAttribute(attribute) !== written) {
            place.setAttribute(attribute, written);
        }
    };

    // A part is a text, or an element with properties in Dash's names.
    const parts = (children) => [children].flat(Infinity).filter((part) => part !== null && part !== undefined);
    const build = (part) => {
        if (typeof part !== "object") {
            return String(part);
        }
        const { children = [], ...props } = part.props;
        const made = document.createElement(part.type);
        for (const [name, value] of Object.entries(props)) {
            set(made, name, value);
        }
        made.append(...parts(children).map(build));
        return made;
    };

    const filled = new WeakMap(); // the last content of each place
    const fill = (place, children) => {
        const content = JSON.stringify(children);
        if (filled.get(place) !== content) {
            filled.set(place, content);
            place.replaceChildren(...parts(children).map(build));
        }
    };

    const write = ({ "document.title": title, ...slots }) => {
        if (title !== undefined) {
            document.title = title ? `${title} · Wattfall` : "Wattfall";
        }
        for (const [slot, value] of Object.entries(slots)) {
            const [id, name] = slot.split(".");
            const place = document.getElementById(id);
            if (!place) {
                continue; // a page from before an update of the server may lack a place
            }
            if (name === "children") {
                fill(place, value);
            } else {
                set(place, name, value);
            }
        }
    };

    const read = ({ target }) => write(JSON.parse(target.dataset.written));
    new MutationObserver((changes) => changes.forEach(read)).observe(document.documentElement, {
        subtree: true,
        attributes: true,
        attributeFilter: ["data-written"],
    });
})();
