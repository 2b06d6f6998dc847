// The bench's own measuring tools: a ruler that is wrong makes every figure wrong.
import { afterAll, describe, expect, test } from 'bun:test';
import { Histogram } from '../../bench/lib/histogram.ts';
import { HttpLoad } from '../../bench/lib/http-load.ts';
import { seededRandom, zipf } from '../../bench/lib/zipf.ts';

describe('the histogram', () => {
  test('gives percentiles within its bucket width of the exact ones', () => {
    const random = seededRandom(7);
    const values = Array.from({ length: 50_000 }, () => Math.exp(random() * 10) / 100);
    const histogram = new Histogram();
    for (const value of values) histogram.record(value);
    const sorted = values.toSorted((a, b) => a - b);
    for (const fraction of [0.01, 0.5, 0.95, 0.99, 0.999, 1]) {
      const exact = sorted[Math.ceil(sorted.length * fraction) - 1]!;
      expect(histogram.percentileMs(fraction)).toBeWithin(exact - 0.001, exact * 1.016 + 0.002);
    }
  });

  test('of nothing is zero, and a very late answer is still in it', () => {
    const histogram = new Histogram();
    expect(histogram.percentileMs(0.99)).toBe(0);
    histogram.record(10 * 60_000);
    expect(histogram.summary().p50Ms).toBe(10 * 60_000);
  });
});

test("Zipf's law: the first account is in about as many events as it should be", () => {
  const draw = zipf(1_000, seededRandom(1));
  const counts = new Map<number, number>();
  for (let n = 0; n < 100_000; n++) {
    const drawn = draw();
    counts.set(drawn, (counts.get(drawn) ?? 0) + 1);
  }
  // 1 / H(1000) = 0.1336, and the second half as often.
  expect(counts.get(0)! / 100_000).toBeCloseTo(0.1336, 2);
  expect(counts.get(0)! / counts.get(1)!).toBeCloseTo(2, 0);
});

describe('the generator', () => {
  let served = 0;
  let stallMs = 0;
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const body = await request.text();
      if (++served % 50 === 0) await Bun.sleep(stallMs);
      return Response.json({ body }, { status: body === 'bad' ? 409 : 200 });
    },
  });
  afterAll(() => server.stop(true));
  const plan = { host: '127.0.0.1', port: server.port!, connections: 4, warmUpSeconds: 0 };
  const request = (n: number): string => {
    const body = n % 10 === 0 ? 'bad' : 'x'.repeat(n % 5_000);
    return `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  };

  test('counts every answer, by status, however long', async () => {
    served = 0;
    const result = await new HttpLoad({ ...plan, seconds: 0.5, rate: null }, request).run();
    expect(result.requests).toBeGreaterThan(100);
    expect(served).toBeWithin(result.requests, result.requests + plan.connections + 1);
    expect(result.statuses[409]! / result.requests).toBeCloseTo(0.1, 1);
  });

  test('shows a connection its answer, so that a request can follow from it', async () => {
    let followed = 0;
    const ask = (n: number, answer: string): string => {
      if (answer.endsWith('{"body":"first"}')) followed++;
      const body = answer.endsWith('{"body":"first"}') ? 'second' : 'first';
      return `POST /?n=${n} HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    };
    const result = await new HttpLoad({ ...plan, seconds: 0.2, rate: null }, ask).run();
    expect(followed).toBeGreaterThan(10);
    expect(followed / result.requests).toBeCloseTo(0.5, 1);
  });

  test('keeps its timetable in an open loop', async () => {
    const result = await new HttpLoad({ ...plan, seconds: 1, rate: 300 }, request).run();
    expect(result.requests).toBeWithin(250, 351);
  });

  test('counts the wait of what was due while the server stalled', async () => {
    stallMs = 200;
    const stalled = { ...plan, connections: 1, seconds: 1, rate: 200 };
    const result = await new HttpLoad(stalled, request).run();
    stallMs = 0;
    // A closed loop would have seen four slow answers; in truth a good part of all came late.
    expect(result.p50Ms).toBeGreaterThan(20);
  });

  test('beyond capacity drops and counts what finds no free connection', async () => {
    const slow = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      async fetch() {
        await Bun.sleep(100);
        return new Response('late', { status: 503 });
      },
    });
    const beyond = { ...plan, port: slow.port!, seconds: 1, rate: 400, beyondCapacity: true };
    const result = await new HttpLoad(beyond, request).run();
    await slow.stop(true);
    expect(Object.keys(result.statuses)).toEqual(['503']);
    expect(result.requests).toBeWithin(1, 45);
    // Four connections answered ten times a second at most: the other 360 were never sent.
    expect(result.dropped).toBeGreaterThan(300);
    expect(result.latencies[503]!.p50Ms).toBeGreaterThan(90);
  });

  test('says so when the server goes away', async () => {
    const gone = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('a') });
    const run = new HttpLoad({ ...plan, port: gone.port!, seconds: 2, rate: null }, request).run();
    setTimeout(() => void gone.stop(true), 100);
    expect(String(await run.catch((error: unknown) => error))).toContain('closed');
  });
});
