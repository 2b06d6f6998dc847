// Evidence in the fields of each gateway. A reference to a file of the gateway goes to the field
// for it; what cannot stand in a field is said in text, so that nothing is left out.
import type { EvidenceItem, EvidenceType } from '../../schemas/payments-disputes.ts';

export interface DisputeAnswer {
  disputeId: string;
  items: readonly EvidenceItem[];
  note: string | null;
  /** Asked for before: it may be handed in already. */
  again: boolean;
}

type Fields = Record<string, string>;

const stripeFiles: Record<EvidenceType, string> = {
  receipt: 'receipt',
  customer_communication: 'customer_communication',
  customer_signature: 'customer_signature',
  shipping: 'shipping_documentation',
  service: 'service_documentation',
  refund_policy: 'refund_policy',
  cancellation_policy: 'cancellation_policy',
  duplicate_charge: 'duplicate_charge_documentation',
  access_log: 'uncategorized_file',
  other: 'uncategorized_file',
};
/** Of Stripe's fields for text, those that a reference may stand in by itself. */
const stripeTexts: Partial<Record<EvidenceType, string>> = {
  shipping: 'shipping_tracking_number',
  duplicate_charge: 'duplicate_charge_id',
};

export function stripeEvidence({ items, note }: DisputeAnswer): Fields {
  const fields: Fields = {};
  const said = note === null ? [] : [note];
  for (const item of items) {
    const isFile = item.reference.startsWith('file_');
    const field = isFile ? stripeFiles[item.type] : stripeTexts[item.type];
    if (field === undefined || field in fields) said.push(lineOf(item));
    else {
      fields[field] = item.reference;
      if (item.note !== undefined) said.push(lineOf(item));
    }
  }
  return said.length === 0 ? fields : { ...fields, uncategorized_text: said.join('\n') };
}

const razorpayDocuments: Record<EvidenceType, string> = {
  receipt: 'billing_proof',
  customer_communication: 'customer_communication',
  customer_signature: 'proof_of_service',
  shipping: 'shipping_proof',
  service: 'proof_of_service',
  refund_policy: 'refund_cancellation_policy',
  cancellation_policy: 'cancellation_proof',
  duplicate_charge: 'billing_proof',
  access_log: 'access_activity_log',
  other: 'explanation_letter',
};
const SUMMARY_LENGTH_MAX = 1_000;

export function razorpayEvidence({ items, note }: DisputeAnswer): object {
  const documents: Record<string, string[]> = {};
  const said = note === null ? [] : [note];
  for (const item of items) {
    const isDocument = item.reference.startsWith('doc_');
    if (isDocument) (documents[razorpayDocuments[item.type]] ??= []).push(item.reference);
    if (!isDocument || item.note !== undefined) said.push(lineOf(item));
  }
  const summary = said.join('\n').slice(0, SUMMARY_LENGTH_MAX);
  return { ...documents, ...(summary !== '' && { summary }), action: 'submit' };
}

function lineOf({ type, reference, note }: EvidenceItem): string {
  const line = `${type.replaceAll('_', ' ')}: ${reference}`;
  return note === undefined ? line : `${line} (${note})`;
}
