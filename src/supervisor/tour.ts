// Calls that show the product: a coupon checked, an earning posted, the balance read, a payment
// initiated.
// They are made here, on the running system, so that what is printed is what was answered.

export interface Step {
  says: string;
  method: 'GET' | 'POST' | 'PUT';
  path: string;
  headers?: Record<string, string>;
  body?: object;
}

export interface Shown {
  says: string;
  curl: string;
  answer: string;
}

const CODE = 'WELCOME10';
const ANSWER_WITHIN_MS = 15_000;

/** Put in place first, so that the calls have something to work on. */
const coupon: Step = {
  says: 'a coupon',
  method: 'PUT',
  path: `/v1/coupons/${CODE}`,
  body: { kind: 'percent', percent_bp: 1000, limits: { global: 1000 } },
};

export const steps: readonly Step[] = [
  {
    says: `Check a coupon (10 % off, made for you: ${CODE})`,
    method: 'POST',
    path: '/v1/coupons/validate',
    body: { code: CODE, order: { total: { amount: 4999, currency: 'USD' } } },
  },
  {
    says: 'Post an earning, and wait until the ledger has it; the same id never counts twice',
    method: 'POST',
    path: '/v1/events',
    headers: { Prefer: 'wait=ledger' },
    body: {
      id: 'demo-1',
      type: 'earning.credited',
      data: {
        user_id: 'u_1',
        kind: 'welcome',
        amount: { amount: 1250, currency: 'USD' },
        reference: 'first-start',
      },
    },
  },
  {
    says: 'Read the balance',
    method: 'GET',
    path: '/v1/accounts/user:u_1:earnings/balance',
  },
  {
    says: 'Initiate a payment; the same Idempotency-Key never charges twice',
    method: 'POST',
    path: '/v1/payments',
    headers: { 'Idempotency-Key': 'first-payment' },
    body: {
      amount: { amount: 4999, currency: 'USD' },
      customer_id: 'c_1',
      method: { type: 'card', token: 'pm_card_visa' },
    },
  },
];

export async function takeTour(url: string, key: string): Promise<Shown[]> {
  await call(url, key, coupon);
  const shown: Shown[] = [];
  for (const step of steps) {
    const answer = await call(url, key, step);
    shown.push({ says: step.says, curl: curlOf(url, key, step), answer });
  }
  return shown;
}

async function call(url: string, key: string, step: Step): Promise<string> {
  try {
    const response = await fetch(url + step.path, {
      method: step.method,
      headers: headersOf(key, step),
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
      ...(step.body ? { body: JSON.stringify(step.body) } : {}),
    });
    return (await response.text()).trim();
  } catch (error) {
    return `no answer: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function headersOf(key: string, { body, headers }: Step): Record<string, string> {
  return {
    Authorization: `Bearer ${key}`,
    ...(body ? { 'Content-Type': 'application/json' } : {}),
    ...headers,
  };
}

function curlOf(url: string, key: string, step: Step): string {
  const parts = [`curl -s ${step.method === 'GET' ? '' : `-X ${step.method} `}${url}${step.path}`];
  for (const [name, value] of Object.entries(headersOf(key, step)))
    parts.push(`-H '${name}: ${value}'`);
  if (step.body) parts.push(`-d '${JSON.stringify(step.body)}'`);
  return parts.join(' \\\n    ');
}
