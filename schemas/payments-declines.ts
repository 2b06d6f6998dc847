// Why gateways decline, in their words and in ours: one table a gateway, for calls and webhooks.
// Invariant: only what certainly charged nobody is called `processing_error`, since another gateway
// is tried then; a word that is not in a table is the bank's own refusal.
import type { DeclineReason } from './payments.ts';

type Words = Readonly<Record<string, DeclineReason>>;

/** `decline_code` of an error of Stripe, or its `code` where it has none. */
const stripeWords: Words = {
  insufficient_funds: 'insufficient_funds',
  withdrawal_count_limit_exceeded: 'insufficient_funds',
  card_velocity_exceeded: 'insufficient_funds',
  expired_card: 'expired_card',
  invalid_expiry_month: 'expired_card',
  invalid_expiry_year: 'expired_card',
  incorrect_cvc: 'incorrect_cvc',
  invalid_cvc: 'incorrect_cvc',
  authentication_required: 'authentication_failed',
  authentication_not_handled: 'authentication_failed',
  payment_intent_authentication_failure: 'authentication_failed',
  fraudulent: 'fraud_suspected',
  lost_card: 'fraud_suspected',
  stolen_card: 'fraud_suspected',
  pickup_card: 'fraud_suspected',
  merchant_blacklist: 'fraud_suspected',
  security_violation: 'fraud_suspected',
  processing_error: 'processing_error',
  issuer_not_available: 'processing_error',
  reenter_transaction: 'processing_error',
  payment_intent_payment_attempt_expired: 'timed_out',
};

/** `error.reason` of an answer of Razorpay, `error_reason` of a payment. */
const razorpayWords: Words = {
  insufficient_funds: 'insufficient_funds',
  insufficient_fund: 'insufficient_funds',
  transaction_limit_exceeded: 'insufficient_funds',
  card_expired: 'expired_card',
  incorrect_card_expiry_date: 'expired_card',
  incorrect_cvv: 'incorrect_cvc',
  authentication_failed: 'authentication_failed',
  incorrect_otp: 'authentication_failed',
  invalid_otp: 'authentication_failed',
  incorrect_pin: 'authentication_failed',
  payment_risk_check_failed: 'fraud_suspected',
  transaction_on_card_declined_due_to_risk: 'fraud_suspected',
  card_reported_lost_or_stolen: 'fraud_suspected',
  bank_technical_error: 'processing_error',
  gateway_technical_error: 'processing_error',
  server_error: 'processing_error',
  payment_timed_out: 'timed_out',
  payment_collect_request_expired: 'timed_out',
};

const words = { stripe: stripeWords, razorpay: razorpayWords } as const;

export function declineReasonOf(gateway: keyof typeof words, word: unknown): DeclineReason {
  const table = words[gateway];
  return typeof word === 'string' && Object.hasOwn(table, word) ? table[word]! : 'card_declined';
}
