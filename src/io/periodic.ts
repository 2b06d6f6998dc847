// Work that is done now and then: one run at a time, a failed one logged and tried at its next
// turn.
import { type Time, systemTime } from './clock.ts';
import type { Log } from './log.ts';

export interface Periodic {
  /** Resolves when no run is under way, and none will start. */
  stop(): Promise<void>;
  /** Runs as soon as the present run, if any, is over. */
  nudge(): void;
}

export function periodic(
  name: string,
  everyMs: number,
  run: () => Promise<unknown>,
  log: Log,
  time: Time = systemTime,
): Periodic {
  let stopped = false;
  let failing = false;
  let wake: (() => void) | null = null;
  let nudged = false;

  async function loop(): Promise<void> {
    while (!stopped) {
      try {
        await run();
        failing = false;
      } catch (error) {
        // Once per outage: a line a run would bury what caused it.
        if (!failing) log.warn({ task: name, error: String(error) }, 'a periodic task failed');
        failing = true;
      }
      if (!stopped && !nudged) await pause();
      nudged = false;
    }
  }

  function pause(): Promise<void> {
    return new Promise((resolve) => {
      const callOff = time.after(everyMs, resolve);
      wake = () => {
        callOff();
        resolve();
      };
    });
  }

  const running = loop();
  return {
    async stop() {
      stopped = true;
      wake?.();
      await running;
    },
    nudge() {
      nudged = true;
      wake?.();
    },
  };
}
