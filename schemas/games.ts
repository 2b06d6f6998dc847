// Games: results of played games, and the partners who earn a commission on them.
import { type Static, Type } from '@sinclair/typebox';
import { defineEvent } from './events.ts';
import {
  AccountPart,
  BasisPoints,
  ClientId,
  Currency,
  Money,
  TEXT_PATTERN,
  Time,
  closed,
} from './primitives.ts';

/** `profit` is the house's result: a loss (profit <= 0) earns nobody anything. */
export const GameCompleted = defineEvent({
  type: 'game.completed',
  domain: 'games',
  topic: 'events',
  origin: 'public',
  orderKey: (data) => data.game_id,
  data: closed({
    game_id: ClientId,
    profit: Money,
    player_id: Type.Optional(ClientId),
    completed_at: Time,
  }),
  examples: [
    {
      game_id: 'g_1',
      profit: { amount: 100_000, currency: 'USD' },
      player_id: 'u_7',
      completed_at: '2026-01-31T12:00:00Z',
    },
    {
      game_id: 'g_2',
      profit: { amount: -500, currency: 'USD' },
      completed_at: '2026-01-31T12:00:00Z',
    },
  ],
});

export const gameEvents = [GameCompleted] as const;

export const PartnerTerms = closed({
  name: Type.String({ minLength: 1, maxLength: 200, pattern: TEXT_PATTERN }),
  share_bp: BasisPoints,
  commission_bp: BasisPoints,
  currency: Currency,
  status: Type.Union([Type.Literal('active'), Type.Literal('inactive'), Type.Literal('pending')]),
});
export type PartnerTerms = Static<typeof PartnerTerms>;

export const PartnerId = AccountPart;

export const Partner = closed({
  id: PartnerId,
  ...PartnerTerms.properties,
  version: Type.Integer(),
  created_at: Time,
  updated_at: Time,
});
export type Partner = Static<typeof Partner>;
