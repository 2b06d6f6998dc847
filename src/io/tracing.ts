// Whether anybody listens to a tracing channel. Bun 1.4.5 leaves Node's answer to that out, and
// ioredis takes no answer for yes: it would copy the arguments of every command for nobody.
import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel';

const events = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;

/** Does nothing where the runtime has the answer itself. */
export function completeTracing(): void {
  const prototype = Object.getPrototypeOf(tracingChannel('tallyrace')) as object;
  if ('hasSubscribers' in prototype) return;
  Object.defineProperty(prototype, 'hasSubscribers', {
    configurable: true,
    get(this: TracingChannel) {
      return events.some((event) => this[event].hasSubscribers);
    },
  });
}
