// Operations: health, metrics, the API document and its pages. Open to everybody who can reach the
// port; nothing here shows a tenant's data.
import { Type } from '@sinclair/typebox';
import { closed } from '../../schemas/primitives.ts';
import { type Metrics } from '../io/metrics.ts';
import { otherSnapshots, prometheusText } from '../io/metrics-text.ts';
import { docsAsset, docsPage, problemPage } from '../http/pages.ts';
import { problem, problemBody, unavailable } from '../http/problem.ts';
import type { ReadinessProbe } from '../http/readiness.ts';
import { type Outcome, type Route, defineRoute, json } from '../http/route.ts';

export interface OpsParts {
  readiness: ReadinessProbe;
  metrics: Metrics;
  /** Where every process of the node writes its metrics, and the name of this one. */
  metricsDir: string;
  processName: string;
  /** Made after all routes are known. */
  document(): object;
}

const Check = closed({ ok: Type.Boolean(), detail: Type.String() });
const Checks = Type.Record(Type.String(), Check);
const nothing = problem(404, 'not_found', 'There is nothing at this address.');

const open = { method: 'GET', tag: 'operations', scope: null, limit: 'none' } as const;

export function opsRoutes(parts: OpsParts): Route[] {
  return [livez, readyz(parts), metrics(parts), openapi(parts), docs, asset, problems, start];
}

const livez = defineRoute({
  ...open,
  name: 'livez',
  path: '/livez',
  summary: 'Whether the process runs',
  answers: { 200: { description: 'It does.', schema: closed({ status: Type.Literal('live') }) } },
  examples: [{ name: 'live', status: 200 }],
  handler: () => json(200, { status: 'live' }),
});

function readyz({ readiness }: OpsParts): Route {
  return defineRoute({
    ...open,
    name: 'readyz',
    path: '/readyz',
    summary: 'Whether the process can do its work',
    description: 'Looks at Redis, Postgres, the schema version and the backlog.',
    answers: {
      200: {
        description: 'It can.',
        schema: closed({ status: Type.Literal('ready'), checks: Checks }),
      },
    },
    problems: [503],
    examples: [{ name: 'ready', status: 200 }],
    async handler(): Promise<Outcome> {
      const { ready, checks } = await readiness.ask();
      if (ready) return json(200, { status: 'ready', checks });
      const failing = Object.keys(checks).filter((name) => !checks[name]!.ok);
      const refusal = unavailable('not_ready', `Failing: ${failing.join(', ')}.`);
      return json(
        503,
        { ...problemBody(refusal), checks },
        { ...refusal.headers, 'Content-Type': 'application/problem+json' },
      );
    },
  });
}

/** Who asks while a text is being made is given that one: asking often costs no more. */
function metrics({ metrics: own, metricsDir, processName }: OpsParts): Route {
  let making: Promise<string> | null = null;
  const make = async (): Promise<string> => {
    const others = await otherSnapshots(metricsDir, processName).finally(() => (making = null));
    const mine = { process: processName, at: Date.now(), families: own.snapshot() };
    return prometheusText([mine, ...others]);
  };
  return defineRoute({
    ...open,
    name: 'metrics',
    path: '/metrics',
    summary: 'Metrics of every process of the node, as Prometheus text',
    answers: { 200: { description: 'Prometheus text.', contentType: 'text/plain' } },
    examples: [{ name: 'scrape', status: 200 }],
    async handler() {
      const text = await (making ??= make());
      return new Response(text, {
        headers: { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' },
      });
    },
  });
}

function openapi({ document }: OpsParts): Route {
  // Made once: as text it takes a millisecond, and anybody may ask.
  let made: Blob | undefined;
  return defineRoute({
    ...open,
    name: 'openapi',
    path: '/openapi.json',
    summary: 'This document',
    answers: { 200: { description: 'OpenAPI 3.1.', schema: Type.Object({}) } },
    examples: [{ name: 'document', status: 200 }],
    handler() {
      made ??= new Blob([JSON.stringify(document())], { type: 'application/json' });
      return new Response(made);
    },
  });
}

const html = { 200: { description: 'A page.', contentType: 'text/html' } } as const;

const docs = defineRoute({
  ...open,
  name: 'docs',
  path: '/docs',
  summary: 'This document, to be read and tried out',
  answers: html,
  examples: [{ name: 'page', status: 200 }],
  handler: () => docsPage(),
});

const asset = defineRoute({
  ...open,
  name: 'docsAsset',
  path: '/docs/{file}',
  summary: 'What the page /docs loads',
  params: closed({ file: Type.String() }),
  answers: { 200: { description: 'A script or style.', contentType: 'text/javascript' } },
  problems: [404],
  examples: [{ name: 'start', status: 200, params: { file: 'start.js' } }],
  handler: ({ params }) => docsAsset(params.file) ?? nothing,
});

const problems = defineRoute({
  ...open,
  name: 'problem',
  path: '/problems/{code}',
  summary: 'What a problem code means',
  params: closed({ code: Type.String() }),
  answers: html,
  problems: [404],
  examples: [{ name: 'known', status: 200, params: { code: 'rate_limited' } }],
  handler: ({ params }) => problemPage(params.code) ?? nothing,
});

const start = defineRoute({
  ...open,
  name: 'start',
  path: '/',
  summary: 'Leads to /docs',
  answers: { 302: { description: 'To /docs.' } },
  examples: [{ name: 'start', status: 302 }],
  handler: () => new Response(null, { status: 302, headers: { Location: '/docs' } }),
});
