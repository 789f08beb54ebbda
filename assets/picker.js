// The calendar behind the arrow beside the heading. #picker holds its data: data-level, data-period, data-first and
// data-last (the range of choice), data-path, and its words. Periods are text (`2026-11-23`, `2026-11`, `2026`), so
// they compare as they are. Dates are UTC, so that no zone shifts them.
(() => {
    "use strict";

    const DAY = 86_400_000;
    const LENGTH = { day: 10, month: 7, year: 4 };
    const pad = (number, places) => String(number).padStart(places, "0");
    const date = (period) => {
        const [year, month = 1, day = 1] = period.split("-").map(Number);
        return new Date(Date.UTC(year, month - 1, day));
    };
    const written = (moment, level) => moment.toISOString().slice(0, LENGTH[level]);
    const spoken = (period, options) =>
        new Intl.DateTimeFormat(document.documentElement.lang, { timeZone: "UTC", ...options }).format(date(period));

    // A step by months keeps the day if the other month has it.
    const shift = (period, level, days, months) => {
        const moment = date(period);
        if (level === "day" && days) {
            return written(new Date(moment.getTime() + days * DAY), level);
        }
        const first = new Date(Date.UTC(moment.getUTCFullYear(), moment.getUTCMonth() + months, 1));
        const length = new Date(Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + 1, 0)).getUTCDate();
        first.setUTCDate(Math.min(moment.getUTCDate(), length));
        return written(first, level);
    };

    const element = (name, properties = {}, attributes = {}) => {
        const made = Object.assign(document.createElement(name), properties);
        for (const [key, value] of Object.entries(attributes)) {
            made.setAttribute(key, value);
        }
        return made;
    };

    // A page of the calendar by level: its name, its rows of periods, and the steps of its keys in days or months.
    const weeks = (shown, firstWeekday) => {
        const first = date(`${shown.slice(0, 7)}-01`);
        const before = (first.getUTCDay() + 6 - firstWeekday) % 7;
        return Array.from({ length: 42 }, (_, at) => {
            const day = written(new Date(first.getTime() + (at - before) * DAY), "day");
            return day.startsWith(shown.slice(0, 7)) ? day : "";
        });
    };
    const PAGES = {
        day: {
            wide: 7,
            name: (shown) => spoken(shown, { month: "long", year: "numeric" }),
            periods: (shown, picker) => weeks(shown, Number(picker.dataset.firstWeekday)),
            label: (period) => spoken(period, { dateStyle: "full" }),
            text: (period) => String(Number(period.slice(8))),
            step: { days: 1 },
            page: 1,
        },
        month: {
            wide: 3,
            name: (shown) => shown.slice(0, 4),
            periods: (shown) => Array.from({ length: 12 }, (_, at) => `${shown.slice(0, 4)}-${pad(at + 1, 2)}`),
            label: (period) => spoken(period, { month: "long", year: "numeric" }),
            text: (period) => spoken(period, { month: "short" }),
            step: { months: 1 },
            page: 12,
        },
        year: {
            wide: 3,
            name: (shown) => shown,
            periods: (shown, picker) => {
                const [first, last] = [Number(picker.dataset.first), Number(picker.dataset.last)];
                return Array.from({ length: last - first + 1 }, (_, at) => pad(first + at, 4));
            },
            label: (period) => period,
            text: (period) => period,
            step: { months: 12 },
            page: 0,
        },
    };

    const picker = () => document.getElementById("picker");
    const isOpen = () => document.querySelector(".calendar") !== null;
    const within = (period) => {
        const { first, last } = picker().dataset;
        return period < first ? first : period > last ? last : period;
    };
    const isChoice = (period) => period !== "" && period === within(period);

    const cell = (period, page, focused) => {
        if (!period) {
            return element("td", {}, { role: "gridcell" });
        }
        const { period: shown } = picker().dataset;
        const made = element(
            "td",
            { textContent: page.text(period), tabIndex: period === focused ? 0 : -1 },
            { role: "gridcell", "data-choice": period, "aria-label": page.label(period), "aria-selected": String(period === shown) },
        );
        if (!isChoice(period)) {
            made.setAttribute("aria-disabled", "true");
        }
        return made;
    };

    const row = (cells) => {
        const made = element("tr", {}, { role: "row" });
        made.append(...cells);
        return made;
    };

    const weekdays = (firstWeekday) => {
        const days = Array.from({ length: 7 }, (_, at) => `2024-01-${pad(1 + ((firstWeekday + at) % 7), 2)}`); // 1 January is a Monday
        return row(
            days.map((day) =>
                element("th", { textContent: spoken(day, { weekday: "short" }) }, { role: "columnheader", "aria-label": spoken(day, { weekday: "long" }) }),
            ),
        );
    };

    const turner = (sign, label, months, focused, level) => {
        const target = shift(focused, level, 0, months);
        const { first, last } = picker().dataset;
        const size = level === "day" && Math.abs(months) === 1 ? 7 : 4;
        const isAway = target.slice(0, size) < first.slice(0, size) || target.slice(0, size) > last.slice(0, size);
        return element("button", { type: "button", textContent: sign, disabled: isAway }, { "aria-label": label, "data-turn": months });
    };

    const top = (page, level, focused) => {
        const { earlier, later, earlierYear, laterYear } = picker().dataset;
        const made = element("div", { className: "calendar-top" });
        const name = element("strong", { textContent: page.name(focused), id: "calendar-name" }, { "aria-live": "polite" });
        if (level === "day") {
            made.append(turner("«", earlierYear, -12, focused, level), turner("‹", earlier, -1, focused, level), name);
            made.append(turner("›", later, 1, focused, level), turner("»", laterYear, 12, focused, level));
        } else if (level === "month") {
            made.append(turner("‹", earlierYear, -12, focused, level), name, turner("›", laterYear, 12, focused, level));
        }
        return made;
    };

    // Draws the page of a period. The focus goes to the period, or stays on the button that turned the page.
    const draw = (calendar, wanted, turned) => {
        const { level, firstWeekday } = picker().dataset;
        const page = PAGES[level];
        const focused = within(wanted);
        calendar.dataset.focused = focused;
        const periods = page.periods(focused, picker());
        const table = element("table", {}, { role: "grid", "aria-label": calendar.getAttribute("aria-label") });
        table.style.setProperty("--wide", page.wide);
        if (level === "day") {
            const head = element("thead", {}, { role: "rowgroup" });
            head.append(weekdays(Number(firstWeekday)));
            table.append(head);
        }
        const body = element("tbody", {}, { role: "rowgroup" });
        for (let at = 0; at < periods.length; at += page.wide) {
            body.append(row(periods.slice(at, at + page.wide).map((period) => cell(period, page, focused))));
        }
        table.append(body);
        const shut = element("button", { type: "button", className: "calendar-close", textContent: picker().dataset.close });
        calendar.replaceChildren(top(page, level, focused), table, shut);
        const button = turned && calendar.querySelector(`[data-turn="${turned}"]:not(:disabled)`);
        (button || calendar.querySelector("td[tabindex='0']")).focus({ preventScroll: true });
    };

    const close = (isFocusBack = true) => {
        const button = document.querySelector(".pick");
        document.querySelector(".calendar")?.remove();
        button?.setAttribute("aria-expanded", "false");
        if (isFocusBack) {
            button?.focus({ preventScroll: true });
        }
    };

    const open = () => {
        const { level, period } = picker().dataset;
        const label = document.querySelector(".pick").getAttribute("aria-label");
        const calendar = element("div", { className: "calendar" }, { role: "dialog", "aria-modal": "true", "aria-label": label });
        picker().append(calendar);
        document.querySelector(".pick").setAttribute("aria-expanded", "true");
        draw(calendar, period, null);
    };

    const choose = (period) => {
        const { level, path } = picker().dataset;
        close();
        window.wattfall.go(`${path}/${level}/${period}${window.location.search}`);
    };

    document.addEventListener("click", (event) => {
        const target = event.target;
        const calendar = target.closest(".calendar");
        if (target.closest(".pick")) {
            if (isOpen()) {
                close();
            } else {
                open();
            }
        } else if (!calendar) {
            // An element that this click replaced is no longer in the page.
            if (isOpen() && target.isConnected) {
                close(false);
            }
        } else if (target.closest(".calendar-close")) {
            close();
        } else if (target.closest("[data-turn]")) {
            const months = Number(target.closest("[data-turn]").dataset.turn);
            draw(calendar, shift(calendar.dataset.focused, picker().dataset.level, 0, months), String(months));
        } else if (isChoice(target.closest("[data-choice]")?.dataset.choice ?? "")) {
            choose(target.closest("[data-choice]").dataset.choice);
        }
    });

    // Returns the target of an arrow key.
    const walk = (key, period, level, isShift) => {
        const { wide, step, page } = PAGES[level];
        const by = (count) => shift(period, level, (step.days ?? 0) * count, (step.months ?? 0) * count);
        if (key in { ArrowLeft: 0, ArrowRight: 0 }) {
            return by(key === "ArrowLeft" ? -1 : 1);
        }
        if (key in { ArrowUp: 0, ArrowDown: 0 }) {
            return by(key === "ArrowUp" ? -wide : wide);
        }
        if (key in { PageUp: 0, PageDown: 0 }) {
            const months = level === "day" && isShift ? 12 : page;
            return shift(period, level, 0, key === "PageUp" ? -months : months);
        }
        const row = [...document.activeElement.parentElement.querySelectorAll("[data-choice]")];
        return row.at(key === "Home" ? 0 : -1).dataset.choice;
    };
    const WALKS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"]);

    // The Tab key stays within the dialog.
    const cycle = (calendar, event) => {
        const stops = [...calendar.querySelectorAll("button, td[tabindex='0']")].filter((stop) => !stop.disabled && stop.offsetParent);
        const at = stops.indexOf(document.activeElement) + (event.shiftKey ? -1 : 1);
        event.preventDefault();
        stops.at(at % stops.length).focus();
    };

    document.addEventListener("keydown", (event) => {
        const calendar = event.target.closest?.(".calendar");
        if (!calendar) {
            return;
        }
        const choice = event.target.closest("[data-choice]")?.dataset.choice;
        if (event.key === "Escape") {
            close();
        } else if (event.key === "Tab") {
            cycle(calendar, event);
        } else if (choice && WALKS.has(event.key)) {
            event.preventDefault();
            draw(calendar, walk(event.key, choice, picker().dataset.level, event.shiftKey), null);
        } else if (choice && (event.key === "Enter" || event.key === " ")) {
            event.preventDefault();
            if (isChoice(choice)) {
                choose(choice);
            }
        }
    });

    // The button is made once; its words depend on the level.
    const refresh = () => {
        const place = picker();
        if (!place?.dataset.level) {
            return;
        }
        if (!place.querySelector(".pick")) {
            place.append(element("button", { type: "button", className: "pick" }, { "aria-haspopup": "dialog", "aria-expanded": "false" }));
        }
        const { level } = place.dataset;
        place.hidden = !(level in PAGES); // a level without a calendar has its links alone
        if (place.hidden) {
            return;
        }
        const label = place.dataset[`label${level[0].toUpperCase()}${level.slice(1)}`];
        const button = place.querySelector(".pick");
        if (button.title !== label) {
            button.title = label;
            button.setAttribute("aria-label", label);
        }
        if (isOpen() && document.querySelector(".calendar").getAttribute("aria-label") !== label) {
            close(false);
        }
    };
    const options = { subtree: true, childList: true, attributes: true, attributeFilter: ["data-level"] };
    new MutationObserver(refresh).observe(document.documentElement, options);
})();
