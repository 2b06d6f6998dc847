// Every event of every domain, by name. One name has one definition and one consumer.
import { accountEvents } from './accounts.ts';
import { couponEvents } from './coupons-events.ts';
import type { Domain } from './domains.ts';
import type { EventDefinition } from './events.ts';
import { gameEvents } from './games.ts';
import { paymentEvents } from './payments-events.ts';
import { webhookEvents } from './webhooks.ts';

const eventsByDomain: Record<Domain, readonly EventDefinition[]> = {
  accounts: accountEvents,
  coupons: couponEvents,
  games: gameEvents,
  payments: paymentEvents,
  webhooks: webhookEvents,
};

export const eventDefinitions: readonly EventDefinition[] = Object.values(eventsByDomain).flat();

export const eventDefinition: ReadonlyMap<string, EventDefinition> = new Map(
  eventDefinitions.map((definition) => [definition.type, definition]),
);
