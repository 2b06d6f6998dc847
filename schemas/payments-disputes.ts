// Disputes: what a client is told of them and may answer with, and the events of an answer.
// Evidence is references: to a file that lies with the gateway, or to something that can be named,
// such as a parcel. Files themselves never come here.
import { type Static, Type } from '@sinclair/typebox';
import { words } from './coupons.ts';
import { defineEvent } from './events.ts';
import { GatewayName, Note, PaymentId } from './payments.ts';
import {
  ClientId,
  Position,
  PositiveMoney,
  TEXT_PATTERN,
  Time,
  closed,
  nullable,
} from './primitives.ts';

const uuid7 = '[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';

/** The gateway's own. */
export const DisputeId = Type.String({
  minLength: 1,
  maxLength: 255,
  pattern: '^[\\x21-\\x7e]+$',
  examples: ['dp_1PgafTB7kZ4wzyx'],
});
export const SubmissionId = Type.String({
  pattern: `^evd_${uuid7}$`,
  examples: ['evd_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e07'],
});

export const disputeStatuses = ['open', 'won', 'lost'] as const;
export type DisputeStatus = (typeof disputeStatuses)[number];

export const evidenceStatuses = ['none', 'pending', 'submitted', 'refused'] as const;
export type EvidenceStatus = (typeof evidenceStatuses)[number];

export const evidenceTypes = [
  'receipt',
  'customer_communication',
  'customer_signature',
  'shipping',
  'service',
  'refund_policy',
  'cancellation_policy',
  'duplicate_charge',
  'access_log',
  'other',
] as const;
export type EvidenceType = (typeof evidenceTypes)[number];

export const EvidenceItem = closed({
  type: words(...evidenceTypes),
  reference: Type.String({
    minLength: 1,
    maxLength: 255,
    pattern: TEXT_PATTERN,
    description: 'A file of the gateway (`file_…`, `doc_…`), or what can be looked up by it.',
  }),
  note: Type.Optional(Note),
});
export type EvidenceItem = Static<typeof EvidenceItem>;

export const EvidenceRequest = closed({
  items: Type.Array(EvidenceItem, { minItems: 1, maxItems: 20 }),
  note: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 4_000,
      pattern: TEXT_PATTERN,
      description: 'The case.',
    }),
  ),
});
export type EvidenceRequest = Static<typeof EvidenceRequest>;

const summary = {
  id: DisputeId,
  payment_id: PaymentId,
  gateway: GatewayName,
  status: words(...disputeStatuses),
  amount: PositiveMoney,
  fee: Type.Integer({ minimum: 0, description: 'Of the gateway, minor units; won or lost.' }),
  reason: nullable(Type.String({ description: 'In the words of the gateway.' })),
  evidence_status: words(...evidenceStatuses),
  due_by: nullable(Time),
  created_at: Time,
  updated_at: Time,
};

export const DisputeSummary = closed(summary);
export type DisputeSummary = Static<typeof DisputeSummary>;

export const Dispute = closed({
  ...summary,
  evidence: Type.Array(
    closed({
      id: SubmissionId,
      status: words('pending', 'submitted', 'refused'),
      items: Type.Array(EvidenceItem),
      note: nullable(Type.String()),
      detail: nullable(Type.String({ description: 'What the gateway said when it refused.' })),
      submitted_by: Type.String(),
      submitted_at: Time,
    }),
  ),
});
export type Dispute = Static<typeof Dispute>;

export const EvidencePending = closed({
  id: SubmissionId,
  status: Type.Literal('pending'),
  position: Position,
});

const shared = { domain: 'payments', topic: 'payments', origin: 'internal' } as const;
const orderKey = (data: { payment_id: string }): string => data.payment_id;
const Actor = Type.String({ minLength: 1, maxLength: 200 });
const example = {
  payment_id: 'pay_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05',
  dispute_id: 'dp_1',
  submission_id: 'evd_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e07',
};
const at = '2026-01-31T12:00:00.000Z';

export const EvidenceSubmitted = defineEvent({
  ...shared,
  type: 'evidence.submitted',
  orderKey,
  data: closed({
    payment_id: PaymentId,
    dispute_id: DisputeId,
    submission_id: SubmissionId,
    items: EvidenceRequest.properties.items,
    note: EvidenceRequest.properties.note,
    actor: Actor,
    submitted_at: Time,
  }),
  examples: [
    {
      ...example,
      items: [{ type: 'shipping', reference: 'DHL 00340434161094', note: 'Signed for.' }],
      note: 'Delivered to the address of the card.',
      actor: 'key:1',
      submitted_at: at,
    },
  ],
});

/** What became of an answer at the gateway. */
export const EvidenceReported = defineEvent({
  ...shared,
  type: 'evidence.reported',
  orderKey,
  data: closed({
    payment_id: PaymentId,
    dispute_id: DisputeId,
    submission_id: SubmissionId,
    outcome: words('submitted', 'refused'),
    detail: Type.Optional(Type.String({ maxLength: 500 })),
  }),
  examples: [
    { ...example, outcome: 'submitted' },
    { ...example, outcome: 'refused', detail: 'refused: 400 invalid_request_error' },
  ],
});

/** A dispute that nobody has answered is due soon. */
export const DisputeReminded = defineEvent({
  ...shared,
  type: 'dispute.reminded',
  orderKey,
  data: closed({ payment_id: PaymentId, dispute_id: DisputeId, due_by: Time, actor: Actor }),
  examples: [{ payment_id: example.payment_id, dispute_id: 'dp_1', due_by: at, actor: 'clock' }],
});

export const disputeEvents = [EvidenceSubmitted, EvidenceReported, DisputeReminded] as const;

export const DisputeFilters = {
  status: Type.Optional(words(...disputeStatuses)),
  evidence_status: Type.Optional(words(...evidenceStatuses)),
  gateway: Type.Optional(GatewayName),
  payment_id: Type.Optional(PaymentId),
  customer_id: Type.Optional(ClientId),
  due_before: Type.Optional(Time),
};
