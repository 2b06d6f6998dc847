// Appends what calls have brought, as events of the call's tenant.
// Invariant: an event's id is made of the call's key, so it counts once, however often it is sent.
import { eventDefinition } from '../../schemas/index.ts';
import type { ClaimedEffect } from '../store/effects.ts';
import type { Appender } from '../stream/append.ts';
import { encodeEvent } from '../stream/codec.ts';
import { partitionOf } from '../stream/topology.ts';
import type { Report } from './lane.ts';

export function reporter(appender: Appender, now: () => number) {
  return async (
    { key, tenant }: Pick<ClaimedEffect, 'key' | 'tenant'>,
    reports: readonly Report[],
  ): Promise<void> => {
    await Promise.all(
      reports.map(async ({ suffix, type, data }) => {
        const definition = eventDefinition.get(type);
        if (!definition) throw new Error(`a call reported an unknown event, ${type}`);
        const id = `${key}/${suffix}`;
        const header = { tenant, id, acceptedAt: now(), traceparent: null };
        const orderKey = definition.orderKey(data as Record<string, unknown>);
        const tuple = encodeEvent(definition, { ...header, data });
        await appender.append(definition.topic, partitionOf(tenant, orderKey), tuple);
      }),
    );
  };
}
