// The scheme of the system, light, or dark: stored in this browser; the page's head applies it before the first paint.
(() => {
    "use strict";

    const SCHEMES = ["system", "light", "dark"];
    const BARS = { light: "#f5f7f8", dark: "#0b1318" };
    const root = document.documentElement;
    const scheme = () => root.dataset.theme || "system";

    // Names the button after the scheme. Dash calls this once its button is there; forms have it from the start.
    const label = () => {
        const button = document.getElementById("theme");
        const said = button && `${button.dataset.label}: ${button.dataset[scheme()]}`;
        if (said && window.dash_clientside?.set_props) {
            window.dash_clientside.set_props("theme", { title: said, "aria-label": said });
        } else if (said) {
            button.title = said;
            button.setAttribute("aria-label", said);
        }
        for (const bar of document.querySelectorAll("meta[name='theme-color']")) {
            bar.dataset.system ??= bar.content;
            bar.content = BARS[scheme()] ?? bar.dataset.system;
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
    window.dash_clientside = Object.assign({}, window.dash_clientside, { theme: { label } });
    label();
})();
