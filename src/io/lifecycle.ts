// The end of a process: asked for by a signal, or brought about by something nobody expected.
// Invariant: a stop that was asked for exits 0 when all is drained, 1 at the deadline; anything
// unexpected exits 1 at once, since going on with broken state could lose or double money.

/** Resolves at the first SIGINT or SIGTERM; later ones change nothing. */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve(signal));
  });
}

/** After this, the process ends within the deadline, whatever hangs. */
export function endWithin(deadlineMs: number): void {
  setTimeout(() => process.exit(1), deadlineMs).unref();
}

/** Tells, then ends the process, when a promise or a callback throws and nobody catches it. */
export function endOnSurprise(tell: (error: unknown) => void): void {
  const end = (error: unknown): void => {
    tell(error);
    process.exit(1);
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
}
