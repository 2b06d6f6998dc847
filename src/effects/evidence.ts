// Hands evidence in at a gateway, and says in an event what became of it.
// Invariant: refused is said only where the gateway has refused the answer itself; what was not
// answered is looked up and tried again under the same key.
import type { EvidenceItem } from '../../schemas/payments-disputes.ts';
import { type Gateway, GatewayRefused } from '../gateways/gateway.ts';
import { type ClaimedEffect, keysSpent } from '../store/effects.ts';
import type { Outcome } from './lane.ts';

const DETAIL_LENGTH_MAX = 500;

export async function handInEvidence(
  gateway: Gateway,
  effect: ClaimedEffect,
  signal: AbortSignal,
): Promise<Outcome> {
  const { key, data, attempts, memory } = effect;
  const spent = keysSpent(memory);
  const answer = {
    disputeId: String(data['dispute_id']),
    items: data['items'] as EvidenceItem[],
    note: data['note'] as string | null,
    again: attempts > 1,
  };
  try {
    await gateway.answerDispute(spent === 0 ? key : `${key}:${spent}`, answer, signal);
    return reported(effect, 'submitted');
  } catch (error) {
    if (!(error instanceof GatewayRefused) || error.ofKey) throw error;
    // Something else may be handed in then, so this is not tried again.
    return { ...reported(effect, 'refused', error.message), final: true };
  }
}

function reported({ key, data }: ClaimedEffect, outcome: string, said?: string) {
  const { payment_id, dispute_id } = data;
  const detail = said === undefined ? {} : { detail: said.slice(0, DETAIL_LENGTH_MAX) };
  const about = { payment_id, dispute_id, submission_id: key, outcome };
  return {
    done: [{ suffix: outcome, type: 'evidence.reported', data: { ...about, ...detail } }],
  };
}
