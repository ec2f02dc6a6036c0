"use strict";

// Makes the page's figures interactive. Each has its data as CSV, and Plotly's traces and layout as
// they were made, packed in the page. A trace says which choices it belongs to; this script shows
// and hides, gives colours to the reader's theme, and fits texts to the width. Without it, or should
// a figure fail, its drawing stays. On paper it is the drawing, if there is one.

const page = (() => {
  const NARROW = 560;
  const LETTER = 6.6; // pixels, of a title's letters on average

  const escaped = (text) =>
    String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

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

  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--figure-${name}`).trim();

  const parsed = (code) => [1, 3, 5].map((place) => parseInt(code.slice(place, place + 2), 16));

  // The colours of the light style, in which everything was made, as those of the reader's.
  const painter = (light) => {
    const [whole, parts] = [new Map(), new Map()];
    for (const [name, code] of Object.entries(light)) {
      whole.set(code, colour(name));
      parts.set(parsed(code).join(", "), parsed(colour(name)).join(", "));
    }
    const paint = (value) => {
      if (typeof value === "string") {
        if (whole.has(value)) return whole.get(value);
        const code = /^rgba\((\d+, \d+, \d+), ([\d.]+)\)$/.exec(value);
        return code && parts.has(code[1]) ? `rgba(${parts.get(code[1])}, ${code[2]})` : value;
      }
      if (Array.isArray(value)) return value.map(paint); // a copy: Plotly changes ranges in place
      if (value === null || typeof value !== "object") return value;
      return Object.fromEntries(Object.entries(value).map(([key, inner]) =>
        [key, PLAIN.has(key) ? inner : paint(inner)]));
    };
    return paint;
  };
  const PLAIN = new Set(["x", "y", "text", "meta"]); // what holds no colours

  const merged = (one, other) => {
    const both = { ...one };
    for (const [key, value] of Object.entries(other)) {
      const plain = (some) => some && typeof some === "object" && !Array.isArray(some);
      both[key] = plain(value) && plain(both[key]) ? merged(both[key], value) : value;
    }
    return both;
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

  // Whether what belongs to some choices is to be seen as things stand.
  const chosen = (when, state) =>
    Object.entries(when).every(([name, value]) => !(name in state) || state[name] === value);

  // What stands once for several points in a row, for each of them.
  const repeated = (values, times) => values.flatMap((value) => Array(times).fill(value));

  // What is said of each point: of texts line by line, the lines of what is shown.
  const texts = ({ text, meta: { lines, repeat } }, there) => {
    const told = (point) => point.filter(([of]) => of === null || there(of)).map(([, line]) => line);
    if (lines) return lines.map((point) => told(point).join("<br>"));
    return repeat ? repeated(text, repeat) : text;
  };

  // Whose lines are in front: the one that is brought forward; else those that end lowest, if there
  // are many, and those that are kept there. Null where lines have no rank.
  const inFront = ({ ranked }, { hidden, kept, forward }) => {
    if (!ranked) return null;
    if (forward) return new Set([forward]);
    const shown = ranked.order.filter((name) => !hidden.has(name));
    const first = shown.length > ranked.crowd ? shown.slice(0, ranked.front) : shown;
    return new Set([...first, ...kept]);
  };

  // The traces that are to be seen; of one that is several entries' the points of those shown.
  const visible = (data, choices) => {
    const front = inFront(data, choices);
    const weighed = ({ of }) =>
      front && of !== null ? { ...choices, weight: front.has(of) ? "front" : "pale" } : choices;
    const shown = data.legend.filter((entry) => entry.drawn && !choices.hidden.has(entry.name));
    const names = new Set(shown.map((entry) => entry.name));
    const known = new Set(data.legend.map((entry) => entry.name));
    const there = (name) => !known.has(name) || names.has(name);
    return data.traces
      .filter(({ meta }) => chosen(meta.when, weighed(meta)) && (meta.of === null || there(meta.of))
        && shown.length <= (meta.most ?? Infinity))
      .map((trace) => {
        const state = weighed(trace.meta);
        return trace.meta.variants
          .filter(({ when }) => Object.keys(when).every((name) => name in state) && chosen(when, state))
          .reduce((one, variant) => merged(one, variant.trace), trace);
      })
      .map((trace) => (front?.has(trace.meta.of) ? { ...trace, zorder: 1 } : trace))
      .map((trace) => ({ ...trace, text: texts(trace, there) }))
      .map((trace) => {
        const { each: names, repeat: times } = trace.meta;
        if (!names) return trace;
        const each = times ? repeated(names, times) : names;
        const kept = (values) => values?.filter((_, place) => there(each[place]));
        return { ...trace, x: kept(trace.x), y: kept(trace.y), text: kept(trace.text) };
      })
      .filter((trace) => trace.x.length >= (trace.meta.fewest ?? 1));
  };

  const cut = (name, most) => escaped(name.length > most ? `${name.slice(0, most - 1)}…` : name);

  // A row for each name that is shown or cannot be hidden, the first on top.
  const inRows = (layout, traces, narrow, { rows, legend }) => {
    const order = rows ?? legend.map((entry) => entry.name);
    const present = new Set(traces.flatMap((trace) => trace.y));
    const entries = new Set(legend.map((entry) => entry.name));
    const names = order.filter((name) => present.has(name) || !entries.has(name));
    names.push(...[...present].filter((name) => !order.includes(name)));
    return merged(layout, {
      height: layout.meta.rest + layout.meta.row * Math.max(names.length, 1),
      yaxis: {
        categoryorder: "array", categoryarray: names, tickvals: names,
        ticktext: names.map((name) => cut(name, narrow ? 16 : 40)), range: [names.length - 0.4, -0.6],
      },
    });
  };

  // At the right a second axis, as wide as its columns that are shown.
  const withAside = (layout, traces, width) => {
    const columns = new Set(traces.filter((trace) => trace.xaxis === "x2").flatMap((trace) => trace.x));
    const begin = 1 - Math.min((layout.meta.column * columns.size) / width, 0.35);
    return merged(layout, {
      xaxis: { domain: [0, begin] },
      xaxis2: { domain: [begin, 1], range: [-0.9, columns.size - 0.4] },
    });
  };

  // Small panels, one for each name that is shown, in as many columns as there is room for.
  const inPanels = (layout, traces, width, panels) => {
    const shown = panels.filter((name) => traces.some((trace) => trace.meta.panel === name));
    const columns = Math.max(1, Math.min(4, shown.length, Math.floor(width / 240)));
    const lines = Math.max(1, Math.ceil(shown.length / columns));
    const axes = { height: 90 + 230 * lines, annotations: [] };
    axes.grid = { rows: lines, columns, pattern: "independent", xgap: 0.16, ygap: 0.34 };
    shown.forEach((name, place) => {
      const suffix = place ? String(place + 1) : "";
      const bottom = place + columns >= shown.length;
      const title = bottom ? wrapped(layout.xaxis.title.text, 24 + 14 * (4 - columns)) : "";
      axes[`xaxis${suffix}`] = merged(layout.xaxis, { title: { text: title, standoff: 6, font: { size: 11 } } });
      axes[`yaxis${suffix}`] = merged(layout.yaxis, { showticklabels: place % columns === 0 });
      axes.annotations.push({
        xref: `x${suffix} domain`, yref: `y${suffix} domain`, x: 0, y: 1, xanchor: "left",
        yanchor: "bottom", showarrow: false, text: `<b>${escaped(name)}</b>`,
        font: { size: 12, color: traces.find((trace) => trace.meta.panel === name).meta.colour },
      });
    });
    const placed = traces.map((trace) => {
      const place = shown.indexOf(trace.meta.panel);
      const suffix = place ? String(place + 1) : "";
      return { ...trace, xaxis: `x${suffix}`, yaxis: `y${suffix}` };
    });
    return [placed, { ...layout, ...axes }];
  };

  // Texts in lines that fit, and the room that they take.
  const fitted = (layout, width) => {
    const words = layout.title?.text;
    const margin = { l: 64, r: 14, t: 16, b: 56 };
    const title = {};
    if (words) {
      const text = wrapped(words, Math.max(20, (width - 30) / LETTER));
      const lines = text.split("<br>").length;
      const place = { x: 0, xref: "container", xanchor: "left", y: 1, yref: "container", yanchor: "top" };
      title.title = { text, ...place, pad: { l: 10, t: 8 + 6 * lines } };
      margin.t = 28 + 16 * lines;
    }
    if (layout.grid) Object.assign(margin, { t: margin.t + 12, r: 22 });
    const axis = layout.xaxis.title?.text;
    if (axis && !layout.grid) {
      title.xaxis = { title: { text: wrapped(axis, Math.max(20, (width - 90) / LETTER)) } };
    }
    return merged({ ...layout, margin: { ...margin, ...layout.margin } }, title);
  };

  // `room`: what the names at the lines' ends take.
  const drawing = (data, state, plot, light, room) => {
    const width = plot.clientWidth;
    const narrow = width < NARROW;
    let traces = visible(data, state);
    let layout = merged({ height: narrow ? 340 : 420, xaxis: {}, yaxis: {} }, data.layout);
    const asked = { ...state, screen: narrow ? "narrow" : "wide" };
    for (const part of data.layouts) if (chosen(part.when, asked)) layout = merged(layout, part.layout);
    if (layout.meta?.row) layout = inRows(layout, traces, narrow, data);
    if (layout.meta?.column) layout = withAside(layout, traces, width);
    if (room) {
      const height = Math.max(layout.height, room.height + 110);
      layout = merged(layout, { height, margin: { r: room.right } });
    }
    if (data.panels) [traces, layout] = inPanels(layout, traces, width, data.panels);
    const dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom";
    const font = { family: getComputedStyle(document.body).fontFamily, color: colour("text") };
    const paint = painter(light);
    return {
      traces: traces.map(paint),
      layout: merged(paint(fitted(layout, width)), { width, dragmode, font }),
    };
  };

  // Arrow keys go along a curve and from one to another; what is there is said, and brought forward.
  const walk = (plot, said, bring) => {
    let [curve, point] = [0, -1];
    const open = () => plot.data.flatMap((trace, i) => (trace.hoverinfo === "skip" ? [] : [i]));
    plot.addEventListener("keydown", (event) => {
      const curves = open();
      const turn = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
      if (event.key === "Escape") {
        Plotly.Fx.unhover(plot);
        bring(null);
      }
      if (!(event.key in turn) || !curves.length) return;
      event.preventDefault();
      const [aside, along] = turn[event.key];
      curve = (curve + aside + curves.length) % curves.length;
      const trace = plot.data[curves[curve]];
      point = Math.min(Math.max(point + along, 0), trace.text.length - 1);
      if (trace.text[point] === "") point += along || 1; // a gap between two curves of one trace
      Plotly.Fx.hover(plot, [{ curveNumber: curves[curve], pointNumber: point }]);
      bring(trace.meta.of);
      said.textContent = trace.text[point].replaceAll(/<[^>]*>/g, " ");
    });
  };

  // What was chosen of a figure, until the tab is closed: a page may load itself again.
  const remember = (place, state) => {
    try {
      const { forward, hidden, kept, ...choices } = state;
      sessionStorage.setItem(place, JSON.stringify({ ...choices, hidden: [...hidden], kept: [...kept] }));
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
  const enliven = (figure, name, data, light) => {
    const [plot, controls] = [".plot", ".controls"].map((at) => figure.querySelector(at));
    const said = element("p", { class: "hidden", "aria-live": "polite" });
    const place = `${location.pathname} ${name}`;
    const before = recalled(place);
    const state = { hidden: new Set(before.hidden), kept: new Set(before.kept), forward: null };
    const stage = element("div", { class: "stage" });
    plot.replaceWith(stage);
    stage.append(plot);
    let [width, coming, drawn] = [0, 0, null];
    const bring = (one) => {
      if (!names) return;
      clearTimeout(coming);
      coming = setTimeout(() => {
        if (state.forward === one) return;
        state.forward = one;
        draw();
      }, one === null ? 150 : 40);
    };
    const keep = (one) => {
      if (!state.kept.delete(one)) state.kept.add(one);
      changed();
    };
    const names = data.ranked ? lineEnds.make(data, swatch, { bring, keep }) : null;
    if (names) stage.append(names.holder);
    const place_names = () => names.place(plot, inFront(data, state), state.kept);
    const draw = () => {
      try {
        figure.classList.add("ready");
        width = plot.clientWidth;
        const { forward, hidden, kept, ...choices } = state;
        const front = width < NARROW ? inFront(data, { ...state, forward: null }) : null;
        const shown = names && data.ranked.order
          .filter((one) => !hidden.has(one) && (!front || front.has(one) || one === forward));
        const { traces, layout } = drawing(data, state, plot, light, names?.room(shown, width));
        // A part that is zoomed into stays until another scale is chosen: then nothing of it may.
        const scales = JSON.stringify([choices, width]);
        const again = scales === drawn;
        drawn = scales;
        const options = { displayModeBar: false, doubleClick: "reset" };
        if (names) layout.uirevision = scales; // the others are drawn again at a choice alone
        Plotly[again ? "react" : "newPlot"](plot, traces, layout, options);
        if (!names) return;
        place_names();
        if (again) return;
        plot.on("plotly_relayout", place_names);
        plot.on("plotly_hover", ({ points }) => {
          stage.classList.add("pointed");
          bring(points[0].data.meta.of);
        });
        plot.on("plotly_unhover", () => {
          stage.classList.remove("pointed");
          bring(null);
        });
      } catch (error) {
        figure.classList.remove("ready");
        reportError(error); // in the console: the others are drawn nevertheless
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
    if (data.legend.length) controls.append(legend(data.legend, state.hidden, changed));
    const button = element("button", { type: "button", class: "csv" }, "save as CSV");
    button.setAttribute("aria-label", `save the data as CSV: ${data.label}`);
    button.addEventListener("click", () => save(`${name}.csv`, data.csv));
    figure.querySelector(".data").append(" ", button);
    const help = "Arrow keys left and right go along a curve, up and down to another.";
    plot.setAttribute("role", "application");
    plot.setAttribute("tabindex", "0");
    plot.setAttribute("aria-label", `${data.label}. ${help}`);
    plot.after(said);
    walk(plot, said, bring);
    plot.addEventListener("blur", () => bring(null));
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
    const light = JSON.parse(document.getElementById("light").textContent);
    const packed = figures.map((figure) => unpacked(figure.querySelector("script")));
    const texts = await Promise.allSettled(packed);
    const drawn = new Map();
    const waiting = new Map();
    const near = new IntersectionObserver((seen) => {
      for (const { isIntersecting, target } of seen) {
        if (!isIntersecting || drawn.has(target)) continue;
        const draw = waiting.get(target);
        drawn.set(target, draw);
        near.unobserve(target);
        draw();
      }
    }, { rootMargin: "800px" });
    figures.forEach((figure, i) => {
      try {
        if (texts[i].status === "rejected") throw texts[i].reason;
        const data = JSON.parse(texts[i].value);
        waiting.set(figure, enliven(figure, figure.dataset.figure, data, light));
      } catch (error) {
        reportError(error);
      }
    });
    document.documentElement.classList.add("interactive");
    waiting.forEach((_, figure) => near.observe(figure));
    const again = () => drawn.forEach((draw) => draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    addEventListener("beforeprint", () => {
      document.documentElement.classList.add("on-paper");
      waiting.forEach((draw, figure) => {
        if (figure.querySelector(".drawing")) return;
        drawn.set(figure, draw);
        draw();
      });
    });
    addEventListener("afterprint", () => {
      document.documentElement.classList.remove("on-paper");
      again();
    });
  };

  return { start };
})();

addEventListener("DOMContentLoaded", page.start);
