"use strict";

// How each kind of figure is drawn: its data and what the reader chose, as Plotly's traces.

const { plots, parts } = (() => {
  const { number, escaped, short, amount, wrapped, grouped, colour, faded, axis, headed } = page;

  const LINEAR_SHARE = 0.5; // of a decade, for each side of zero on a log scale of both signs

  // Log in both directions, linear around zero.
  const bent = (value, below) => {
    if (value === null) return null;
    const size = Math.abs(value) / below;
    if (size <= 1) return LINEAR_SHARE * (value / below);
    return Math.sign(value) * (LINEAR_SHARE + Math.log10(size));
  };

  // 1, 2, 5 and their tens, or tens alone if those are many.
  const logTicks = (low, high) => {
    let ticks = [];
    for (let ten = Math.floor(Math.log10(low)); ten <= Math.log10(high); ten += 1) {
      ticks.push(...[1, 2, 5].map((digit) => Number(`${digit}e${ten}`)));
    }
    ticks = ticks.filter((tick) => tick >= low && tick <= high);
    const tens = ticks.filter((tick) => Number.isInteger(Math.log10(tick)));
    const few = ticks.length > 12 && tens.length > 2 ? tens : ticks;
    return few.length > 1 ? { tickvals: few, ticktext: few.map(amount) } : {};
  };

  // The vertical axis of a loss or a regret: how values are placed, and the axis itself.
  const vertical = (plot, quantity, scale, log) => {
    const title = { title: { text: "" } };
    if (!log || !scale.ticks) {
      return { place: (v) => v, yaxis: axis(plot, "", title), note: quantity };
    }
    const below = scale.linear_below;
    const place = below ? (v) => bent(v, below) : (v) => v;
    const ends = [scale.low, scale.high];
    const ticks = {
      tickvals: scale.ticks.map(([value]) => place(value)),
      ticktext: scale.ticks.map(([, text]) => text),
    };
    const near = below ? `; linear within ±${short(below)}` : "";
    const kind = below
      ? { range: ends.map(place), fixedrange: true }
      : { type: "log", range: ends.map(Math.log10) };
    const yaxis = axis(plot, "", { ...title, ...ticks, ...kind });
    return { place, yaxis, note: `${quantity} (log scale${near})` };
  };

  const regret = ({ data, rows, state, plot }) => {
    const clock = state.clock ?? Object.keys(data.clocks)[0];
    const curve = state.curve ?? Object.keys(data.curves)[0];
    const { axis: words, unit, end, budget } = data.clocks[clock];
    const mine = rows.filter((row) => row.curve === curve);
    const { place, yaxis, note } =
      vertical(plot, data.curves[curve].quantity, data.scales[curve], (state.up ?? "log") === "log");
    const log = state.across === "log";
    const events = mine.map((row) => number(row[clock])).filter((time) => time > 0);
    const begin = log ? 0.85 * Math.min(...events, 0.5 * end) : 0;
    const characters = Math.max(30, Math.min(70, plot.clientWidth / 8));

    const told = (searcher, row) => {
      const head = `<b>${escaped(searcher.name)}</b>`;
      const when = `at ${short(number(row[clock]))} ${unit}`;
      const value = `${data.shown} ${short(number(row.value))}`;
      if (row.line === "mean") {
        const band = `95 % band ${short(number(row.low))} to ${short(number(row.high))}`;
        return `${head}, mean of ${searcher.seeds} seeds<br>${value} ${when}<br>${band}`;
      }
      const which = row.evaluation === "" ? "the task's default" : `evaluation ${row.evaluation}`;
      const losses = `validation loss ${short(number(row.validation_loss))},`
        + ` test loss ${short(number(row.test_loss))}${data.again ? ", trained again" : ""}`;
      const set = row.hyperparameters ? `<br>${wrapped(row.hyperparameters, characters)}` : "";
      return `${head}, seed ${row.seed}, ${which}<br>${value} ${when}<br>${losses}${set}`;
    };

    // Steps that hold until the end; a column of the rows as they go up.
    const stepped = (steps, column) => {
      const values = steps.map((row) => place(number(row[column])));
      return [...values, values[values.length - 1]];
    };
    const line = (searcher, steps, width) => {
      const texts = steps.map((row) => told(searcher, row));
      return {
        x: [...steps.map((row) => Math.max(number(row[clock]), begin)), end],
        y: stepped(steps, "value"),
        text: [...texts, texts[texts.length - 1]],
        hovertemplate: "%{text}<extra></extra>",
        mode: "lines+markers",
        line: { shape: "hv", width, color: colour(searcher.colour), dash: searcher.dash },
        marker: { symbol: searcher.symbol, size: 6, color: colour(searcher.colour) },
      };
    };
    const edge = (searcher, steps, column, fill) => ({
      x: [...steps.map((row) => Math.max(number(row[clock]), begin)), end],
      y: stepped(steps, column),
      mode: "lines", hoverinfo: "skip", line: { shape: "hv", width: 0 },
      ...(fill ? { fill: "tonexty", fillcolor: faded(searcher.colour, fill) } : {}),
    });

    const shown = data.searchers.filter((s) => s.drawn && !state.hidden.has(s.name));
    const [bands, lines] = [[], []];
    for (const searcher of shown) {
      const own = mine.filter((row) => row.searcher === searcher.name);
      const mean = own.filter((row) => row.line === "mean" && row[clock] !== "");
      if (mean.length && state.lines !== "seed") {
        bands.push(edge(searcher, mean, "low"));
        bands.push(edge(searcher, mean, "high", Math.min(0.15, 0.8 / shown.length)));
        const drawn = line(searcher, mean, 2.2);
        drawn.marker.maxdisplayed = 6;
        lines.push(drawn);
      } else {
        const seeds = grouped(own.filter((row) => row.line === "seed"), "seed");
        seeds.forEach((steps) => lines.push(line(searcher, steps, 1.3)));
      }
    }

    const shapes = [];
    const annotations = [];
    const across = { xref: "paper", x0: 0, x1: 1, layer: "below" };
    for (const row of mine.filter(({ line: kind }) => kind === "default" || kind === "reference")) {
      const [value, low, high] = [row.value, row.low, row.high].map((v) => place(number(v)));
      const dash = row.line === "default" ? "dot" : "solid";
      const ruled = { color: colour("faint"), width: 1, dash };
      shapes.push({ ...across, type: "line", y0: value, y1: value, line: ruled });
      const band = { line: { width: 0 }, fillcolor: faded("faint", 0.15) };
      if (low !== null && low < high) {
        shapes.push({ ...across, type: "rect", y0: low, y1: high, ...band });
      }
      annotations.push({
        xref: "paper", x: row.line === "default" ? 1 : 0, y: yaxis.type === "log" ? Math.log10(value) : value,
        xanchor: row.line === "default" ? "right" : "left", yanchor: "bottom", showarrow: false,
        font: { size: 11, color: colour("faint") },
        text: row.line === "default" ? "default, mean" : low < high ? "reference ± s.e." : "reference",
      });
    }
    const until = budget ? `; the budget ends at ${short(end)}` : "";
    const kind = log
      ? { type: "log", range: [Math.log10(begin), Math.log10(end)], ...logTicks(begin, end) }
      : { range: [0, end] };
    return {
      traces: [...bands, ...lines],
      layout: {
        ...headed(plot, note), shapes, annotations, yaxis,
        xaxis: axis(plot, words + until, { ...kind, exponentformat: "none" }),
      },
    };
  };

  const visible = (data, state) =>
    data.searchers.filter((s) => s.drawn !== false && !state.hidden.has(s.name));

  // A row for each name, the first on top.
  const cut = (name, most) => escaped(name.length > most ? `${name.slice(0, most - 1)}…` : name);
  const rowsAxis = (plot, names) => axis(plot, "", {
    title: { text: "" }, tickvals: names.map((_, i) => i),
    ticktext: names.map((name) => cut(name, plot.clientWidth < 560 ? 16 : 40)),
    range: [names.length - 0.4, -0.6], fixedrange: true, showgrid: false, ticks: "",
  });
  const rowsHeight = (names, rest) => rest + 26 * Math.max(names.length, 1);

  const rank = ({ data, rows, state, plot }) => {
    const log = state.across === "log";
    const own = grouped(rows, "searcher");
    const times = rows.map((row) => number(row.time)).filter((time) => time > 0);
    const begin = log ? 0.85 * Math.min(...times) : 0;
    const traces = visible(data, state).map((searcher) => {
      const steps = own.get(searcher.name);
      const text = steps.map((row) => `<b>${escaped(searcher.name)}</b><br>mean rank`
        + ` ${short(number(row.rank))} at ${short(number(row.time))} ${data.unit}`);
      const ranks = steps.map((row) => number(row.rank));
      return {
        x: [...steps.map((row) => Math.max(number(row.time), begin)), data.end],
        y: [...ranks, ranks[ranks.length - 1]],
        text: [...text, text[text.length - 1]],
        hovertemplate: "%{text}<extra></extra>",
        mode: "lines+markers",
        line: { shape: "hv", width: 2, color: colour(searcher.colour), dash: searcher.dash },
        marker: { symbol: searcher.symbol, size: 6, color: colour(searcher.colour), maxdisplayed: 6 },
      };
    });
    const range = log
      ? { type: "log", range: [begin, data.end].map(Math.log10), ...logTicks(begin, data.end) }
      : { range: [0, data.end] };
    return {
      traces,
      layout: {
        ...headed(plot, "mean rank over seeds, 1 is best"),
        xaxis: axis(plot, data.axis, { ...range, exponentformat: "none" }),
        yaxis: axis(plot, "", { title: { text: "" }, range: [own.size + 0.3, 0.7], fixedrange: true }),
      },
    };
  };

  const times = ({ data, rows, state, plot }) => {
    const shown = visible(data, state);
    const names = shown.map((searcher) => searcher.name);
    const mine = rows.filter((row) => row.target === state.target && names.includes(row.searcher));
    const at = (row) => names.indexOf(row.searcher);
    const log = state.across === "log";
    const known = mine.map((row) => number(row.time)).filter((time) => time > 0);
    const begin = log ? 0.7 * Math.min(...known, 0.5 * data.end) : 0;
    const told = (row) => {
      const who = row.line === "median" ? "half of the seeds" : `seed ${row.seed}`;
      const when = row.reached === "true" ? `at ${short(number(row.time))}`
        : `not by ${short(number(row.time))}`;
      return `<b>${escaped(row.searcher)}</b>, ${who}<br>${when} ${data.unit}`;
    };
    const bars = mine.filter((row) => row.line === "median");
    const seeds = mine.filter((row) => row.line === "seed");
    const full = (row) => row.reached === "true";
    const ofSearcher = (row) => data.searchers.find(({ name }) => name === row.searcher).colour;
    const hovertemplate = "%{text}<extra></extra>";
    const place = (some) => ({ y: some.map(at), text: some.map(told), hovertemplate });
    const dots = (some, symbol, fill) => ({
      x: some.map((row) => Math.max(number(row.time), begin)), ...place(some), mode: "markers",
      cliponaxis: false,
      marker: { symbol, size: 8, color: fill, line: { width: 1.2, color: colour("text") } },
    });
    const traces = [{
      type: "bar", orientation: "h", base: begin, width: 0.62, ...place(bars),
      x: bars.map((row) => Math.max(number(row.time) - begin, 0)), textposition: "none",
      marker: {
        color: bars.map((row) => (full(row) ? faded(ofSearcher(row), 0.5) : "rgba(0, 0, 0, 0)")),
        line: { width: 1.2, color: bars.map((row) => colour(ofSearcher(row))) },
      },
    }, dots(seeds.filter(full), "circle", colour("text")),
    dots(seeds.filter((row) => !full(row)), "triangle-right", colour("background"))];
    const range = log
      ? { type: "log", range: [begin, data.end].map(Math.log10), ...logTicks(begin, data.end) }
      : { range: [0, data.end] };
    return {
      traces: traces.filter((trace) => trace.text.length),
      layout: {
        height: rowsHeight(names, 110), ...headed(plot, `${data.unit} to ${data.words[state.target]}`),
        xaxis: axis(plot, data.axis, { ...range, exponentformat: "none" }),
        yaxis: rowsAxis(plot, names),
      },
    };
  };

  const ledger = ({ data, rows, state, plot }) => {
    const names = [...grouped(rows, "searcher").keys()];
    const share = state.shown === "share";
    const own = grouped(rows, "part");
    const traces = visible(data, state).map((part) => {
      const some = own.get(part.name);
      const text = some.map((row) => `<b>${escaped(row.searcher)}</b>, ${escaped(part.name)}:`
        + ` ${escaped(part.meaning)}<br>${short(100 * number(row.share))} %,`
        + ` ${short(number(row.slot_seconds))} slot-seconds`);
      return {
        type: "bar", orientation: "h", width: 0.62, text, textposition: "none",
        hovertemplate: "%{text}<extra></extra>",
        x: some.map((row) => (share ? 100 * number(row.share) : number(row.slot_seconds))),
        y: some.map((row) => names.indexOf(row.searcher)),
        marker: {
          color: part.pale ? faded(part.colour, 0.4) : colour(part.colour),
          line: { width: 1, color: colour(part.colour) },
        },
      };
    });
    const words = share ? "share of the slot-seconds, %" : "slot-seconds";
    return {
      traces,
      layout: {
        height: rowsHeight(names, 90), barmode: "stack",
        xaxis: axis(plot, words, { rangemode: "tozero", exponentformat: "none" }),
        yaxis: rowsAxis(plot, names),
      },
    };
  };

  const memory = ({ data, rows, state, plot }) => {
    const column = state.where ?? "host_mib";
    const names = visible(data, state).map((searcher) => searcher.name);
    const cells = rows.filter((row) => names.includes(row.searcher) && row[column] !== "");
    const most = new Map();
    for (const row of cells) {
      most.set(row.searcher, Math.max(most.get(row.searcher) ?? 0, number(row[column])));
    }
    const bars = [...most.keys()];
    const ofSearcher = (mine) => data.searchers.find(({ name }) => name === mine).colour;
    const traces = [{
      type: "bar", orientation: "h", width: 0.62, textposition: "none",
      x: bars.map((name) => most.get(name)), y: bars.map((name) => names.indexOf(name)),
      text: bars.map((name) => `<b>${escaped(name)}</b><br>at most ${short(most.get(name))} MiB`),
      hovertemplate: "%{text}<extra></extra>",
      marker: {
        color: bars.map((name) => faded(ofSearcher(name), 0.5)),
        line: { width: 1.2, color: bars.map((name) => colour(ofSearcher(name))) },
      },
    }, {
      x: cells.map((row) => number(row[column])), y: cells.map((row) => names.indexOf(row.searcher)),
      mode: "markers", hovertemplate: "%{text}<extra></extra>",
      text: cells.map((row) => `<b>${escaped(row.searcher)}</b>, ${escaped(row.task)}, seed`
        + ` ${row.seed}<br>${short(number(row[column]))} MiB`),
      marker: { symbol: "line-ns-open", size: 10, color: colour("text") },
    }];
    return {
      traces: traces.filter((trace) => trace.text.length),
      layout: {
        height: rowsHeight(names, 90),
        xaxis: axis(plot, "MiB, peak of a slot", { rangemode: "tozero", exponentformat: "none" }),
        yaxis: rowsAxis(plot, names),
      },
    };
  };

  return {
    plots: { regret, rank, times, ledger, memory },
    parts: { logTicks, visible, rowsAxis, rowsHeight },
  };
})();

addEventListener("DOMContentLoaded", page.start); // other scripts have more kinds
