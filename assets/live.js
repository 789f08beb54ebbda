// Polls when a reading is due, pauses in a hidden tab, ticks ages in between, and rolls numbers.
(() => {
    "use strict";

    const SECOND = 1000;
    const EVERY = 10 * SECOND; // between readings
    const MARGIN = SECOND; // ms; a reading needs a moment to arrive
    const SOONEST = 2 * SECOND;
    const REFRESHES = 3; // polls between two refreshes of the whole page
    const LOST = 3; // unanswered polls
    const BEAT = SECOND / 4;
    const ASLEEP = 5 * SECOND; // larger distances between beats mean that the browser slept
    const ROLL_MS = 180;
    const setProps = (id, props) => window.dash_clientside.set_props(id, props);
    const main = () => document.getElementById("main");
    const period = () => Number(main()?.dataset.poll) || EVERY;

    let answer = null; // the newest: the server's clock, and its poll
    let heard = Date.now();
    let due = Infinity; // Dash sends the first poll itself
    let asked = 0;
    let patience = 0; // before this time the server does not count as unreachable
    let polls = 0;
    let beaten = Date.now();

    // The server sends the age of a reading at its answer; the age counts on from there.
    const age = () => Number(document.querySelector(".hero time[data-age]")?.dataset.age ?? NaN) * SECOND;

    const listen = () => {
        const newest = main()?.dataset.served;
        if (!newest || newest === answer) {
            return;
        }
        answer = newest;
        heard = Date.now();
        const next = EVERY + MARGIN - age();
        due = heard + Math.min(period(), Number.isNaN(next) || next < 0 ? period() : Math.max(next, SOONEST));
    };

    const isOnHousehold = () => document.getElementById("household")?.hidden === false;

    const ask = () => {
        asked = Date.now();
        due = asked + period();
        polls += 1;
        setProps("tick", { data: Date.now() });
        const isBehind = document.getElementById("alert")?.childElementCount > 0;
        if (polls % REFRESHES === 0 || isBehind || !isOnHousehold()) {
            setProps("refresh", { data: Date.now() });
        }
    };

    // Another device is polled at once, after a link or the back button (Dash must learn of the latter first).
    window.wattfall = Object.assign(window.wattfall ?? {}, { poll: ask });
    window.addEventListener("popstate", () => window.setTimeout(ask));

    const MINUTE = 60; // seconds
    const HOUR = 60 * MINUTE;

    // As the server says it; null where it counts in days, which stay as they are.
    const duration = (seconds) => {
        if (seconds < MINUTE) {
            return `${seconds} s`;
        }
        const minutes = Math.floor(seconds / MINUTE) % 60;
        const hours = Math.floor(seconds / HOUR);
        if (hours >= 48) {
            return null;
        }
        return [hours && `${hours} h`, minutes && `${minutes} min`].filter(Boolean).join(" ");
    };

    const tick = () => {
        const passed = Math.floor((Date.now() - heard) / SECOND);
        for (const stamp of document.querySelectorAll("time[data-age]")) {
            const seconds = Math.max(0, Number(stamp.dataset.age) + passed); // a meter's clock may run ahead
            const said = duration(seconds);
            const text = said && main().dataset.ago.replace("{}", said);
            if (text && stamp.firstChild && stamp.firstChild.nodeValue !== text) {
                stamp.firstChild.nodeValue = text;
            }
        }
    };

    const watch = () => {
        const banner = document.getElementById("unreachable");
        const isLost = answer !== null && Date.now() - heard > LOST * period() && Date.now() > patience;
        if (banner && banner.hidden === isLost) {
            const time = new Date(heard).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
            banner.textContent = isLost ? main().dataset.unreachable.replace("{}", time) : "";
            banner.hidden = !isLost;
        }
    };

    // After a pause everything is requested at once; missed polls during the pause are no fault.
    const wake = () => {
        const now = Date.now();
        if (document.hidden || answer === null || now - asked < SECOND) {
            return;
        }
        beaten = now;
        patience = now + (LOST - 1) * period();
        tick();
        polls = REFRESHES - 1;
        ask();
    };

    // A new number rolls up from below; the first one just appears.
    const roll = new MutationObserver((changes) => {
        const number = document.getElementById("power-number");
        const isFirst = changes.some((change) => change.type === "childList" && !change.removedNodes.length);
        if (!isFirst && number.textContent && !window.matchMedia("(prefers-reduced-motion: reduce)").matches) {
            number.animate([{ transform: "translateY(0.14em)", opacity: 0.35 }, { transform: "none", opacity: 1 }], {
                duration: ROLL_MS,
                easing: "ease-out",
            });
        }
    });
    let rolling = null;
    const follow = () => {
        const number = document.getElementById("power-number");
        if (number && number !== rolling) {
            rolling = number;
            roll.disconnect();
            roll.observe(number, { childList: true, characterData: true, subtree: true });
        }
    };

    window.setInterval(() => {
        follow();
        listen();
        if (due === Infinity && main()) {
            due = Date.now() + period(); // Dash's own requests may stay unanswered too
        }
        if (document.hidden) {
            return;
        }
        if (Date.now() - beaten > ASLEEP) {
            wake();
        }
        beaten = Date.now();
        tick();
        watch();
        if (Date.now() >= due) {
            ask();
        }
    }, BEAT);

    // A hidden tab does not poll; it polls at once when shown.
    document.addEventListener("visibilitychange", wake);
    window.addEventListener("online", wake);
    window.addEventListener("pageshow", (event) => event.persisted && wake());
})();
