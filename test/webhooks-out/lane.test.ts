// Deliveries: signed as the official library verifies, sent again under one id until they arrive,
// given up in the end; endpoints that are slow or dead are a matter of their own.
import { describe, expect, test } from 'bun:test';
import { deliveryStore } from '../../src/store/webhook-deliveries.ts';
import { deleteEndpoint, getEndpoint, rotateSecret } from '../../src/store/webhook-endpoints.ts';
import { eventually } from '../processes.ts';
import { verify } from './receiver.ts';
import { openWebhookWorld } from './world.ts';

const world = await openWebhookWorld('hooks_lane');
const { stack, tenant, vault } = world;
const answered = (status: number, headers = {}) => new Response('', { status, headers });

async function audited(endpoint: string): Promise<Record<string, unknown>[]> {
  return await stack.owner`
    select actor, action, detail from audit_log where subject = ${endpoint} order by id`;
}

describe('a notice', () => {
  test('is signed for whoever knows the secret, and says what happened', async () => {
    const receiver = world.receiver();
    const { secret } = await world.endpoint(receiver.url);
    await world.tell([{ data: { text: 'é' } }]);
    const [got] = await eventually('it has come', () =>
      receiver.received.length === 1 ? receiver.received : null,
    );
    expect(verify(got!, secret)).toEqual(got!.body);
    expect(got!.body).toMatchObject({
      ...{ id: got!.id, type: 'payment.captured', version: 1, subject: 'pay_1', sequence: 1 },
      ...{ timestamp: '2023-11-14T22:13:20.123Z', data: { text: 'é' } },
    });
    expect(got!.headers['content-type']).toBe('application/json');
    const changed = { ...got!, text: got!.text.replace('pay_1', 'pay_2') };
    expect(() => verify(changed, secret)).toThrow();
    expect(() => verify(got!, `whsec_${Buffer.alloc(32).toString('base64')}`)).toThrow();
  });

  test('is signed with both secrets during a rotation, with the new one after it', async () => {
    const receiver = world.receiver();
    const { id, secret: first } = await world.endpoint(receiver.url, ['payment.failed']);
    const told = async () => {
      receiver.received.length = 0;
      await world.tell([{ type: 'payment.failed' }]);
      return eventually('it has come', () => receiver.received[0]);
    };
    const rotate = (overlapMs: number) =>
      rotateSecret(stack.sql, vault, { tenant, id }, { overlapMs, actor: 'test' });
    const { secret: second } = (await rotate(60_000))!;
    const both = await told();
    expect(both.headers['webhook-signature']!.split(' ')).toHaveLength(2);
    for (const secret of [first, second]) expect(verify(both, secret)).toBeTruthy();
    const { secret: third } = (await rotate(0))!;
    const after = await told();
    expect(verify(after, third)).toBeTruthy();
    for (const secret of [first, second]) expect(() => verify(after, secret)).toThrow();
    expect((await audited(id)).map(({ action }) => action)).toEqual([
      'webhook_endpoint.created',
      'webhook_endpoint.rotated',
      'webhook_endpoint.rotated',
    ]);
  });

  test('is sent again under one id until it arrives, and each attempt is kept', async () => {
    const receiver = world.receiver();
    const { id } = await world.endpoint(receiver.url, ['payment.cancelled']);
    const statuses = [500, 302, 200];
    receiver.answer = () => answered(statuses[receiver.received.length - 1] ?? 200);
    await world.tell([{ type: 'payment.cancelled' }]);
    const [{ notice } = { notice: '' }] = await world.deliveries(id);
    const { delivery, attempts } = await world.deliveryBecomes(id, notice, 'delivered');
    expect(receiver.received.map((got) => got.id)).toEqual([notice, notice, notice]);
    expect(new Set(receiver.received.map(({ text }) => text)).size).toBe(1);
    expect(attempts.map(({ status_code, error }) => [status_code, error])).toEqual([
      [200, null],
      [302, 'redirected'],
      [500, 'bad_status'],
    ]);
    expect(delivery).toMatchObject({ attempts: 3, last_status_code: 200, last_error: null });
  });

  test('that a process had taken which died is sent when its claim runs out', async () => {
    const receiver = world.receiver();
    const { id } = await world.endpoint(receiver.url, ['payment.authorized']);
    await world.whileNobodySends(async () => {
      await world.tell([{ type: 'payment.authorized' }]);
      const dead = deliveryStore(stack.sql, false, new Map());
      const taken = await dead.claim('', 10, 300);
      expect(taken.map(({ data }) => data['endpoint'])).toContain(id.slice(4));
      expect(await dead.claim('', 10, 300)).toEqual([]);
    });
    const [{ notice } = { notice: '' }] = await world.deliveries(id);
    await world.deliveryBecomes(id, notice, 'delivered');
    expect(receiver.received.map((got) => got.id)).toEqual([notice]);
    expect(await world.deliveries(id)).toMatchObject([{ attempts: 2 }]);
  });
});

