// What one request to a gateway tells apart, over real sockets: never sent, turned away, unknown.
import { afterAll, expect, test } from 'bun:test';
import { GatewayBusy, GatewayKeySpent, GatewayUnreachable } from '../../src/gateways/gateway.ts';
import { type WireRequest, formOf, wire } from '../../src/gateways/wire.ts';
import { declineReasonOf } from '../../schemas/payments-declines.ts';
import { findFreePort } from '../../src/supervisor/ports.ts';

const SECRET = 'sk_test_do_not_tell';
const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  reusePort: false,
  fetch({ url }) {
    served++;
    const path = new URL(url).pathname;
    if (path === '/busy') return new Response('', { status: 429, headers: { 'Retry-After': '3' } });
    if (path === '/hang') return new Promise<Response>(() => {});
    if (path === '/broken') return new Response('{"error":{}}', { status: 500 });
    if (path === '/elsewhere') return Response.redirect('http://127.0.0.1:1/', 307);
    if (path === '/refusal') return Response.json({ error: { code: 'no' } }, { status: 400 });
    if (path === '/page') return new Response('<html>', { status: 400 });
    if (path === '/welcome') return new Response('<html>');
    if (path === '/list') return Response.json([]);
    if (path === '/other') return Response.json({ message: 'no route' }, { status: 404 });
    const headers = { 'Idempotent-Replayed': 'true' };
    if (path === '/replayed') return Response.json({ error: {} }, { status: 500, headers });
    return Response.json({ id: 'x_1' });
  },
});
const cutter = Bun.listen({
  hostname: '127.0.0.1',
  port: 0,
  socket: { data: (socket) => void socket.terminate() },
});
afterAll(async () => {
  await server.stop(true);
  cutter.stop(true);
});

const never = new AbortController().signal;
let served = 0;

function send(path: string, baseUrl = `http://127.0.0.1:${server.port}`) {
  const request: WireRequest = { method: 'POST', path, body: SECRET };
  return wire({ baseUrl, headers: { Authorization: SECRET }, timeoutMs: 200 })(request, never);
}

async function errorOf(sending: Promise<unknown>): Promise<Error> {
  const error = await sending.then(
    () => new Error('it was answered'),
    (thrown: unknown) => thrown as Error,
  );
  expect(`${error.message} ${error.stack}`).not.toContain(SECRET);
  return error;
}

test('an answer is its status and its object', async () => {
  expect(await send('/')).toEqual({ status: 200, body: { id: 'x_1' } });
  expect(await send('/refusal')).toEqual({ status: 400, body: { error: { code: 'no' } } });
});

test('what somebody in between says is unknown', async () => {
  for (const path of ['/page', '/welcome', '/list', '/other', '/elsewhere']) {
    const { message } = await errorOf(send(path));
    expect(message).toEndWith("not in the gateway's words");
  }
});

test('a 500 that was saved for a key says so', async () => {
  expect(await errorOf(send('/replayed'))).toBeInstanceOf(GatewayKeySpent);
  expect(await errorOf(send('/broken'))).not.toBeInstanceOf(GatewayKeySpent);
});

test('no connection is never sent', async () => {
  const port = await findFreePort();
  expect(await errorOf(send('/', `http://127.0.0.1:${port}`))).toBeInstanceOf(GatewayUnreachable);
  const nowhere = errorOf(send('/', 'http://gateway.invalid'));
  expect(await nowhere).toBeInstanceOf(GatewayUnreachable);
});

test('cut off, too late or broken is unknown', async () => {
  for (const path of ['/hang', '/broken']) {
    const error = await errorOf(send(path));
    expect(error).not.toBeInstanceOf(GatewayUnreachable);
    expect(error.message).not.toBe('it was answered');
  }
  const cut = await errorOf(send('/', `http://127.0.0.1:${cutter.port}`));
  expect(cut).not.toBeInstanceOf(GatewayUnreachable);
  expect(cut.message).toMatch(/^no answer/);
});

test('nothing is sent by a process that was frozen until its time was over', async () => {
  const ending = new AbortController();
  setTimeout(() => ending.abort(), 20);
  const until = performance.now() + 60;
  while (performance.now() < until);
  const before = served;
  const baseUrl = `http://127.0.0.1:${server.port}`;
  const sending = wire({ baseUrl, headers: {}, timeoutMs: 200 });
  const error = await errorOf(sending({ method: 'POST', path: '/' }, ending.signal));
  expect(error.name).toBe('AbortError');
  await Bun.sleep(20);
  expect(served).toBe(before);
});

test('turned away says for how long', async () => {
  const error = await errorOf(send('/busy'));
  expect(error).toBeInstanceOf(GatewayBusy);
  expect((error as GatewayBusy).afterMs).toBe(3_000);
});

test('no secret follows a redirection', async () => {
  expect((await errorOf(send('/elsewhere'))).message).toStartWith('307');
});

test('a form nests as Stripe reads it', () => {
  const form = formOf({ amount: 1, metadata: { a: 'x y', b: undefined }, expand: { 0: 'z' } });
  expect(decodeURIComponent(form)).toBe('amount=1&metadata[a]=x+y&expand[0]=z');
});

test('words of gateways become ours; one that is unknown is a refusal of the bank', () => {
  expect(declineReasonOf('stripe', 'stolen_card')).toBe('fraud_suspected');
  expect(declineReasonOf('razorpay', 'incorrect_cvv')).toBe('incorrect_cvc');
  expect(declineReasonOf('stripe', 'do_not_honor')).toBe('card_declined');
  for (const strange of ['constructor', '__proto__', undefined, {}])
    expect(declineReasonOf('razorpay', strange)).toBe('card_declined');
});
