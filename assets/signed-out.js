// After the server reports the end of the session: hides all energy and shows the way to sign in.
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
            window.location.reload(); // the frame of the page is missing too
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
            return new Promise(() => {}); // stops all requests
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
