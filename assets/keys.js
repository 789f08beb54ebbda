// Keys and swipes through time: both click the present links, so that a disabled link stays disabled.
(() => {
    "use strict";

    const ARROWS = { ArrowLeft: "previous", ArrowRight: "next" };
    // Letters need the focus in the chart's panel, so that speech input triggers none by accident.
    const LETTERS = { t: "current", d: "to-day", m: "to-month", y: "to-year" };
    const KEYS = { ...ARROWS, ...LETTERS };
    // These elements need the keys themselves.
    const OWN = "input, select, textarea, [contenteditable], details[open] > :not(summary), .column, [role='grid']";

    const follow = (id) => {
        const link = document.getElementById(id);
        const leads = Boolean(link?.getAttribute("href") && link.offsetParent);
        if (leads) {
            link.click();
        }
        return leads;
    };

    document.addEventListener("keydown", (event) => {
        const isPlain = !event.altKey && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.isComposing;
        const meant = event.target.closest?.(".panel") ? KEYS : ARROWS;
        if (isPlain && !event.defaultPrevented && meant[event.key] && !event.target.closest?.(OWN) && follow(meant[event.key])) {
            event.preventDefault();
        }
    });

    // A swipe is mostly sideways and quick; other moves scroll or touch a column.
    const FAR = 56; // px
    const QUICK = 800; // ms
    let start = null;
    const swiped = (touch) => {
        const [across, down] = [touch.clientX - start.x, touch.clientY - start.y];
        return Math.abs(across) >= FAR && Math.abs(across) > 2 * Math.abs(down) && Date.now() - start.at <= QUICK ? across : 0;
    };

    const slide = (plot, across) => {
        if (!window.matchMedia("(prefers-reduced-motion: reduce)").matches) {
            const from = `translateX(${Math.sign(across) * -24}px)`;
            plot.animate([{ transform: from, opacity: 0.4 }, { transform: "none", opacity: 1 }], { duration: 150, easing: "ease-out" });
        }
    };

    const begin = (event) => {
        const [plot, touch] = [event.target.closest("#figure .plot, #nothing"), event.touches[0]];
        start = plot && event.touches.length === 1 ? { x: touch.clientX, y: touch.clientY, at: Date.now(), plot } : null;
    };
    const end = (event) => {
        const across = start && swiped(event.changedTouches[0]);
        if (across && follow(across > 0 ? "previous" : "next")) {
            if (event.cancelable) {
                event.preventDefault(); // no click on the column under the finger
            }
            slide(start.plot, across);
        }
        start = null;
    };
    document.addEventListener("touchstart", begin, { passive: true });
    document.addEventListener("touchend", end, { passive: false });
    document.addEventListener("touchcancel", () => (start = null), { passive: true });
})();
