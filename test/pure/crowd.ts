// A model of one thread under callers that send again as soon as they are answered: what arrives is
// served in order, one at a time. Time is counted, not spent.
import type { Valve } from '../../src/http/valve.ts';

export interface Crowd {
  /** How many callers there are at a time. */
  callersAt: (nowMs: number) => number;
  answerMs: number;
  refuseMs: number;
  /** How long a refusal is held back, give or take half. */
  holdMs: number;
  seconds: number;
}

export interface Second {
  good: number;
  refused: number;
  /** The longest wait of anybody. */
  waitMs: number;
}

const ROUND_TRIP_MS = 0.2;
const PROBE_EVERY_MS = 20;
const SPREAD = 0.618_034;

/** Who comes when: a list for each millisecond. */
class Calendar {
  private readonly days: number[][] = [];
  private today = 0;

  add(atMs: number): void {
    (this.days[Math.max(this.today, Math.floor(atMs))] ??= []).push(atMs);
  }

  /** Takes out who has come by now. */
  *until(nowMs: number): Iterable<number> {
    for (; this.today <= nowMs; this.today++) {
      yield* this.days[this.today] ?? [];
      this.days[this.today] = [];
    }
  }
}

export function simulate(crowd: Crowd, valve: Valve): Second[] {
  const { callersAt, answerMs, refuseMs, holdMs } = crowd;
  const seconds: Second[] = Array.from({ length: crowd.seconds }, () => ({
    ...{ good: 0, refused: 0, waitMs: 0 },
  }));
  const calendar = new Calendar();
  const queue: number[] = [];
  let head = 0;
  let callers = 0;
  let turn = 0;
  let probeMs = 0;
  for (let nowMs = 0; nowMs < crowd.seconds * 1_000;) {
    while (callers < callersAt(nowMs)) queue.push((callers++, nowMs));
    queue.push(...calendar.until(nowMs));
    const second = seconds[Math.floor(nowMs / 1_000)]!;
    const arrivedMs = queue[head] ?? Infinity;
    // The probe queues behind everybody who came before it.
    if (probeMs <= nowMs && probeMs <= arrivedMs) {
      valve.observe(nowMs - probeMs, nowMs);
      probeMs = nowMs + PROBE_EVERY_MS;
    } else if (head === queue.length) nowMs = Math.floor(nowMs) + 1;
    else if (callers > callersAt(nowMs)) callers -= Math.sign(++head);
    else {
      head++;
      second.waitMs = Math.max(second.waitMs, nowMs - arrivedMs);
      const admitted = valve.admits();
      nowMs += admitted ? answerMs : refuseMs;
      second[admitted ? 'good' : 'refused']++;
      turn = (turn + SPREAD) % 1;
      calendar.add(nowMs + ROUND_TRIP_MS + (admitted ? 0 : holdMs * (0.5 + turn)));
    }
  }
  return seconds;
}
