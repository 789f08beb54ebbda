// Scripts of the support pages: search results while typing, and a button that copies a message.
(() => {
    "use strict";

    const PAUSE_MS = 40; // ms of pause before a search
    const UNAUTHORIZED = 401;
    const [field, list, nothing, said, sample] = ["", "-list", "-nothing", "-said", "-option"].map((part) =>
        document.getElementById(`find${part}`));
    field.setAttribute("role", "combobox");

    let urls = [];
    let active = -1;
    let asked = null;
    let waits = 0;

    const mark = (place) => {
        active = place;
        [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === active)));
        list.children[active]?.scrollIntoView({ block: "nearest" });
        field.setAttribute("aria-activedescendant", list.children[active]?.id ?? "");
    };
    const open = (isOpen, isNothing = false) => {
        [list.hidden, nothing.hidden] = [!isOpen, !isNothing];
        field.setAttribute("aria-expanded", String(isOpen));
        mark(-1);
    };
    open(false);

    const option = (device, at) => {
        const made = sample.content.firstElementChild.cloneNode(true);
        const [name, id, details] = made.children;
        made.id = `find-${at}`;
        name.textContent = device.name; // never as HTML: names are foreign text
        id.textContent = device.name === device.device_id ? "" : device.device_id;
        for (const detail of device.details) {
            details.append(Object.assign(document.createElement("span"), { textContent: detail }));
        }
        return made;
    };
    const show = (answer) => {
        const kept = urls[active]; // a chosen suggestion stays
        urls = answer.found.map((device) => device.url);
        list.replaceChildren(...answer.found.map(option));
        list.scrollTop = 0;
        open(urls.length > 0, !urls.length);
        mark(urls.indexOf(kept));
        said.textContent = urls.length ? answer.said : nothing.textContent;
    };
    const ask = async () => {
        asked?.abort();
        const own = asked = new AbortController();
        const typed = field.value.trim();
        if (typed.length < 2) {
            open(false);
            said.textContent = "";
            return;
        }
        try {
            const answer = await fetch(`/desk/search.json?q=${encodeURIComponent(typed)}`, { signal: own.signal });
            if (answer.status === UNAUTHORIZED) {
                window.location.reload(); // to the sign-in page
            }
            const found = answer.ok ? await answer.json() : null;
            if (found && own === asked && document.activeElement === field) {
                show(found);
            }
        } catch {
            open(false); // a newer search overtook this one, or the store is unreachable; Enter still works
        }
    };

    field.addEventListener("input", () => {
        window.clearTimeout(waits);
        waits = window.setTimeout(ask, PAUSE_MS);
    });
    field.addEventListener("keydown", (event) => {
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (step && !event.isComposing) {
            if (list.hidden) {
                ask();
            } else {
                mark((active < 0 && step < 0 ? urls.length - 1 : active + step + urls.length) % urls.length);
            }
            event.preventDefault();
        } else if (event.key === "Enter" && active >= 0 && !event.isComposing) {
            window.location.assign(urls[active]);
            event.preventDefault();
        } else if (event.key === "Escape" && !(list.hidden && nothing.hidden)) {
            open(false);
            event.preventDefault();
        }
    });
    list.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays in the field
    list.addEventListener("click", (event) => {
        const at = [...list.children].indexOf(event.target.closest("[role='option']"));
        if (at >= 0) {
            window.location.assign(urls[at]);
        }
    });
    field.addEventListener("blur", () => {
        asked?.abort();
        open(false);
    });

    const isTyping = (target) => target.closest("input, textarea, select, [contenteditable]") !== null;
    document.addEventListener("keydown", (event) => {
        const isCommand = event.key.toLowerCase() === "k" && (event.metaKey || event.ctrlKey);
        const isSlash = event.key === "/" && !event.metaKey && !event.ctrlKey && !event.altKey && !isTyping(event.target);
        if (isCommand || isSlash) {
            field.focus();
            field.select();
            event.preventDefault();
        }
    });

    for (const button of navigator.clipboard ? document.querySelectorAll("[data-copy]") : []) { // only over https
        button.hidden = false;
        const label = button.textContent;
        button.addEventListener("click", async () => {
            await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
            button.textContent = button.dataset.done;
            window.setTimeout(() => {
                button.textContent = label;
            }, 2000);
        });
    }
})();
