// The account page: how far the download of everything is, as the server notes it while it writes.
(() => {
    "use strict";

    const PAUSE_MS = 1000;
    const PATIENCE = 15; // pauses without a note: the download was refused, and the browser says why
    const link = document.getElementById("everything");
    const place = link?.closest("p").nextElementSibling;
    const address = link?.href;
    let followed = 0;

    const show = (sentence, percent) => {
        const bar = place.querySelector("progress");
        place.hidden = sentence === "";
        bar.hidden = percent === undefined;
        bar.value = percent ?? 0;
        place.querySelector("p").textContent = sentence;
    };

    const follow = async (name, waited) => {
        const answer = await fetch(`/account/everything?of=${name}`).catch(() => null);
        const { percent } = answer?.ok ? await answer.json() : {};
        if (name !== followed) {
            return; // a newer download is shown
        }
        if (percent === null) {
            show(link.dataset.stopped);
        } else if (percent === 100) {
            show(link.dataset.done, percent);
        } else if (percent !== undefined) {
            show(link.dataset.written.replace("{percent}", percent), percent);
            setTimeout(follow, PAUSE_MS, name, 0);
        } else if (waited < PATIENCE) {
            setTimeout(follow, PAUSE_MS, name, waited + 1);
        } else {
            show("");
        }
    };

    link?.addEventListener("click", () => {
        followed = String(Math.random()).slice(2);
        link.href = `${address}?of=${followed}`;
        show(link.dataset.begun, 0);
        setTimeout(follow, PAUSE_MS / 4, followed, 0);
    });
})();
