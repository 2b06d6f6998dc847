// A caller that keeps to the letter of HTTP: it leaves a connection when told so, and sends a
// request once more only when a connection that it had used before closed without a byte of answer.
// Everything else that goes wrong is a failed request, counted by its kind.
import { type Socket, connect } from 'node:net';

export interface CallTally {
  answered: number;
  /** Sent again, as HTTP allows. */
  retried: number;
  connections: number;
  /** By kind: a status, or what became of the connection. */
  failed: Record<string, number>;
  slowestMs: number;
}

interface Answer {
  status: number;
  body: string;
  closes: boolean;
}

export interface Call {
  path: string;
  headers: Record<string, string>;
  body: string;
}

export interface CallerOptions {
  port: number;
  /** False: a connection for each request. */
  keepAlive: boolean;
  /** After which a request counts as failed. */
  answerWithinMs: number;
  next(): Call;
  onAnswer(call: Call, status: number, body: string): void;
}

/** No answer came: the connection ended, or the time was up. */
class Unanswered extends Error {
  constructor(
    readonly kind: string,
    readonly bytes: number,
  ) {
    super(kind);
  }
}

export class Caller {
  readonly tally: CallTally = {
    answered: 0,
    retried: 0,
    connections: 0,
    failed: {},
    slowestMs: 0,
  };
  private socket: Socket | null = null;

  constructor(private readonly options: CallerOptions) {}

  /** One request after the other until `stopped`. */
  async run(stopped: () => boolean): Promise<void> {
    while (!stopped()) await this.one(this.options.next());
    this.socket?.destroy();
  }

  private async one(call: Call): Promise<void> {
    const startedAt = performance.now();
    try {
      const { status, body } = await this.answerTo(call);
      if (status < 300) this.tally.answered++;
      else this.fail(`status ${status}`);
      this.options.onAnswer(call, status, body);
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error;
      this.fail(error.kind);
    }
    this.tally.slowestMs = Math.max(this.tally.slowestMs, performance.now() - startedAt);
  }

  private fail(kind: string): void {
    this.tally.failed[kind] = (this.tally.failed[kind] ?? 0) + 1;
  }

  private async answerTo(call: Call): Promise<Answer> {
    const used = this.socket;
    if (used && !used.destroyed) {
      try {
        return await this.send(used, call);
      } catch (error) {
        if (!(error instanceof Unanswered) || error.bytes > 0) throw error;
        this.tally.retried++;
      }
    }
    this.tally.connections++;
    return await this.send(await this.open(), call);
  }

  private open(): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.options.port, '127.0.0.1', () => resolve(socket));
      socket.setNoDelay(true);
      socket.on('error', (error: NodeJS.ErrnoException) =>
        reject(new Unanswered(`connect: ${error.code}`, 0)),
      );
      this.socket = socket;
    });
  }

  private async send(socket: Socket, { path, headers, body }: Call): Promise<Answer> {
    const lines = Object.entries({
      Host: 'localhost',
      'Content-Type': 'application/json',
      'Content-Length': String(Buffer.byteLength(body)),
      ...(this.options.keepAlive ? {} : { Connection: 'close' }),
      ...headers,
    }).map(([name, value]) => `${name}: ${value}\r\n`);
    const answer = this.answerOn(socket);
    socket.write(`POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
    const got = await answer;
    if (got.closes || !this.options.keepAlive) {
      socket.destroy();
      this.socket = null;
    }
    return got;
  }

  private answerOn(socket: Socket): Promise<Answer> {
    return new Promise((resolve, reject) => {
      let text = '';
      const done = (): void => {
        clearTimeout(timer);
        socket.removeAllListeners('data');
        socket.removeAllListeners('close');
      };
      const unanswered = (kind: string): void => {
        done();
        socket.destroy();
        this.socket = null;
        reject(new Unanswered(kind, text.length));
      };
      const timer = setTimeout(() => unanswered('timeout'), this.options.answerWithinMs);
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
        const answer = parsed(text);
        if (!answer) return;
        done();
        resolve(answer);
      });
      socket.on('close', () => unanswered(text ? 'cut in the answer' : 'closed unanswered'));
      if (socket.destroyed) unanswered('closed unanswered');
    });
  }
}

/** Null while it is not whole. Answers of ours have a Content-Length. */
function parsed(text: string): Answer | null {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = text.slice(0, end);
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  if (text.length < end + 4 + length) return null;
  return {
    status: Number(head.split(' ')[1]),
    body: text.slice(end + 4),
    closes: /^connection: *close/im.test(head),
  };
}

export function sumOf(tallies: readonly CallTally[]): CallTally {
  const sum: CallTally = { answered: 0, retried: 0, connections: 0, failed: {}, slowestMs: 0 };
  for (const tally of tallies) {
    sum.answered += tally.answered;
    sum.retried += tally.retried;
    sum.connections += tally.connections;
    sum.slowestMs = Math.max(sum.slowestMs, tally.slowestMs);
    for (const [kind, count] of Object.entries(tally.failed))
      sum.failed[kind] = (sum.failed[kind] ?? 0) + count;
  }
  return sum;
}
