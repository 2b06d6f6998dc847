// The sandbox of a run as a process of its own, which no fault of the run touches, and what is
// asked of its control: trouble on demand, and what it knows to judge by.
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import type { GatewayName } from '../../schemas/payments.ts';
import type { Kind, OfKind } from '../../src/gateways/sandbox/objects.ts';
import {
  SANDBOX_PORTS,
  type SandboxUrls,
  sandboxUrls,
} from '../../src/gateways/sandbox/sandbox.ts';
import type { SettlementRow } from '../../src/gateways/sandbox/settlement-file.ts';
import { findPortRow } from '../../src/supervisor/ports.ts';
import { ROOT } from '../services.ts';

const TRIES = 5;
const READY_WITHIN_MS = 15_000;
/** It ends at once when a port is somebody else's. */
const ENDED_WITHIN_MS = 100;

export class SandboxDesk {
  private constructor(
    private readonly child: Bun.Subprocess,
    readonly urls: SandboxUrls,
  ) {}

  /** It takes three ports in a row; where one is taken, others are tried. */
  static async open(home: string): Promise<SandboxDesk> {
    for (let tries = 1; ; tries++) {
      const port = await findPortRow(SANDBOX_PORTS);
      const child = Bun.spawn(
        [process.execPath, join(ROOT, 'src/main.ts'), 'sandbox', '--memory'],
        {
          env: {
            ...process.env,
            ...{ SANDBOX_PORT: String(port), TALLYRACE_HOME: home, LOG_LEVEL: 'warn' },
            PROCESS_NAME: 'sandbox',
          },
          stdio: ['ignore', 'ignore', 'inherit'],
        },
      );
      const desk = new SandboxDesk(child, sandboxUrls(port));
      if (await desk.ready()) return desk;
      await desk.close();
      if (tries === TRIES) throw new Error('the sandbox did not start');
    }
  }

  /** Its control answers before the last port is taken: the last one must, and it be alive then. */
  private async ready(): Promise<boolean> {
    const { control, razorpay } = this.urls;
    const answers = async (url: string): Promise<boolean> =>
      (await fetch(url, { keepalive: false }).catch(() => null)) !== null;
    for (const deadline = Date.now() + READY_WITHIN_MS; Date.now() < deadline;) {
      if (this.child.exitCode !== null) return false;
      if ((await answers(`${control}/health`)) && (await answers(razorpay))) {
        await Bun.sleep(ENDED_WITHIN_MS);
        return this.child.exitCode === null;
      }
      await Bun.sleep(25);
    }
    return false;
  }

  async control<T = unknown>(method: string, route: string, body?: object): Promise<T> {
    const response = await fetch(`${this.urls.control}${route}`, {
      method,
      // A connection that idled may be closed at the moment that it is used again.
      keepalive: false,
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${text}`);
    return JSON.parse(text) as T;
  }

  set(settings: object): Promise<unknown> {
    return this.control('PATCH', '/settings', settings);
  }

  all<K extends Kind>(gateway: GatewayName, kind: K): Promise<OfKind<K>[]> {
    return this.control('GET', `/objects/${gateway}/${kind}?limit=-1`);
  }

  /** Opened by the buyer's bank, and decided by it. */
  async dispute(paymentId: string, as: 'won' | 'lost'): Promise<void> {
    const { id } = await this.control<{ id: string }>('POST', '/disputes', { payment: paymentId });
    await this.control('POST', `/disputes/${id}/${as}`);
  }

  deliveries(): Promise<{ gateway: string; state: string; count: number }[]> {
    return this.control('GET', '/webhooks');
  }

  async settlement(): Promise<SettlementRow[]> {
    const response = await fetch(`${this.urls.control}/settlement.csv`);
    return parse(await response.text(), { columns: true });
  }

  async close(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.child.exited;
  }
}
