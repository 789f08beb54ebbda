// The account page: how far the download of everything is, as the server notes it while it writes.
(() => {
    "use strict";

    const PAUSE_MS = 1000;
    const PATIENCE = 15; // pauses without a note: the download was refused, and the browser says why
    const link = document.getElementById("everything");
    const place = link?.closest("p").nextElementSibling;
    const address = link?.href;
    let followed = 0;

    const show = (words, percent) => {
        const bar = place.querySelector("progress");
        place.hidden = words === null;
        bar.hidden = percent === null;
        bar.value = percent ?? 0;
        place.querySelector("p").textContent = link.dataset[words]?.replace("{percent}", percent);
    };

    const follow = async (name, waited) => {
        const answer = await fetch(`/account/everything?of=${name}`).catch(() => null);
        const { percent } = answer?.ok ? await answer.json() : {};
        if (name !== followed) {
            return; // a newer download is shown
        }
        if (percent !== undefined) {
            show(percent === null ? "stopped" : percent === 100 ? "done" : "written", percent);
        } else if (waited >= PATIENCE) {
            show(null, null);
            return;
        }
        if (percent !== null && percent !== 100) {
            setTimeout(follow, PAUSE_MS, name, percent === undefined ? waited + 1 : 0);
        }
    };

    link?.addEventListener("click", () => {
        followed = String(Math.random()).slice(2);
        link.href = `${address}?of=${followed}`;
        show("begun", 0);
        setTimeout(follow, PAUSE_MS / 4, followed, 0);
    });
})();
