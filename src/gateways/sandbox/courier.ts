// Delivers webhooks: late, twice, out of order or never, as the settings say, and again with
// growing delays until somebody answers 2xx.
// Invariant: a delivery is a row until it has ended, so a restart loses none; a signature is made
// anew for each try, as its time is part of it.
import type { Log } from '../../io/log.ts';
import { type GatewayName, gatewayNames } from '../../../schemas/payments.ts';
import { drawn } from './chance.ts';
import type { Told } from './objects.ts';
import type { Settings, WebhookSettings } from './settings.ts';
import { webhookHeaders } from './signatures.ts';
import type { Delivery, SandboxStore } from './store.ts';

export interface CourierParts {
  store: SandboxStore;
  settings(): Settings;
  now(): number;
  log: Log;
}

const IDLE_MS = 1_000;
const RETRY_MAX_MS = 300_000;

export class Courier {
  private readonly underWay = new Map<number, { gateway: GatewayName; done: Promise<void> }>();
  private readonly abort = new AbortController();
  private timer: ReturnType<typeof setTimeout> | null = null;

  constructor(private readonly parts: CourierParts) {}

  start(): void {
    this.look();
  }

  async stop(): Promise<void> {
    this.abort.abort();
    if (this.timer) clearTimeout(this.timer);
    await Promise.all([...this.underWay.values()].map(({ done }) => done));
  }

  /** Called in the transaction of what it tells. */
  take(told: Told): void {
    const { store, settings, now } = this.parts;
    const { seed, [told.gateway]: gateway } = settings();
    const { webhook } = gateway;
    if (webhook.url === null) return;
    if (!webhook.events.includes('*') && !webhook.events.includes(told.type)) return;
    const chance = (what: string): number => drawn(seed, what, told.id);
    if (chance('lost') < webhook.lost_rate) return;
    const spreadMs = webhook.delay_max_ms - webhook.delay_min_ms;
    const dueMs = (copy: string): number =>
      now() + webhook.delay_min_ms + Math.round(chance(`delay ${copy}`) * spreadMs);
    const overtaken = chance('reorder') < webhook.reorder_rate;
    const heldMs = overtaken ? Math.ceil(chance('hold') * webhook.reorder_ms) : 0;
    store.deliver(told.gateway, told.id, dueMs('first') + heldMs);
    if (chance('duplicate') < webhook.duplicate_rate)
      store.deliver(told.gateway, told.id, dueMs('second'));
  }

  /** Once more, whatever became of it. */
  redeliver(told: Told): void {
    this.parts.store.deliver(told.gateway, told.id, this.parts.now());
    this.nudge();
  }

  nudge(): void {
    if (this.timer) clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), 0);
  }

  private look(): void {
    if (this.abort.signal.aborted) return;
    const nextMs = Math.min(...gatewayNames.map((gateway) => this.lookAt(gateway)));
    if (this.timer) clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), Math.max(1, nextMs - this.parts.now()));
  }

  /** Starts what is due and has room; gives when to look again. Each gateway has room of its own. */
  private lookAt(gateway: GatewayName): number {
    const { store, settings, now } = this.parts;
    const { concurrency } = settings()[gateway].webhook;
    const busy = [...this.underWay.values()].filter((each) => each.gateway === gateway).length;
    // Those under way still wait in the table.
    const waiting = store.deliveriesWaiting(gateway, Math.max(busy, concurrency) + 1);
    const fresh = waiting.filter(({ id }) => !this.underWay.has(id));
    for (const delivery of fresh.slice(0, Math.max(0, concurrency - busy))) {
      if (delivery.due_ms > now()) return delivery.due_ms;
      this.launch(delivery);
    }
    return now() + IDLE_MS;
  }

  private launch(delivery: Delivery): void {
    const done = this.carry(delivery).finally(() => {
      this.underWay.delete(delivery.id);
      if (!this.abort.signal.aborted) this.nudge();
    });
    this.underWay.set(delivery.id, { gateway: delivery.gateway, done });
  }

  private async carry({ id, gateway, event, attempts }: Delivery): Promise<void> {
    const { store, settings, now, log } = this.parts;
    const { webhook } = settings()[gateway];
    const told = store.get('event', event);
    if (!told || webhook.url === null) {
      store.deliveryEnded(id, 'given_up', 'nobody to tell');
      return;
    }
    const detail = await this.post(told, webhook, webhook.url);
    // Told to stop: it is tried again after the restart.
    if (this.abort.signal.aborted && detail !== null) return;
    if (detail === null) {
      store.deliveryEnded(id, 'delivered', 'taken');
    } else if (attempts + 1 >= webhook.retries_max) {
      log.warn({ event, gateway, detail }, 'a webhook was given up');
      store.deliveryEnded(id, 'given_up', detail);
    } else {
      const delayMs = Math.min(webhook.retry_base_ms * 2 ** attempts, RETRY_MAX_MS);
      store.deliverAgain(id, now() + delayMs, detail);
    }
  }

  /** Null when it was taken; else why not. */
  private async post(told: Told, webhook: WebhookSettings, url: string): Promise<string | null> {
    const { now } = this.parts;
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: webhookHeaders(told, webhook.secrets, now()),
        body: told.body,
        redirect: 'manual',
        signal: AbortSignal.any([this.abort.signal, AbortSignal.timeout(webhook.timeout_ms)]),
      });
      await response.arrayBuffer();
      return response.ok ? null : `answered ${response.status}`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}
