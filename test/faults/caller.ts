// How clients of a fault run call: with a time limit, and with what the README tells them of
// answers. 503, 429, silence and a lost connection mean "unknown": again, under the same ids.
// Invariant: an answer that must never be given is on record, whatever the client makes of it.
import { requestOf } from '../client.ts';
import type { Dice } from './dice.ts';
import type { History, Times } from './history.ts';

export interface Answer {
  status: number;
  body: Record<string, unknown>;
  replayed: boolean;
  times: Times;
}

export interface Request {
  method: 'GET' | 'POST' | 'PUT';
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
}

const ANSWER_WITHIN_MS = 3_000;
const PAUSE_MS = 60;

export class Caller {
  constructor(
    private readonly urls: readonly string[],
    private readonly key: string,
    private readonly history: History,
    private readonly dice: Dice,
    /** Whether it is time to give up what is still unknown. */
    private readonly isOver: () => boolean,
  ) {}

  /** Tries until it is told, or gives up: null, and then nobody knows. */
  async persist(request: Request, patience = 0.9): Promise<Answer | null> {
    for (;;) {
      const answer = await this.once(request);
      if (answer) {
        this.history.count(answer.status < 300 ? 'ok' : 'failed');
        return answer;
      }
      if (this.isOver() || !this.dice.chance(patience)) break;
      await Bun.sleep(PAUSE_MS);
    }
    this.history.count('unknown');
    return null;
  }

  /** One try; null for an unknown outcome. */
  async once({ method, path, body, headers = {} }: Request): Promise<Answer | null> {
    const askedMs = Date.now();
    try {
      const answer = await fetch(`${this.dice.pick(this.urls)}${path}`, {
        ...requestOf(this.key, method, body, headers),
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
      });
      const text = await answer.text();
      const { status } = answer;
      if (status >= 500 && status !== 503)
        this.history.violate(`${method} ${path} was answered ${status} ${text.slice(0, 300)}`);
      if (status === 503) {
        this.history.refusedForNow++;
        if (!answer.headers.has('retry-after'))
          this.history.violate(`${method} ${path}: 503 without Retry-After`);
      }
      if (status >= 500 || status === 429) return null;
      const replayed = answer.headers.get('idempotency-replayed') === 'true';
      const times = { askedMs, toldMs: Date.now() };
      return { status, body: JSON.parse(text) as Record<string, unknown>, replayed, times };
    } catch {
      return null;
    }
  }
}
