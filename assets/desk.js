// Scripts of the support pages: search results while typing, and a button that copies a message.
(() => {
    "use strict";

    const PAUSE_MS = 40; // ms of pause before a search
    const UNAUTHORIZED = 401;
    const field = document.getElementById("find");

    const element = (tag, className, text) => {
        const made = document.createElement(tag);
        made.className = className;
        made.textContent = text; // never as HTML: names are foreign text
        return made;
    };

    if (field) {
        const said = document.getElementById("find-said");
        const list = element("ul", "found", "");
        Object.assign(list, { id: "find-list", hidden: true });
        list.setAttribute("role", "listbox");
        list.setAttribute("aria-label", field.dataset.list);
        field.after(list);
        const nothing = element("div", "found nothing", field.dataset.none);
        nothing.hidden = true;
        list.after(nothing);
        for (const [name, value] of Object.entries({
            "role": "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id,
        })) {
            field.setAttribute(name, value);
        }

        let urls = [];
        let active = -1;
        let asked = null;
        let waits = 0;

        const mark = (place) => {
            const options = [...list.children];
            active = options.length ? (place + options.length) % options.length : -1;
            options.forEach((option, at) => option.setAttribute("aria-selected", String(at === active)));
            const chosen = options[active];
            chosen?.scrollIntoView({ block: "nearest" });
            if (chosen) {
                field.setAttribute("aria-activedescendant", chosen.id);
            } else {
                field.removeAttribute("aria-activedescendant");
            }
        };
        const close = () => {
            list.hidden = nothing.hidden = true;
            active = -1;
            field.setAttribute("aria-expanded", "false");
            field.removeAttribute("aria-activedescendant");
        };
        const option = (device, at) => {
            const made = element("li", "", "");
            Object.assign(made, { id: `find-${at}` });
            made.setAttribute("role", "option");
            made.setAttribute("aria-selected", "false");
            made.append(element("strong", "", device.name));
            if (device.name !== device.device_id) {
                made.append(" ", element("span", "id", device.device_id));
            }
            const details = element("span", "details", "");
            details.append(...device.details.map((detail) => element("span", "", detail)));
            made.append(" ", details);
            return made;
        };
        const show = (answer) => {
            const kept = urls[active]; // a chosen suggestion stays
            urls = answer.found.map((device) => device.url);
            list.replaceChildren(...answer.found.map(option));
            list.scrollTop = 0;
            list.hidden = !urls.length;
            nothing.hidden = urls.length > 0;
            active = -1;
            field.setAttribute("aria-expanded", String(!list.hidden));
            field.removeAttribute("aria-activedescendant");
            if (urls.includes(kept)) {
                mark(urls.indexOf(kept));
            }
            said.textContent = urls.length ? answer.said : field.dataset.none;
        };
        const ask = async () => {
            asked?.abort();
            asked = new AbortController();
            const typed = field.value.trim();
            if (typed.length < 2) {
                close();
                said.textContent = "";
                return;
            }
            const own = asked;
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
                close(); // a newer search overtook this one, or the store is unreachable; Enter still works
            }
        };

        field.addEventListener("input", () => {
            window.clearTimeout(waits);
            waits = window.setTimeout(ask, PAUSE_MS);
        });
        field.addEventListener("keydown", (event) => {
            if ((event.key === "ArrowDown" || event.key === "ArrowUp") && !event.isComposing) {
                if (list.hidden) {
                    ask();
                } else {
                    mark(event.key === "ArrowDown" ? active + 1 : active < 0 ? -1 : active - 1);
                }
                event.preventDefault();
            } else if (event.key === "Enter" && active >= 0 && !event.isComposing) {
                window.location.assign(urls[active]);
                event.preventDefault();
            } else if (event.key === "Escape" && !(list.hidden && nothing.hidden)) {
                close();
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
            close();
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
    }

    for (const button of document.querySelectorAll("[data-copy]")) {
        if (!navigator.clipboard) {
            break; // not a secure context: the text can still be selected
        }
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
