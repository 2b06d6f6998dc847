// What a payment method's token makes happen, as the test tokens of the real sandboxes do. Both
// gateways know all of them, so that one token serves when a payment moves to the other.
// Invariant: a token behaves the same whenever it is charged; a suffix after `~` makes it another
// card of the same behaviour.

export interface Decline {
  stripe: { code: string; declineCode: string | null; message: string };
  razorpay: { reason: string; source: string; step: string; description: string };
}

const declined = 'Your card was declined.';
const bank = (reason: string, description: string): Decline['razorpay'] => ({
  reason,
  source: 'issuer_bank',
  step: 'payment_authorization',
  description,
});
const byBank = (declineCode: string, reason: string, description: string): Decline => ({
  stripe: { code: 'card_declined', declineCode, message: declined },
  razorpay: bank(reason, description),
});

export const declines: Record<string, Decline> = {
  generic_decline: byBank(
    'generic_decline',
    'card_declined',
    'Your payment was declined by the bank. Try another card or contact your bank.',
  ),
  insufficient_funds: {
    stripe: {
      code: 'card_declined',
      declineCode: 'insufficient_funds',
      message: 'Your card has insufficient funds.',
    },
    razorpay: bank(
      'insufficient_funds',
      'Your payment could not be completed due to insufficient account balance. Try another card.',
    ),
  },
  lost_card: byBank(
    'lost_card',
    'debit_instrument_blocked',
    'Your card is blocked. Try another card.',
  ),
  stolen_card: byBank(
    'stolen_card',
    'debit_instrument_blocked',
    'Your card is blocked. Try another card.',
  ),
  card_velocity_exceeded: byBank(
    'card_velocity_exceeded',
    'transaction_limit_exceeded',
    'Your payment exceeds the limit of your card.',
  ),
  fraudulent: {
    stripe: { code: 'card_declined', declineCode: 'fraudulent', message: declined },
    razorpay: {
      reason: 'payment_risk_check_failed',
      source: 'internal',
      step: 'payment_authorization',
      description: 'Your payment was declined due to risk checks.',
    },
  },
  expired_card: {
    stripe: { code: 'expired_card', declineCode: null, message: 'Your card has expired.' },
    razorpay: bank('card_expired', 'Your card has expired. Try another card.'),
  },
  incorrect_cvc: {
    stripe: {
      code: 'incorrect_cvc',
      declineCode: null,
      message: "Your card's security code is incorrect.",
    },
    razorpay: {
      reason: 'incorrect_cvv',
      source: 'customer',
      step: 'payment_authorization',
      description: 'You have entered an incorrect CVV.',
    },
  },
  processing_error: {
    stripe: {
      code: 'processing_error',
      declineCode: null,
      message: 'An error occurred while processing your card. Try again in a little bit.',
    },
    razorpay: {
      reason: 'gateway_technical_error',
      source: 'gateway',
      step: 'payment_authorization',
      description: 'Your payment failed due to a temporary issue.',
    },
  },
  authentication_required: {
    stripe: {
      code: 'authentication_required',
      declineCode: 'authentication_required',
      message: 'Your card was declined. This transaction requires authentication.',
    },
    razorpay: {
      reason: 'authentication_failed',
      source: 'customer',
      step: 'payment_authentication',
      description: 'Your payment could not be authenticated.',
    },
  },
  payment_timed_out: {
    stripe: {
      code: 'payment_intent_payment_attempt_expired',
      declineCode: null,
      message: 'The payment attempt expired.',
    },
    razorpay: {
      reason: 'payment_timed_out',
      source: 'customer',
      step: 'payment_authentication',
      description: 'Your payment was not completed on time.',
    },
  },
};

export interface Behaviour {
  charge: 'succeeds' | 'declined' | 'action' | 'pending';
  /** Why, when it is declined, at once or in the end; null when it succeeds in the end. */
  decline: string | null;
  /** Opened as soon as it is captured. */
  dispute: string | null;
  refund: 'succeeds' | 'pending' | 'fails';
  method: 'card' | 'upi' | 'netbanking' | 'wallet' | 'us_bank_account';
}

const card: Behaviour = {
  charge: 'succeeds',
  decline: null,
  dispute: null,
  refund: 'succeeds',
  method: 'card',
};
const refusing = (decline: string): Behaviour => ({ ...card, charge: 'declined', decline });
const later = (method: Behaviour['method'], decline: string | null = null): Behaviour => ({
  ...card,
  charge: 'pending',
  decline,
  method,
});

const behaviours: Record<string, Behaviour> = {
  pm_card_visa: card,
  pm_card_visa_debit: card,
  pm_card_mastercard: card,
  pm_card_mastercard_debit: card,
  pm_card_amex: card,
  pm_card_discover: card,
  pm_card_bypassPending: card,
  pm_card_chargeDeclined: refusing('generic_decline'),
  pm_card_chargeDeclinedInsufficientFunds: refusing('insufficient_funds'),
  pm_card_chargeDeclinedLostCard: refusing('lost_card'),
  pm_card_chargeDeclinedStolenCard: refusing('stolen_card'),
  pm_card_chargeDeclinedExpiredCard: refusing('expired_card'),
  pm_card_chargeDeclinedIncorrectCvc: refusing('incorrect_cvc'),
  pm_card_chargeDeclinedProcessingError: refusing('processing_error'),
  pm_card_chargeDeclinedVelocityLimitExceeded: refusing('card_velocity_exceeded'),
  pm_card_radarBlock: refusing('fraudulent'),
  pm_card_authenticationRequired: {
    ...card,
    charge: 'action',
    decline: 'authentication_required',
  },
  pm_card_createDispute: { ...card, dispute: 'fraudulent' },
  pm_card_createDisputeProductNotReceived: { ...card, dispute: 'product_not_received' },
  pm_card_pendingRefund: { ...card, refund: 'pending' },
  pm_card_refundFail: { ...card, refund: 'fails' },
  pm_usBankAccount_success: later('us_bank_account'),
  pm_usBankAccount_insufficientFunds: later('us_bank_account', 'insufficient_funds'),
  token_success: card,
  token_card_declined: refusing('generic_decline'),
  token_insufficient_funds: refusing('insufficient_funds'),
  token_card_expired: refusing('expired_card'),
  token_incorrect_cvv: refusing('incorrect_cvc'),
  token_gateway_error: refusing('processing_error'),
  token_risk: refusing('fraudulent'),
  token_netbanking: later('netbanking'),
  token_netbanking_fails: later('netbanking', 'generic_decline'),
  token_wallet: later('wallet'),
  'success@razorpay': later('upi'),
  'failure@razorpay': later('upi', 'payment_timed_out'),
};

/** Null for a token that nobody has given out. */
export function behaviourOf(token: string): Behaviour | null {
  const known = token.split('~')[0]!.replace('pm_card_visa_charge', 'pm_card_charge');
  return Object.hasOwn(behaviours, known) ? behaviours[known]! : null;
}
