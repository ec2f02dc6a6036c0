"use strict";

// More kinds of figures: critical difference, performance profile, what slots ran.

(() => {
  const { number, escaped, short, grouped, colour, faded, axis, headed } = page;
  const { logTicks, visible, rowsAxis, rowsHeight } = parts;
  const hovertemplate = "%{text}<extra></extra>";

  // A row for each searcher at its mean rank; beside, a line for each group with its members.
  const criticalDifference = ({ data, rows, state, plot }) => {
    const lines = grouped(rows, "line");
    const looks = new Map(visible(data, state).map((searcher) => [searcher.name, searcher]));
    const ranked = lines.get("searcher").filter((row) => looks.has(row.searcher));
    const names = ranked.map((row) => row.searcher);
    const ps = new Map();
    for (const row of lines.get("pair") ?? []) {
      ps.set(`${row.searcher}\n${row.other}`, row.p).set(`${row.other}\n${row.searcher}`, row.p);
    }
    const told = (row) => {
      const others = names.filter((name) => name !== row.searcher).map((name) =>
        `p = ${short(number(ps.get(`${row.searcher}\n${name}`)))} against ${escaped(name)}`);
      return `<b>${escaped(row.searcher)}</b>, mean rank ${short(number(row.rank))}<br>`
        + others.join("<br>");
    };
    const members = [...grouped(lines.get("group") ?? [], "group").values()]
      .slice(0, data.groups)
      .map((group) => group.map((row) => row.searcher).filter((name) => looks.has(name)))
      .filter((group) => group.length > 1);
    const share = Math.min((26 * members.length) / plot.clientWidth, 0.35);
    const most = lines.get("searcher").length;
    const begin = 1 - 0.03 * most;
    const longest = Math.max(...names.map((name) => name.length), 0);
    const room = Math.max((plot.clientWidth - 7 * longest - 60) * (1 - share), 60);
    const groups = members.map((group, place) => ({
      x: group.map(() => place), y: group.map((name) => names.indexOf(name)), xaxis: "x2",
      mode: "lines+markers", hovertemplate,
      text: group.map(() => `not set apart:<br>${group.map(escaped).join("<br>")}`),
      line: { width: 3, color: colour("text") }, marker: { size: 7, color: colour("text") },
    }));
    const stems = ranked.map((row, place) => ({
      x: [begin, number(row.rank)], y: [place, place], mode: "lines", hoverinfo: "skip",
      line: { width: 1.5, color: colour(looks.get(row.searcher).colour) },
    }));
    const dots = {
      x: ranked.map((row) => number(row.rank)), y: ranked.map((_, place) => place),
      text: ranked.map(told), hovertemplate, mode: "markers", cliponaxis: false,
      marker: {
        size: 9, color: names.map((name) => colour(looks.get(name).colour)),
        symbol: names.map((name) => looks.get(name).symbol),
      },
    };
    const heading = members.length
      ? "mean rank, 1 is best; at the right, a line joins those that are not set apart"
      : "mean rank, 1 is best";
    return {
      traces: [...stems, dots, ...groups].filter((trace) => trace.x.length),
      layout: {
        height: rowsHeight(names, 110), ...headed(plot, heading),
        xaxis: axis(plot, "mean rank", {
          range: [begin, most + 0.1], domain: [0, 1 - share], fixedrange: true,
          tick0: 1, dtick: Math.ceil((most - 1) / Math.floor(room / 30)) || 1, tickangle: 0,
        }),
        xaxis2: {
          domain: [1 - share, 1], range: [-0.9, members.length - 0.4], fixedrange: true,
          visible: false, anchor: "y",
        },
        yaxis: rowsAxis(plot, names),
      },
    };
  };

  const profile = ({ data, rows, state, plot }) => {
    const log = state.across === "log";
    const shown = visible(data, state);
    const own = grouped(rows, "searcher");
    const levels = rows.map((row) => number(row.level));
    const [lowest, highest] = [Math.min(0, ...levels), Math.max(100, ...levels)];
    const [begin, end] = log ? [data.begin, data.end] : [lowest, highest + 0.05 * (highest - lowest)];
    const percent = (value) => `${short(100 * value)} %`;
    const told = (name, row) => `<b>${escaped(name)}</b><br>${percent(number(row.share))} of`
      + ` ${row.cells} cells at or below ${short(number(row.level))} %<br>95 % interval`
      + ` ${percent(number(row.low))} to ${percent(number(row.high))}`;
    const [bands, lines] = [[], []];
    for (const searcher of shown) {
      const all = own.get(searcher.name);
      const first = all.filter((row) => number(row.level) <= begin).length - 1;
      const steps = all.slice(Math.max(first, 0));
      const x = [...steps.map((row) => Math.max(number(row.level), begin)), end];
      const column = (name) => {
        const values = steps.map((row) => number(row[name]));
        return [...values, values[values.length - 1]];
      };
      const edge = (name, fill) => ({
        x, y: column(name), mode: "lines", hoverinfo: "skip", line: { shape: "hv", width: 0 },
        ...(fill ? { fill: "tonexty", fillcolor: faded(searcher.colour, fill) } : {}),
      });
      if (data.banded && shown.length <= 4) bands.push(edge("low"), edge("high", 0.12));
      const text = steps.map((row) => told(searcher.name, row));
      lines.push({
        x, y: column("share"), text: [...text, text[text.length - 1]], hovertemplate,
        mode: "lines+markers",
        line: { shape: "hv", width: 2, color: colour(searcher.colour), dash: searcher.dash },
        marker: {
          symbol: searcher.symbol, size: 6, color: colour(searcher.colour), maxdisplayed: 6,
        },
      });
    }
    const range = log
      ? { type: "log", range: [begin, end].map(Math.log10), ...logTicks(begin, end) }
      : { range: [begin, end] };
    return {
      traces: [...bands, ...lines],
      layout: {
        ...headed(plot, "share of cells at or below a regret, higher is better"),
        xaxis: axis(plot, "final regret, % of the default's", { ...range, exponentformat: "none" }),
        yaxis: axis(plot, "", { title: { text: "" }, range: [0, 1.02], tickformat: ".0%" }),
      },
    };
  };

  const timeline = ({ data, rows, state, plot }) => {
    const slots = [...grouped(rows, "slot").keys()];
    const looks = new Map(visible(data, state).map((searcher) => [searcher.name, searcher]));
    const shown = rows.filter((row) => looks.has(row.searcher));
    const detailed = rows.some((row) => row.what === "evaluation");
    const at = (row) => number(row.began) / data.size;
    const length = (row) => (number(row.ended) - number(row.began)) / data.size;
    const told = (row) => {
      const what = row.what === "cell" ? `cell, ${row.status}`
        : row.what === "evaluation" ? `evaluation ${row.evaluation}, ${row.status}` : row.what;
      const times = [row.began, row.ended].map((time) => short(number(time) / data.size));
      return `<b>${escaped(row.searcher)}</b>, ${escaped(row.task)}, seed ${row.seed}<br>${what}<br>`
        + `${escaped(row.slot)}, ${data.unit} ${times.join(" to ")}`;
    };
    const bars = (some, width, paint, edge) => ({
      type: "bar", orientation: "h", width, hovertemplate, textposition: "none",
      base: some.map(at), x: some.map(length), y: some.map((row) => slots.indexOf(row.slot)),
      text: some.map(told), marker: { color: some.map(paint), line: { width: edge, color: some.map(paint) } },
    });
    const painted = (share) => (row) => {
      const { colour: name, pale } = looks.get(row.searcher);
      return faded(name, (pale ? 0.4 : 1) * share);
    };
    const what = grouped(shown, "what");
    const traces = [
      bars(what.get("start-up") ?? [], 0.1, () => colour("faint"), 0),
      bars(what.get("cell") ?? [], 0.7, painted(detailed ? 0.3 : 1), 0.6),
      bars(what.get("evaluation") ?? [], 0.44, painted(1), 0),
    ];
    const row = slots.length > 24 ? 14 : 26;
    return {
      traces: traces.filter((trace) => trace.x.length),
      layout: {
        height: 70 + row * Math.max(slots.length, 2), barmode: "overlay",
        xaxis: axis(plot, `${data.unit} since the first start-up`, {
          range: [0, Math.max(...rows.map((one) => number(one.ended))) / data.size],
          exponentformat: "none",
        }),
        yaxis: rowsAxis(plot, slots),
      },
    };
  };

  Object.assign(plots, { criticalDifference, profile, timeline });
})();
