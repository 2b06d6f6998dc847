// The API as its own document tells it: what can be asked, with what, and what may be answered.
export interface Schema {
  type?: string;
  const?: unknown;
  enum?: unknown[];
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
}

interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required: boolean;
  schema: Schema;
}

interface Content {
  schema: Schema;
  examples?: Record<string, { value: unknown }>;
}

export interface Operation {
  operationId: string;
  path: string;
  method: string;
  description: string;
  parameters: Parameter[];
  requestBody?: { content: Record<string, Content> };
  responses: Record<string, { content?: Record<string, unknown> }>;
  security?: unknown[];
}

export async function readOperations(url: string): Promise<Operation[]> {
  const answer = await fetch(`${url}/openapi.json`);
  const { paths } = (await answer.json()) as { paths: Record<string, Record<string, Operation>> };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      path,
      method: method.toUpperCase(),
    })),
  );
}

/** The scopes of which any is enough, as the description names them; none: open to everybody. */
export function scopesOf({ description, security }: Operation): string[] {
  if (security?.length === 0) return [];
  const named = /Scope: (.*)\.$/.exec(description)?.[1] ?? '';
  return [...named.matchAll(/`([^`]+)`/g)].map((found) => found[1]!);
}

export function hasHeader({ parameters }: Operation, name: string): boolean {
  return parameters.some((each) => each.in === 'header' && each.name === name);
}
