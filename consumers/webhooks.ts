// The rule of webhooks: what a gateway tells is kept as it came, and said again in our words, as an
// event of the payment or of the payout that it is about.
// Invariant: it decides nothing about money. News that is late, repeated or out of order is passed
// on as it is; the payment's own rule knows what it is worth.
import type { Static } from '@sinclair/typebox';
import type { GatewayName } from '../schemas/payments.ts';
import type { WebhookReceived, WebhookResult } from '../schemas/webhooks.ts';
import type {
  FollowUp,
  LedgerEvent,
  Posted,
  RecordRef,
  Rule,
  State,
} from '../src/ledger/decision.ts';
import { saidByRazorpay } from './webhooks-razorpay.ts';
import type { About, News, Said } from './webhooks-said.ts';
import { saidByStripe } from './webhooks-stripe.ts';

type Received = Static<(typeof WebhookReceived)['data']>;

/** A payment as its gateway's reference leads to it; see `payment_references_load`. */
interface Referred extends About {
  currency: string;
}

const webhookReceived: Rule<Received> = {
  type: 'webhook.received',

  reads(event) {
    const { said } = read(event);
    if (said.says !== 'news' || said.news.about) return {};
    return { records: [referenceOf(event.data.gateway, said.news)] };
  },

  decide(event, state) {
    const { type, said } = read(event);
    const { gateway } = event.data;
    const kept = keeper(event, type);
    if (said.says === 'payout') {
      const data = { ...said.payout, gateway };
      return kept('translated', null, { suffix: 'payout', type: 'settlement.paid', data });
    }
    if (said.says !== 'news') return kept(said.says, null);
    const about = said.news.about ?? lookedUp(gateway, said.news, state);
    // It may have overtaken the news that tells us the reference.
    if (!about)
      return { verdict: 'defer', reason: 'payment_unknown', otherwise: kept('unrelated', null) };
    const { about: _, currency: __, ...told } = said.news;
    const data = { ...about, gateway, ...told };
    const followUp = { suffix: 'news', type: 'payment.reported', data };
    return kept('translated', about.payment_id, followUp);
  },
};

const speak: Record<GatewayName, (body: unknown) => { type: string; said: Said }> = {
  stripe: saidByStripe,
  razorpay: saidByRazorpay,
};

/** Throws where it is not what the gateway documents: then it is a dead letter. */
function read({ data }: LedgerEvent<Received>): { type: string; said: Said } {
  return speak[data.gateway](JSON.parse(data.payload));
}

function referenceOf(gateway: GatewayName, { reference }: News): RecordRef {
  return { table: 'payment_references', key: `${gateway}/${reference}` };
}

function lookedUp(gateway: GatewayName, news: News, state: State): About | null {
  const { table, key } = referenceOf(gateway, news);
  const found = state.record<Referred>(table, key);
  if (!found) return null;
  const { payment_id, attempt, currency } = found;
  if (currency !== news.currency.toUpperCase())
    throw new Error('the gateway tells of another currency than the payment has');
  return { payment_id, attempt };
}

/** The row that shows it, with what follows. */
function keeper({ data, acceptedAt }: LedgerEvent<Received>, type: string) {
  const { gateway, endpoint, gateway_event_id } = data;
  return (
    result: WebhookResult,
    payment_id: string | null,
    ...followUps: readonly FollowUp[]
  ): Posted => ({
    verdict: 'post',
    legs: [],
    followUps,
    rows: [
      {
        table: 'webhook_events',
        values: {
          ...{ gateway, endpoint, gateway_event_id, type, result, payment_id },
          received_ms: acceptedAt,
        },
      },
    ],
  });
}

export const webhookRules: readonly Rule<never>[] = [webhookReceived];
