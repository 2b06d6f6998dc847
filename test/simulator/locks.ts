// Row locks of streams: a statement takes those it needs in order of their names, each as soon as
// it is free, and holds them until it ends.
// Invariant: whoever waits is served in turn, and gives back what it holds when it is cut off.

export class Locks {
  private readonly queues = new Map<string, (() => void)[]>();

  /** Runs `go` when all are held; gives what releases them, or stops waiting. */
  take(names: readonly string[], go: () => void): () => void {
    const sorted = [...new Set(names)].sort();
    const held: [string, () => void][] = [];
    let isOver = false;
    const next = (): void => {
      if (isOver) return;
      const name = sorted[held.length];
      if (name === undefined) return go();
      held.push([name, next]);
      const queue = this.queues.get(name) ?? [];
      this.queues.set(name, [...queue, next]);
      if (queue.length === 0) next();
    };
    next();
    return () => {
      isOver = true;
      for (const [name, mine] of held) this.leave(name, mine);
    };
  }

  private leave(name: string, mine: () => void): void {
    const queue = this.queues.get(name) ?? [];
    const isFirst = queue[0] === mine;
    const rest = queue.filter((each) => each !== mine);
    this.queues.set(name, rest);
    if (isFirst) rest[0]?.();
  }
}
