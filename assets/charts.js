// Draws the server's figures (data-figure) once plotly is loaded; of the next figure it draws only the differences.
//
// A Dash graph would first draw an empty plot with its axes, which takes as long as a chart.
(() => {
    "use strict";

    const STILL = { displayModeBar: false, staticPlot: true, responsive: true };

    // Plotly listens to the window only; on paper a chart has another size in the same window.
    const fit = ({ target }) => {
        const drawn = target._fullLayout;
        const isShown = drawn && target.offsetWidth > 0;
        if (isShown && (drawn.width !== target.offsetWidth || drawn.height !== target.offsetHeight)) {
            window.Plotly.Plots.resize(target);
        }
    };
    const sizes = new ResizeObserver((entries) => entries.forEach(fit));

    const draw = async (place) => {
        const plotly = await window.Plotly;
        const { data, layout } = JSON.parse(place.dataset.figure);
        await plotly.react(place, data, layout, STILL);
        sizes.observe(place);
    };

    new MutationObserver((changes) => changes.forEach(({ target }) => draw(target))).observe(document.documentElement, {
        subtree: true,
        attributes: true,
        attributeFilter: ["data-figure"],
    });
})();
