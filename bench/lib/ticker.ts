// A bar for work whose length in seconds is known beforehand, where somebody watches.
import { progress } from '../../src/cli/progress.ts';

export async function withTicker<Result>(
  what: string,
  seconds: number,
  work: () => Promise<Result>,
): Promise<Result> {
  const bar = progress(`${what}, seconds`, Math.ceil(seconds));
  const timer = setInterval(() => bar.add(1), 1_000);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    bar.end();
  }
}
