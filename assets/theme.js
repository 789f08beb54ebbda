// The scheme of the system, light, or dark: stored in this browser; the page's head applies it before the first paint.
(() => {
    "use strict";

    const SCHEMES = ["system", "light", "dark"];
    const BARS = { light: "#f5f7f8", dark: "#0b1318" };
    const root = document.documentElement;
    const scheme = () => root.dataset.theme || "system";

    const label = () => {
        const button = document.getElementById("theme");
        if (!button) {
            return;
        }
        const said = `${button.dataset.label}: ${button.dataset[scheme()]}`;
        if (button.title !== said) {
            button.title = said;
            button.setAttribute("aria-label", said);
            for (const bar of document.querySelectorAll("meta[name='theme-color']")) {
                bar.dataset.system ??= bar.content;
                bar.content = BARS[scheme()] ?? bar.dataset.system;
            }
        }
    };
    document.addEventListener("click", (event) => {
        if (event.target.closest("#theme")) {
            const next = SCHEMES[(SCHEMES.indexOf(scheme()) + 1) % SCHEMES.length];
            root.dataset.theme = next === "system" ? "" : next;
            try {
                window.localStorage.setItem("theme", root.dataset.theme);
            } catch {
                // A browser without storage forgets it.
            }
            label();
        }
    });
    new MutationObserver(label).observe(root, { childList: true, subtree: true });
    label();
})();
