"use strict";

// Makes the page's figures interactive. Each has its data as CSV and how it is drawn as JSON, both
// packed in the page; `plots` (plots.js) turns the two into Plotly's traces. Without this script,
// or should a figure fail, its drawing stays. On paper it is the drawing, if there is one.

const page = (() => {
  const number = (text) => (text === "" || text === undefined ? null : Number(text));

  const escaped = (text) =>
    String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  const short = (value) => {
    if (value === null || !Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    const text = size >= 1e-4 && size < 1e6
      ? String(Number(value.toPrecision(4)))
      : value === 0 ? "0" : value.toExponential(2);
    return text.replaceAll("-", "−");
  };

  // A number on an axis: 500, 20k, 1M.
  const amount = (value) => {
    if (value >= 1e6) return `${short(value / 1e6)}M`;
    return value >= 1e4 ? `${short(value / 1e3)}k` : short(value);
  };

  // Text in lines of so many characters, as Plotly writes lines.
  const wrapped = (text, characters) => {
    const lines = [""];
    for (const word of String(text).split(" ")) {
      const last = lines[lines.length - 1];
      if (last && last.length + word.length + 1 > characters) lines.push(word);
      else lines[lines.length - 1] = last ? `${last} ${word}` : word;
    }
    return lines.map(escaped).join("<br>");
  };

  // The rows of a CSV file, as objects of texts.
  const rowsOf = (csv) => {
    const lines = [[]];
    const field = /("(?:[^"]|"")*"|[^,\n]*)(,|\n|$)/gy;
    while (field.lastIndex < csv.length) {
      const [, text, end] = field.exec(csv);
      const plain = text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text;
      lines[lines.length - 1].push(plain);
      if (end === "\n" && field.lastIndex < csv.length) lines.push([]);
    }
    const names = lines.shift();
    return lines.map((line) => Object.fromEntries(names.map((name, i) => [name, line[i]])));
  };

  // Rows by what they have in a column, in order of appearance.
  const grouped = (rows, column) => {
    const groups = new Map();
    for (const row of rows) {
      if (!groups.has(row[column])) groups.set(row[column], []);
      groups.get(row[column]).push(row);
    }
    return groups;
  };

  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--figure-${name}`).trim();

  const faded = (name, share) => {
    const code = colour(name);
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(code.slice(at, at + 2), 16));
    return `rgba(${red}, ${green}, ${blue}, ${share})`;
  };

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  const unpacked = async (script) => {
    const packed = atob(script.textContent.trim());
    const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  const save = (name, csv) => {
    const address = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
    element("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };

  // A group of radio buttons for one choice.
  const choice = (figure, { name, legend, options, chosen }, choose) => {
    const group = element("fieldset", { class: "choice" }, element("legend", {}, legend));
    for (const [value, words] of options) {
      const input = element("input", { type: "radio", name: `${figure}-${name}`, value });
      input.checked = value === chosen;
      input.addEventListener("change", () => choose(name, value));
      group.append(element("label", {}, input, element("span", {}, words)));
    }
    return group;
  };

  const DRAWN = "http://www.w3.org/2000/svg";

  // A bit of a searcher's line, or a square of its colour.
  const swatch = ({ colour: name, dash, square, pale }) => {
    const drawing = document.createElementNS(DRAWN, "svg");
    const set = (node, attributes) =>
      Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
    set(drawing, { viewBox: "0 0 26 10", width: 26, height: 10, "aria-hidden": "true" });
    const mark = document.createElementNS(DRAWN, square ? "rect" : "line");
    const paint = `var(--figure-${name})`;
    if (square) set(mark, { x: 8, y: 0, width: 10, height: 10, style: `fill: ${paint}; fill-opacity: ${pale ? 0.4 : 1}; stroke: ${paint}` });
    else {
      const dashes = dash === "solid" ? "none" : dash.replaceAll("px", "");
      const style = `stroke: ${paint}; stroke-width: 2.5; stroke-dasharray: ${dashes}`;
      set(mark, { x1: 0, y1: 5, x2: 26, y2: 5, style });
    }
    drawing.append(mark);
    return drawing;
  };

  // A button for each thing that can be hidden, and one for all of them.
  const legend = (entries, hidden, changed) => {
    const group = element("div", { class: "legend", role: "group", "aria-label": "shown" });
    const buttons = entries.map((entry) => {
      const attributes = { type: "button", "aria-pressed": String(!hidden.has(entry.name)) };
      const button = element("button", attributes, swatch(entry), ` ${entry.label}`);
      button.disabled = entry.drawn === false;
      button.addEventListener("click", () => {
        if (!hidden.delete(entry.name)) hidden.add(entry.name);
        show();
      });
      return button;
    });
    const all = element("button", { type: "button", class: "all" });
    const usable = entries.filter((entry) => entry.drawn !== false);
    all.addEventListener("click", () => {
      const show_all = hidden.size > 0;
      hidden.clear();
      if (!show_all) usable.forEach((entry) => hidden.add(entry.name));
      show();
    });
    const mark = () => {
      entries.forEach(({ name }, i) =>
        buttons[i].setAttribute("aria-pressed", String(!hidden.has(name))));
      all.textContent = hidden.size ? "show all" : "hide all";
    };
    const show = () => {
      mark();
      changed();
    };
    mark();
    group.append(...buttons);
    if (usable.length > 1) group.append(all);
    return group;
  };

  const frame = (plot) => ({
    width: plot.clientWidth,
    height: plot.clientWidth < 560 ? 340 : 420,
    margin: { l: 64, r: 14, t: 16, b: 56 },
    paper_bgcolor: "rgba(0, 0, 0, 0)",
    plot_bgcolor: "rgba(0, 0, 0, 0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("text") },
    hoverlabel: {
      bgcolor: colour("background"), bordercolor: colour("faint"), align: "left",
      font: { color: colour("text") }, namelength: 0,
    },
    hovermode: "closest",
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    showlegend: false,
  });

  const axis = (plot, title, more) => ({
    title: {
      text: wrapped(title, Math.max(20, (plot.clientWidth - 90) / 6.6)), standoff: 8, font: { size: 12 },
    },
    gridcolor: colour("grid"), zeroline: false, linecolor: colour("faint"), showline: true,
    ticks: "outside", tickcolor: colour("faint"), automargin: true, ...more,
  });

  // What stands over a plot, and the room that it takes.
  const headed = (plot, words) => {
    const text = wrapped(words, Math.max(20, (plot.clientWidth - 30) / 6.6));
    const place = { x: 0, xref: "container", xanchor: "left", y: 1, yref: "container", yanchor: "top" };
    return {
      title: { text, font: { size: 12 }, ...place, pad: { l: 10, t: 8 + 6 * text.split("<br>").length } },
      margin: { l: 64, r: 14, t: 28 + 16 * text.split("<br>").length, b: 56 },
    };
  };

  // Arrow keys go along a curve and from one to another; what is there is said.
  const walk = (plot, said) => {
    let [curve, point] = [0, -1];
    const open = () => plot.data.flatMap((trace, i) => (trace.hoverinfo === "skip" ? [] : [i]));
    plot.addEventListener("keydown", (event) => {
      const curves = open();
      const turn = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
      if (event.key === "Escape") Plotly.Fx.unhover(plot);
      if (!(event.key in turn) || !curves.length) return;
      event.preventDefault();
      const [aside, along] = turn[event.key];
      curve = (curve + aside + curves.length) % curves.length;
      const trace = plot.data[curves[curve]];
      point = Math.min(Math.max(point + along, 0), trace.text.length - 1);
      Plotly.Fx.hover(plot, [{ curveNumber: curves[curve], pointNumber: point }]);
      said.textContent = trace.text[point].replaceAll(/<[^>]*>/g, " ");
    });
  };

  // What was chosen of a figure, until the tab is closed: a page may load itself again.
  const remember = (place, state) => {
    try {
      sessionStorage.setItem(place, JSON.stringify({ ...state, hidden: [...state.hidden] }));
    } catch { /* where nothing may be kept, nothing is */ }
  };
  const recalled = (place) => {
    try {
      return JSON.parse(sessionStorage.getItem(place)) ?? {};
    } catch {
      return {};
    }
  };

  // One figure: its controls, its plot as soon as it comes near the screen, its CSV.
  const enliven = (figure, name, data) => {
    const [plot, controls] = [".plot", ".controls"].map((at) => figure.querySelector(at));
    const said = element("p", { class: "hidden", "aria-live": "polite" });
    const place = `${location.pathname} ${name}`;
    const before = recalled(place);
    const state = { hidden: new Set(before.hidden) };
    let [rows, width] = [null, 0];
    const draw = () => {
      try {
        figure.classList.add("ready");
        width = plot.clientWidth;
        rows ??= rowsOf(data.csv);
        const drawn = plots[data.kind]({ data, rows, state, plot });
        const layout = { ...frame(plot), ...drawn.layout };
        Plotly.react(plot, drawn.traces, layout, { displayModeBar: false });
      } catch (error) {
        figure.classList.remove("ready");
        throw error;
      }
    };
    const changed = () => {
      draw();
      remember(place, state);
    };
    for (const given of data.controls) {
      const known = given.options.some(([value]) => value === before[given.name]);
      const chosen = known ? before[given.name] : given.chosen;
      state[given.name] = chosen;
      const choose = (which, value) => {
        state[which] = value;
        changed();
      };
      controls.append(choice(name, { ...given, chosen }, choose));
    }
    if (data.searchers?.length) controls.append(legend(data.searchers, state.hidden, changed));
    const button = element("button", { type: "button", class: "csv" }, "save as CSV");
    button.setAttribute("aria-label", `save the data as CSV: ${data.label}`);
    button.addEventListener("click", () => save(`${name}.csv`, data.csv));
    figure.querySelector(".data").append(" ", button);
    const help = "Arrow keys left and right go along a curve, up and down to another.";
    plot.setAttribute("role", "application");
    plot.setAttribute("tabindex", "0");
    plot.setAttribute("aria-label", `${data.label}. ${help}`);
    plot.after(said);
    walk(plot, said);
    new ResizeObserver(() => {
      if (width && plot.clientWidth && plot.clientWidth !== width) draw();
    }).observe(plot);
    return draw;
  };

  const start = async () => {
    const figures = [...document.querySelectorAll("figure[data-figure]")];
    if (!figures.length || !("DecompressionStream" in window)) return;
    const library = await unpacked(document.getElementById("plotly"));
    document.head.append(element("script", {}, library));
    const packed = figures.map((figure) => unpacked(figure.querySelector("script")));
    const data = (await Promise.all(packed)).map((text) => JSON.parse(text));
    const drawn = new Map();
    const near = new IntersectionObserver((seen) => {
      for (const { isIntersecting, target } of seen) {
        if (!isIntersecting || drawn.has(target)) continue;
        const draw = waiting.get(target);
        drawn.set(target, draw);
        near.unobserve(target);
        draw();
      }
    }, { rootMargin: "800px" });
    const waiting = new Map(figures.map((figure, i) =>
      [figure, enliven(figure, figure.dataset.figure, data[i])]));
    document.documentElement.classList.add("interactive");
    figures.forEach((figure) => near.observe(figure));
    const again = () => drawn.forEach((draw) => draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    addEventListener("beforeprint", () => {
      document.documentElement.classList.add("on-paper");
      figures.filter((figure) => !figure.querySelector(".drawing")).forEach((figure) => {
        drawn.set(figure, waiting.get(figure));
        waiting.get(figure)();
      });
    });
    addEventListener("afterprint", () => {
      document.documentElement.classList.remove("on-paper");
      again();
    });
  };

  return { number, escaped, short, amount, wrapped, grouped, colour, faded, axis, headed, start };
})();
