// The few pages a person reads: the API document in Swagger UI, and what each problem code means.
// Invariant: nothing is loaded from another host, and no inline script runs.
import { fileURLToPath } from 'node:url';
import { type ProblemCode, catalogue } from './problem.ts';

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  // Swagger UI sets styles on elements; scripts stay strict.
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const secured = {
  'Content-Security-Policy': POLICY,
  'X-Content-Type-Options': 'nosniff',
  // For browsers that do not know frame-ancestors.
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
} as const;

const START = `SwaggerUIBundle({
  url: '/openapi.json', dom_id: '#ui', deepLinking: true, persistAuthorization: false,
  validatorUrl: null,
});
`;

interface Asset {
  type: string;
  body: () => Blob | string;
}

function packaged(name: string): () => Blob {
  return () => Bun.file(fileURLToPath(import.meta.resolve(`swagger-ui-dist/${name}`)));
}

const assets: Readonly<Record<string, Asset>> = {
  'swagger-ui-bundle.js': { type: 'text/javascript', body: packaged('swagger-ui-bundle.js') },
  'swagger-ui.css': { type: 'text/css', body: packaged('swagger-ui.css') },
  'start.js': { type: 'text/javascript', body: () => START },
};

export function docsPage(): Response {
  return page(
    'Tallyrace API',
    `<link rel="stylesheet" href="/docs/swagger-ui.css">`,
    `<div id="ui"></div><script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>`,
  );
}

/** Null for a name that is none of ours. */
export function docsAsset(name: string): Response | null {
  const asset = Object.hasOwn(assets, name) ? assets[name]! : null;
  if (!asset) return null;
  const headers = { ...secured, 'Content-Type': asset.type, 'Cache-Control': 'max-age=3600' };
  return new Response(asset.body(), { headers });
}

/** Null for a code that does not exist. */
export function problemPage(code: string): Response | null {
  if (!Object.hasOwn(catalogue, code)) return null;
  const { title, about } = catalogue[code as ProblemCode];
  return page(
    title,
    '',
    `<main><h1>${escaped(title)}</h1><p><code>${escaped(code)}</code></p>
<p>${escaped(about)}</p><p><a href="/docs">API document</a></p></main>`,
  );
}

function page(title: string, head: string, body: string): Response {
  const text = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>main{font:16px/1.5 system-ui;max-width:40em;margin:3em auto;padding:0 1em}</style>
${head}</head><body>${body}</body></html>
`;
  return new Response(text, {
    headers: { ...secured, 'Content-Type': 'text/html; charset=utf-8' },
  });
}

function escaped(text: string): string {
  return Bun.escapeHTML(text);
}
