// The sandbox as a whole: both gateways and their control, each on a port of its own so that one of
// them can be down while the others answer. Loopback only.
// Invariant: it moves no money and takes test keys only.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { GatewayName } from '../../../schemas/payments.ts';
import type { Log } from '../../io/log.ts';
import { Bank } from './bank.ts';
import { type ControlParts, controlled } from './control.ts';
import { Courier } from './courier.ts';
import { Listener, ended, listening, requestOf, send } from './listener.ts';
import type { Happening } from './objects.ts';
import { razorpayEvents } from './razorpay/events.ts';
import { razorpayWire } from './razorpay/wire.ts';
import { Refunds } from './refunds.ts';
import { type Settings, changedSettings, standardSettings } from './settings.ts';
import { SandboxStore } from './store.ts';
import { stripeEvents } from './stripe/events.ts';
import { stripeWire } from './stripe/wire.ts';

export interface SandboxOptions {
  /** Of the control; Stripe is on the next one, Razorpay on the one after. 0 takes any three. */
  port: number;
  /** Of the file that remembers; `:memory:` forgets at the end. */
  path: string;
  log: Log;
  now?: () => number;
}

export interface SandboxUrls {
  control: string;
  stripe: string;
  razorpay: string;
}

export interface Sandbox {
  urls: SandboxUrls;
  stop(): Promise<void>;
}

const TICK_MS = 50;

/** Its control and its two gateways: so many ports in a row. */
export const SANDBOX_PORTS = 3;

/** Where a sandbox with this port is reached. */
export function sandboxUrls(port: number): SandboxUrls {
  return urlsOf({ control: port, stripe: port + 1, razorpay: port + 2 });
}

function urlsOf(ports: Record<keyof SandboxUrls, number>): SandboxUrls {
  const at = (of: number): string => `http://127.0.0.1:${of}`;
  return {
    control: `${at(ports.control)}/_control`,
    stripe: at(ports.stripe),
    razorpay: at(ports.razorpay),
  };
}

export async function startSandbox({
  port,
  path,
  log,
  now = Date.now,
}: SandboxOptions): Promise<Sandbox> {
  const store = new SandboxStore(path);
  const parts = partsOf(store, log, now);
  const { listeners } = parts;
  const control = createControl(parts.control);
  const ticking = setInterval(() => parts.tick(), TICK_MS);
  const stop = async (): Promise<void> => {
    clearInterval(ticking);
    await Promise.all([control.stop(), listeners.stripe.close(), listeners.razorpay.close()]);
    await parts.courier.stop();
    store.close();
  };
  try {
    const ports = {
      control: await control.listen(port),
      stripe: await listeners.stripe.listen(port === 0 ? 0 : port + 1),
      razorpay: await listeners.razorpay.listen(port === 0 ? 0 : port + 2),
    };
    await Promise.all(Object.values(listeners).map((listener) => listener.follow()));
    parts.courier.start();
    return { urls: urlsOf(ports), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function partsOf(store: SandboxStore, log: Log, now: () => number) {
  let settings = settingsOf(store, log);
  const courier = new Courier({ store, settings: () => settings, now, log });
  const bank = new Bank({
    store,
    now,
    settings: (gateway) => settings[gateway],
    announce(gateway: GatewayName, happening: Happening) {
      const eventsOf = gateway === 'stripe' ? stripeEvents : razorpayEvents;
      for (const told of eventsOf(happening, store, now())) {
        store.put(told);
        courier.take(told);
      }
    },
  });
  const refunds = new Refunds(bank);
  const shared = { store, bank, refunds };
  const listenerOf = (gateway: GatewayName, wire: ReturnType<typeof stripeWire>): Listener =>
    new Listener({
      wire,
      store,
      seed: () => settings.seed,
      settings: () => settings[gateway],
      nudge: () => courier.nudge(),
      log,
    });
  const searchLagMs = (): number => settings.stripe.search_lag_ms;
  const listeners = {
    stripe: listenerOf('stripe', stripeWire({ ...shared, searchLagMs, now })),
    razorpay: listenerOf('razorpay', razorpayWire(shared)),
  };
  const control: ControlParts = {
    ...shared,
    courier,
    settings: () => settings,
    lieInWait: (gateway, ambush) => listeners[gateway].lieInWait(ambush),
    async change(changed: Settings) {
      settings = changed;
      store.keepSettings(JSON.stringify(changed));
      await Promise.all(Object.values(listeners).map((listener) => listener.follow()));
    },
  };
  return {
    listeners,
    courier,
    control,
    tick: () => doWhatIsDue(store, bank, refunds, courier, now),
  };
}

/** As they were left; those of another release, which had others, are left behind. */
function settingsOf(store: SandboxStore, log: Log): Settings {
  const kept = store.settings();
  try {
    return changedSettings(standardSettings(), kept === null ? {} : JSON.parse(kept));
  } catch (error) {
    log.warn({ error: String(error) }, 'the settings kept are not of this release');
    return standardSettings();
  }
}

/** What was put off: charges to decide, refunds to end. */
function doWhatIsDue(
  store: SandboxStore,
  bank: Bank,
  refunds: Refunds,
  courier: Courier,
  now: () => number,
): void {
  const due = store.tasksDue(now());
  for (const { id, what, subject } of due)
    store.together(() => {
      store.taskDone(id);
      if (what === 'decide') {
        const charge = store.get('charge', subject);
        if (charge?.status === 'pending') bank.decide(charge);
        return;
      }
      const refund = store.get('refund', subject);
      if (!refund) return;
      if (what === 'refund_succeeds') refunds.succeed(refund);
      else refunds.fail(refund);
    });
  if (due.length > 0) courier.nudge();
}

function createControl(parts: ControlParts) {
  const server = createServer((incoming, response) => {
    requestOf(incoming)
      .then((request) => controlled(parts, request))
      .then((answer) => send(response, answer))
      .catch((error: unknown) => send(response, { status: 500, body: { error: String(error) } }));
  });
  return {
    async listen(port: number): Promise<number> {
      await listening(server, port);
      return (server.address() as AddressInfo).port;
    },
    stop: () => ended(server),
  };
}
