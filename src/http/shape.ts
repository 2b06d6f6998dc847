// Shapes: TypeBox schemas compiled once, and what is wrong with a value as JSON pointers.
// Invariant: neither a pointer nor a detail repeats a value of the caller, only names of members,
// and of these none that looks like a card number.
import { type TypeCheck, TypeCompiler, ValueErrorType } from '@sinclair/typebox/compiler';
import type { TObject, TSchema } from '@sinclair/typebox';
import { withoutCardNumbers } from './card-numbers.ts';
import { type Problem, type ProblemError, problem } from './problem.ts';

const ERRORS_MAX = 20;
export const POINTER_CHARACTERS_MAX = 200;
/** As we write them: `true`, `1e2` and `007` are no integers. */
const integerForm = /^(?:0|-?[1-9]\d{0,14})$/;

export class Shape {
  private readonly compiled: TypeCheck<TSchema>;
  /** Members that are integers, which a query or a path has as text. */
  private readonly integers: readonly string[];

  constructor(
    readonly schema: TSchema,
    /** Put before each pointer, for values that are not the body. */
    private readonly prefix = '',
  ) {
    this.compiled = TypeCompiler.Compile(schema);
    const members = Object.entries((schema as Partial<TObject>).properties ?? {});
    this.integers = members.flatMap(([name, { type }]) => (type === 'integer' ? [name] : []));
  }

  fits(value: unknown): boolean {
    return this.compiled.Check(value);
  }

  errors(value: unknown): ProblemError[] {
    const found: ProblemError[] = [];
    const pointers = new Set<string>();
    for (const error of this.compiled.Errors(value)) {
      // One finding a place: the first says what is missing, the rest follow from it.
      if (pointers.has(error.path)) continue;
      pointers.add(error.path);
      const path = withoutCardNumbers(error.path);
      const pointer = `${this.prefix}${path}`.slice(0, POINTER_CHARACTERS_MAX);
      found.push({ pointer, detail: sentence(error.type, error.message) });
      if (found.length === ERRORS_MAX) break;
    }
    return found;
  }

  /** The 422 for a value that does not fit. */
  refusal(value: unknown): Problem {
    const errors = this.errors(value);
    return problem(422, 'invalid_request', 'See `errors` for what is wrong, and where.', {
      errors,
    });
  }

  /** Texts of a query or a path as the types that the schema names; what does not fit stays. */
  convert(texts: Record<string, string>): unknown {
    if (this.integers.length === 0) return texts;
    const converted: Record<string, unknown> = { ...texts };
    for (const name of this.integers) {
      const text = texts[name];
      if (text !== undefined && integerForm.test(text)) converted[name] = Number(text);
    }
    return converted;
  }
}

export function shapeOf(schema: TSchema | undefined, prefix = ''): Shape | undefined {
  return schema === undefined ? undefined : new Shape(schema, prefix);
}

function sentence(type: ValueErrorType, message: string): string {
  if (type === ValueErrorType.ObjectAdditionalProperties) return 'This property is not known here.';
  return `${message}.`;
}
