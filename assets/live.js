// The page's clock. It polls when a reading is due, rests in a hidden tab, ticks the age between polls, and says at once
// when an answer does not come or the session is over. Dash's renderer tells of each answer (`answered`).
(() => {
    "use strict";

    const SECOND = 1000;
    const EVERY = 10 * SECOND; // between readings
    const MARGIN = SECOND; // a reading needs a moment to arrive
    const SOONEST = 2 * SECOND;
    const SLOWER = 1.1; // at each question for a home's first device, up to a minute
    const REFRESHES = 3; // polls between two refreshes of the whole page
    const PATIENCE = 5 * SECOND; // with an answer
    const ASLEEP = 5 * SECOND; // a longer pause between beats: the browser slept
    const UNAUTHORIZED = 401;
    const setProps = (id, props) => window.dash_clientside.set_props(id, props);

    let heard = Date.now();
    let [isLost, isOver] = [false, false]; // the server; the session
    let waiting = Date.now(); // since when an answer is awaited
    let asked = Date.now();
    let due = Infinity;
    let polls = 0;
    let beaten = Date.now();
    let [device, isAwaited] = [null, false]; // of the page; whether a home's first device is to come

    const answered = ({ clientside_function: isOurs }, { error, data }) => {
        if (isOurs) {
            return;
        }
        waiting = 0;
        if (error?.status === UNAUTHORIZED) {
            signOut();
        } else if (error) {
            isLost = true;
        } else {
            [heard, isLost] = [Date.now(), false];
            plan(data?.live?.data.age);
        }
    };

    // After the answer to a poll the next is due when the next reading is.
    const plan = (age) => {
        if (age !== undefined) {
            const next = EVERY + MARGIN - age * SECOND;
            due = heard + (age === null || next < 0 ? Infinity : Math.max(next, SOONEST));
        }
    };

    const signOut = () => {
        isOver = true;
        const next = encodeURIComponent(window.location.pathname + window.location.search);
        document.title = "Wattfall";
        setProps("app", { className: "app signed-out" });
        setProps("signed-out", { hidden: false });
        setProps("sign-in", { href: `/sign-in?next=${next}` });
        window.setTimeout(() => document.getElementById("sign-in").focus());
    };

    const [MINUTE, HOUR] = [60, 3600]; // seconds

    // As the server says it; null where it counts in days, which stay as they are.
    const duration = (seconds) => {
        const minutes = Math.floor(seconds / MINUTE) % 60;
        const hours = Math.floor(seconds / HOUR);
        const parts = [hours && `${hours} h`, minutes && `${minutes} min`].filter(Boolean).join(" ");
        return seconds < MINUTE ? `${seconds} s` : hours < 48 ? parts : null;
    };

    // The server sends the age of a reading at its answer; the age counts on from there.
    const said = (age, words) => {
        const passed = Math.floor((Date.now() - heard) / SECOND);
        const how = typeof age === "number" ? duration(Math.max(0, age + passed)) : ""; // a meter's clock may run ahead
        return how ? words.ago.replace("{}", how) : how;
    };

    const banner = (words) => {
        const time = new Date(heard).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
        const isLate = waiting && Date.now() - waiting > PATIENCE;
        return isLost || isLate ? words.unreachable.replace("{}", time) : "";
    };

    // Counts an asked answer, and returns the instant, which is a new value for the store that asks.
    const wait = () => {
        waiting ||= Date.now();
        return Date.now();
    };

    let last = [];
    const changed = (values) => {
        const news = values.map((value, at) => (value === last[at] || value === null ? window.dash_clientside.no_update : value));
        last = values.map((value, at) => value ?? last[at]);
        return news;
    };

    // Values for the poll, the refresh of the whole page, the age and the banner.
    const beat = (_, live, words, alert) => {
        const now = Date.now();
        if (isOver || document.hidden) {
            return Array(4).fill(window.dash_clientside.no_update);
        }
        if (now - beaten > ASLEEP) {
            [polls, due] = [REFRESHES - 1, 0];
        }
        beaten = now;
        const every = isAwaited ? Math.min(Math.min(words.poll, SOONEST) * SLOWER ** polls, MINUTE * SECOND) : words.poll;
        // Dash drops the answer to a question that is asked again.
        const isDue = now >= Math.min(due, asked + every) && !(waiting && now - waiting < PATIENCE);
        let refresh = null;
        if (isDue) {
            [asked, due, polls] = [wait(), Infinity, polls + 1];
            refresh = polls % REFRESHES === 0 || isLost || alert?.length > 0 || !device ? now : null;
        }
        return changed([isDue && device ? now : null, refresh, said(live?.age, words), banner(words)]);
    };

    // Another device is polled at once.
    const show = (shown) => {
        if (shown) {
            document.title = shown.title ? `${shown.title} · Wattfall` : "Wattfall";
            // The fragment has been said; a reload or a bookmark must not repeat it.
            if (window.location.hash.length > 1 && window.location.hash !== "#main") {
                window.history.replaceState(window.history.state, "", window.location.pathname + window.location.search);
                setProps("url", { hash: "", href: window.location.href });
            }
            if (shown.device && shown.device !== device) {
                setProps("tick", { data: (asked = wait()) });
            }
            [device, isAwaited] = [shown.device, shown.is_awaited];
        }
    };

    const power = (watts, point) =>
        Math.abs(watts) < 1000 ? `${Math.abs(watts)} W` : `${(Math.abs(watts) / 1000).toFixed(2).replace(".", point)} kW`;

    // What has been switched on since a press of the button: the power now minus that of the press, which this browser
    // keeps. A second press ends it.
    const since = (_, live, pressed, words) => {
        if (!live) {
            return Array(3).fill(window.dash_clientside.no_update);
        }
        setProps("power-age", { children: said(live.age, words) }); // at once, not with the next beat
        const [shown] = live.hour;
        let from = pressed?.device === shown ? pressed.power_w : null;
        if (window.dash_clientside.callback_context.triggered_id === "since") {
            from = from === null ? live.power_w : null;
        }
        const change = from === null || live.power_w === null ? null : live.power_w - from;
        const sign = change > 0 ? "+" : change < 0 ? "−" : "";
        const told = change === null ? "" : sign + power(change, words.point);
        return [told, from === null ? words.press : words.release, from === null ? null : { device: shown, power_w: from }];
    };

    // A tab that is shown again asks for everything at once.
    const wake = () => {
        if (!document.hidden && device !== null && !isOver) {
            [beaten, asked] = [Date.now(), wait()];
            setProps("tick", { data: asked });
            setProps("refresh", { data: asked });
        }
    };
    document.addEventListener("visibilitychange", wake);
    window.addEventListener("online", wake);
    window.addEventListener("pageshow", (event) => event.persisted && wake());

    window.wattfall = Object.assign(window.wattfall ?? {}, { answered, isOver: () => isOver, wait });
    window.dash_clientside = Object.assign({}, window.dash_clientside, { live: { beat, show, since } });
})();
