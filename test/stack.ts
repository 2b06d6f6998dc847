// The stack of one test file, stopped after its last test whether its tests passed, failed or
// threw.
import { afterAll } from 'bun:test';
import { type Stack, openServices } from './services.ts';

export type { Stack } from './services.ts';

/** Call at the top of a test file. What `prepare` starts is stopped even when it throws. */
export async function openStack<Prepared extends object = object>(
  name: string,
  prepare?: (stack: Stack) => Promise<Prepared>,
): Promise<Stack & Prepared> {
  const stack = await openServices(name);
  // Tests run beside each other on few cores: that requests wait then says nothing.
  stack.environment['QUEUE_WAIT_MS_MAX'] ??= '3600000';
  afterAll(() => stack.close(), 60_000);
  try {
    return { ...stack, ...((await prepare?.(stack)) as Prepared) };
  } catch (error) {
    await stack.close();
    throw error;
  }
}
