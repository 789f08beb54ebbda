// Polls that come when a reading is due and rest in a hidden tab, ages that tick in between, numbers that roll.
(() => {
    "use strict";

    const SECOND = 1000;
    const EVERY = 10 * SECOND; // between readings
    const MARGIN = SECOND; // a reading takes a moment to come in
    const SOONEST = 2 * SECOND;
    const REFRESHES = 3; // polls between one refresh of the whole page and the next
    const LOST = 3; // polls without an answer
    const BEAT = SECOND / 4;
    const ASLEEP = 5 * SECOND; // beats further apart mean that the browser slept
    const ROLL_MS = 180;
    const setProps = (id, props) => window.dash_clientside.set_props(id, props);
    const main = () => document.getElementById("main");
    const period = () => Number(main()?.dataset.poll) || EVERY;

    let answer = null; // the newest: the server's clock, and the poll to which it belongs
    let heard = Date.now();
    let due = Infinity; // Dash asks by itself at first
    let asked = 0;
    let patience = 0; // until when it is too early to call the server unreachable
    let polls = 0;
    let beaten = Date.now();

    // The server says how old a reading was when it answered; from there the age counts on.
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

    // Another device is asked for at once, whether a link leads to it or the way back (which Dash has to hear of first).
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

    // After a rest everything is asked for at once, and what has been missed meanwhile is nobody's fault.
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

    // A new number comes up from a little below; the first one is just there.
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
            due = Date.now() + period(); // what Dash asks for may be without an answer, too
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

    // Nobody looks at a hidden tab: no polls; and one at once when it is looked at again.
    document.addEventListener("visibilitychange", wake);
    window.addEventListener("online", wake);
    window.addEventListener("pageshow", (event) => event.persisted && wake());
})();
