// When the server says that nobody is signed in any more: no energy stays on the screen, only the way back in.
(() => {
    "use strict";

    const UNAUTHORIZED = 401;
    const ask = window.fetch;
    let isOver = false;

    const say = () => {
        isOver = true;
        document.querySelector(".app")?.classList.add("signed-out");
        document.title = "Wattfall";
        const notice = document.getElementById("signed-out");
        if (!notice) {
            window.location.reload(); // not even the frame of the page has come
            return;
        }
        const [heading, sentence, link] = ["h1", "p", "a"].map((name) => document.createElement(name));
        heading.textContent = notice.dataset.heading;
        sentence.textContent = notice.dataset.sentence;
        link.textContent = notice.dataset.link;
        link.className = "button";
        link.dataset.full = "";
        link.href = `/sign-in?next=${encodeURIComponent(window.location.pathname + window.location.search)}`;
        notice.replaceChildren(heading, sentence, link);
        notice.hidden = false;
        link.focus();
    };

    window.fetch = async (...request) => {
        if (isOver) {
            return new Promise(() => {}); // nobody waits for it, and nothing more is asked
        }
        const answer = await ask(...request);
        const isOurs = new URL(answer.url, window.location.href).origin === window.location.origin;
        if (answer.status === UNAUTHORIZED && isOurs) {
            say();
            return new Promise(() => {});
        }
        return answer;
    };
})();
