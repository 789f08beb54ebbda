// The page's one component of its own, made as Dash's component packages make theirs: `Region` shows a tree of HTML
// components (`content`) with some of their properties (`values`, by slot: `id.property`), and lets React change them in
// place, so that focus, open menus and scroll stay. Dash itself builds everything anew below a `children` that changes.
// Its Dash children, such as a graph, stand in the tree's slots. It keeps nothing: an answer joins the values before it in
// Dash's own store (`Patch`), also where two come before one is drawn.
(() => {
    "use strict";

    const build = (part, values, slots) => {
        if (Array.isArray(part)) {
            return part.map((one) => build(one, values, slots));
        }
        if (part === null || typeof part !== "object") {
            return part;
        }
        if (part.type === "Slot") {
            return slots.shift();
        }
        const { children = null, ...props } = { ...part.props, ...values[part.props.id] };
        const content = build([children].flat(Infinity), values, slots);
        return window.React.createElement(part.type.toLowerCase(), props, ...content);
    };

    const Region = ({ id, content, values, children }) => {
        const props = {};
        for (const [slot, value] of Object.entries(values)) {
            const [name, prop] = slot.split(".");
            props[name] = { ...props[name], [prop]: value };
        }
        const inside = build([content].flat(), props, [children].flat());
        return window.React.createElement("div", { id, className: "region" }, ...inside);
    };

    window.wattfall = Object.assign(window.wattfall ?? {}, { Region });
})();
