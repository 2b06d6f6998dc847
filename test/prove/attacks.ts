// Attacks by what buyers and managers may do: all at once, again, late, back and forth.
import type { CouponTerms } from '../../schemas/coupons.ts';
import type { Arena, Attack } from './arena.ts';
import type { Purchase } from './buyer.ts';

const usd = (amount: number) => ({ amount, currency: 'USD' });
export const fixed = (
  limits: CouponTerms['limits'],
  more: Partial<CouponTerms> = {},
): CouponTerms => ({
  kind: 'fixed',
  value: usd(500),
  ...(limits ? { limits } : {}),
  ...more,
});

/** A clock is read, and a request travels, before the product looks at its own. */
const MARGIN_MS = 50;

const distinct: Attack = {
  name: 'distinct orders',
  about: 'new orders at one hot code, some redeemed at once, some reserved',
  async run(arena) {
    const code = await arena.make('HOT', fixed({ global: 500 }));
    await arena.crowd(() =>
      arena.buyers.buy({ codes: [code], order: arena.nextOrder(), commit: arena.chance(0.5) }),
    );
  },
};

const replays: Attack = {
  name: 'replays',
  about: 'one key many times at once, another key, another body under the key',
  async run(arena) {
    const code = await arena.make('AGAIN', fixed({ global: 100_000 }));
    await arena.crowd(async () => {
      const [order, key] = [arena.nextOrder(), crypto.randomUUID()];
      const same = { codes: [code], order, commit: true };
      const answers = await Promise.all([
        arena.buyers.buy({ ...same, key }),
        arena.buyers.buy({ ...same, key, total: 4_000 }),
        arena.buyers.buy({ ...same, key }),
        arena.buyers.buy(same),
      ]);
      const ids = new Set(answers.flatMap(({ id }) => id ?? []));
      if (ids.size !== 1) arena.buyers.wrong(`an order has ${ids.size} redemptions`);
    }, arena.clients / 4);
  },
};

/** Reserves, then pays, fails or walks away; now and then asks again for what it holds. */
export async function shop(arena: Arena, codes: string[], ttlS: number): Promise<void> {
  const { buyers } = arena;
  const order = arena.nextOrder();
  const bought = await buyers.buy({ codes, order, ttlS, commit: arena.chance(0.1) });
  if (bought.id === null) return;
  if (arena.chance(0.2)) await askAgain(arena, codes, bought, ttlS);
  if (arena.chance(0.2)) return;
  await buyers.settle(bought, arena.chance(0.3) ? 'release' : 'commit');
  if (arena.chance(0.5)) await buyers.settle(bought, 'release');
}

async function askAgain(arena: Arena, codes: string[], bought: Purchase, ttlS: number) {
  const again = await arena.buyers.buy({ codes, order: bought.order, ttlS });
  if (arena.mayLose || Date.now() > bought.expiresAt - MARGIN_MS) return;
  if (again.id !== bought.id)
    arena.buyers.wrong(`an order did not get its own reservation: ${again.refusal ?? again.id}`);
}

const payments: Attack = {
  name: 'payments',
  about: 'reservations paid, failed or left alone; orders that ask for their own again; refunds',
  async run(arena) {
    const code = await arena.make('PAY', fixed({ global: 60 }));
    await arena.crowd(() => shop(arena, [code], 1 + arena.pick(2)));
  },
};

const expiry: Attack = {
  name: 'expiry or commit',
  about: 'reservations of a second, committed at the moment of their expiry',
  async run(arena) {
    const code = await arena.make('LATE', fixed({ global: 300 }));
    await arena.crowd(async () => {
      const bought = await arena.buyers.buy({ codes: [code], order: arena.nextOrder(), ttlS: 1 });
      if (bought.id === null) return await Bun.sleep(20);
      await Bun.sleep(bought.expiresAt - Date.now() - 40 + arena.pick(80));
      const refused = await arena.buyers.settle(bought, 'commit');
      if (refused !== null && Date.now() < bought.expiresAt - MARGIN_MS)
        arena.buyers.wrong(`refused before its time was up: ${refused}`);
      else if (refused === null) await arena.buyers.settle(bought, 'release');
    });
  },
};

