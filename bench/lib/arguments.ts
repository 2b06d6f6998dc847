// The options of a study: numbers above zero, words and switches, each with its standard value.
import { parseArgs } from 'node:util';

/** The command line asks for something that there is not; run.ts says so and exits with 2. */
export class UsageError extends Error {}

type Options = Record<string, string | number | boolean>;

/** `--name value` for each; what is not given is as in `standard`. */
export function readOptions<Given extends Options>(
  args: readonly string[],
  standard: Given,
): { [Name in keyof Given]: Widened<Given[Name]> } {
  const options = Object.fromEntries(
    Object.entries(standard).map(([name, value]) => [
      name,
      { type: typeof value === 'boolean' ? ('boolean' as const) : ('string' as const) },
    ]),
  );
  const given = parsed([...args], options);
  const read = Object.entries(standard).map(([name, value]): [string, Options[string]] => {
    const text = given[name];
    if (text === undefined) return [name, value];
    return [name, typeof value === 'number' ? numberIn(name, String(text)) : (text as string)];
  });
  return Object.fromEntries(read) as { [Name in keyof Given]: Widened<Given[Name]> };
}

type Widened<Value> = Value extends number ? number : Value extends string ? string : boolean;

function parsed(args: string[], options: Record<string, { type: 'string' | 'boolean' }>) {
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    const known = Object.entries(options).map(([name, { type }]) =>
      type === 'boolean' ? `[--${name}]` : `[--${name} …]`,
    );
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new UsageError(`${why}\noptions: ${known.join(' ')}`);
  }
}

function numberIn(name: string, text: string): number {
  const value = Number(text.replaceAll('_', ''));
  if (Number.isFinite(value) && value > 0) return value;
  throw new UsageError(`--${name} must be a number above 0, not ${text}`);
}
