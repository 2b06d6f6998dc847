// A bound on waiting for a store. What was asked may still happen: its outcome is unknown.
import { type Time, systemTime } from './clock.ts';

export class DeadlineExceeded extends Error {}

/** The outcome of `asked`, or a rejection after `deadlineMs`. */
export async function within<T>(
  asked: Promise<T>,
  deadlineMs: number,
  time: Time = systemTime,
): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const callOff = time.after(deadlineMs, () =>
    reject(new DeadlineExceeded(`no answer within ${deadlineMs} ms`)),
  );
  try {
    return await Promise.race([asked, late]);
  } finally {
    callOff();
  }
}
