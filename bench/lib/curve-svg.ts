// The overload curves as one SVG: for each subject what was answered, and how late, over what was
// offered. Plain text, readable on light and dark pages.
// Invariant: offered load is a share of capacity on a logarithmic axis; 100 % is marked.
import type { Curve, Step } from './curve.ts';

const PANEL = { width: 380, height: 220, left: 58, right: 16, top: 44, bottom: 40 };
const LATENCY_MS = { min: 1, max: 10_000 };

interface Line {
  label: string;
  kind: 'good' | 'refused' | 'middle';
  valueOf: (step: Step) => number;
}

interface Axis {
  /** From 0 at the bottom to 1 at the top. */
  position: (value: number) => number;
  ticks: readonly number[];
}

const rateLines: readonly Line[] = [
  { label: 'answered', kind: 'good', valueOf: ({ good }) => good },
  { label: 'refused', kind: 'refused', valueOf: (step) => step.limited + step.unavailable },
];
const latencyLines: readonly Line[] = [
  { label: 'p99', kind: 'good', valueOf: ({ p99Ms }) => p99Ms },
  { label: 'p50', kind: 'middle', valueOf: ({ p50Ms }) => p50Ms },
];

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #333 } .title { font-weight: 600 }
  .grid { stroke: #ccc; stroke-width: 1 } .capacity { stroke: #888; stroke-dasharray: 3 3 }
  polyline { fill: none; stroke-width: 2 } .good { stroke: #0a6; fill: #0a6 }
  .refused { stroke: #c40; fill: #c40 } .middle { stroke: #06c; fill: #06c }
  polyline.good, polyline.refused, polyline.middle { fill: none } text.name { stroke: none }
  @media (prefers-color-scheme: dark) { text { fill: #ddd } .grid { stroke: #444 } }
`;

export function curvesSvg(curves: readonly Curve[]): string {
  const [width, height] = [2 * PANEL.width, curves.length * PANEL.height];
  const panels = curves.flatMap((curve, row) => [
    at(0, row, panel(`${curve.name}: requests/s`, curve, rateLines, rateAxis(curve))),
    at(1, row, panel(`${curve.name}: ms until answered well`, curve, latencyLines, latencyAxis())),
  ]);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" ` +
    `aria-label="Throughput and latency over offered load">\n<style>${STYLE}</style>\n` +
    `${panels.join('\n')}\n</svg>\n`
  );
}

function at(column: number, row: number, content: string): string {
  return `<g transform="translate(${column * PANEL.width} ${row * PANEL.height})">${content}</g>`;
}

function panel(title: string, { steps }: Curve, lines: readonly Line[], axis: Axis): string {
  const { width, height, left, right, top, bottom } = PANEL;
  const shares = steps.map(({ share }) => share);
  const [low, high] = [Math.log(shares[0]!), Math.log(shares.at(-1)!)];
  const x = (share: number): number =>
    round(left + ((Math.log(share) - low) / (high - low)) * (width - left - right));
  const y = (value: number): number =>
    round(height - bottom - axis.position(value) * (height - top - bottom));
  const grid = axis.ticks.map(
    (tick) =>
      `<line class="grid" x1="${left}" x2="${width - right}" y1="${y(tick)}" y2="${y(tick)}"/>` +
      `<text x="${left - 6}" y="${y(tick) + 4}" text-anchor="end">${written(tick)}</text>`,
  );
  const labels = shares.map(
    (share) =>
      `<text x="${x(share)}" y="${height - bottom + 18}" text-anchor="middle">${share}</text>`,
  );
  const drawn = lines.map(({ label, kind, valueOf }, index) => {
    const points = steps.map((step) => [x(step.share), y(valueOf(step))] as const);
    const dots = points.map(([cx, cy]) => `<circle class="${kind}" cx="${cx}" cy="${cy}" r="3"/>`);
    return (
      `<polyline class="${kind}" points="${points.map((point) => point.join(',')).join(' ')}"/>` +
      `${dots.join('')}<text class="${kind} name" x="${left + index * 80}" y="34">${label}</text>`
    );
  });
  const capacity =
    `<line class="capacity" x1="${x(100)}" x2="${x(100)}" y1="${top}" y2="${height - bottom}"/>` +
    `<text x="${width - right}" y="${height - 4}" text-anchor="end">offered, % of capacity</text>`;
  const head = `<text class="title" x="${left}" y="16">${title}</text>`;
  return [head, ...grid, ...labels, capacity, ...drawn].join('\n');
}

function rateAxis({ steps }: Curve): Axis {
  const most = Math.max(...steps.flatMap((step) => rateLines.map((line) => line.valueOf(step))));
  const unit = 10 ** Math.floor(Math.log10(most));
  const step = [1, 2, 5, 10].map((each) => (each * unit) / 2).find((each) => most / each <= 5)!;
  const ticks = Array.from({ length: Math.ceil(most / step) + 1 }, (_, index) => index * step);
  return { ticks, position: (value) => value / ticks.at(-1)! };
}

function latencyAxis(): Axis {
  const { min, max } = LATENCY_MS;
  const position = (ms: number): number =>
    Math.log(Math.min(max, Math.max(min, ms)) / min) / Math.log(max / min);
  return { ticks: [1, 10, 100, 1_000, 10_000], position };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function written(tick: number): string {
  return tick.toLocaleString('en');
}
