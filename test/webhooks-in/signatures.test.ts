// Signatures under webhooks against the gateways' own clients, in both directions: what they make
// we take, what we take they take, and what they refuse we refuse.
import { describe, expect, test } from 'bun:test';
import Razorpay from 'razorpay';
import Stripe from 'stripe';
import { TOLERANCE_S, isSignedByRazorpay, isSignedByStripe } from '../../src/http/signatures.ts';

const stripe = new Stripe('sk_test_signatures');
const secret = 'whsec_present';
const nowMs = 1_800_000_000_500;
const now = Math.floor(nowMs / 1_000);
const text = JSON.stringify({ id: 'evt_1', object: 'event', note: 'naïve — 日本 "x"' });
const body = Buffer.from(text);

function made(options: { secret?: string; timestamp?: number; payload?: string } = {}) {
  const payload = options.payload ?? text;
  const { secret: by = secret, timestamp = now } = options;
  return stripe.webhooks.generateTestHeaderStringAsync({ payload, secret: by, timestamp });
}

const v1 = (header: string): string => header.split('v1=')[1]!;
const taken = (header: string | null, secrets = [secret], raw: Uint8Array = body): boolean =>
  isSignedByStripe(raw, header, secrets, nowMs);
const takenByTheirs = async (header: string, by = secret): Promise<boolean> =>
  await stripe.webhooks
    .constructEventAsync(text, header, by, TOLERANCE_S, undefined, nowMs)
    .then(() => true)
    .catch(() => false);

const wrong = await made({ secret: 'whsec_wrong' });
const good = await made();
const stripeCases: [name: string, header: string, holds: boolean][] = [
  ['as their client makes it', good, true],
  ['the first of several fits', `${good},v1=${v1(wrong)}`, true],
  ['the last of several fits', `t=${now},v1=${v1(wrong)},v1=${v1(good)}`, true],
  ['another scheme beside it', `t=${now},v0=${v1(wrong)},v1=${v1(good)}`, true],
  ['the time behind the signature', `v1=${v1(good)},t=${now}`, true],
  ['as old as may be', await made({ timestamp: now - TOLERANCE_S }), true],
  ['a clock that is ahead of ours', await made({ timestamp: now + 900 }), true],
  ['too old by a second', await made({ timestamp: now - TOLERANCE_S - 1 }), false],
  ['another secret', wrong, false],
  ['another body', await made({ payload: `${text} ` }), false],
  ['another time than was signed', good.replace(`t=${now}`, `t=${now - 1}`), false],
  ['only another scheme', `t=${now},v0=${v1(good)}`, false],
  ['no time', `v1=${v1(good)}`, false],
  ['no signature', `t=${now}`, false],
  ['upper case', `t=${now},v1=${v1(good).toUpperCase()}`, false],
  ['one digit less', `t=${now},v1=${v1(good).slice(0, 63)}`, false],
  ['nothing', '', false],
  ['no pairs', 'garbage', false],
  ['a time that is none', good.replace(`t=${now}`, 't=soon'), false],
  ['a time below zero', await made({ timestamp: -5 }), false],
];

describe('Stripe', () => {
  test.each(stripeCases)('%s', async (_, header, holds) => {
    expect({ ours: taken(header), theirs: await takenByTheirs(header) }).toEqual({
      ours: holds,
      theirs: holds,
    });
  });

  test('two headers of the name arrive as one', () => {
    const headers = new Headers();
    headers.append('Stripe-Signature', `t=${now},v1=${v1(wrong)}`);
    headers.append('Stripe-Signature', `v1=${v1(good)}`);
    expect(taken(headers.get('stripe-signature'))).toBe(true);
  });

  test('both secrets hold while one replaces the other, and no third', async () => {
    const both = ['whsec_new', secret];
    expect(taken(good, both)).toBe(true);
    expect(taken(await made({ secret: 'whsec_new' }), both)).toBe(true);
    expect(taken(wrong, both)).toBe(false);
    expect(taken(good, ['whsec_new'])).toBe(false);
    expect(taken(good, [])).toBe(false);
  });

  test('it is over the bytes as they came: a mark in front, an escape, a line break', () => {
    for (const other of [`\ufeff${text}`, text.replace('ï', '\\u00ef'), `${text}\n`]) {
      const bytes = Buffer.from(other);
      expect(taken(good, [secret], bytes)).toBe(false);
      const hmac = new Bun.CryptoHasher('sha256', secret).update(`${now}.`).update(bytes);
      expect(taken(`t=${now},v1=${hmac.digest('hex')}`, [secret], bytes)).toBe(true);
    }
  });

  test('a header that is far too long, or of very many signatures, is not gone through', () => {
    expect(taken(`${good}${',v1='.repeat(4_096)}`)).toBe(false);
    const many = Array.from({ length: 17 }, () => `v1=${v1(wrong)}`).join(',');
    expect(taken(`t=${now},${many},v1=${v1(good)}`)).toBe(false);
  });

  test('none', () => expect(taken(null)).toBe(false));
});

describe('Razorpay', () => {
  const signed = (by: string, bytes: Uint8Array = body): string =>
    new Bun.CryptoHasher('sha256', by).update(bytes).digest('hex');
  const theirs = (header: string): boolean => {
    try {
      return Razorpay.validateWebhookSignature(text, header, secret);
    } catch {
      return false;
    }
  };
  const cases: [name: string, header: string, holds: boolean][] = [
    ['as it is specified', signed(secret), true],
    ['another secret', signed('another'), false],
    ['another body', signed(secret, Buffer.from(`${text} `)), false],
    ['cut off', signed(secret).slice(0, 60), false],
    ['nothing', '', false],
    ['no hex', 'z'.repeat(64), false],
  ];

  test.each(cases)('%s', (_, header, holds) => {
    expect({ ours: isSignedByRazorpay(body, header, [secret]), theirs: theirs(header) }).toEqual({
      ours: holds,
      theirs: holds,
    });
  });

  test('both secrets hold while one replaces the other; none is none', () => {
    expect(isSignedByRazorpay(body, signed('old'), [secret, 'old'])).toBe(true);
    expect(isSignedByRazorpay(body, null, [secret])).toBe(false);
  });
});
