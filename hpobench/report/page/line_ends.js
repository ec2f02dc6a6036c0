"use strict";

// The names of a plot's lines, each where its line ends: kept apart, as near as can be. To point at a
// name, or to come to it by keyboard, brings its line forward; to press it keeps the line there.

const lineEnds = (() => {
  const LEADER = 16; // pixels, from a line's end to its name
  const LINE = 15; // pixels, from one name to the next
  const WIDEST = 0.28; // of the plot
  const DRAWN = "http://www.w3.org/2000/svg";

  // Places so far apart between two ends, as near as can be to those wanted, which are ascending:
  // names that would overlap stand around their common mean.
  const apart = (wanted, most, low, high) => {
    const gap = Math.min(most, (high - low) / Math.max(wanted.length - 1, 1));
    const blocks = [];
    wanted.forEach((place, i) => {
      let block = { mean: place - gap * i, size: 1 };
      while (blocks.length && blocks.at(-1).mean > block.mean) {
        const { mean, size } = blocks.pop();
        const both = size + block.size;
        block = { mean: (mean * size + block.mean * block.size) / both, size: both };
      }
      blocks.push(block);
    });
    const limit = high - gap * (wanted.length - 1);
    return blocks.flatMap(({ mean, size }) => Array(size).fill(Math.min(Math.max(mean, low), limit)))
      .map((place, i) => place + gap * i);
  };

  // Where the curves of a trace, with gaps between them, are at the right edge of the plot.
  const endsOf = ({ x, y }, edge) => {
    const ends = [];
    let last = null;
    x.forEach((time, i) => {
      if (time === null) {
        ends.push(last);
        last = null;
      } else if (time <= edge) last = y[i];
    });
    return [...ends, last].filter((end) => end !== null);
  };

  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  const button = (entry, swatch, { bring, keep }) => {
    const made = document.createElement("button");
    made.type = "button";
    made.append(swatch(entry), ` ${entry.label}`);
    made.title = `${entry.label}: press to keep it in front`;
    for (const event of ["mouseenter", "focus"]) made.addEventListener(event, () => bring(entry.name));
    for (const event of ["mouseleave", "blur"]) made.addEventListener(event, () => bring(null));
    made.addEventListener("click", () => keep(entry.name));
    return made;
  };

  // The names of a figure's lines, and what to do with them whenever it is drawn.
  const make = ({ ranked, legend }, swatch, actions) => {
    const holder = document.createElement("div");
    holder.className = "ends";
    holder.setAttribute("role", "group");
    holder.setAttribute("aria-label", "lines by name");
    const leaders = document.createElementNS(DRAWN, "svg");
    leaders.setAttribute("class", "leaders");
    const entries = legend.filter(({ name }) => ranked.order.includes(name));
    const buttons = new Map(entries.map((entry) => [entry.name, button(entry, swatch, actions)]));
    holder.append(leaders, ...buttons.values());

    // Shows these names; the room that they take beside and above each other.
    const room = (names, width) => {
      buttons.forEach((one, name) => {
        one.hidden = !names.includes(name);
        one.style.maxWidth = `${WIDEST * width}px`;
      });
      const widths = names.map((name) => buttons.get(name).offsetWidth);
      return { right: names.length ? LEADER + Math.max(...widths) + 10 : 0, height: (LINE + 2) * names.length };
    };

    // Puts the names beside what is drawn; `front`: whose are not pale; `kept`: which are pressed.
    const place = (plot, front, kept) => {
      const { xaxis, yaxis, width, height, _size: size } = plot._fullLayout;
      const edge = xaxis.type === "log" ? 10 ** xaxis.range[1] : xaxis.range[1];
      const right = size.l + size.w;
      const ends = [...buttons].filter(([, one]) => !one.hidden).flatMap(([name, one]) => {
        const traces = plot.data.filter(({ meta, hoverinfo }) => meta.of === name && hoverinfo !== "skip");
        const values = traces.flatMap((trace) => endsOf(trace, edge));
        one.hidden = !values.length;
        if (one.hidden) return [];
        const at = size.t + yaxis.d2p(mean(values));
        return [{ name, one, at: Math.min(Math.max(at, size.t), size.t + size.h) }];
      });
      ends.sort((a, b) => a.at - b.at);
      const places = apart(ends.map(({ at }) => at), LINE, size.t + 4, size.t + size.h - 4);
      leaders.setAttribute("width", width);
      leaders.setAttribute("height", height);
      leaders.replaceChildren(...ends.map(({ name, one, at }, i) => {
        one.style.left = `${right + LEADER}px`;
        one.style.top = `${places[i]}px`;
        one.classList.toggle("pale", !front.has(name));
        one.setAttribute("aria-pressed", String(kept.has(name)));
        const leader = document.createElementNS(DRAWN, "path");
        leader.setAttribute("d", `M${right + 1} ${at}L${right + LEADER - 2} ${places[i]}`);
        const { colour } = legend.find((entry) => entry.name === name);
        leader.setAttribute("style", `stroke: var(--figure-${colour}); opacity: ${front.has(name) ? 1 : 0.5}`);
        return leader;
      }));
    };

    return { holder, room, place };
  };

  return { make };
})();
