// Charts by uPlot, each with its figures as a table for those who do not see it.

import { byId, make } from "./dom.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const HEIGHT = 240;
const TABLE_ROWS = 60;

export class Chart {
  // `series`: [{label, colour, fill?, width?, dash?, step?, format}], the x values first in the data; `bands`: [[upper, lower, colour]].
  constructor(id, { x, series, bands = [], range, marks = () => [] }) {
    this.figure = byId(id);
    this.x = x;
    this.series = series;
    this.bands = bands;
    this.range = range;
    this.marks = marks;
    this.data = null;
    this.box = make("div", { className: "plot" });
    this.box.setAttribute("aria-hidden", "true");
    this.table = make("table", {}, make("thead"), make("tbody"));
    this.details = make("details", {}, make("summary", {}, "As a table"), make("div", { className: "scroll", tabIndex: 0 }, this.table));
    this.details.addEventListener("toggle", () => this.tell());
    this.figure.append(this.box, this.details);
    new ResizeObserver(() => this.plot?.setSize({ width: this.width(), height: HEIGHT })).observe(this.box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.build());
  }

  width() {
    return Math.max(this.box.clientWidth, 200);
  }

  show(data) {
    const fresh = this.data === null;
    this.data = data;
    if (fresh) this.build();
    else this.plot.setData(data);
    this.tell();
  }

  build() {
    if (this.data === null) return;
    this.plot?.destroy();
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const made = this.series.map((s) => ({
      label: s.label,
      stroke: colour(s.colour),
      width: s.width ?? 2,
      dash: s.dash,
      fill: s.fill ? colour(s.fill) : undefined,
      points: { show: s.points ?? false, size: 4, fill: colour(s.colour) },
      paths: s.step ? uPlot.paths.stepped({ align: 1 }) : undefined,
      value: (_, v) => (v === null || v === undefined ? "–" : s.format(v)),
      spanGaps: s.spanGaps ?? false,
    }));
    const bands = this.bands.map(([upper, lower, fill]) => ({ series: [upper, lower], fill: colour(fill) }));
    this.plot = new uPlot(
      {
        width: this.width(),
        height: HEIGHT,
        tzDate: (ts) => uPlot.tzDate(new Date(1e3 * ts), "Etc/UTC"),
        scales: { x: { time: this.x.time }, y: { range: this.range } },
        axes: [
          { ...axis, values: this.x.values, incrs: this.x.incrs, space: 60 },
          { ...axis, size: 52 },
        ],
        series: [{ label: this.x.label, value: (_, v) => (v === null ? "–" : this.x.format(v)) }, ...made],
        bands,
        cursor: { y: false },
        hooks: { draw: [(plot) => this.draw(plot)] },
      },
      this.data,
      this.box,
    );
  }

  draw(plot) {
    const { ctx, bbox } = plot;
    for (const { at, text } of this.marks()) {
      const left = Math.round(plot.valToPos(at, "x", true));
      if (left < bbox.left || left > bbox.left + bbox.width) continue;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = colour("--muted");
      ctx.setLineDash([4, 4]);
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.stroke();
      ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
      const right = left > bbox.left + 0.7 * bbox.width;
      ctx.textAlign = right ? "right" : "left";
      ctx.fillText(text, left + (right ? -5 : 5) * devicePixelRatio, bbox.top + 12 * devicePixelRatio);
      ctx.restore();
    }
  }

  tell() {
    if (!this.details.open || this.data === null) return;
    const [head, body] = this.table.children;
    const names = [this.x.label, ...this.series.map((s) => s.label)];
    head.replaceChildren(make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name))));
    const [xs, ...columns] = this.data;
    const rows = xs.map((x, place) =>
      make(
        "tr",
        {},
        make("th", { scope: "row" }, this.x.format(x)),
        ...columns.map((column, which) =>
          make("td", { className: "number" }, column[place] == null ? "–" : this.series[which].format(column[place])),
        ),
      ),
    );
    body.replaceChildren(...rows.slice(-TABLE_ROWS));
  }
}
