// A bound on waiting for a store. What was asked may still happen: its outcome is unknown.

export class DeadlineExceeded extends Error {}

/** The outcome of `asked`, or a rejection after `deadlineMs`. */
export async function within<T>(asked: Promise<T>, deadlineMs: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new DeadlineExceeded(`no answer within ${deadlineMs} ms`)),
    deadlineMs,
  );
  try {
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
  }
}