const both: Attack = {
  name: 'release or commit',
  about: 'a commit and two releases of one reservation at once, from several addresses',
  async run(arena) {
    const code = await arena.make('BOTH', fixed({ global: 40 }));
    await arena.crowd(async () => {
      const bought = await arena.buyers.buy({ codes: [code], order: arena.nextOrder() });
      if (bought.id === null) return await Bun.sleep(5);
      const [committed, ...released] = await Promise.all([
        arena.buyers.settle(bought, 'commit'),
        arena.buyers.settle(bought, 'release'),
        arena.buyers.settle(bought, 'release'),
      ]);
      if (released.some((refusal) => refusal !== null))
        arena.buyers.wrong(`a release was refused: ${released.join()}`);
      if (committed !== null && committed !== 'already_released')
        arena.buyers.wrong(`a commit was refused: ${committed}`);
    });
  },
};

const refunds: Attack = {
  name: 'refunds',
  about: 'redeemed at once and given back, twice each',
  async run(arena) {
    const code = await arena.make('REFUND', fixed({ global: 25 }));
    await arena.crowd(async () => {
      const order = arena.nextOrder();
      const bought = await arena.buyers.buy({ codes: [code], order, commit: true });
      if (bought.id === null) return;
      const twice = [0, 1].map(() => arena.buyers.settle(bought, 'release'));
      if ((await Promise.all(twice)).some((refusal) => refusal !== null))
        arena.buyers.wrong('a refund was refused');
    });
  },
};

const changes: Attack = {
  name: 'changed limits',
  about: 'the limit raised, lowered below what is held, disabled and enabled meanwhile',
  async run(arena) {
    const code = await arena.make('MOVING', fixed({ global: 50 }));
    const crowd = arena.crowd(() => shop(arena, [code], 1));
    await arena.meanwhile(crowd, 150, async () => {
      const status = arena.chance(0.15) ? 'disabled' : 'active';
      await arena.put(code, fixed({ global: 1 + arena.pick(100) }, { status }));
    });
    await arena.put(code, fixed({ global: 70 }));
  },
};

const customers: Attack = {
  name: 'per customer',
  about: 'three uses a customer; the limit taken away and set again meanwhile',
  async run(arena) {
    const terms = fixed({ per_customer: 3 });
    const code = await arena.make('EACH', terms);
    const crowd = arena.crowd(async () => {
      const customer = `c_${arena.pick(60)}`;
      const order = arena.nextOrder();
      const bought = await arena.buyers.buy({ codes: [code], order, customer, ttlS: 120 });
      if (bought.id !== null && arena.chance(0.5)) await arena.buyers.settle(bought, 'release');
    });
    let limited = true;
    await arena.meanwhile(crowd, 400, async () => {
      limited = !limited;
      await arena.put(code, limited ? terms : fixed(undefined));
    });
    await arena.put(code, terms);
  },
};

const budget: Attack = {
  name: 'budget',
  about: 'a third of odd sums against a budget that none of them divides',
  async run(arena) {
    const terms: CouponTerms = { kind: 'percent', percent_bp: 3_333 };
    const code = await arena.make('PURSE', { ...terms, limits: { budget: usd(100_003) } });
    await arena.crowd(async () => {
      const order = arena.nextOrder();
      const total = 1 + arena.pick(2_000);
      const bought = await arena.buyers.buy({ codes: [code], order, total, ttlS: 120 });
      if (bought.id !== null && arena.chance(0.6)) await arena.buyers.settle(bought, 'release');
    });
  },
};

const gift: Attack = {
  name: 'gift',
  about: 'a gift of 10,007 spent by many orders at once, some given back',
  async run(arena) {
    const code = await arena.make('GIFT', { kind: 'gift_balance', value: usd(10_007) });
    await arena.crowd(async () => {
      const order = arena.nextOrder();
      const total = 1 + arena.pick(900);
      const bought = await arena.buyers.buy({ codes: [code], order, total, ttlS: 120 });
      if (bought.id !== null && arena.chance(0.7)) await arena.buyers.settle(bought, 'release');
    }, arena.clients / 4);
  },
};

const stacks: Attack = {
  name: 'stacks',
  about: 'stacks of three codes in every order, all of a stack or none of it',
  async run(arena) {
    const codes = ['ONE', 'TWO', 'THREE'].map((word) => arena.code(word));
    const limits = [{ global: 200 }, { global: 300 }, { global: 250 }];
    for (const [n, code] of codes.entries())
      await arena.put(code, fixed(limits[n], { stackable: true }));
    await arena.crowd(async () => {
      const some = codes.toSorted(() => arena.random() - 0.5).slice(0, 1 + arena.pick(3));
      await arena.buyers.buy({ codes: some, order: arena.nextOrder(), commit: true });
    });
  },
};

export const attacks: readonly Attack[] = [
  ...[distinct, replays, payments, expiry, both, refunds, changes],
  ...[customers, budget, gift, stacks],
];
