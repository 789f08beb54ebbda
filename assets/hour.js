// The last hour of power: a small drawing that grows with each reading and slides with time.
(() => {
    "use strict";

    const SPAN = 3600; // seconds
    const GAP = 300; // seconds; a longer pause breaks the line
    const LEAST = 100; // least range of the drawing, W, so that a resting home looks flat
    const HEAD = 20; // px above, for the label of the highest point
    const FOOT = 18; // px below, for the label of the lowest
    const NEAR = 64; // px; closer labels would overlap
    const SVG = "http://www.w3.org/2000/svg";

    let device = null;
    let newest = 0;
    let points = []; // [UTC seconds, W], by time
    let zone = "UTC";
    let ahead = 0; // seconds that the server's clock is ahead of the browser's
    let origin = 0; // the instant at x = 0; the drawing stays and slides as a whole
    let chosen = null; // the point in the readout
    let parts = null;

    const box = () => document.getElementById("hour-graph");
    const rightEdge = () => Math.max(Date.now() / 1000 + ahead, points.at(-1)?.[0] ?? 0);

    const make = (name, className, parent) => {
        const made = document.createElementNS(SVG, name);
        made.setAttribute("class", className);
        parent.append(made);
        return made;
    };

    const clip = (defs, id) => {
        const made = make("clipPath", "", defs);
        made.id = id;
        return make("rect", "", made);
    };

    const build = () => {
        const home = box();
        if (!home || parts?.svg.parentNode === home) {
            return Boolean(home);
        }
        const svg = make("svg", "", home);
        svg.setAttribute("aria-hidden", "true");
        const defs = make("defs", "", svg);
        const [plot, above, below] = ["hour-plot", "hour-above", "hour-below"].map((id) => clip(defs, id));
        const zero = make("line", "zero", svg);
        const plotted = make("g", "", svg);
        plotted.setAttribute("clip-path", "url(#hour-plot)");
        const slide = make("g", "slide", plotted);
        const paths = {};
        for (const side of ["above", "below"]) {
            const half = make("g", side, slide);
            half.setAttribute("clip-path", `url(#hour-${side})`);
            paths[side] = { area: make("path", "area", half), line: make("path", "line", half) };
        }
        const labels = make("g", "slide labels", svg);
        const now = make("circle", "now", labels);
        const peaks = ["highest", "lowest"].map((name) => ({
            dot: make("circle", name, labels),
            label: make("text", name, labels),
        }));
        const cursor = make("g", "cursor", svg);
        const rule = make("line", "", cursor);
        const mark = make("circle", "", cursor);
        const readout = document.getElementById("hour-readout");
        const none = document.createElement("p");
        none.className = "none";
        none.textContent = home.dataset.none;
        home.append(none);
        parts = { svg, plot, above, below, zero, slide, labels, paths, now, peaks, cursor, rule, mark, readout, none };
        new ResizeObserver(draw).observe(home);
        return true;
    };

    const set = (element, values) => {
        for (const [name, value] of Object.entries(values)) {
            element.setAttribute(name, value);
        }
    };

    // The browser's first number format takes longer than the drawing.
    const power = (watts) => {
        const size = Math.abs(watts);
        return size < 1000 ? `${size} W` : `${(size / 1000).toFixed(2).replace(".", box().dataset.point)} kW`;
    };
    const signed = (watts) => (watts < 0 ? `−${power(watts)}` : power(watts));
    const said = (watts) => (watts < 0 ? box().dataset.export.replace("{}", power(watts)) : power(watts));

    const clock = (at) => {
        const how = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
        const moment = new Date(at * 1000);
        try {
            return moment.toLocaleTimeString(document.documentElement.lang, { ...how, timeZone: zone });
        } catch {
            return moment.toLocaleTimeString(document.documentElement.lang, how); // this browser does not know the zone
        }
    };

    // Runs of readings with no gap between them.
    const runs = () => {
        const found = [];
        points.forEach((point, place) => {
            if (!place || point[0] - points[place - 1][0] > GAP) {
                found.push([]);
            }
            found.at(-1).push(point);
        });
        return found;
    };

    const scale = () => {
        const { width, height } = box().getBoundingClientRect();
        const watts = points.map((point) => point[1]);
        const low = Math.min(0, ...watts);
        const high = Math.max(0, ...watts, low + LEAST);
        const perWatt = (height - HEAD - FOOT) / (high - low);
        const perSecond = width / SPAN;
        const shift = width - (rightEdge() - origin) * perSecond;
        return {
            width,
            height,
            shift,
            x: (at) => (at - origin) * perSecond,
            y: (power_w) => HEAD + (high - power_w) * perWatt,
            at: (x) => (x - shift) / perSecond + origin,
        };
    };

    const outline = (to) => runs().map((run) => run.map(([at, watts]) => `${to.x(at).toFixed(1)},${to.y(watts).toFixed(1)}`));
    const area = (to) => {
        const zero = to.y(0).toFixed(1);
        const edges = runs().map((run) => [run[0], run.at(-1)].map(([at]) => to.x(at).toFixed(1)));
        return outline(to).map((steps, place) => `M${edges[place][0]},${zero}L${steps.join("L")}L${edges[place][1]},${zero}Z`).join("");
    };
    // A single reading is a point: a line of no length with round ends.
    const line = (to) => outline(to).map((steps) => `M${steps[0]}L${(steps.length > 1 ? steps.slice(1) : steps).join("L")}`).join("");

    const peaks = (to) => {
        const highest = points.reduce((best, point) => (point[1] > best[1] ? point : best));
        const lowest = points.reduce((best, point) => (point[1] < best[1] ? point : best));
        const near = Math.abs(to.x(highest[0]) - to.x(lowest[0])) < NEAR && Math.abs(to.y(highest[1]) - to.y(lowest[1])) < 30;
        return [highest, near || highest[1] === lowest[1] ? null : lowest];
    };

    const label = ({ dot, label: text }, point, to, isLowest) => {
        const isShown = point !== null;
        dot.style.display = text.style.display = isShown ? "" : "none";
        if (!isShown) {
            return;
        }
        const [x, y] = [to.x(point[0]), to.y(point[1])];
        const seen = x + to.shift;
        const anchor = seen < NEAR / 2 ? "start" : seen > to.width - NEAR / 2 ? "end" : "middle";
        const up = point[1] < 0 || isLowest ? -15 : 7; // the lowest is named below the line, which it would cross
        set(dot, { cx: x, cy: y, r: 2.5 });
        set(text, { x, y: y - up, "text-anchor": anchor });
        text.textContent = signed(point[1]);
        text.classList.toggle("export", point[1] < 0);
        dot.classList.toggle("export", point[1] < 0);
    };

    const read = (to) => {
        const isRead = chosen !== null && points.includes(chosen);
        box().classList.toggle("is-read", isRead);
        if (!isRead) {
            chosen = null;
            parts.readout.textContent = "";
            return;
        }
        const x = to.x(chosen[0]) + to.shift;
        set(parts.rule, { x1: x, x2: x, y1: HEAD, y2: to.height });
        set(parts.mark, { cx: x, cy: to.y(chosen[1]), r: 3.5 });
        const words = `${clock(chosen[0])}  ${said(chosen[1])}`;
        if (parts.readout.textContent !== words) {
            parts.readout.textContent = words;
        }
        const half = parts.readout.offsetWidth / 2;
        parts.readout.style.left = `${Math.min(Math.max(x, half), to.width - half)}px`;
    };

    const summarize = () => {
        const home = box();
        const watts = points.map((point) => point[1]);
        const words = points.length
            ? home.dataset.summary.replace("{low}", said(Math.min(...watts))).replace("{high}", said(Math.max(...watts)))
            : home.dataset.none;
        if (home.getAttribute("aria-label") !== words) {
            home.setAttribute("aria-label", words);
        }
    };

    const draw = () => {
        if (device === null || !build()) {
            return;
        }
        const from = rightEdge() - SPAN;
        // The last point before the hour stays, so that the line enters from the edge.
        points = points.filter((point, place) => point[0] >= from || points[place + 1]?.[0] >= from);
        box().classList.toggle("is-empty", !points.length);
        summarize();
        const to = scale();
        if (!points.length || !to.width) {
            return;
        }
        const zero = to.y(0);
        const [left, width] = [-10 * to.width, 1000 * to.width];
        set(parts.plot, { x: 0, y: 0, width: to.width, height: to.height });
        set(parts.above, { x: left, y: 0, width, height: zero });
        set(parts.below, { x: left, y: zero, width, height: Math.max(0, to.height - zero) });
        set(parts.zero, { x1: 0, x2: to.width, y1: zero, y2: zero });
        for (const half of Object.values(parts.paths)) {
            half.area.setAttribute("d", area(to));
            half.line.setAttribute("d", line(to));
        }
        const last = points.at(-1);
        set(parts.now, { cx: to.x(last[0]), cy: to.y(last[1]), r: 3 });
        parts.now.classList.toggle("export", last[1] < 0);
        const found = peaks(to);
        parts.peaks.forEach((place, order) => label(place, found[order], to, order === 1));
        for (const moved of [parts.slide, parts.labels]) {
            moved.style.transform = `translateX(${to.shift.toFixed(2)}px)`;
        }
        read(to);
    };

    // Takes the server's data: the whole last hour, or its news. Returns the present state for the next poll.
    const absorb = (news) => {
        if (!news || (!news.whole && news.device !== device)) {
            return news ? null : window.dash_clientside.no_update;
        }
        ahead = news.now - Date.now() / 1000;
        if (news.whole) {
            [device, zone, points, chosen] = [news.device, news.zone, [], null];
            origin = news.now - SPAN;
        }
        newest = news.newest;
        points = [...new Map([...points, ...news.points].map((point) => [point[0], point])).values()].sort((a, b) => a[0] - b[0]);
        draw();
        return [device, newest];
    };
    window.dash_clientside = Object.assign({}, window.dash_clientside, { hour: { absorb } });

    // Readout: the point nearest to the pointer, or the arrow keys along the points.
    const choose = (point) => {
        chosen = point;
        if (parts && points.length) {
            read(scale());
        }
    };
    const point = (event) => {
        const home = event.target.closest?.("#hour-graph");
        if (home && points.length) {
            const at = scale().at(event.clientX - home.getBoundingClientRect().left);
            choose(points.reduce((best, one) => (Math.abs(one[0] - at) < Math.abs(best[0] - at) ? one : best)));
        } else if (chosen && document.activeElement !== box()) {
            choose(null);
        }
    };
    document.addEventListener("pointermove", point);
    document.addEventListener("pointerdown", point);

    const STEPS = { ArrowLeft: (at) => at - 1, ArrowRight: (at) => at + 1, Home: () => 0, End: () => points.length - 1 };
    document.addEventListener("keydown", (event) => {
        if (event.target !== box() || !points.length) {
            return;
        }
        if (event.key === "Escape") {
            choose(null);
        } else if (STEPS[event.key]) {
            event.preventDefault();
            const at = chosen ? STEPS[event.key](points.indexOf(chosen)) : points.length - 1;
            choose(points[Math.min(Math.max(at, 0), points.length - 1)]);
        }
    });
    document.addEventListener("focusin", (event) => {
        if (event.target === box() && event.target.matches(":focus-visible")) {
            choose(points.at(-1) ?? null);
        }
    });
    document.addEventListener("focusout", (event) => {
        if (event.target === box()) {
            choose(null);
        }
    });

    // Time passes without readings too.
    window.setInterval(() => document.hidden || draw(), 10_000);
})();
