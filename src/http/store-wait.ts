// How long a question to a store waits for its answer. Reads queue in the clients of the stores and
// in the stores, while this process idles and sees nothing: so now and then it asks each a question
// that costs nothing, through the same client, and takes the time.
// Invariant: one question at a time is under way to each; an unanswered one counts by its age.

const EVERY_MS = 50;
const ASK_EVERY_MS = 100;

/** Resolves when the store has answered. */
export type Question = () => Promise<unknown>;

class Waiting {
  private askedAtMs = -Infinity;
  private isAsked = false;
  /** What the last answer took. */
  private tookMs = 0;

  constructor(private readonly question: Question) {}

  /** How long an answer takes, as far as is known. */
  ms(nowMs: number): number {
    const agoMs = nowMs - this.askedAtMs;
    if (this.isAsked) return Math.max(this.tookMs, agoMs);
    if (agoMs >= ASK_EVERY_MS) this.ask(nowMs);
    return this.tookMs;
  }

  private ask(nowMs: number): void {
    this.askedAtMs = nowMs;
    this.isAsked = true;
    const answered = (): void => {
      this.isAsked = false;
      this.tookMs = performance.now() - nowMs;
    };
    // Refused is answered too: who fails at once keeps nobody waiting.
    this.question().then(answered, answered);
  }
}

export class StoreWait {
  private timer: Timer | undefined;

  constructor(
    private readonly questions: readonly Question[],
    private readonly observe: (waitMs: number, nowMs: number) => void,
  ) {}

  start(): void {
    const waitings = this.questions.map((question) => new Waiting(question));
    this.timer = setInterval(() => {
      const nowMs = performance.now();
      this.observe(Math.max(0, ...waitings.map((waiting) => waiting.ms(nowMs))), nowMs);
    }, EVERY_MS);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }
}
