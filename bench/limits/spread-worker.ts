// The yardstick of hot accounts: a worker like any other, but for its rule for earnings, which puts
// the platform's side on one of 100,000 accounts instead of on one. Settings as for a worker.
import { rules } from '../../consumers/index.ts';
import { runWorker } from '../../consumers/main.ts';
import { readConfig } from '../../src/config.ts';
import type { Rule } from '../../src/ledger/decision.ts';

const ACCOUNTS = 100_000;

const earning = rules.get('earning.credited')!;

const spread: Rule = {
  ...earning,
  decide(event, state) {
    const decision = earning.decide(event, state);
    if (decision.verdict !== 'post') return decision;
    const place = Bun.hash.crc32(event.id) % ACCOUNTS;
    const legs = decision.legs.map((leg) =>
      leg.account.startsWith('platform:') ? { ...leg, account: `${leg.account}:${place}` } : leg,
    );
    return { ...decision, legs };
  },
};

await runWorker(readConfig(process.env), new Map([...rules, [earning.type, spread]]));
