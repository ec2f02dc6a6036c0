"use strict";

// More kinds of figures: hyperparameters as they were learned, hypergradients, all that was tried.

(() => {
  const { number, escaped, short, wrapped, grouped, colour, faded, axis, headed } = page;
  const { logTicks, visible } = parts;
  const hovertemplate = "%{text}<extra></extra>";

  const pale = (place, count, palest) => (count < 2 ? 1 : palest + ((1 - palest) * place) / (count - 1));

  // Room around values, on a log axis as its exponents.
  const room = (values, log) => {
    const placed = values.map((value) => (log ? Math.log10(value) : value));
    const [low, high] = [Math.min(...placed), Math.max(...placed)];
    const margin = 0.06 * (high - low) || (log ? 0.1 : 0.1 * Math.abs(high) || 0.1);
    return [low - margin, high + margin];
  };

  // A panel for each searcher, side by side where there is room.
  const schedules = ({ data, rows, state, plot }) => {
    const name = state.hyperparameter ?? data.first;
    const view = state.against;
    const along = view === "training";
    const own = rows.filter((row) => row.hyperparameter === name && (row.line === "training") === along);
    const bySearcher = grouped(own, "searcher");
    const shown = visible(data, state).filter((searcher) => bySearcher.has(searcher.name));
    const columns = Math.max(1, Math.min(4, shown.length, Math.floor(plot.clientWidth / 240)));
    const lines = Math.max(1, Math.ceil(shown.length / columns));
    const log = data.log[name];
    const range = own.length ? room(own.map((row) => number(row.value)), log) : [0, 1];
    const [low, high] = range.map((end) => 10 ** end);
    const powers = { dtick: 1, exponentformat: "power" };
    const ticks = !log ? {} : low < 1e-4 ? powers : logTicks(low, high);
    const told = (searcher, row, value) => `<b>${escaped(searcher.name)}</b>, seed ${row.seed},`
      + ` evaluation ${row.evaluation} at ${short(number(row.seconds))} seconds<br>`
      + `${escaped(name)}${row.part === "" ? "" : ` ${row.part}`} = ${short(value)}`
      + `${along ? ` from ${short(100 * number(row.at))} % of the training on` : ""}<br>`
      + `validation loss ${short(number(row.validation_loss))}`;
    const traces = [];
    const layout = {
      ...headed(plot, `${name}${log ? " (log scale)" : ""}`),
      height: 90 + 230 * lines, annotations: [],
      grid: { rows: lines, columns, pattern: "independent", xgap: 0.16, ygap: 0.34 },
      xaxis: axis(plot, ""), yaxis: axis(plot, ""),
    };
    shown.forEach((searcher, place) => {
      const suffix = place ? String(place + 1) : "";
      const groups = [...grouped(bySearcher.get(searcher.name), along ? "evaluation" : "part").values()];
      let last = 0;
      groups.forEach((some, number_of) => {
        const values = some.map((row) => number(row.value));
        const text = some.map((row, i) => told(searcher, row, values[i]));
        const x = some.map((row) => (along ? 100 * number(row.at) : number(row[view])));
        last = Math.max(last, ...x);
        const paint = faded(searcher.colour, pale(number_of, groups.length, data.palest));
        traces.push({
          x: along ? [...x, 100] : x, y: along ? [...values, values[values.length - 1]] : values,
          text: along ? [...text, text[text.length - 1]] : text, hovertemplate,
          xaxis: `x${suffix}`, yaxis: `y${suffix}`,
          mode: !along && some.length < 2 ? "markers" : "lines", marker: { color: paint, size: 6 },
          line: { shape: along ? "hv" : "linear", width: 1.5, color: paint },
        });
      });
      const bottom = place + columns >= shown.length;
      layout[`xaxis${suffix}`] = axis(plot, bottom ? data.axes[view] : "", {
        range: [0, along ? 100 : last || 1], nticks: 5, exponentformat: "none",
        title: { text: bottom ? wrapped(data.axes[view], 24 + 14 * (4 - columns)) : "", standoff: 6, font: { size: 11 } },
      });
      layout[`yaxis${suffix}`] = axis(plot, "", {
        title: { text: "" }, type: log ? "log" : "linear", range, nticks: 7, ...ticks,
        showticklabels: place % columns === 0,
      });
      layout.annotations.push({
        xref: `x${suffix} domain`, yref: `y${suffix} domain`, x: 0, y: 1, xanchor: "left",
        yanchor: "bottom", showarrow: false, font: { size: 12, color: colour(searcher.colour) },
        text: `<b>${escaped(searcher.label)}</b>`,
      });
    });
    layout.margin = { ...layout.margin, t: layout.margin.t + 12, r: 22 };
    return { traces, layout };
  };

  const hypergradients = ({ data, rows, state, plot }) => {
    const name = state.hyperparameter ?? data.first;
    const view = state.against;
    const own = rows.filter((row) => row.hyperparameter === name);
    const bySearcher = grouped(own, "searcher");
    const known = own.map((row) => number(row.norm)).filter((norm) => norm > 0);
    const range = known.length
      ? [Math.floor(Math.log10(Math.min(...known)) - 0.1), Math.ceil(Math.log10(Math.max(...known)) + 0.1)]
      : [-1, 1];
    const ends = range.map((exponent) => 10 ** exponent);
    const traces = [];
    for (const searcher of visible(data, state)) {
      const some = bySearcher.get(searcher.name) ?? [];
      const told = (row) => {
        const norm = number(row.norm);
        return `<b>${escaped(searcher.name)}</b>, seed ${row.seed}, evaluation ${row.evaluation} at`
          + ` ${short(number(row.seconds))} seconds<br>norm by ${escaped(name)}:`
          + ` ${norm === null ? "inf or NaN" : short(norm)}`;
      };
      const drawn = (part, y, more) => ({
        x: part.map((row) => number(row[view])), y, text: part.map(told), hovertemplate, ...more,
      });
      const paint = colour(searcher.colour);
      traces.push(drawn(some, some.map((row) => (number(row.norm) > 0 ? number(row.norm) : null)), {
        mode: "lines+markers", line: { width: 1.6, color: paint, dash: searcher.dash },
        marker: { symbol: searcher.symbol, size: 5, color: paint },
      }));
      const lost = some.filter((row) => row.norm === "");
      const zero = some.filter((row) => number(row.norm) === 0);
      const marks = [[lost, "x-thin-open", ends[1]], [zero, "triangle-down-open", ends[0]]];
      for (const [part, symbol, end] of marks.filter(([part]) => part.length)) {
        traces.push(drawn(part, part.map(() => end), {
          mode: "markers", cliponaxis: false, marker: { symbol, size: 9, color: paint, line: { width: 2, color: paint } },
        }));
      }
    }
    const latest = Math.max(0, ...own.map((row) => number(row[view])));
    return {
      traces,
      layout: {
        ...headed(plot, `hypergradient by ${name}: norm (log scale)`),
        xaxis: axis(plot, data.axes[view], { range: [0, latest || 1], exponentformat: "none" }),
        yaxis: axis(plot, "", { title: { text: "" }, type: "log", range, exponentformat: "power", nticks: 8 }),
      },
    };
  };

  // The axes lie one under the other; each line goes down through them.
  const parallel = ({ data, rows, state, plot }) => {
    const at = (one, text) => {
      if (text === "") return null;
      if (one.choices) {
        const place = one.choices.indexOf(text);
        return place < 0 ? null : place / Math.max(one.choices.length - 1, 1);
      }
      const [value, low, high] = [number(text), one.low, one.high].map((v) => (one.log ? Math.log(v) : v));
      return (value - low) / (high - low);
    };
    const told = (row) => {
      const values = data.axes.map((one) =>
        `${escaped(one.name)} = ${one.choices ? escaped(row[one.column]) : short(number(row[one.column]))}`);
      return `<b>${escaped(row.searcher)}</b>, seed ${row.seed}, evaluation ${row.evaluation}<br>`
        + values.join("<br>");
    };
    const down = data.axes.map((_, place) => place);
    const lines = (some, width, paint, more) => {
      const trace = {
        x: [], y: [], text: [], hovertemplate, mode: "lines", connectgaps: false,
        cliponaxis: false, line: { width, color: paint, ...more },
      };
      some.forEach((row, place) => {
        const words = told(row);
        const gap = place ? 1 : 0; // between this line and the one before
        trace.x.push(...(gap ? [null] : []), ...data.axes.map((one) => at(one, row[one.column])));
        trace.y.push(...(gap ? [null] : []), ...down);
        trace.text.push(...(gap ? [words] : []), ...down.map(() => words));
      });
      return trace;
    };
    const looks = new Map(visible(data, state).map((searcher) => [searcher.name, searcher]));
    const order = rows.map((row, place) => [number(row.validation_loss), place]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const fifth = new Map(order.map(([, place], rank) =>
      [rows[place], Math.floor((data.shades.length * rank) / rows.length)]));
    const own = rows.filter((row) => looks.has(row.searcher));
    const best = own.filter((row) => row.best === "true");
    const rest = state.lines === "best" ? [] : own.filter((row) => row.best !== "true");
    const byLoss = state.colour === "loss";
    const groups = byLoss
      ? data.shades.map((shade, place) =>
        lines(rest.filter((row) => fifth.get(row) === place), 1, faded("text", shade))).reverse()
      : [...grouped(rest, "searcher")].map(([name, some]) =>
        lines(some, 1, faded(looks.get(name).colour, 0.3)));
    const bests = best.map((row) => {
      const searcher = looks.get(row.searcher);
      return lines([row], 2.5, colour(searcher.colour), { dash: searcher.dash });
    });
    const heading = byLoss
      ? "thick: the best of each searcher; the others: the stronger, the lower the loss"
      : "thick: the best of each searcher; the others in its colour";
    const characters = plot.clientWidth < 560 ? 18 : 60;
    const words = data.axes.map((one) => wrapped(`${one.name}${one.log ? ", log" : ""}`, characters));
    const over = headed(plot, heading);
    const ends = data.axes.flatMap((one, place) => one.ends.map((text, end) => ({
      x: end, y: place, xanchor: end ? "right" : "left", yanchor: "top", showarrow: false,
      yshift: -1, text: escaped(text), font: { size: 10, color: colour("faint") },
    })));
    return {
      traces: [...groups, ...bests].filter((trace) => trace.x.length),
      layout: {
        ...over, margin: { ...over.margin, b: 14 }, height: 70 + 40 * words.length, annotations: ends,
        xaxis: axis(plot, "", {
          range: [0, 1], fixedrange: true, showticklabels: false, ticks: "", showgrid: false, showline: false,
        }),
        yaxis: axis(plot, "", {
          title: { text: "" }, tickvals: down, ticktext: words, range: [words.length - 0.5, -0.3],
          fixedrange: true, ticks: "outside", ticklen: 6, tickcolor: "rgba(0, 0, 0, 0)", gridcolor: colour("faint"), showline: false,
        }),
      },
    };
  };

  Object.assign(plots, { schedules, hypergradients, parallel });
})();
