// The little that has to happen in the browser: links without a reload, ages that tick, polls that rest.
(() => {
    "use strict";

    const SECOND = 1000;
    const UNREACHABLE_AFTER = 30 * SECOND;
    const setProps = (id, props) => window.dash_clientside.set_props(id, props);

    window.dash_clientside = Object.assign({}, window.dash_clientside, {
        wattfall: {
            entitle(title) {
                document.title = title ? `${title} · Wattfall` : "Wattfall";
            },
        },
    });

    // A finger is wider than a column: the first touch shows its card, the card opens it.
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

    // The columns are one stop of the Tab key; the arrow keys walk along them.
    const STEPS = { ArrowLeft: (at) => at - 1, ArrowRight: (at) => at + 1, Home: () => 0, End: () => -1 };
    document.addEventListener("keydown", (event) => {
        const column = event.target.closest?.(".column");
        if (column && STEPS[event.key]) {
            const columns = [...document.querySelectorAll(".column[tabindex]")];
            columns.at(STEPS[event.key](columns.indexOf(column)) % columns.length).focus();
            event.preventDefault();
        }
    });

    // A link of this site changes the address only; dcc.Link would also scroll to the top at each step in time.
    document.addEventListener("click", (event) => {
        const link = event.target.closest("a[href^='/']");
        if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) {
            return;
        }
        event.preventDefault();
        if (isFirstTouch(link)) {
            return;
        }
        const device = (path) => path.split("/")[2];
        if (device(link.pathname) !== device(window.location.pathname)) {
            window.scrollTo(0, 0);
        }
        setProps("url", { pathname: link.pathname });
    });

    // Dash builds a list anew when it changes; whoever stood on one of its links stays there.
    let focused = null;
    document.addEventListener("focusin", (event) => {
        focused = event.target.closest("#home a, #columns a, #table a");
    });

    const refocus = () => {
        if (focused && !focused.isConnected && document.activeElement === document.body) {
            const links = [...document.querySelectorAll("#home a, #columns a, #table a")];
            links.find((link) => link.href === focused.href)?.focus({ preventScroll: true });
        }
    };
    new MutationObserver(refocus).observe(document.documentElement, { childList: true, subtree: true });

    // The server says how old a reading was when it answered; from there the age counts on.
    let served = null;
    let heard = Date.now();

    const ago = (seconds) => {
        if (seconds < 60) {
            return `${seconds} s ago`;
        }
        return `${Math.floor(seconds / 60)} min ago`;
    };

    const listen = () => {
        const now = document.getElementById("main")?.dataset.served;
        if (now && now !== served) {
            served = now;
            heard = Date.now();
        }
    };

    const age = () => {
        const passed = Math.floor((Date.now() - heard) / SECOND);
        for (const stamp of document.querySelectorAll("time[data-age]")) {
            const text = ago(Number(stamp.dataset.age) + passed);
            if (stamp.firstChild && stamp.firstChild.nodeValue !== text) {
                stamp.firstChild.nodeValue = text;
            }
        }
    };

    const watch = () => {
        const banner = document.getElementById("unreachable");
        const isLost = served !== null && Date.now() - heard > UNREACHABLE_AFTER;
        if (banner && banner.hidden === isLost) {
            const time = new Date(heard).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
            banner.textContent = isLost ? `Wattfall cannot be reached. What you see is from ${time}; trying again.` : "";
            banner.hidden = !isLost;
        }
    };

    window.setInterval(() => {
        listen();
        if (!document.hidden) {
            age();
            watch();
        }
    }, SECOND / 4);

    // Nobody looks at a hidden tab: no polls; and one at once when it is looked at again.
    document.addEventListener("visibilitychange", () => {
        heard = document.hidden ? heard : Math.max(heard, Date.now() - UNREACHABLE_AFTER + 10 * SECOND);
        setProps("tick", document.hidden ? { disabled: true } : { disabled: false, n_intervals: Date.now() });
    });
})();
