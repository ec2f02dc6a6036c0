"use strict";

// Clicks everything on the page, and says what came of it.

(() => {
  const seen = { errors: [], figures: {} };
  addEventListener("error", (event) => seen.errors.push(event.message));
  addEventListener("unhandledrejection", (event) => seen.errors.push(String(event.reason)));
  const blobs = [];
  URL.createObjectURL = (blob) => {
    blobs.push(blob);
    return "#saved";
  };

  const state = (plot) => ({
    x: plot.layout.xaxis, y: plot.layout.yaxis,
    traces: plot.data.map(({ x, y, text, hoverinfo }) => ({ x, y, text, hoverinfo })),
  });
  const digest = (plot) => {
    const all = JSON.stringify(state(plot));
    let sum = 0;
    for (let i = 0; i < all.length; i += 1) sum = (sum * 31 + all.charCodeAt(i)) | 0;
    return {
      sum, x: plot.layout.xaxis.type ?? "linear", y: plot.layout.yaxis.type ?? "linear",
      axis: plot.layout.xaxis.title?.text, heading: plot.layout.title?.text ?? "",
      open: plot.data.filter((trace) => trace.hoverinfo !== "skip").length,
      bands: plot.data.filter((trace) => trace.fill === "tonexty").length,
      texts: plot.data.flatMap((trace) => trace.text ?? []).slice(0, 400),
    };
  };

  // `most`: of how many entries of the legend each is hidden and shown again.
  const tryAll = async (figure, most) => {
    const plot = figure.querySelector(".plot");
    const found = { at_first: digest(plot), clicks: [] };
    const press = (control, words) => {
      control.click();
      found.clicks.push({ words, pressed: control.getAttribute("aria-pressed"), ...digest(plot) });
    };
    for (const group of figure.querySelectorAll("fieldset")) {
      const inputs = [...group.querySelectorAll("input")];
      const chosen = inputs.find((input) => input.checked);
      const legend = group.querySelector("legend").textContent;
      for (const input of [...inputs.filter((one) => one !== chosen), chosen]) {
        press(input, `${legend}: ${input.value}`);
      }
    }
    const buttons = [...figure.querySelectorAll(".legend button:not(.all):not(:disabled)")];
    for (const button of buttons.slice(0, most)) {
      press(button, `hide ${button.textContent.trim()}`);
      press(button, `show ${button.textContent.trim()}`);
    }
    const all = figure.querySelector(".all");
    if (all) {
      press(all, "hide all");
      press(all, "show all");
    }
    found.disabled = [...figure.querySelectorAll(".legend :disabled")].map((b) => b.textContent.trim());
    for (const key of ["ArrowRight", "ArrowRight", "ArrowDown", "Escape"]) {
      plot.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    }
    found.said = figure.querySelector("[aria-live]").textContent;
    blobs.length = 0;
    figure.querySelector(".csv").click();
    found.csv = await blobs[0].text();
    found.hash = figure.querySelector(".data code").textContent;
    const focusable = [...figure.querySelectorAll("input, button, .plot")];
    found.unreachable = focusable.filter((e) => e.tabIndex < 0).length;
    found.nameless = [...figure.querySelectorAll("button")].filter((b) => !b.textContent.trim()).length;
    found.static_shown = [...figure.querySelectorAll(".drawing")]
      .filter((d) => getComputedStyle(d).display !== "none").length;
    return found;
  };

  const drawn = async () => {
    const figures = [...document.querySelectorAll("figure[data-figure]")];
    while (!figures.every((figure) => figure.querySelector(".main-svg"))) {
      if (seen.errors.length) throw new Error(seen.errors[0]); // it would never be drawn
      await new Promise((resume) => setTimeout(resume, 25));
    }
    return figures;
  };

  window.clickAll = async (most = Infinity) => {
    const figures = await drawn();
    seen.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    for (const figure of figures) seen.figures[figure.dataset.figure] = await tryAll(figure, most);
    return seen;
  };
  window.drawn = drawn;
})();
