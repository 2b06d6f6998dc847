// Access logs: request and trace ids, every failure, and no flood from probers.
import { expect, test } from 'bun:test';
import pino from 'pino';
import { Recorder } from '../../src/http/recorder.ts';
import { Metrics } from '../../src/io/metrics.ts';

function logged(tag: string, statuses: readonly number[], traceparent?: string): object[] {
  const lines: object[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as object) });
  const meter = new Recorder(new Metrics(), log).route('someRoute', tag);
  for (const status of statuses) meter.record(status, 3, { requestId: 'req_1', traceparent });
  return lines;
}

test('a line names the request and, when there is one, its trace', () => {
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  expect(logged('events', [500], traceparent)).toEqual([
    expect.objectContaining({
      request_id: 'req_1',
      trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
      route: 'someRoute',
      status: 500,
    }),
  ]);
  expect(logged('events', [500])[0]).not.toHaveProperty('trace_id');
});

test('one answer in a thousand is logged, of failures ten a second, none of polled routes', () => {
  const many = (status: number) => Array<number>(1_000).fill(status);
  expect(logged('events', many(202))).toHaveLength(1);
  const failures = logged('events', many(503)).length;
  // The thousand may fall into two seconds; the first of them is a sample besides.
  expect(failures).toBeGreaterThanOrEqual(10);
  expect(failures).toBeLessThanOrEqual(22);
  expect(logged('operations', many(503))).toHaveLength(1);
});
