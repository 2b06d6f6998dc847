// The stack of one test file, stopped after its last test whether its tests passed, failed or threw.
import { afterAll } from 'bun:test';
import { type Stack, openServices } from './services.ts';

export type { Stack } from './services.ts';

/** Call at the top of a test file. */
export async function openStack(name: string): Promise<Stack> {
  const stack = await openServices(name);
  afterAll(() => stack.close(), 60_000);
  return stack;
}
