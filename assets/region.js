// The page's one component of its own, made as Dash's component packages make theirs: `Region` shows a tree of HTML
// components (`content`) and lets React change it in place, so that focus, open menus and scroll stay. Dash itself
// builds everything anew below a `children` that changes. Its Dash children, such as a graph, stand in the tree's slots.
(() => {
    "use strict";

    const build = (part, slots) => {
        if (Array.isArray(part)) {
            return part.map((one) => build(one, slots));
        }
        if (part === null || typeof part !== "object") {
            return part;
        }
        if (part.type === "Slot") {
            return slots.shift();
        }
        const { children = null, ...props } = part.props;
        const content = build([children].flat(Infinity), slots);
        return window.React.createElement(part.type.toLowerCase(), props, ...content);
    };

    const Region = ({ id, content, children }) => {
        const slots = [children].flat();
        return window.React.createElement("div", { id, className: "region" }, ...build([content].flat(), slots));
    };

    window.wattfall = Object.assign(window.wattfall ?? {}, { Region });
})();
