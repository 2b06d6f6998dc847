// Which codes a request means: `code` for one, `codes` for a stack.
import { problem } from '../http/problem.ts';

/** Throws the 422 that the schema cannot express. `at` points at the object that holds them. */
export function codesOf(
  { code, codes }: { code?: string; codes?: readonly string[] },
  at = '',
): readonly string[] {
  if (code !== undefined && codes === undefined) return [code];
  if (codes !== undefined && code === undefined) return codes;
  throw problem(422, 'invalid_request', 'See `errors` for what is wrong, and where.', {
    errors: [{ pointer: `${at}/code`, detail: 'Give either `code` or `codes`.' }],
  });
}
