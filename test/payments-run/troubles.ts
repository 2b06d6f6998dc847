// What befalls a run: requests that meet faults all the while, gateways that go away and come back,
// processes and servers that are killed, each when so many of the payments were asked for.
// Invariant: every trouble ends; what it left behind is for the product to put right.
import type { Stage, Target } from './stage.ts';

export interface Trouble {
  /** When this share of the payments was asked for. */
  at: number;
  name: string;
  meet(stage: Stage): Promise<void>;
}

/** Shares of the requests that change something: 2 % are not answered and not carried out, 1 % are
 * carried out and not answered. */
export const faults = { timeout_before: 0.02, timeout_after: 0.005, reset_after: 0.005 };

/** Shares of the webhooks. */
export const webhookFaults = {
  ...{ duplicate_rate: 0.05, reorder_rate: 0.05, reorder_ms: 2_000 },
  ...{ delay_min_ms: 0, delay_max_ms: 100, retry_base_ms: 200 },
};

export interface TroublePlan {
  kill: 'none' | 'worker' | 'all';
  webhooks: boolean;
  /** How long a gateway is away. */
  downMs: number;
}

export function troublesOf({ kill, webhooks, downMs }: TroublePlan): Trouble[] {
  const down = (at: number, gateway: string, how: string): Trouble => ({
    at,
    name: `${gateway} ${how === 'refused' ? 'refuses connections' : 'answers 503'} for ${downMs} ms`,
    async meet({ sandbox }) {
      await sandbox.set({ [gateway]: { down: how } });
      await Bun.sleep(downMs);
      await sandbox.set({ [gateway]: { down: null } });
    },
  });
  const killed = (at: number, target: Target): Trouble => ({
    at,
    name: `kill -9 of ${target}`,
    meet: (stage) => stage.kill(target),
  });
  // No trouble, but money that moves, of which webhooks tell.
  const paidOut: Trouble = {
    at: 0.75,
    name: 'both gateways pay out',
    async meet({ sandbox }) {
      await sandbox.control('POST', '/payouts', {});
    },
  };
  const troubles = [down(0.2, 'stripe', 'refused'), down(0.6, 'razorpay', 'unavailable')];
  if (webhooks) troubles.push(paidOut);
  if (kill !== 'none') troubles.push(killed(0.35, 'worker'));
  // Whoever asked an ingress that dies is answered after half a minute: nothing for a short run.
  if (kill === 'all')
    troubles.push(
      ...[killed(0.1, 'effects'), killed(0.45, 'ingress'), killed(0.5, 'redis')],
      ...[killed(0.7, 'postgres'), killed(0.8, 'effects')],
    );
  return troubles.sort((a, b) => a.at - b.at);
}
