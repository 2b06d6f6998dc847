// The work, the same for every ledger: earnings from the platform's account (number 0) to users
// drawn by Zipf's law, each under a reference of its own. In the spread form no account is hot:
// both sides are drawn evenly. A dialect says the same in the words of one API.
import { seededRandom, zipf } from '../lib/zipf.ts';
import type { RequestMaker } from '../lib/http-load.ts';

export interface Transfer {
  reference: string;
  from: number;
  to: number;
}

export interface WorkSpec {
  url: string;
  apiKey: string | null;
  dialect: Dialect;
  users: number;
  batch: number;
  spread: boolean;
  /** Makes references unique between runs. */
  run: string;
}

interface Words {
  path: string;
  headers: string;
  body: (transfers: readonly Transfer[]) => string;
}

const AMOUNT_MINOR = 125;

/** Ours has no event between two users: in the spread form only the users are drawn evenly. */
function earningEvent({ reference, to }: Transfer): string {
  return (
    `{"id":"${reference}","type":"earning.credited","data":{"user_id":"u_${to}",` +
    `"kind":"video_completed","amount":{"amount":${AMOUNT_MINOR},"currency":"USD"},` +
    '"reference":"video_9"}}'
  );
}

function earningsBody(transfers: readonly Transfer[]): string {
  const events = transfers.map(earningEvent).join(',');
  return transfers.length === 1 ? events : `[${events}]`;
}

function transfersBody(transfers: readonly Transfer[]): string {
  const items = transfers.map(
    ({ reference, from, to }) =>
      `{"reference":"${reference}","from":${from},"to":${to},"amount":${AMOUNT_MINOR}}`,
  );
  return `[${items.join(',')}]`;
}

const dialects = {
  events: { path: '/v1/events', headers: '', body: earningsBody },
  'events, answered after the commit': {
    path: '/v1/events',
    headers: 'Prefer: wait=ledger; timeout=5000\r\n',
    body: earningsBody,
  },
  transfers: { path: '/transfers', headers: '', body: transfersBody },
} satisfies Record<string, Words>;

export type Dialect = keyof typeof dialects;

export function requestMaker(spec: WorkSpec): RequestMaker {
  const { path, headers, body }: Words = dialects[spec.dialect];
  const authorization = spec.apiKey ? `Authorization: Bearer ${spec.apiKey}\r\n` : '';
  const head =
    `POST ${path} HTTP/1.1\r\nHost: ${new URL(spec.url).host}\r\n${authorization}${headers}` +
    'Content-Type: application/json\r\nContent-Length: ';
  const draw = transferDraw(spec);
  return (n) => {
    const transfers = Array.from({ length: spec.batch }, (_, k) => draw(n * spec.batch + k));
    const text = body(transfers);
    return `${head}${text.length}\r\n\r\n${text}`;
  };
}

function transferDraw({ users, spread, run }: WorkSpec): (n: number) => Transfer {
  const random = seededRandom(Bun.hash.crc32(run));
  const popular = zipf(users, random);
  const evenly = (): number => 1 + Math.floor(random() * users);
  return (n) => {
    const reference = `${run}-${n}`;
    if (!spread) return { reference, from: 0, to: 1 + popular() };
    const from = evenly();
    const to = evenly();
    return { reference, from, to: to === from ? 1 + (to % users) : to };
  };
}
