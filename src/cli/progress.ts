// A progress bar for long work, on stderr and only when a terminal is there.
const BAR_WIDTH = 30;
const REDRAW_MS = 100;

export interface Progress {
  add(count: number): void;
  end(): void;
}

/** `total` null: how much it will be is not known. */
export function progress(what: string, total: number | null): Progress {
  if (!process.stderr.isTTY) return { add() {}, end() {} };
  const start = performance.now();
  let done = 0;
  let drawn = 0;
  const draw = (): void => {
    const perSecond = Math.round(done / Math.max((performance.now() - start) / 1_000, 0.001));
    const of = total === null ? '' : ` of ${total.toLocaleString('en')}`;
    const count = `${done.toLocaleString('en')}${of}`;
    const bar = total === null ? '' : `${barOf(done / Math.max(total, 1))} `;
    const left = total === null || perSecond === 0 ? '' : leftText((total - done) / perSecond);
    const pace = `${perSecond.toLocaleString('en')}/s${left}`;
    process.stderr.write(`\r${what} ${bar}${count}, ${pace}\x1b[K`);
  };
  return {
    add(count) {
      done += count;
      if (performance.now() - drawn < REDRAW_MS) return;
      drawn = performance.now();
      draw();
    },
    end() {
      draw();
      process.stderr.write('\n');
    },
  };
}

function leftText(seconds: number): string {
  if (seconds < 1) return '';
  const minutes = Math.floor(seconds / 60);
  return `, ${minutes}:${String(Math.floor(seconds % 60)).padStart(2, '0')} left`;
}

function barOf(share: number): string {
  const filled = Math.round(Math.min(share, 1) * BAR_WIDTH);
  return `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}] ${Math.floor(share * 100)} %`;
}