describe('an endpoint', () => {
  test('that answers 410 is disabled, visibly, and told no more', async () => {
    const receiver = world.receiver();
    receiver.answer = () => answered(410);
    const { id } = await world.endpoint(receiver.url, ['refund.failed']);
    await world.tell([{ type: 'refund.failed' }]);
    const [{ notice } = { notice: '' }] = await world.deliveries(id);
    await world.deliveryBecomes(id, notice, 'failed');
    const { shown } = (await getEndpoint(stack.sql, { tenant, id }))!;
    expect(shown).toMatchObject({ status: 'disabled', disabled_reason: 'gone' });
    expect((await audited(id)).at(-1)).toMatchObject({
      ...{ actor: 'effects', action: 'webhook_endpoint.disabled' },
      detail: { reason: 'gone' },
    });
    await world.tell([{ type: 'refund.failed' }]);
    expect(await world.deliveries(id)).toHaveLength(1);
  });

  test('through which nothing got for five days is disabled, and one for four is not', async () => {
    const receiver = world.receiver();
    receiver.answer = () => answered(500);
    for (const [days, status] of [
      [4, 'enabled'],
      [6, 'disabled'],
    ] as const) {
      const { id } = await world.endpoint(receiver.url, ['dispute.won']);
      await stack.owner`
        update webhook_endpoints set failing_since = now() - make_interval(days => ${days}),
          failures = 1 where id = ${id.slice(4)}`;
      receiver.received.length = 0;
      await world.tell([{ type: 'dispute.won' }]);
      await eventually('it was tried twice, or is disabled', async () => {
        const { shown } = (await getEndpoint(stack.sql, { tenant, id }))!;
        return shown.status === 'disabled' || receiver.received.length >= 2;
      });
      const { shown } = (await getEndpoint(stack.sql, { tenant, id }))!;
      expect([days, shown.status]).toEqual([days, status]);
      await deleteEndpoint(stack.sql, { tenant, id }, 'test');
    }
  });

  test('that does not take a notice for three days is given it no more', async () => {
    const receiver = world.receiver();
    receiver.answer = () => answered(500);
    const { id } = await world.endpoint(receiver.url, ['dispute.lost']);
    await world.tell([{ type: 'dispute.lost' }]);
    const [{ notice } = { notice: '' }] = await world.deliveries(id);
    await eventually('it waits after an attempt', async () => {
      const [row] = await world.deliveries(id);
      return row!.status === 'waiting' && row!.attempts >= 1;
    });
    await stack.owner`
      update effects set asked_at = now() - interval '73 hours' where key like ${`${notice}%`}`;
    await world.deliveryBecomes(id, notice, 'failed');
  });

  test('that is deleted is sent nothing that still waits', async () => {
    const receiver = world.receiver();
    receiver.answer = () => answered(500);
    const { id } = await world.endpoint(receiver.url, ['dispute.opened']);
    await world.tell([{ type: 'dispute.opened' }]);
    await eventually('it was tried', () => receiver.received.length >= 1);
    await deleteEndpoint(stack.sql, { tenant, id }, 'test');
    const [{ notice } = { notice: '' }] = await world.deliveries(id);
    const { delivery } = await world.deliveryBecomes(id, notice, 'failed');
    expect(delivery.last_error).toBe('endpoint_deleted');
    const [row] =
      await stack.owner`select box, url from webhook_endpoints where id = ${id.slice(4)}`;
    expect(row).toEqual({ box: null, url: '' });
  });

  test('whose secret does not open waits, and a tenant reads nothing of why', async () => {
    const receiver = world.receiver();
    const [broken, sound] = [
      await world.endpoint(receiver.url, ['settlement.paid']),
      await world.endpoint(receiver.url, ['settlement.paid']),
    ];
    await stack.owner`
      update webhook_endpoints set key_id = 'nobodys' where id = ${broken.id.slice(4)}`;
    await world.tell(Array.from({ length: 30 }, () => ({ type: 'settlement.paid' })));
    await eventually('the other has all', () => receiver.received.length === 30);
    const [{ notice } = { notice: '' }] = await world.deliveries(broken.id);
    expect((await world.deliveries(sound.id)).map(({ status }) => status)).not.toContain(
      'given_up',
    );
    const { delivery } = await world.deliveryBecomes(broken.id, notice, 'waiting');
    expect(delivery.last_error).toBeNull();
    await deleteEndpoint(stack.sql, { tenant, id: broken.id }, 'test');
  });

  test('that is slow has four under way, and holds up no other', async () => {
    const [slow, quick] = [world.receiver(), world.receiver()];
    const release = Promise.withResolvers<void>();
    let [now, most] = [0, 0];
    slow.answer = async () => {
      most = Math.max(most, ++now);
      await release.promise;
      now--;
      return answered(200);
    };
    const type = 'payment.refunded';
    const [slowEndpoint, quickEndpoint] = [
      await world.endpoint(slow.url, [type]),
      await world.endpoint(quick.url, [type]),
    ];
    await world.tell(Array.from({ length: 60 }, () => ({ type })));
    await eventually('the quick one has all', () => quick.received.length === 60);
    expect(slow.received.length).toBeLessThan(60);
    release.resolve();
    for (const { id } of [slowEndpoint, quickEndpoint])
      await eventually('all are delivered', async () =>
        (await world.deliveries(id)).every(({ status }) => status === 'done'),
      );
    expect(most).toBe(4);
  });

  test('that is dead is asked less and less, one call at a time, until it is back', async () => {
    const receiver = world.receiver();
    receiver.answer = () => answered(500);
    const { id } = await world.endpoint(receiver.url, ['payment.disputed']);
    await world.tell(Array.from({ length: 40 }, () => ({ type: 'payment.disputed' })));
    const held = await eventually('it is held, and nothing is under way', async () => {
      const [row] = await stack.owner`
        select failures from webhook_endpoints h
        where id = ${id.slice(4)} and held_until > now() and not exists (
          select from effects e where e.data->>'endpoint' = h.id::text and e.claim is not null)`;
      return row;
    });
    // Five in a row, and those that were under way beside the fifth.
    expect(receiver.received.length).toBeLessThanOrEqual(12);
    expect(held['failures']).toBeLessThanOrEqual(12);
    receiver.answer = () => answered(200);
    await stack.owner`update webhook_endpoints set held_until = now() where id = ${id.slice(4)}`;
    await eventually('all are delivered', async () =>
      (await world.deliveries(id)).every(({ status }) => status === 'done'),
    );
    const { shown } = (await getEndpoint(stack.sql, { tenant, id }))!;
    expect(shown.failing_since).toBeNull();
  });
});
