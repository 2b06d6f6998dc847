// The whole story of a payment that was found wrong: its facts, every event that names it and what
// became of that, the calls that were made for it, and what its gateways have.
import { storedItem } from '../../src/store/stored-event.ts';
import { gatewayNames } from '../../schemas/payments.ts';
import type { Stage } from './stage.ts';

const STORIES_MAX = 4;

/** Of the first few payments that the findings name. */
export async function postMortems(stage: Stage, wrong: readonly string[]): Promise<string> {
  const named = wrong.flatMap((finding) => finding.match(/pay_[0-9a-f-]{36}/) ?? []);
  const ids = [...new Set(named)].slice(0, STORIES_MAX);
  return (await Promise.all(ids.map((id) => postMortem(stage, id)))).join('\n');
}

async function postMortem({ owner, sandbox }: Stage, id: string): Promise<string> {
  const [payment] = await owner`select body from payments where id = ${id.slice(4)}`;
  const events = await owner`
    select tenant_id, event_id, type, stream, stream_offset, body, verdict, reason,
           extract(epoch from accepted_at) * 1000 as accepted_ms
    from outcomes where position(convert_to(${id}, 'UTF8') in body) > 0
    order by accepted_at, stream_offset`;
  const told = events.map((row) => {
    const { event } = storedItem(row, 0);
    const at = new Date(event.acceptedAt).toISOString();
    const became = row['verdict'] === 1 ? 'posted' : String(row['reason']);
    return `  ${at} ${event.id} ${event.type} ${became} ${JSON.stringify(event.data)}`;
  });
  const calls = await owner`
    select key, status, attempts, last_error, asked_at, settled_at from effects
    where key like ${`${id}%`} or data->>'payment_id' = ${id} order by asked_at`;
  const charges = await Promise.all(
    gatewayNames.map((name) => sandbox.control('GET', `/objects/${name}/charge?payment_id=${id}`)),
  );
  return [
    `${id}: ${JSON.stringify(payment?.['body'])}`,
    ...told,
    ...calls.map((call) => `  call ${JSON.stringify(call)}`),
    ...charges.map((charge) => `  charges ${JSON.stringify(charge)}`),
  ].join('\n');
}
