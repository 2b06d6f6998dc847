// Evidence on both wires: each reference in the gateway's own field, the rest in words; handed in
// once, however often it is asked; what the gateway refuses is told from what nobody knows.
import { describe, expect, test } from 'bun:test';
import { handInEvidence } from '../../src/effects/evidence.ts';
import { gatewayHandler } from '../../src/effects/gateway-lane.ts';
import type { Dispute } from '../../src/gateways/sandbox/objects.ts';
import {
  type DisputeAnswer,
  razorpayEvidence,
  stripeEvidence,
} from '../../src/gateways/evidence.ts';
import { GatewayRefused } from '../../src/gateways/gateway.ts';
import { gatewayNames, type GatewayName } from '../../schemas/payments.ts';
import { createLog } from '../../src/io/log.ts';
import type { Memory } from '../../src/store/effects.ts';
import { chargeOf, failingOnce, openStage, signal, stripeAt } from '../gateways/stage.ts';

const stage = await openStage();
const log = createLog('evidence', 'silent');

const answer: DisputeAnswer = {
  disputeId: '',
  items: [
    { type: 'receipt', reference: 'file_r' },
    { type: 'receipt', reference: 'file_second', note: 'The second page.' },
    { type: 'shipping', reference: 'DHL 00340434', note: 'Signed for.' },
    { type: 'customer_communication', reference: 'doc_mails' },
  ],
  note: 'Delivered to the address of the card.',
  again: false,
};

test('Stripe: files and numbers to their fields, all else to the text', () => {
  expect(stripeEvidence(answer)).toEqual({
    receipt: 'file_r',
    shipping_tracking_number: 'DHL 00340434',
    uncategorized_text: [
      'Delivered to the address of the card.',
      'receipt: file_second (The second page.)',
      'shipping: DHL 00340434 (Signed for.)',
      'customer communication: doc_mails',
    ].join('\n'),
  });
});

test('Razorpay: documents to their lists, all else to the summary, which is cut', () => {
  expect(razorpayEvidence(answer)).toMatchObject({
    action: 'submit',
    customer_communication: ['doc_mails'],
    summary: expect.stringContaining('shipping: DHL 00340434 (Signed for.)'),
  });
  const long = { ...answer, note: 'x'.repeat(4_000) };
  expect((razorpayEvidence(long) as { summary: string }).summary).toHaveLength(1_000);
});

async function disputed(name: GatewayName): Promise<string> {
  const request = chargeOf('pm_card_createDispute');
  await stage.gateways[name].charge(request, signal);
  const [charge] = await stage.chargesOf(name, request.paymentId);
  const disputes = await stage.control<Dispute[]>('GET', `/objects/${name}/dispute`);
  return disputes.find((each) => each.charge === charge!.id)!.id;
}

async function read(name: GatewayName, id: string): Promise<Dispute> {
  const disputes = await stage.control<Dispute[]>('GET', `/objects/${name}/dispute`);
  return disputes.find((each) => each.id === id)!;
}

describe.each([...gatewayNames])('%s', (name) => {
  test('takes an answer once, also when asked again because nobody heard', async () => {
    const disputeId = await disputed(name);
    await stage.gateways[name].answerDispute('evd_1', { ...answer, disputeId }, signal);
    expect(await read(name, disputeId)).toMatchObject({ status: 'under_review', submissions: 1 });
    const again = { ...answer, disputeId, again: true };
    await stage.gateways[name].answerDispute('evd_1', again, signal);
    expect((await read(name, disputeId)).submissions).toBe(1);
  });

  test('refuses it after the verdict, or of a dispute that is none of its own', async () => {
    const disputeId = await disputed(name);
    await stage.control('POST', `/disputes/${disputeId}/lost`);
    for (const id of [disputeId, 'dp_nobody']) {
      const asked = stage.gateways[name].answerDispute(
        'evd_2',
        { ...answer, disputeId: id },
        signal,
      );
      await expect(asked).rejects.toBeInstanceOf(GatewayRefused);
    }
  });
});

const effect = (disputeId: string, attempts = 1) => ({
  ...{ key: 'evd_3', tenant: 1, kind: 'evidence', attempts, claim: 'c' },
  ...{ askedAt: new Date(), lastError: null, memory: {} },
  data: { payment_id: 'pay_1', dispute_id: disputeId, items: answer.items, note: null },
});

test('a refusal is news; what was not answered is looked up and tried again', async () => {
  const refused = await handInEvidence(stage.gateways.stripe, effect('dp_nobody'), signal);
  expect(refused).toMatchObject({
    done: [{ suffix: 'refused', data: { outcome: 'refused', submission_id: 'evd_3' } }],
    // Something else may be handed in then.
    final: true,
  });
  const disputeId = await disputed('stripe');
  const nobodyThere = stripeAt('http://127.0.0.1:9');
  await expect(handInEvidence(nobodyThere, effect(disputeId), signal)).rejects.toThrow();
  const handed = await handInEvidence(stage.gateways.stripe, effect(disputeId, 2), signal);
  expect(handed).toMatchObject({ done: [{ suffix: 'submitted' }] });
  expect(await read('stripe', disputeId)).toMatchObject({ submissions: 1 });
});

test('a key that brings an old failure is left for the next: deadlines do not wait', async () => {
  const gateway = stripeAt(failingOnce(stage.urls.stripe, '/v1/disputes'));
  const { call } = gatewayHandler('stripe', () => Promise.resolve(gateway), log);
  const asked = effect(await disputed('stripe'));
  await expect(call(asked, signal)).rejects.toThrow('500');
  const spent = await call({ ...asked, attempts: 2 }, signal);
  expect(spent).toMatchObject({ memory: { keys_spent: 1 } });
  const { memory } = spent as { memory: Memory };
  expect(await call({ ...asked, attempts: 3, memory }, signal)).toMatchObject({
    done: [{ suffix: 'submitted' }],
  });
});
