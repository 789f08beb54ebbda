// The page's one component of its own, made as Dash's component packages make theirs: `Region` shows a tree of HTML
// components (`content`) with some of their properties (`values`, by id, which join those before), and lets React change
// them in place, so that focus, open menus and scroll stay. Dash itself builds everything anew below a `children` that changes. Its Dash
// children, such as a graph, stand in the tree's slots.
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
        const held = window.React.useRef({}).current;
        for (const [name, news] of Object.entries(values)) {
            held[name] = { ...held[name], ...news };
        }
        const inside = build([content].flat(), held, [children].flat());
        return window.React.createElement("div", { id, className: "region" }, ...inside);
    };

    window.wattfall = Object.assign(window.wattfall ?? {}, { Region });
})();
